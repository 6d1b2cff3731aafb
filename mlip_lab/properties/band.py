"""The elastic band: images between two structures, pulled onto the path of least energy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.mep import NEB
from ase.optimize import FIRE, MDMin
from numpy.typing import NDArray

from mlip_lab.properties.idpp import PairDistances

Floats = NDArray[np.float64]
SPRING = 0.1  # eV/Å² between neighbouring images
CLOSE = 0.3  # eV/Å left on the band when the highest image begins to climb
LONGEST = 0.2  # Å that an atom moves in a step


class Landscape(Protocol):
    """Energies (m,) and forces (m, n, 3) of images (m, n, 3)."""

    def __call__(self, positions: Floats, ask: Callable[[], None]) -> tuple[Floats, Floats]: ...  # noqa: D102 - the class says it


@dataclass(frozen=True, eq=False)
class BandState:
    """A band after some step.

    Attributes:
        positions: Of all images in Å, (m, n, 3).
        energies: eV, (m,).
        forces: Of the calculator in eV/Å, (m, n, 3).
        max_force: Largest force of the band on an atom: across the path, and of the springs along it, eV/Å.
        climbing: Whether the highest image climbs.
        converged: Whether the band is where it should be.
        steps: Steps taken to it.
    """

    positions: Floats
    energies: Floats
    forces: Floats
    max_force: float
    climbing: bool
    converged: bool
    steps: int


class Band(NEB):
    """ASE's elastic band with improved tangents, its images evaluated together.

    Henkelman and Jónsson, DOI 10.1063/1.1323224; the climbing image: DOI 10.1063/1.1329672.
    """

    def __init__(self, images: list[Atoms], landscape: Landscape, ask: Callable[[], None], *, climb: bool) -> None:
        """Span the band; the two ends hold their energies and stay."""
        super().__init__(images, k=SPRING, climb=climb, method="improvedtangent")
        self._landscape, self._ask = landscape, ask
        self._seen: Floats = np.empty(0)
        self.pulls: Floats = np.empty(0)

    def get_forces(self) -> Floats:
        """Forces of the band on the images between the ends, one atom below the other.

        An optimiser asks for them several times a step; they are computed once.
        """
        inner = self.images[1:-1]
        positions = np.array([image.positions for image in inner])
        if not np.array_equal(positions, self._seen):
            energies, forces = self._landscape(positions, self._ask)
            for image, energy, force in zip(inner, energies, forces, strict=True):
                image.calc = SinglePointCalculator(image, energy=energy, forces=force)
            self.pulls, self._seen = np.asarray(super().get_forces()), positions
        return self.pulls.copy()


def straight(start: Atoms, end: Floats, inner: int) -> list[Atoms]:
    """Images on a straight line, both ends included.

    Args:
        start: The first, with its constraints.
        end: Positions of the last in Å, (n, 3).
        inner: Images in between.
    """
    images = []
    for share in np.linspace(0.0, 1.0, inner + 2):
        image: Atoms = start.copy()
        image.set_positions(start.positions + share * (end - start.positions), apply_constraint=False)
        images.append(image)
    return images


def spread(images: list[Atoms], ask: Callable[[], None]) -> None:
    """Move images between the ends so that distances of atoms change evenly, by the image-dependent pair potential."""
    positions = np.array([image.positions for image in images])
    for image in (images[0], images[-1]):
        image.calc = SinglePointCalculator(image, energy=0.0, forces=np.zeros_like(image.positions))
    band: Any = Band(images, PairDistances(positions, images[0].cell.array, images[0].pbc), ask, climb=False)
    optimizer: Any = MDMin
    optimizer(band, dt=0.2, logfile=None).run(fmax=0.1, steps=100)


def relaxed(
    images: list[Atoms],
    landscape: Landscape,
    *,
    force: float,
    climb: bool,
    climbing: bool,
    steps: int,
    ask: Callable[[], None],
) -> Iterator[BandState]:
    """States of a band step by step, the last one converged unless the steps are used up.

    Args:
        images: All images; the two ends hold their energies and forces. They are moved.
        landscape: Energies and forces of images.
        force: Largest force to be left on an atom, eV/Å.
        climb: Whether the highest image climbs to the saddle once the band is close to the path.
        climbing: Whether it does so from the beginning.
        steps: Steps to take at most.
        ask: Called within each step; may raise Cancelled.
    """
    phases = [(climb, force)]
    if climb and not climbing:
        phases.insert(0, (False, max(force, CLOSE)))
    taken = 0
    for phase in phases:
        climbs, goal = phase
        band = Band(images, landscape, ask, climb=climbs)
        optimizer: Any = FIRE(band, logfile=None, maxstep=LONGEST)
        there = False
        for there in optimizer.irun(fmax=goal, steps=steps - taken):
            yield _state(band, there and phase is phases[-1], taken + optimizer.nsteps)
        taken += optimizer.nsteps
        if not there:
            return


def _state(band: Band, converged: bool, steps: int) -> BandState:
    forces = np.array([image.calc.results["forces"] for image in band.images])
    positions = np.array([image.positions for image in band.images])
    pull = float(np.linalg.norm(band.pulls, axis=1).max())
    return BandState(positions, np.array(band.energies), forces, pull, bool(band.climb), converged, steps)
