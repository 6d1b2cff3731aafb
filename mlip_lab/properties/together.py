"""Energies and forces of many images of one structure, all in one call where the calculator is compiled."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from typing import Any, Protocol

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from mlip_lab.core.errors import CalculationError
from mlip_lab.kernels.neighbors import build_pairs, check_geometry, needs_rebuild
from mlip_lab.properties.attach import attached, energy_of
from mlip_lab.properties.fan_out import fan_out

Floats = NDArray[np.float64]
SKIN = 0.5  # Å; further is fewer lists but more pairs in each
CLOSEST = 0.3  # Å; nearer than that no potential means anything
MOST_ATOMS = 4000  # in one call, so that a stop is heard


class CompiledEvaluator(Protocol):
    """What a calculator offers as its `compiled` attribute when it can take images together."""

    @property
    def cutoff(self) -> float: ...  # noqa: D102 - the class says it

    def species_of(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Species index of each atomic number."""
        ...

    def evaluate(
        self, species: NDArray[np.int64], positions: Floats, cell: Floats, pairs: tuple[Any, ...], threads: int
    ) -> Any:
        """`energies` of atoms, `forces` and the `closest` distance."""
        ...


class Together:
    """Evaluates images with the same atoms in the same cell.

    For a compiled potential the images become one structure whose parts do not see each other: their lists of pairs
    are joined, and the kernel runs once. Any other calculator is asked for one image after another, here or on an
    executor.
    """

    def __init__(self, atoms: Atoms, calculator: Any, *, executor: Executor | None = None) -> None:
        """Prepare for images.

        Args:
            atoms: The structure; its positions are tried once.
            calculator: Any ASE calculator.
            executor: Where images are computed that are not evaluated together; None is here.

        Raises:
            InputError: If the calculator refuses the structure.
            CalculationError: If it gives no finite energy.
        """
        tried = attached(atoms, calculator)
        energy_of(tried)
        self._atoms: Atoms = tried.copy()  # without the calculator, so that it can be sent
        self._atoms.set_constraint()
        self._calculator, self._executor = calculator, executor
        compiled = getattr(calculator, "compiled", None)
        self._compiled: CompiledEvaluator | None = compiled if hasattr(compiled, "evaluate") else None
        self._pairs: tuple[Any, ...] = ()
        self._reference: Floats = np.empty((0, 3))

    def __call__(self, positions: Floats, ask: Callable[[], None] = lambda: None) -> tuple[Floats, Floats]:
        """Energies (m,) in eV and forces (m, n, 3) in eV/Å of images.

        Args:
            positions: Å, (m, n, 3).
            ask: Called now and then; may raise Cancelled.

        Raises:
            CalculationError: If numbers are not finite or atoms come too close.
        """
        if self._compiled is None:
            energies, forces = self._one_by_one(positions, ask)
        else:
            size = max(1, MOST_ATOMS // len(self._atoms))
            parts = []
            for begin in range(0, len(positions), size):
                ask()
                parts.append(self._joined(self._compiled, positions[begin : begin + size]))
            energies, forces = (np.concatenate(part) for part in zip(*parts, strict=True))
        if not (np.isfinite(energies).all() and np.isfinite(forces).all()):
            raise CalculationError("The calculator gave energies or forces that are not finite for an image.")
        return energies, forces

    def _joined(self, compiled: CompiledEvaluator, images: Floats) -> tuple[Floats, Floats]:
        m, n = images.shape[:2]
        flat = np.ascontiguousarray(images.reshape(-1, 3))
        cell, pbc = self._atoms.cell.array, self._atoms.pbc
        if flat.shape != self._reference.shape or needs_rebuild(flat, self._reference, SKIN):
            self._pairs = joined_pairs(images, cell, pbc, compiled.cutoff + SKIN)
            self._reference = flat.copy()
        species = np.tile(compiled.species_of(self._atoms.numbers), m)
        found = compiled.evaluate(species, flat, np.ascontiguousarray(cell), self._pairs, self._threads())
        if found.closest < CLOSEST:
            raise CalculationError(
                f"Two atoms of an image came {found.closest:.2f} Å close. Check that reactant and product are what "
                "was meant, or take more images."
            )
        return found.energies.reshape(m, n).sum(axis=1), found.forces.reshape(m, n, 3)

    def _threads(self) -> int:
        return int(getattr(self._calculator, "threads", 1))

    def _one_by_one(self, positions: Floats, ask: Callable[[], None]) -> tuple[Floats, Floats]:
        work = partial(_point, atoms=self._atoms, calculator=self._calculator)
        found = fan_out(work, list(positions), self._executor, lambda done, total, /, **_: ask())
        return np.array([energy for energy, _ in found]), np.array([forces for _, forces in found])


def joined_pairs(
    images: Floats, cell: Floats, pbc: NDArray[np.bool_], reach: float
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32]]:
    """One list of pairs of all images, as `build_pairs` gives it for one; no pair joins two images.

    Args:
        images: Å, (m, n, 3).
        cell: Å, (3, 3).
        pbc: Periodic directions, (3,).
        reach: Largest distance in Å.
    """
    n = images.shape[1]
    firsts, neighbors, shifts, so_far = [np.zeros(1, dtype=np.int64)], [], [], 0
    for number, image in enumerate(images):
        first, neighbor, shift = build_pairs(*check_geometry(image, cell, pbc, reach))
        firsts.append(first[1:] + so_far)
        neighbors.append(neighbor + np.int32(number * n))
        shifts.append(shift)
        so_far += len(neighbor)
    return np.concatenate(firsts), np.concatenate(neighbors), np.concatenate(shifts)


def _point(positions: Floats, *, atoms: Atoms, calculator: Any) -> tuple[float, Floats]:
    image = attached(atoms, calculator)
    image.set_positions(positions)
    return energy_of(image), np.asarray(image.get_forces(), dtype=np.float64)
