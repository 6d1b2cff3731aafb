"""A trained potential as an ASE calculator."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from numpy.typing import NDArray

from mlip_lab.core.checks import as_floats, as_integer, one_of
from mlip_lab.core.errors import InputError
from mlip_lab.kernels.neighbors import build_pairs, check_geometry, needs_rebuild, pair_vectors
from mlip_lab.model.potential import Potential
from mlip_lab.model.running import Compiled, Evaluation, Runner, default_threads

CLOSEST = 0.3  # Å; nearer than that no potential means anything


class MLIPCalculator(Calculator):
    """Energy, free energy, per-atom energies, forces and stress of a trained potential.

    An ensemble gives the mean of its members, and their standard deviation as `energy_spread` (eV) and
    `forces_spread` (eV/Å, (n,)) in `results`. The pair list is kept until an atom has moved by half the skin.
    """

    implemented_properties: list[str] = ["energy", "free_energy", "energies", "forces", "stress"]  # noqa: RUF012 - as ASE declares it

    def __init__(
        self,
        potential: Potential,
        *,
        skin: float = 0.5,
        precision: str = "float64",
        threads: int | None = None,
        device: str | None = None,
    ) -> None:
        """Wrap a potential.

        Args:
            potential: The trained potential.
            skin: How much further than the cutoff the pair list reaches, Å.
            precision: "float64" or "float32" (see Potential.compiled).
            threads: How many cores a force call of many atoms may use; None takes NUMBA_NUM_THREADS or
                OMP_NUM_THREADS, else one for each core of the process.
            device: None for the compiled kernel; a torch device such as "cuda" for tensor operations there.

        Raises:
            InputError: If the skin is not between 0 and 5 Å, or another argument is not usable.
        """
        super().__init__()
        skin = float(as_floats("skin", skin, ()))
        if not 0.0 <= skin <= 5.0:
            raise InputError(f"skin: expected 0 to 5 Å, got {skin}.")
        self.potential = potential
        self.skin = skin
        self.precision = one_of("precision", precision, ("float64", "float32"))
        self.threads = default_threads() if threads is None else as_integer("threads", threads, low=1, high=1024)
        self.device = device
        self._runner: Runner | None = None
        self._pairs: tuple[Any, ...] | None = None
        self._made_for: tuple[Any, ...] | None = None

    @property
    def compiled(self) -> Compiled | None:
        """What runs the potential without Python; None for an ensemble, and on a torch device."""
        runner = self._running()
        return runner if isinstance(runner, Compiled) and runner.members == 1 else None

    def dimer(self) -> Atoms:
        """Two atoms of the first element, a bond apart: the least that the potential can be tried on."""
        number = self.potential.config.numbers[0]
        r0 = self.potential.config.r0[0][0]
        return Atoms(numbers=[number] * 2, positions=[[0.0, 0.0, 0.0], [r0, 0.0, 0.0]])

    def warm(self) -> None:
        """Compile now, or load from the cache, what a first force call would."""
        self.get_forces(self.dimer())

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the compiled module, which is found again by its architecture."""
        return {**self.__dict__, "_runner": None, "_pairs": None, "_made_for": None}

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """Compute everything at once; see ASE's Calculator.

        Raises:
            InputError: For unknown elements, overlapping atoms, a cell without volume, or a stress that does not exist.
        """
        super().calculate(atoms, properties, system_changes)
        assert self.atoms is not None
        atoms = self.atoms
        if len(atoms) == 0:
            raise InputError("atoms: expected at least one atom, got none.")
        periodic = bool(atoms.pbc.all())
        if "stress" in (properties or []) and not periodic:
            raise InputError(
                f"stress: it exists for cells periodic in three directions, got pbc {atoms.pbc.tolist()}. "
                "Set atoms.pbc = True and a cell, or do not ask for it."
            )
        runner = self._running()
        positions, cell = (
            as_floats("positions", atoms.positions, (None, 3)),
            as_floats("cell", atoms.cell.array, (3, 3)),
        )
        species = runner.species_of(atoms.numbers)
        pairs = self._list(positions, cell, atoms.pbc)
        found = runner.evaluate(species, positions, cell, pairs, self.threads)
        if found.closest < CLOSEST:
            _refuse_overlap(positions, cell, *pairs)
        self._store(found, abs(np.linalg.det(cell)) if periodic else None)

    def _store(self, found: Evaluation, volume: float | None) -> None:
        energy = found.energy
        self.results = {"energy": energy, "free_energy": energy, "energies": found.energies, "forces": found.forces}
        if volume is not None:
            stress = found.virial / volume
            self.results["stress"] = (0.5 * (stress + stress.T)).reshape(9)[[0, 4, 8, 5, 2, 1]]
        if found.energy_spread is not None:
            self.results |= {"energy_spread": found.energy_spread, "forces_spread": found.forces_spread}

    def _running(self) -> Runner:
        if self._runner is None:
            self._runner = self.potential.runner(precision=self.precision, device=self.device)
        return self._runner

    def _list(
        self, positions: NDArray[np.float64], cell: NDArray[np.float64], pbc: NDArray[np.bool_]
    ) -> tuple[Any, ...]:
        """The pair list, made anew only when it no longer holds."""
        made = self._made_for
        if (
            made is None
            or self._pairs is None
            or made[0].shape != positions.shape
            or not np.array_equal(made[1], cell)
            or not np.array_equal(made[2], pbc)
            or needs_rebuild(positions, made[0], self.skin)
        ):
            check_geometry(positions, cell, pbc, self.potential.config.cutoff + self.skin)
            _refuse_short_cell(cell, pbc)
            self._pairs = build_pairs(positions, cell, pbc, self.potential.config.cutoff + self.skin)
            self._made_for = (positions.copy(), cell.copy(), pbc.copy())
        return self._pairs


def _refuse_overlap(
    positions: NDArray[np.float64],
    cell: NDArray[np.float64],
    first: NDArray[np.int64],
    neighbor: NDArray[np.int32],
    shift: NDArray[np.int32],
) -> None:
    """Say which atoms are closest."""
    distances = np.linalg.norm(pair_vectors(positions, cell, first, neighbor, shift), axis=1)
    p = int(distances.argmin())
    i = int(np.searchsorted(first, p, side="right") - 1)
    raise InputError(
        f"atoms: atoms {i} and {int(neighbor[p])} are {distances[p]:.3f} Å apart, nearer than {CLOSEST} Å. "
        "Is the cell or the length unit right?"
    )


def _refuse_short_cell(cell: NDArray[np.float64], pbc: NDArray[np.bool_]) -> None:
    """An atom's own image counts as overlap; found here, before millions of images are listed."""
    lengths = np.linalg.norm(cell[pbc], axis=1)
    if (lengths < CLOSEST).any():
        raise InputError(
            f"cell: a periodic cell vector is {lengths.min():.3g} Å long, so atoms overlap with their own images "
            f"(nearer than {CLOSEST} Å). Is its unit Å?"
        )
