"""Energies and forces of all beads of a ring polymer."""

from __future__ import annotations

from concurrent.futures import Executor
from functools import partial
from typing import Any, Protocol

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from mlip_lab.core.errors import CalculationError, MlipError
from mlip_lab.dynamics.engines import SKIN, CompiledPotential
from mlip_lab.kernels.neighbors import build_pairs, check_geometry, needs_rebuild

Floats = NDArray[np.float64]


class Beads(Protocol):
    """What calculates all beads at once."""

    def __call__(self, positions: Floats) -> tuple[Floats, Floats]:
        """Energies in eV, (P,), and forces in eV/Å, (P, n_atoms, 3), of positions in Å, (P, n_atoms, 3)."""
        ...


def bead_forces(atoms: Atoms, calculator: Any, beads: int, executor: Executor | None) -> Beads:
    """One compiled call for all beads if the calculator has one, else a call for each, here or on an executor."""
    compiled = getattr(calculator, "compiled", None)
    return PythonBeads(atoms, calculator, executor) if compiled is None else CompiledBeads(atoms, compiled, beads)


class CompiledBeads:
    """All beads as one system of P·n atoms whose list holds no pair of two beads."""

    def __init__(self, atoms: Atoms, compiled: CompiledPotential, beads: int) -> None:
        """Take note of what the beads have in common."""
        self._compiled = compiled
        _, self._cell, self._pbc, self._reach = check_geometry(
            atoms.positions, atoms.cell.array, atoms.pbc, compiled.cutoff + SKIN
        )
        n = beads * len(atoms)
        self._species = np.tile(compiled.species_of(atoms.numbers), beads)
        self._energies, self._virial = np.empty(n), np.empty((3, 3))
        self._reference = np.full((n, 3), np.nan)  # counts as moved
        self._pairs: tuple[Any, ...] = ()

    def __call__(self, positions: Floats) -> tuple[Floats, Floats]:
        """See Beads."""
        flat = positions.reshape(-1, 3)
        if needs_rebuild(flat, self._reference, SKIN):
            self._list(positions)
            self._reference[:] = flat
        forces = np.empty(flat.shape)
        self._compiled.module.evaluate(
            self._compiled.theta, self._species, flat, self._cell, *self._pairs, self._energies, forces, self._virial
        )
        return self._energies.reshape(len(positions), -1).sum(axis=1), forces.reshape(positions.shape)

    def _list(self, positions: Floats) -> None:
        """The lists of all beads, one after another."""
        lists = [build_pairs(np.ascontiguousarray(bead), self._cell, self._pbc, self._reach) for bead in positions]
        n, ends = positions.shape[1], np.cumsum([0, *(len(neighbor) for _, neighbor, _ in lists)])
        first = [found[0][:-1] + end for found, end in zip(lists, ends[:-1], strict=True)]
        self._pairs = (
            np.concatenate([*first, ends[-1:]]).astype(np.int64),
            np.concatenate([found[1] + k * n for k, found in enumerate(lists)]).astype(np.int32),
            np.concatenate([found[2] for found in lists]),
        )


class PythonBeads:
    """A call of any ASE calculator for each bead."""

    def __init__(self, atoms: Atoms, calculator: Any, executor: Executor | None) -> None:
        """Take note of the structure; an executor gets calculator and structure with every bead."""
        self._call = partial(_energy_and_forces, atoms=atoms.copy(), calculator=calculator)
        self._executor = executor

    def __call__(self, positions: Floats) -> tuple[Floats, Floats]:
        """See Beads."""
        try:
            mapped = map if self._executor is None else self._executor.map
            found = list(mapped(self._call, positions))
        except MlipError:
            raise
        except Exception as error:
            raise CalculationError(f"The calculator failed for a bead: {error}") from error
        return np.array([energy for energy, _ in found]), np.array([forces for _, forces in found])


def _energy_and_forces(positions: Floats, *, atoms: Atoms, calculator: Any) -> tuple[float, Floats]:
    bead = atoms.copy()
    bead.positions[:] = positions
    bead.calc = calculator
    forces = np.array(bead.get_forces(apply_constraint=False), dtype=np.float64)
    return float(bead.get_potential_energy(force_consistent=_knows_free_energy(calculator))), forces


def _knows_free_energy(calculator: Any) -> bool:
    """With smeared electrons the forces are the slope of the free energy."""
    return "free_energy" in getattr(calculator, "results", {})
