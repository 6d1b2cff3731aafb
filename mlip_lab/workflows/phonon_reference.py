"""Phonons by the method that labelled a packaged set, beside those of a potential."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from mlip_lab.data.packaged import reference
from mlip_lab.properties.force_constants import Waves, frequencies_at, from_forces
from mlip_lab.properties.phonons import PhononResult
from mlip_lab.properties.symmetry import primitive

Floats = NDArray[np.float64]
SAME_SHAPE = 1e-3  # of the cells' metric tensors at one volume
SAME_VOLUME = 0.05  # by which lattice constants of two methods may make volumes differ


def reference_frequencies(result: PhononResult, name: str = "si") -> Floats | None:
    """Frequencies by the reference method on the path of a result, each crystal at its own lattice constant.

    Args:
        result: From `properties.phonons`.
        name: A packaged set with phonons.

    Returns:
        THz, (n_points, 3 n_atoms); None if the set's phonons are those of another crystal.

    Raises:
        InputError: If there is no such set.
        FileFormatError: If it has no phonons, or the file is damaged.
    """
    waves, cell = _of_set(name)
    return frequencies_at(waves, result.path.qpoints) if _same_crystal(result.atoms, cell) else None


@cache
def _of_set(name: str) -> tuple[Waves, Atoms]:
    content: dict[str, Any] = reference(name, part="dispersion")
    supercell = Atoms(content["symbols"], content["positions_ang"], cell=content["cell_ang"], pbc=True)
    forces = np.array(content["forces_ev_per_ang"])
    moved, displacement = content["moved_atom"], np.array(content["displacement_ang"])
    return from_forces(supercell, moved, displacement, forces), primitive(supercell)


def _same_crystal(one: Atoms, other: Atoms) -> bool:
    """Whether two cells are alike up to a rotation, a shift and a small change of scale."""
    if not np.array_equal(one.numbers, other.numbers):
        return False
    scale = one.cell.volume / other.cell.volume
    metrics = [atoms.cell.array @ atoms.cell.array.T / atoms.cell.volume ** (2 / 3) for atoms in (one, other)]
    places = [atoms.get_scaled_positions() - atoms.get_scaled_positions()[0] for atoms in (one, other)]
    apart = places[0] - places[1]
    return bool(
        abs(scale - 1) < SAME_VOLUME
        and np.abs(metrics[0] - metrics[1]).max() < SAME_SHAPE
        and np.abs(apart - np.rint(apart)).max() < SAME_SHAPE
    )
