"""What a structure is: atoms of known elements, apart from each other, in a cell with a volume."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols

from mlip_lab.core.errors import InputError
from mlip_lab.data.distances import nearest_neighbors

CLOSEST = 0.3  # Å; no two atoms of matter come this close
MOST_ATOMS = 200_000
# what atoms may carry along, and the shapes it may have behind the number of atoms
KEPT: dict[str, list[tuple[int, ...]]] = {
    "momenta": [(3,)],
    "tags": [()],
    "masses": [()],
    "initial_magmoms": [(), (3,)],
    "initial_charges": [()],
}


def plain(atoms: Atoms) -> Atoms:
    """Only what a structure is made of: no calculator, no labels, no remarks.

    Raises:
        InputError: If what the atoms carry has another shape or holds no numbers.
    """
    out = Atoms(numbers=atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    for name, shapes in KEPT.items():
        if not atoms.has(name):
            continue
        array = atoms.get_array(name)
        if array.shape[1:] not in shapes or array.dtype.kind not in ("iu" if name == "tags" else "iuf"):
            raise InputError(f"structure: its {name} are no numbers of atoms, but {array.dtype} {array.shape}.")
        out.set_array(name, array, int if name == "tags" else float)
    out.set_constraint([constraint.copy() for constraint in atoms.constraints])
    return out


def whole(atoms: Atoms) -> Atoms:
    """The structure itself, whatever made it.

    Raises:
        InputError: If it is none.
    """
    cell, pbc = atoms.cell.array, atoms.pbc
    if atoms.numbers.min() < 1 or atoms.numbers.max() >= len(chemical_symbols):
        raise InputError("structure: an atom has no element.")
    fixed = [index for constraint in atoms.constraints for index in getattr(constraint, "index", ())]
    if any(index >= len(atoms) for index in fixed):
        raise InputError(f"structure: atom {max(fixed)} is constrained, but there are only {len(atoms)}.")
    numbers = [array for array in atoms.arrays.values() if array.dtype.kind in "fc"]
    if not all(np.isfinite(array).all() for array in (cell, *numbers)):
        raise InputError("structure: positions, cell vectors or momenta hold NaN or infinity.")
    if max(np.abs(atoms.positions).max(), np.abs(cell).max()) > 1e7:
        raise InputError("structure: positions or cell beyond a millimetre. Are they in Å?")
    lengths = np.linalg.norm(cell[pbc], axis=1)
    if pbc.any() and (
        lengths.min() < CLOSEST or np.linalg.svd(cell[pbc] / lengths[:, None], compute_uv=False).min() < 1e-4
    ):
        raise InputError(
            "structure: it is periodic, but its cell has no volume there. Give a cell, or set pbc to False."
        )
    if len(atoms) > MOST_ATOMS:
        raise InputError(f"structure: {len(atoms)} atoms are too many; at most {MOST_ATOMS}.")
    distance, other = nearest_neighbors(atoms.positions, np.where(pbc[:, None], cell, 0.0), pbc, CLOSEST)
    if (i := int(distance.argmin())) < len(atoms) and distance[i] < CLOSEST:
        raise InputError(f"structure: atoms {i} and {other[i]} are {distance[i]:.2g} Å apart, nearer than {CLOSEST} Å.")
    return atoms
