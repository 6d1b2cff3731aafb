"""The chain on paper, by numbers, and as potentials of two bodies and of many learn it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from mlip_lab.core.frame import Frame
from mlip_lab.core.late import plotted
from mlip_lab.core.progress import Progress, silent
from mlip_lab.core.quantities import Quantity, Seed, validated
from mlip_lab.model.config import PotentialConfig
from mlip_lab.model.exact import fit_exact
from mlip_lab.model.potential import Potential
from mlip_lab.model.threads import one_thread
from mlip_lab.properties.chain import (
    Chain,
    Mass,
    Spacing,
    Spring,
    chain_of,
    hessian_row,
    ring_frequencies,
    wave_vectors,
)

Floats = NDArray[np.float64]
Ring = Annotated[int, Quantity("", low=5, high=100, whole=True)]
Frames = Annotated[int, Quantity("", low=5, high=500, whole=True)]
SIGHT = 1.6  # spacings that a student sees: both neighbours, and nobody else even when they move
SHAKE = 0.04  # spacings by which atoms of the lessons are displaced at random
STUDENTS = {"two bodies": 2, "many bodies": 3}  # on a line, three are the most that meet within sight of one


@dataclass(frozen=True, eq=False)
class ChainBands:
    """Frequencies of one chain in several ways.

    Attributes:
        chain: The chain.
        wave_vectors: From Γ to the edge of the zone in 1/Å, (n,).
        analytic: From the formula in THz, imaginary ones negative, (n,).
        ring: Number of atoms in the ring of the numerical Hessian.
        fitting: Wave vectors that fit into the ring in 1/Å, (ring // 2 + 1,).
        numeric: There, from forces differentiated by numbers, THz.
        learned: Frequencies from the Hessians of trained potentials in THz, (n,), by what they are made of.
        force_errors: Root mean square errors of their forces on lessons not learned from, eV/Å.
    """

    chain: Chain
    wave_vectors: Floats
    analytic: Floats
    ring: int
    fitting: Floats
    numeric: Floats
    learned: dict[str, Floats]
    force_errors: dict[str, float]

    def plot(self) -> Any:
        """As a matplotlib Figure."""
        return plotted("chain", "chain", self)

    def miss(self, name: str) -> float:
        """Largest distance of a trained potential's curve from the formula's in THz."""
        return float(np.abs(self.learned[name] - self.analytic).max())


@validated
def chain(
    *,
    nearest: Spring = 5.0,
    next_nearest: Spring = 0.0,
    three_body: Spring = 1.0,
    spacing: Spacing = 2.5,
    mass: Mass = 28.0,
    ring: Ring = 12,
    train: bool = True,
    frames: Frames = 30,
    seed: Seed = 0,
    progress: Progress = silent,
) -> ChainBands:
    """Frequencies of a chain from its formula, from its Hessian, and from potentials that learned its forces.

    The potentials see an atom's two neighbours and no others. One knows pairs only; the other knows how the two
    bonds of an atom act together.

    Args:
        nearest: Spring between neighbours.
        next_nearest: Spring between every atom and the one after the next.
        three_body: Spring on the difference of the two bonds of an atom.
        spacing: Distance of neighbours.
        mass: Mass of an atom.
        ring: Atoms in the ring whose forces are differentiated.
        train: Whether to train potentials on it.
        frames: Displaced rings that they learn from.
        seed: Of the displacements and of the potentials.
        progress: Called after each part.

    Raises:
        InputError: If an argument is unusable.
    """
    model = chain_of(nearest=nearest, next_nearest=next_nearest, three_body=three_body, spacing=spacing, mass=mass)
    students = STUDENTS if train else {}
    atoms, ks = model.ring(ring), wave_vectors(spacing)
    fitting = np.asarray(2 * np.pi * np.arange(ring // 2 + 1) / (ring * spacing), dtype=np.float64)
    numeric = ring_frequencies(hessian_row(atoms, model.calculator()), mass, spacing, fitting)
    progress(1, 1 + len(students), stage="Differentiating forces")
    unseen = lessons(model, 5, seed + 1)
    learned, errors = {}, {}
    for done, (name, bodies) in enumerate(students.items(), 2):
        potential = student(model, bodies, frames=frames, seed=seed)
        row = hessian_row(atoms, potential.calculator())
        learned[name] = ring_frequencies(row, mass, spacing, ks)
        errors[name] = _force_error(potential, unseen)
        progress(done, 1 + len(students), stage="Training")
    return ChainBands(model, ks, model.frequencies(ks), ring, fitting, numeric, learned, errors)


def student(model: Chain, bodies: int, *, frames: int = 30, seed: int = 0) -> Potential:
    """A linear potential of so many bodies that learned the forces of displaced rings.

    Args:
        model: The chain that teaches.
        bodies: 2 for pairs only, up to 5.
        frames: Number of lessons.
        seed: Of the displacements and of the radial functions.
    """
    pairs = bodies == 2
    config = PotentialConfig(
        cutoff=SIGHT * model.spacing,
        n_radial=2 if pairs else 6,
        n_pair=8,
        lmax=0 if pairs else 1,
        n_channels=1 if pairs else 6,
        body_order=bodies,
        readout="linear",
        repulsion=False,
    )
    with one_thread():
        return fit_exact(config, lessons(model, frames, seed), seed=seed)


def lessons(model: Chain, count: int, seed: int) -> tuple[Frame, ...]:
    """Rings of ten with atoms displaced at random along the chain, their energies and forces from its formula."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        atoms = model.ring(10)
        atoms.positions[:, 0] += SHAKE * model.spacing * rng.normal(size=len(atoms))
        atoms.calc = model.calculator()
        energy, forces = float(atoms.get_potential_energy()), atoms.get_forces()
        made.append(
            Frame(
                atoms.numbers, atoms.positions.copy(), atoms.cell.array, atoms.pbc.copy(), energy=energy, forces=forces
            )
        )
    return tuple(made)


def _force_error(potential: Potential, frames: tuple[Frame, ...]) -> float:
    off = []
    for frame in frames:
        found = potential.evaluate(frame.numbers, frame.positions, frame.cell, frame.pbc)
        off.append((found.forces - np.asarray(frame.forces))[:, 0])
    return float(np.sqrt(np.mean(np.square(off))))
