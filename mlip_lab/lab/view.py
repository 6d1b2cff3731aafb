"""The Lab on the screen: structures and potentials on top, panels on the left, the chosen one beside its viewer."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from html import escape
from typing import Any

import ipywidgets as widgets
import numpy as np

from mlip_lab.core.errors import MlipError
from mlip_lab.lab.builder import Adder, Builder
from mlip_lab.lab.store import LabStore
from mlip_lab.panels.base.look import CSS
from mlip_lab.panels.base.panel import Panel
from mlip_lab.panels.base.worker import Job
from mlip_lab.panels.viewer import Viewer

GROUPS = ("Learn", "Crystal", "Motion", "Reaction")
COLORS = (
    ("element", "element"),
    ("force", "force"),
    ("energy of each atom", "energy"),
    ("spread of an ensemble", "uncertainty"),
    ("distance from the first frame", "displacement"),
)
LAYOUT = """
.mlip-lab { container-type: inline-size; gap: 8px; overflow: hidden; border: 1px solid var(--jp-border-color1, #ccc);
  border-radius: 8px; padding: 10px; }
.mlip-top { flex-flow: row wrap; gap: 6px 10px; align-items: center; }
.mlip-body { flex-flow: row nowrap; gap: 14px; align-items: flex-start; }
.mlip-nav { flex: 0 0 172px; }
.mlip-nav .group { font-size: 12px; letter-spacing: 0.05em; text-transform: uppercase; margin: 6px 0 2px 2px;
  color: var(--jp-content-font-color2, #555); }
.mlip-nav button { width: 100%; text-align: left; }
.mlip-nav button.mlip-here { background: #005f94; color: white; }
.mlip-centre { flex: 1 1 460px; min-width: 0; gap: 8px; }
.mlip-side { flex: 0 1 360px; min-width: 260px; gap: 8px; overflow: hidden; }
.mlip-drawer { border: 1px solid var(--jp-border-color1, #ccc); border-radius: 6px; padding: 8px; }
@container (max-width: 900px) {
  .mlip-body { flex-flow: column nowrap; align-items: stretch; }
  .mlip-nav { flex: 0 0 auto; flex-flow: row wrap; align-items: center; gap: 4px 8px; }
  .mlip-nav button { width: auto; }
  .mlip-nav .group { margin: 0; }
  .mlip-centre, .mlip-side { flex: 1 1 auto; width: 100%; }
}
"""


class LabView:
    """Widgets of a Lab.

    Attributes:
        widget: All of it.
        viewer: The shared viewer.
        current: Name of the panel that is shown.
    """

    def __init__(self, store: LabStore, panels: dict[str, Panel], save: Callable[[str], str], *, folder: str) -> None:
        """Show a store and its panels.

        Args:
            store: Structures, potentials and results.
            panels: Panels by name of their capability.
            save: Called with a folder's name; says in words what became of it.
            folder: Name of the folder to begin with.
        """
        self.store, self.panels = store, panels
        self.viewer = Viewer(height=320)
        self.current = ""
        self._centre, self._side = widgets.VBox(), widgets.VBox()
        self._centre.add_class("mlip-centre")
        self._side.add_class("mlip-side")
        self._drawer = widgets.VBox()
        self._drawer.add_class("mlip-drawer")
        self._drawer.layout.display = "none"
        bar, nav = self._bar(save, folder), self._nav()
        self._color = widgets.Dropdown(options=COLORS, description="Colour by", layout={"width": "260px"})
        self._color.observe(lambda _: self._colored(), names="value")
        self._said = widgets.HTML()
        body = widgets.HBox([nav, self._centre, self._side])
        body.add_class("mlip-body")
        style = widgets.HTML(f"<style>{CSS}{LAYOUT}</style>")
        self.widget = widgets.VBox([style, bar, self._drawer, body])
        self.widget.add_class("mlip-lab")
        self._link()
        self.open(next(iter(panels)))

    def open(self, name: str) -> None:
        """Show a panel."""
        self.current = name
        view = self.panels[name].view
        for key, button in self._buttons.items():
            (button.add_class if key == name else button.remove_class)("mlip-here")
        self._centre.children = (view.head, view.form, view.controls, view.picture, view.verdicts, view.tools)
        self._side.children = (self.viewer.widget, self._color, self._said, view.numbers)
        self._show_structure()

    def _bar(self, save: Callable[[str], str], name: str) -> widgets.Widget:
        wide = {"width": "330px", "max_width": "100%"}
        self.structure = widgets.Dropdown(description="Structure", layout=wide)
        self.potential = widgets.Dropdown(description="Potential", layout=wide)
        build = widgets.ToggleButton(
            description="Build", tooltip="Build or upload a structure", layout={"width": "80px"}
        )
        add = widgets.ToggleButton(description="Add", tooltip="Add a potential", layout={"width": "80px"})
        folder = widgets.Text(value=name, description="Folder", layout={"width": "220px"})
        keep = widgets.Button(description="Save", tooltip="Save this Lab to the folder", layout={"width": "80px"})
        kept = widgets.HTML()
        keep.on_click(lambda _: setattr(kept, "value", f"<span class='mlip-quiet'>{escape(save(folder.value))}</span>"))
        drawers = {build: cache(lambda: Builder(self.store, self._built)), add: cache(lambda: Adder(self.store))}

        def toggle(change: dict[str, Any]) -> None:
            if not change["new"]:
                if not any(button.value for button in drawers):
                    self._drawer.layout.display = "none"
                return
            for button, drawer in drawers.items():
                if button is change["owner"]:
                    self._drawer.children = (drawer().widget,)
                else:
                    button.value = False
            self._drawer.layout.display = ""

        for button in drawers:
            button.observe(toggle, names="value")
        bar = widgets.HBox([self.structure, build, self.potential, add, folder, keep, kept])
        bar.add_class("mlip-top")
        return bar

    def _nav(self) -> widgets.Widget:
        self._buttons: dict[str, widgets.Button] = {}
        children = []
        for group in sorted({p.model.capability.group for p in self.panels.values()}, key=_place):
            children.append(widgets.HTML(f"<div class='group'>{escape(group)}</div>"))
            for name, panel in self.panels.items():
                if panel.model.capability.group == group:
                    button = widgets.Button(description=panel.model.capability.title)
                    button.on_click(lambda _, name=name: self.open(name))
                    self._buttons[name] = button
                    children.append(button)
        nav = widgets.VBox(children)
        nav.add_class("mlip-nav")
        return nav

    def _link(self) -> None:
        """Keep the two lists, the panels' inputs and the viewer in step."""
        self.store.observe(lambda change: self._listed(self.structure, change, choose=False), names="structures")
        self.store.observe(lambda change: self._listed(self.potential, change, choose=True), names="potentials")
        for widget, things in ((self.structure, self.store.structures), (self.potential, self.store.potentials)):
            widget.options = list(things)
            widget.value = next(iter(things), None)
        self.structure.observe(lambda change: self._choose("atoms", change["new"]), names="value")
        self.potential.observe(lambda change: self._choose("calculator", change["new"]), names="value")
        for name, panel in self.panels.items():
            panel.model.observe(lambda change, name=name: self._frames(name, change["new"]), names="frames")
            panel.model.observe(lambda change, name=name: self._moving(name, change["new"]), names="moving")
            panel.model.observe(lambda change, name=name: self._started(name, change["new"]), names="state")
        self._choose("atoms", self.structure.value)
        self._choose("calculator", self.potential.value)

    def _listed(self, dropdown: widgets.Dropdown, change: dict[str, Any], *, choose: bool) -> None:
        """Take over a changed list.

        A potential that has just arrived is chosen. A structure is only when it was built: one that a panel has made
        would take the place of what that panel has just worked on.
        """
        new = [name for name in change["new"] if name not in (change["old"] or {})]
        chosen = new[-1] if new and choose else dropdown.value
        names = list(change["new"])
        dropdown.options = names
        dropdown.value = chosen if chosen in names else (names[0] if names else None)

    def _built(self, name: str) -> None:
        self.structure.value = name

    def _choose(self, parameter: str, name: str | None) -> None:
        if name is None:
            return
        for panel in self.panels.values():
            if parameter in panel.model.fields and panel.model.raw[parameter] != name:
                panel.model.set(parameter, name)
        if parameter == "atoms":
            self._show_structure()

    def _show_structure(self) -> None:
        if not self.current:
            return
        model = self.panels[self.current].model
        name = model.raw.get("atoms", self.structure.value)  # a program may have chosen another than the list above
        if model.frames is not None and model.state in ("done", "stopped"):
            self.viewer.show_frames(*model.frames)
        elif name in self.store.structures:
            self.viewer.show(self.store.structures[name].atoms)
        self._colored()

    def _started(self, name: str, state: str) -> None:
        if name == self.current and state in ("running", "ready", "stale", "empty"):
            self._show_structure()

    def _frames(self, name: str, frames: Any) -> None:
        if name == self.current and frames is not None:
            self.viewer.show_frames(*frames)
            self._colored()

    def _moving(self, name: str, positions: Any) -> None:
        if name == self.current and positions is not None:
            self.viewer.move(positions)

    def _colored(self) -> None:
        """Colour the atoms; what the potential must say is asked of it on the worker's thread."""
        scheme = self._color.value
        entry = self.store.structures.get(self.structure.value)
        self._said.value = ""
        if entry is None:
            return
        if scheme in ("element", "displacement"):
            self.viewer.color_by(scheme)
            return
        potential = self.store.potentials[self.potential.value]

        def work(_: Any) -> tuple[Any, str]:
            if words := potential.refuses(entry.atoms):
                raise MlipError(words)
            atoms = entry.atoms.copy()
            atoms.calc = potential.calculator
            return _values(scheme, atoms)

        def over(found: Any, error: BaseException | None) -> None:
            self._said.value = "" if error is None else f"<span class='mlip-bad-text'>{escape(str(error))}</span>"
            self.viewer.color_by("element") if error else self.viewer.color_by(scheme, found[0], unit=found[1])

        Job(work, lambda *_: None, over).start()


def _values(scheme: str, atoms: Any) -> tuple[Any, str]:
    """Value of each atom and its unit."""
    if scheme == "force":
        return np.linalg.norm(atoms.get_forces(), axis=1), "eV/Å"
    if scheme == "energy":
        try:
            return atoms.get_potential_energies(), "eV"
        except Exception as error:  # ASE calculators say it in their own ways
            raise MlipError("This potential gives no energy of single atoms.") from error
    atoms.get_forces()
    spread = atoms.calc.results.get("forces_spread")
    if spread is None:
        raise MlipError("Only an ensemble has a spread. Train one with two or more members.")
    return spread, "eV/Å"


def _place(group: str) -> tuple[int, str]:
    return (GROUPS.index(group) if group in GROUPS else len(GROUPS), group)
