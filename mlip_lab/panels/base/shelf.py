"""The shelf that panels take structures and potentials from and put new ones on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import traitlets
from ase import Atoms

from mlip_lab.core.errors import InputError


@dataclass(frozen=True)
class Snippet:
    """Python that makes a thing: the lines before it, and the expression that is it.

    Attributes:
        expression: One expression, such as `bulk("Si").repeat(2)`.
        imports: Import statements it needs, one each.
        setup: Statements before it, one each.
    """

    expression: str
    imports: tuple[str, ...] = ()
    setup: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class StructureEntry:
    """A structure on the shelf.

    Attributes:
        name: What people call it.
        atoms: The structure.
        code: Python that makes it.
    """

    name: str
    atoms: Atoms
    code: Snippet


@dataclass(frozen=True, eq=False)
class PotentialEntry:
    """A potential on the shelf: any ASE calculator.

    Attributes:
        name: What people call it.
        code: Python that makes the calculator.
        make: Makes the calculator; called once, when first needed.
        source: What it was made from, as JSON, so that a saved Lab can make it again: {"kind": "folder", "path": …},
            {"kind": "packaged", "name": …}, {"kind": "catalogue", "name": …, "options": {…}} or {"kind": "object"}.
        refuses: atoms → why it cannot do this structure, in words; "" if it can.
    """

    name: str
    code: Snippet
    make: Callable[[], Any] = field(repr=False)
    source: dict[str, Any]
    refuses: Callable[[Atoms], str] = field(default=lambda atoms: "", repr=False)

    @cached_property
    def calculator(self) -> Any:
        """The calculator. Runs share it: there is one worker."""
        return self.make()


class Shelf(traitlets.HasTraits):
    """Named structures and potentials; observers hear of every change.

    Attributes:
        structures: StructureEntry by name, in the order of arrival.
        potentials: PotentialEntry by name, in the order of arrival.
    """

    structures = traitlets.Dict()
    potentials = traitlets.Dict()

    def add_structure(self, entry: StructureEntry) -> StructureEntry:
        """Put a structure on the shelf; one of the same name gets a number behind its name."""
        entry = replace(entry, name=_free(entry.name, self.structures))
        self.structures = {**self.structures, entry.name: entry}
        return entry

    def add_potential(self, entry: PotentialEntry) -> PotentialEntry:
        """Put a potential on the shelf; one of the same name gets a number behind its name."""
        entry = replace(entry, name=_free(entry.name, self.potentials))
        self.potentials = {**self.potentials, entry.name: entry}
        return entry

    def add(self, entry: StructureEntry | PotentialEntry) -> None:
        """Put either on the shelf."""
        if isinstance(entry, PotentialEntry):
            self.add_potential(entry)
        else:
            self.add_structure(entry)

    def remove(self, name: str) -> None:
        """Take a structure or a potential off the shelf.

        Raises:
            InputError: If there is none of that name.
        """
        if name not in self.structures and name not in self.potentials:
            known = ", ".join([*self.structures, *self.potentials]) or "nothing"
            raise InputError(f"name: expected something on the shelf ({known}), got {name!r}.")
        self.structures = {key: entry for key, entry in self.structures.items() if key != name}
        self.potentials = {key: entry for key, entry in self.potentials.items() if key != name}


def _free(name: str, taken: dict[str, Any]) -> str:
    if name not in taken:
        return name
    return next(f"{name} ({n})" for n in range(2, len(taken) + 3) if f"{name} ({n})" not in taken)
