"""The saddle point of a path: found from nearby, and certified by its normal modes."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from numpy.typing import NDArray

from mlip_lab.core.errors import CalculationError
from mlip_lab.core.progress import Progress, silent
from mlip_lab.core.quantities import Count, Force, validated
from mlip_lab.properties.normal_modes import (
    Displacement,
    NormalModes,
    hessian_at,
    modes_of,
    movable_coordinates,
    vibrating,
)
from mlip_lab.properties.together import Together

Floats = NDArray[np.float64]
LONGEST = 0.1  # Å that an atom moves in a step
RENEW = 10  # steps after which the Hessian is computed anew


@dataclass(frozen=True, eq=False)
class Saddle:
    """A stationary point that was sought as a saddle.

    Attributes:
        atoms: The structure, holding its energy and forces.
        energy: eV.
        max_force: Largest force left on an atom that may move, eV/Å.
        steps: Steps taken to it.
        modes: Its normal modes.
    """

    atoms: Atoms
    energy: float
    max_force: float
    steps: int
    modes: NormalModes

    @property
    def certified(self) -> bool:
        """Whether exactly one mode is imaginary: uphill along one direction only, so a pass between two valleys."""
        return len(self.modes.imaginary) == 1


@validated
def find_saddle(
    atoms: Atoms,
    calculator: Any,
    *,
    along: NDArray[np.float64] | None = None,
    force: Force = 1e-3,
    displacement: Displacement = 0.01,
    steps: Count = 60,
    executor: Executor | None = None,
    progress: Progress = silent,
) -> Saddle:
    """Climb along one mode and descend along all others, to the saddle nearby.

    Steps of the partitioned rational function (Banerjee et al., DOI 10.1021/j100247a015) in mass-weighted
    coordinates; the Hessian comes from differences of forces and is kept up to date by Bofill's formula
    (DOI 10.1002/jcc.540150102). Close to the saddle these are Newton's steps.

    Args:
        atoms: A structure near the saddle; it is not changed. Fixed atoms stay.
        calculator: Any ASE calculator.
        along: The way over the saddle in Å, (n, 3): the mode most like it is climbed. None takes the lowest.
        force: Largest force to be left on an atom, eV/Å.
        displacement: How far a coordinate is moved for the Hessian, Å.
        steps: Steps after which to give up.
        executor: Where displaced structures are computed; None is here. It must run processes.
        progress: Called after every step with `max_force` (eV/Å), and in between to ask whether to stop.

    Raises:
        InputError: If an argument is unusable.
        CalculationError: If it is not found or numbers are not finite.
    """
    climb = _Climb(atoms, calculator, along, displacement, executor)
    for step in range(steps + 1):
        climb.look(partial(progress, step, steps))
        progress(step, steps, max_force=climb.max_force)
        if climb.max_force < force:
            return climb.certified(step, partial(progress, step, steps))
        climb.move(step, partial(progress, step, steps))
    raise CalculationError(
        f"No saddle point was found in {steps} steps: a force of {climb.max_force:.2g} eV/Å is left, {force:g} was "
        "asked for. Start nearer to it: take more images or a smaller force for the path."
    )


class _Climb:
    """A structure on its way to a saddle."""

    def __init__(
        self, atoms: Atoms, calculator: Any, along: Floats | None, displacement: float, executor: Executor | None
    ) -> None:
        self.atoms: Atoms = atoms.copy()
        self.together = Together(atoms, calculator, executor=executor)
        self.movable, self.displacement = movable_coordinates(atoms), displacement
        self.roots = np.sqrt(np.repeat(atoms.get_masses()[:, None], 3, axis=1)[self.movable])
        self.guide = None if along is None else along[self.movable] * self.roots
        self.energy, self.forces = 0.0, np.zeros((len(atoms), 3))
        self.gradient, self.moved = np.zeros(len(self.roots)), np.zeros(len(self.roots))
        self.hessian: Floats = np.zeros((len(self.roots), len(self.roots)))

    def look(self, ask: Callable[[], None]) -> None:
        """Energy and forces here."""
        energies, forces = self.together(self.atoms.positions[None], ask)
        self.energy, self.forces = float(energies[0]), forces[0]

    @property
    def max_force(self) -> float:
        """Largest force on an atom that may move, eV/Å."""
        return float(np.linalg.norm(np.where(self.movable, self.forces, 0.0), axis=1).max())

    def move(self, step: int, ask: Callable[[], None]) -> None:
        """Bring the Hessian up to date and take a step."""
        gradient = -self.forces[self.movable]
        if step % RENEW == 0:
            self.hessian = hessian_at(self.together, self.atoms.positions, self.movable, self.displacement, ask)
        else:
            self.hessian = self.hessian + bofill(self.hessian, self.moved, gradient - self.gradient)
        inner = vibrating(self.atoms, self.hessian, self.movable, self.roots)
        weighted = self.hessian / np.outer(self.roots, self.roots)
        found, self.guide = _step(inner, weighted, gradient / self.roots, self.guide)
        self.gradient, self.moved = gradient, _shortened(found / self.roots, self.movable)
        positions = self.atoms.positions.copy()
        positions[self.movable] += self.moved
        self.atoms.set_positions(positions, apply_constraint=False)

    def certified(self, steps: int, ask: Callable[[], None]) -> Saddle:
        """What was found, with its normal modes."""
        hessian = hessian_at(self.together, self.atoms.positions, self.movable, self.displacement, ask)
        modes = modes_of(self.atoms, hessian, self.movable)
        self.atoms.calc = SinglePointCalculator(self.atoms, energy=self.energy, forces=self.forces)
        return Saddle(self.atoms, self.energy, self.max_force, steps, modes)


def bofill(hessian: Floats, move: Floats, change: Floats) -> Floats:
    """What to add to a Hessian (m, m) that should turn a move (m,) into the change of the gradient (m,) seen."""
    off = change - hessian @ move
    along, size, length = float(off @ move), float(off @ off), float(move @ move)
    if size < 1e-16 * length or length == 0.0:
        return np.zeros_like(hessian)
    share = along**2 / (size * length)
    powell = (np.outer(off, move) + np.outer(move, off)) / length - along * np.outer(move, move) / length**2
    if share < 1e-8:
        return powell
    return np.asarray(share * np.outer(off, off) / along + (1 - share) * powell)


def _step(inner: Floats, hessian: Floats, gradient: Floats, guide: Floats | None) -> tuple[Floats, Floats]:
    """The move in mass-weighted coordinates, and the mode that it climbs."""
    curvatures, vectors = np.linalg.eigh(inner.T @ hessian @ inner)
    modes = inner @ vectors
    slopes = modes.T @ gradient
    climbed = 0 if guide is None else int(np.argmax(np.abs(modes.T @ guide)))
    others = np.arange(len(curvatures)) != climbed
    # the highest root of the 2 × 2 problem of the mode that is climbed, the lowest root of that of all others
    half = curvatures[climbed] / 2
    up = half + np.sqrt(half**2 + slopes[climbed] ** 2)
    shift = np.full(len(curvatures), up)
    if others.any():
        count = int(others.sum())
        problem = np.zeros((count + 1, count + 1))
        problem[np.arange(count), np.arange(count)] = curvatures[others]
        problem[:count, -1] = problem[-1, :count] = slopes[others]
        shift[others] = np.linalg.eigvalsh(problem)[0]
    moved = np.abs(slopes) > 0.0
    amounts = np.zeros(len(curvatures))
    amounts[moved] = -slopes[moved] / (curvatures - shift)[moved]
    return modes @ amounts, modes[:, climbed]


def _shortened(move: Floats, movable: NDArray[np.bool_]) -> Floats:
    vectors = np.zeros(movable.shape)
    vectors[movable] = move
    longest = float(np.linalg.norm(vectors, axis=1).max())
    return move * min(1.0, LONGEST / longest) if longest > 0 else move
