"""What a run starts from: atoms that were looked at, and a calculator."""

from __future__ import annotations

from typing import Any

from ase import Atoms

from mlip_lab.core.checks import as_floats
from mlip_lab.core.errors import InputError


def checked_start(atoms: Any, calculator: Any) -> Atoms:
    """A copy of the atoms, after a look at what dynamics relies on.

    Raises:
        InputError: If these are no atoms or there are none, a position is not finite, or there is no calculator.
    """
    if not isinstance(atoms, Atoms):
        raise InputError(f"atoms: expected an ase.Atoms, got {type(atoms).__name__}.")
    if len(atoms) == 0:
        raise InputError("atoms: expected at least one atom, got none.")
    if not hasattr(calculator, "get_forces"):
        raise InputError(f"calculator: expected an ASE calculator, got {type(calculator).__name__}.")
    as_floats("positions", atoms.positions, (len(atoms), 3))
    as_floats("cell", atoms.cell.array, (3, 3))
    copy: Atoms = atoms.copy()
    return copy
