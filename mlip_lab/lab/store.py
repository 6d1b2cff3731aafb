"""What a Lab holds: structures, potentials and finished runs, with a few of each to begin with."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import traitlets
from ase import Atoms

from mlip_lab.calculators.catalogue import CatalogueItem, by_name, unknown_elements
from mlip_lab.core.errors import InputError
from mlip_lab.data.build import crystal, supercell
from mlip_lab.model.files import load, packaged_potentials
from mlip_lab.panels.base.shelf import PotentialEntry, Shelf, Snippet, StructureEntry
from mlip_lab.panels.base.snippets import call


class LabStore(Shelf):
    """A shelf that also keeps finished runs.

    Attributes:
        records: The last finished run of each panel, by the capability's name.
    """

    records = traitlets.Dict()


def fresh_store() -> LabStore:
    """A store with silicon and copper, the packaged potentials, EMT and Lennard-Jones."""
    store = LabStore()
    for prototype, element, repeats in (("diamond", "Si", 2), ("diamond", "Si", 1), ("fcc", "Cu", 2)):
        cell = built(crystal, prototype=prototype, elements=element)
        whole = cell if repeats == 1 else built(supercell, among=cell, a=repeats, b=repeats, c=repeats)
        store.add_structure(named(whole, f"{element} {prototype}, {len(whole.atoms)} atoms"))
    for name in sorted(packaged_potentials(), key=lambda name: name != "si"):  # that of the first structure first
        store.add_potential(packaged(name))
    for name in ("EMT", "Lennard-Jones"):
        store.add_potential(from_catalogue(by_name(name)))
    return store


def built(function: Any, *, among: StructureEntry | None = None, **arguments: Any) -> StructureEntry:
    """What a function of `data.build` makes, with its code and a name.

    Raises:
        InputError: If the arguments are not usable.
    """
    atoms: Atoms = function(**arguments) if among is None else function(among.atoms, **arguments)
    code = call(function, among=among, **arguments)
    what = function.__name__ if among is None else f"{among.name.partition(',')[0]} {function.__name__}"
    return StructureEntry(f"{what}, {atoms.get_chemical_formula()}, {len(atoms)} atoms", atoms, code)


def named(entry: StructureEntry, name: str) -> StructureEntry:
    """The same under another name."""
    return StructureEntry(name, entry.atoms, entry.code)


def packaged(name: str) -> PotentialEntry:
    """A potential that ships with the package; loaded when first used."""
    potential = functools.cache(lambda: load(name))
    code = Snippet(f"mlip_lab.load({name!r}).calculator()", ("import mlip_lab",))
    return PotentialEntry(
        f"{name} (packaged)",
        code,
        lambda: potential().calculator(),
        {"kind": "packaged", "name": name},
        lambda atoms: unknown_elements(f"{name} (packaged)", potential().elements, atoms),
    )


def from_folder(folder: str | Path, name: str | None = None) -> PotentialEntry:
    """A trained potential that was saved to a folder.

    Raises:
        FileFormatError: If the folder is damaged, edited, or of a newer format.
        InputError: If there is none.
    """
    path = Path(folder)
    if not path.is_dir():
        raise InputError(f"folder: expected the folder of a trained potential, got {str(folder)!r}.")
    potential, name = load(path), name or path.name
    code = Snippet(f"mlip_lab.load({str(path)!r}).calculator()", ("import mlip_lab",))
    return PotentialEntry(
        name,
        code,
        potential.calculator,
        {"kind": "folder", "path": str(path.resolve())},
        lambda atoms: unknown_elements(name, potential.elements, atoms),
    )


def from_catalogue(item: CatalogueItem, **options: Any) -> PotentialEntry:
    """A calculator of the catalogue.

    Raises:
        InputError: If it is not installed, in words.
    """
    if item.needs:
        raise InputError(item.needs)
    if options.get("model"):
        options["model"] = str(Path(options["model"]).resolve())
    return catalogue_entry(item, options)


def catalogue_entry(item: CatalogueItem, options: Mapping[str, Any]) -> PotentialEntry:
    """A calculator of the catalogue, also one that is not installed here: it then refuses every structure in words."""
    given = ", ".join(f"{name}={value!r}" for name, value in options.items())
    function = item.make.__name__
    code = Snippet(f"{function}({given})", (f"from {item.make.__module__} import {function}",))
    return PotentialEntry(
        item.name,
        code,
        lambda: item.make(**options),
        {"kind": "catalogue", "name": item.name, "options": dict(options)},
        lambda atoms: item.needs or item.refuses(atoms, **options),
    )
