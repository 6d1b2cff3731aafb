"""The two drawers of a Lab: one builds structures, the other adds potentials."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from html import escape
from typing import Any

import ipywidgets as widgets

from mlip_lab.calculators.catalogue import catalogue
from mlip_lab.core.errors import InputError, MlipError
from mlip_lab.data.build import OPERATIONS
from mlip_lab.data.structure_files import read_structure_bytes
from mlip_lab.lab.store import LabStore, built, from_catalogue, from_folder
from mlip_lab.panels.base.capability import Capability
from mlip_lab.panels.base.form import FormModel
from mlip_lab.panels.base.inputs import Row
from mlip_lab.panels.base.shelf import Shelf, StructureEntry
from mlip_lab.panels.base.snippets import literal
from mlip_lab.panels.base.upload import upload_button

TITLES = {"crystal": "Crystal", "molecule": "Molecule", "supercell": "Repeat", "vacancy": "Take an atom out"}
TITLES |= {"substitute": "Change an atom", "strain": "Strain", "rattle": "Rattle", "slab": "Cut a slab"}


LABELS = {"atoms": "Of", "c_over_a": "c/a", "xx": "xx", "yy": "yy", "zz": "zz", "yz": "yz", "xz": "xz", "xy": "xy"}
LABELS |= {name: name for name in "abchkl"}


def _undrawn(_: Any) -> Any:
    raise InputError("A drawer has no picture.")


def form_of(function: Callable[..., Any], shelf: Shelf) -> FormModel:
    """Inputs for a function that is not a panel."""
    meaning = (function.__doc__ or "").partition("\n")[0]
    capability = Capability(function, function.__name__, meaning, "", _undrawn, labels=LABELS)
    form = FormModel(capability, shelf)
    form.refresh()
    return form


class _Drawer(ABC):
    """A choice of functions, the form of the chosen one, and a button that calls it."""

    def __init__(self, functions: dict[str, Callable[..., Any]], shelf: Shelf, verb: str) -> None:
        self.shelf = shelf
        self._functions = functions
        self.kind = widgets.Dropdown(options=list(functions), description="What", style={"description_width": "150px"})
        self.button = widgets.Button(description=verb)
        self.said = widgets.HTML()
        self._rows = widgets.VBox()
        self.form: FormModel | None = None
        self.kind.observe(lambda _: self._choose(), names="value")
        self.button.on_click(lambda _: self._do())
        self.widget = widgets.VBox([self.kind, self._rows, widgets.HBox([self.button, self.said])])
        shelf.observe(lambda _: self._listed(), names=["structures"])
        self._choose()

    def say(self, words: str, bad: bool = False) -> None:
        style = "mlip-bad-text" if bad else "mlip-quiet"
        self.said.value = f"<span class='{style}'>{escape(words)}</span>"

    def _choose(self) -> None:
        self.form = form_of(self._functions[self.kind.value], self.shelf)
        self.rows = {name: Row(self.form, field) for name, field in self.form.fields.items()}
        self.form.observe(lambda _: self._show(), names=["raw", "problems"])
        meaning = widgets.HTML(f"<span class='mlip-quiet'>{escape(self.form.capability.meaning)}</span>")
        self._rows.children = (meaning, *(row.widget for row in self.rows.values()))
        self.said.value = ""
        self._show()

    def _listed(self) -> None:
        if self.form is not None:
            self.form.refresh()
            self._show()

    def _show(self) -> None:
        for row in self.rows.values():
            row.show()
        problem = self.obstacle()
        self.button.disabled = bool(problem)
        if problem:
            self.say(problem, True)
        elif "mlip-bad-text" in self.said.value:
            self.said.value = ""

    def obstacle(self) -> str:
        """Why the button cannot be pressed, in words; "" if it can."""
        return next(iter(self.form.problems.values()), "") if self.form else ""

    def _do(self) -> None:
        assert self.form is not None
        try:
            self.say(self.made(self._functions[self.kind.value], self.form.objects(self.form.values)))
        except MlipError as error:
            self.say(str(error), True)
        except Exception as error:  # ASE and other packages say it in their own ways
            self.say(f"This did not work: {type(error).__name__}: {error}", True)

    @abstractmethod
    def made(self, function: Callable[..., Any], values: dict[str, Any]) -> str:
        """Call the function, put on the shelf what it gives, and say so."""


class Builder(_Drawer):
    """Builds structures by the functions of `data.build`, and takes uploads."""

    def __init__(self, store: LabStore, choose: Callable[[str], None]) -> None:
        """Build into a store; `choose` is told the name of each new structure."""
        self._chosen = choose
        super().__init__({TITLES[f.__name__]: f for f in OPERATIONS}, store, "Build")
        self.upload = upload_button(self._uploaded, self.say, takes="Any file that ASE reads")
        self.widget.children = (*self.widget.children[:-1], widgets.HBox([self.button, self.upload, self.said]))

    def made(self, function: Callable[..., Any], values: dict[str, Any]) -> str:
        """Build, put on the shelf, and say so."""
        among = values.pop("atoms", None)
        entry = self.shelf.add_structure(built(function, among=among, **values))
        self._chosen(entry.name)
        return f"{entry.name} is on the list."

    def _uploaded(self, name: str, content: bytes) -> str:
        atoms = read_structure_bytes(name, content)
        entry = self.shelf.add_structure(StructureEntry(f"{name}, {len(atoms)} atoms", atoms, literal(atoms)))
        self._chosen(entry.name)
        return f"{entry.name} is on the list."


def _from_folder(*, folder: str = "") -> None:
    """A potential that was trained and saved before.

    Args:
        folder: Where it was saved.
    """


class Adder(_Drawer):
    """Adds potentials: from the catalogue, or from a folder."""

    def __init__(self, store: LabStore) -> None:
        """Add to a store."""
        self._items = {item.name: item for item in catalogue()}
        functions = {name: item.make for name, item in self._items.items()}
        super().__init__({**functions, "A folder": _from_folder}, store, "Add")

    def made(self, function: Callable[..., Any], values: dict[str, Any]) -> str:
        """Make the calculator once, so that what is wrong is said now, and put it on the shelf."""
        if function is _from_folder:
            entry = self.shelf.add_potential(from_folder(values["folder"]))
        else:
            entry = from_catalogue(self._items[self.kind.value], **values)
            calculator = entry.calculator
            entry = self.shelf.add_potential(replace(entry, make=lambda: calculator))
        return f"{entry.name} is on the list."

    def obstacle(self) -> str:
        """What is not installed comes before what is typed."""
        needs = self._items[self.kind.value].needs if self.kind.value in self._items else ""
        return needs or super().obstacle()
