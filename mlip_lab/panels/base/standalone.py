"""The shelf of a panel that stands alone in a cell, with the atoms and the calculator it was given."""

from __future__ import annotations

from typing import Any

from ase import Atoms
from ase.calculators.calculator import BaseCalculator

from mlip_lab.core.errors import InputError
from mlip_lab.panels.base.shelf import PotentialEntry, Shelf, Snippet, StructureEntry
from mlip_lab.panels.base.snippets import literal


def shelf_of(atoms: Any = None, calculator: Any = None) -> Shelf:
    """A shelf with one structure and one potential, or the shelf itself if one is given.

    Args:
        atoms: An ase.Atoms, a shelf such as a Lab, or None; a calculator alone may stand here too.
        calculator: Any ASE calculator, or None.

    Raises:
        InputError: If either is something else.
    """
    if isinstance(atoms, Shelf):
        return atoms
    if calculator is None and isinstance(atoms, BaseCalculator):
        atoms, calculator = None, atoms
    shelf = Shelf()
    if atoms is not None:
        if not isinstance(atoms, Atoms) or len(atoms) == 0:
            raise InputError(f"atoms: expected an ase.Atoms with at least one atom, got {type(atoms).__name__}.")
        code = _variable(atoms) or literal(atoms)
        name = f"{atoms.get_chemical_formula()}, {len(atoms)} atoms"
        shelf.add_structure(StructureEntry(name, atoms.copy(), code))
    if calculator is not None:
        if isinstance(calculator, type) or not hasattr(calculator, "get_potential_energy"):
            raise InputError(f"calculator: expected an ASE calculator such as EMT(), got {calculator!r}.")
        code = _variable(calculator) or _made(calculator)
        shelf.add_potential(PotentialEntry(type(calculator).__name__, code, lambda: calculator, {"kind": "object"}))
    return shelf


def _variable(thing: Any) -> Snippet | None:
    """The name that the notebook's user gave it, so that printed code speaks of the same object."""
    from IPython import get_ipython

    shell = get_ipython()
    names = [] if shell is None else [name for name, value in list(shell.user_ns.items()) if value is thing]
    good = [name for name in names if not name.startswith("_")]
    return Snippet(good[0]) if good else None


def _made(calculator: Any) -> Snippet:
    """Python that makes the same calculator, if it is one of ASE's and tells its parameters; else a word on it."""
    kind, module = type(calculator).__name__, type(calculator).__module__
    parameters = calculator.todict() if module.startswith("ase.calculators.") and hasattr(calculator, "todict") else {}
    if not module.startswith("ase.calculators.") or not all(
        isinstance(value, bool | int | float | str) for value in parameters.values()
    ):
        return Snippet("calculator", setup=(f"# calculator: the {kind} that this panel was given",))
    given = ", ".join(f"{name}={value!r}" for name, value in parameters.items())
    return Snippet(f"{kind}({given})", (f"from {module} import {kind}",))
