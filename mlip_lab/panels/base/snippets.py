"""Python that makes structures: a call with its arguments, or all numbers of a structure that nothing else makes."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
from ase import Atoms
from ase.constraints import FixAtoms

from mlip_lab.panels.base.shelf import Snippet, StructureEntry

# Arguments of Atoms, and the arrays that hold them.
CARRIED = {"tags": "tags", "masses": "masses", "momenta": "momenta"}
CARRIED |= {"magmoms": "initial_magmoms", "charges": "initial_charges"}


def call(function: Callable[..., Any], *, among: StructureEntry | None = None, **arguments: Any) -> Snippet:
    """A call of a function of `data.build`, with the arguments that differ from its defaults.

    Args:
        function: The function.
        among: The structure it is applied to, if it takes one.
        **arguments: Its other arguments.
    """
    parameters = inspect.signature(function).parameters
    plain = {name: value.item() if isinstance(value, np.generic) else value for name, value in arguments.items()}
    given = [f"{name}={value!r}" for name, value in plain.items() if value != parameters[name].default]
    imports: tuple[str, ...] = (f"from {function.__module__} import {function.__name__}",)
    setup: tuple[str, ...] = ()
    if among is not None:
        given.insert(0, among.code.expression)
        imports, setup = (*among.code.imports, *imports), among.code.setup
    return Snippet(f"{function.__name__}({', '.join(given)})", imports, setup)


def literal(atoms: Atoms) -> Snippet:
    """The structure with all its digits, momenta and fixed atoms included; other constraints are left out."""
    parts = [
        f"numbers={atoms.numbers.tolist()}",
        f"positions={atoms.positions.tolist()}",
        f"cell={atoms.cell.array.tolist()}",
        f"pbc={atoms.pbc.tolist()}",
    ]
    for argument, name in CARRIED.items():
        if atoms.has(name):
            parts.append(f"{argument}={atoms.get_array(name).tolist()}")
    imports: tuple[str, ...] = ("from ase import Atoms",)
    if fixed := sorted({int(i) for c in atoms.constraints if isinstance(c, FixAtoms) for i in c.index}):
        parts.append(f"constraint=FixAtoms({fixed})")
        imports = (*imports, "from ase.constraints import FixAtoms")
    body = "".join(f"    {part},\n" for part in parts)
    return Snippet(f"Atoms(\n{body})", imports)
