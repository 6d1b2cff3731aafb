"""The Lab: structures, potentials, panels and results in one line of a notebook."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from IPython.display import HTML, DisplayHandle, display

from mlip_lab.core.errors import InputError, MlipError
from mlip_lab.lab.folder import open_folder, save
from mlip_lab.lab.store import fresh_store
from mlip_lab.lab.view import LabView
from mlip_lab.panels import capabilities
from mlip_lab.panels.base.clicks import hear_all_clicks
from mlip_lab.panels.base.model import PanelModel
from mlip_lab.panels.base.panel import Panel
from mlip_lab.panels.base.view import saved_html


class Lab:
    """A workbench: `Lab()` as the last line of a cell shows it.

    Attributes:
        store: Structures, potentials and results by name.
        panels: Panels by name: "train", "md", "elastic" and so on.
        words: What was left out when a folder was opened; "" if nothing was.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        """Begin a new Lab, or go on with a saved one.

        Args:
            folder: A folder that a Lab was saved to, or that it will be saved to; None begins a new one.

        Raises:
            FileFormatError: If the folder was saved by a newer version or is not a Lab's.
        """
        self.words = ""
        if folder is not None and Path(folder).is_dir() and any(Path(folder).iterdir()):
            self.store, self.words = open_folder(folder)
        else:
            self.store = fresh_store()
        self._folder = Path("my_lab") if folder is None else Path(folder)
        self.panels = {c.name: Panel(c, self.store, show_shelf=False) for c in capabilities()}
        for name, panel in self.panels.items():
            if name in self.store.records:
                panel.model.show(self.store.records[name])
            panel.model.listeners.append(self._finished)
        self._view: LabView | None = None
        self._kept: DisplayHandle | None = None

    @property
    def view(self) -> LabView:
        """The widgets, made when first asked for."""
        if self._view is None:
            self._view = LabView(self.store, self.panels, self._save, folder=str(self._folder))
        return self._view

    @property
    def structures(self) -> dict[str, Any]:
        """Structures by name, as ase.Atoms."""
        return {name: entry.atoms.copy() for name, entry in self.store.structures.items()}

    @property
    def potentials(self) -> dict[str, Any]:
        """Calculators by name."""
        return {name: entry.calculator for name, entry in self.store.potentials.items()}

    def panel(self, name: str) -> Panel:
        """A panel by the name of its capability.

        Raises:
            InputError: If there is none of that name.
        """
        if name not in self.panels:
            raise InputError(f"name: expected one of {', '.join(self.panels)}, got {name!r}.")
        return self.panels[name]

    def save(self, folder: str | Path | None = None) -> Path:
        """Save everything to a folder; `Lab(folder)` opens it again with everything in place.

        Args:
            folder: Where to; None takes the folder that this Lab was opened from, or my_lab.

        Raises:
            InputError: If the folder cannot be written.
        """
        self._folder = self._folder if folder is None else Path(folder)
        self.words = save(self.store, self._folder)
        return self._folder

    def _save(self, folder: str) -> str:
        try:
            return f"Saved to {self.save(folder.strip() or None).resolve()}. {self.words}"
        except MlipError as error:
            return str(error)

    def _finished(self, model: PanelModel) -> None:
        if model.record is not None:
            self.store.records = {**self.store.records, model.capability.name: model.record}
        self._keep()

    def _keep(self) -> None:
        if self._kept is not None:
            self._kept.update(HTML(self._saved()))

    def _saved(self) -> str:
        return "".join(saved_html(panel.model) for panel in self.panels.values())

    def _ipython_display_(self) -> None:
        hear_all_clicks()
        if self.words:
            print(self.words)
        display(self.view.widget)
        self._kept = display(HTML(self._saved()), display_id=True)
