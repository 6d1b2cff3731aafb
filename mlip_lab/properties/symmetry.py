"""Symmetry of a crystal, as spglib finds it."""

from __future__ import annotations

from typing import Any

import numpy as np
import spglib
from ase import Atoms
from ase.spacegroup.symmetrize import refine_symmetry
from numpy.typing import NDArray

from mlip_lab.core.errors import InputError

# spglib's errors as exceptions, which becomes its only way; phonopy sets the same
spglib.error.OLD_ERROR_HANDLING = False

SYMMETRY_TOLERANCE = 0.01  # Å; a relaxed crystal is nearer than that to its symmetric places
_LAST = {  # number of the last space group of each system
    2: "triclinic",
    15: "monoclinic",
    74: "orthorhombic",
    142: "tetragonal",
    167: "trigonal",
    194: "hexagonal",
    230: "cubic",
}


def kinds_of(atoms: Atoms) -> NDArray[np.int64]:
    """A number for each atom, equal for those of one element and one magnetic moment, (n_atoms,).

    Raises:
        InputError: If magnetic moments are vectors.
    """
    moments = np.round(atoms.get_initial_magnetic_moments(), 3)
    if moments.ndim != 1:
        raise InputError("atoms: expected magnetic moments along one axis, got vectors.")
    _, kinds = np.unique(np.stack([atoms.numbers, moments], axis=1), axis=0, return_inverse=True)
    return np.ravel(kinds) + 1


def dataset(atoms: Atoms) -> Any:
    """What spglib knows of the crystal.

    Raises:
        InputError: If it finds no symmetry at all, as where two atoms lie on one place.
    """
    cell: Any = (atoms.cell.array, atoms.get_scaled_positions(), kinds_of(atoms))
    try:
        return spglib.get_symmetry_dataset(cell, symprec=SYMMETRY_TOLERANCE)
    except spglib.error.SpglibError as error:
        raise InputError(f"atoms: no symmetry was found ({error}). Do two atoms share a place?") from error


def space_group(atoms: Atoms) -> str:
    """Symbol and number of the space group, as "Fd-3m (227)"."""
    found = dataset(atoms)
    return f"{found.international} ({found.number})"


def crystal_system(atoms: Atoms) -> str:
    """One of the seven, from "triclinic" to "cubic"."""
    number = int(dataset(atoms).number)
    return next(name for last, name in _LAST.items() if number <= last)


def point_group(atoms: Atoms) -> NDArray[np.float64]:
    """Rotations and improper rotations that map the crystal onto itself, in its own axes, (n, 3, 3)."""
    rotations = np.unique(dataset(atoms).rotations, axis=0)
    to_cartesian = atoms.cell.array.T
    turned = to_cartesian @ rotations @ np.linalg.inv(to_cartesian)
    left, _, right = np.linalg.svd(turned)  # a cell is symmetric to its digits; a rotation is one exactly
    return np.asarray(left @ right, dtype=np.float64)


def conventional_lattice(atoms: Atoms) -> NDArray[np.float64]:
    """Vectors of the conventional cell as rows in Å, (3, 3), in the orientation in which the crystal is given."""
    found = dataset(atoms)
    return np.asarray(found.std_lattice @ found.std_rotation_matrix, dtype=np.float64)


def standard_axes(atoms: Atoms) -> NDArray[np.float64]:
    """Rotation from the crystal's given axes to the standard ones of its system, (3, 3): r' = R r."""
    return np.asarray(dataset(atoms).std_rotation_matrix, dtype=np.float64)


def primitive(atoms: Atoms) -> Atoms:
    """The smallest cell of a crystal in its own orientation, its atoms moved onto their symmetric places.

    A cell that is the smallest already is kept as it is chosen.
    """
    found = dataset(atoms)
    _, first = np.unique(found.mapping_to_primitive, return_index=True)
    cell: Atoms = atoms[np.sort(first)]
    cell.calc = None
    if len(cell) < len(atoms):
        given: Any = (atoms.cell.array, atoms.get_scaled_positions(), kinds_of(atoms))
        smallest: Any = spglib.standardize_cell(given, to_primitive=True, no_idealize=True, symprec=SYMMETRY_TOLERANCE)
        cell.set_cell(smallest[0])
        cell.wrap(eps=1e-6)
    if not np.any(cell.get_initial_magnetic_moments()):  # ASE's refinement does not know of them
        refine_symmetry(cell, symprec=SYMMETRY_TOLERANCE)
    return cell
