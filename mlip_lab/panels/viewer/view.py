"""The widgets of a viewer: a passive picture of its traits."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from mlip_lab.core.errors import InputError
from mlip_lab.panels.base.image import DescribedImage
from mlip_lab.panels.viewer.measure import parse_atoms

if TYPE_CHECKING:
    from mlip_lab.panels.viewer.viewer import Viewer

# The card behind the atoms is white in both themes: the elements' colours and the black cell are made for it, and a
# number keeps the colour that the bar beside it says. The words around it take the theme's own colours.
CSS = """<style>
.mlip-viewer, .mlip-viewer .widget-label, .mlip-viewer .widget-readout
  { color: var(--jp-content-font-color1, #111); }
.mlip-viewer { gap: 6px; }
.mlip-viewer .mlip-card { background: white; border: 1px solid var(--jp-border-color2, #ccc); border-radius: 6px; }
.mlip-viewer .mlip-card > * { min-width: 0; margin: 0; }
.mlip-viewer .mlip-row { flex-flow: row wrap; gap: 4px 8px; align-items: center; }
.mlip-viewer .mlip-row button { min-width: 30px; width: auto; margin: 0; }
.mlip-legend { display: flex; flex-wrap: wrap; gap: 4px 14px; line-height: 1.4;
  color: var(--jp-content-font-color1, #111); }
.mlip-scale { flex-direction: column; gap: 2px; max-width: 320px; }
.mlip-bar { height: 12px; border-radius: 2px; border: 1px solid var(--jp-border-color1, #bbb); }
.mlip-ticks { display: flex; justify-content: space-between; font-variant-numeric: tabular-nums; }
.mlip-spot { display: inline-block; width: 12px; height: 12px; border-radius: 50%; margin-right: 5px;
  vertical-align: -1px; border: 1px solid var(--jp-border-color0, #666); }
.mlip-note, .mlip-words { color: var(--jp-content-font-color1, #111); line-height: 1.4; }
.mlip-late { animation: mlip-appear 0s 6s both; }
@keyframes mlip-appear { from { visibility: hidden; } to { visibility: visible; } }
</style>"""
WAITING = "The flat picture stays until 3-D has started in this browser; without WebGL that does not happen."


class View:
    """Widgets that follow a viewer's traits and set them."""

    def __init__(self, viewer: Viewer, width: str, height: int) -> None:
        """Make the widgets; nothing of the 3-D view is among them yet."""
        self._viewer = viewer
        self._height = f"{height}px"
        self.poster = DescribedImage(format="png", layout=self.place(object_fit="contain", object_position="center"))
        self.card = widgets.GridBox(layout=self.place(grid_template_columns="minmax(0, 1fr)", overflow="hidden"))
        self.card.add_class("mlip-card")
        self.card.children = (self.poster,)
        self.mode = widgets.ToggleButtons(options=["3-D", "flat"], value=viewer.mode)
        self.mode.style.button_width = "auto"
        self.home = _button("reset view", "The whole structure, as it was seen at first", viewer.reset)
        self.axes = [
            _button(name, f"Look along the cell vector {name}", partial(viewer.look_along, axis))
            for axis, name in enumerate("abc")
        ]
        self.measure = widgets.Text(
            placeholder="two or three, such as 0 5 7",
            description="measure",
            continuous_update=False,
            tooltip="Distance of two atoms, angle of three. Click them, or type their numbers, counted from 0.",
            layout=widgets.Layout(width="260px"),
        )
        self.measure.style.description_width = "auto"
        self.play = widgets.Play(interval=100, max=0)
        self.slider = widgets.IntSlider(
            max=0, description="frame", layout=widgets.Layout(flex="1 1 160px", width="auto")
        )
        self.slider.style.description_width = "auto"
        self._link = widgets.jslink((self.play, "value"), (self.slider, "value"))
        self.frames = self._row(self.play, self.slider)
        self.legend, self.words, self.note = widgets.HTML(), widgets.HTML(), widgets.HTML()
        controls = self._row(self.mode, self.home, *self.axes)
        below = (self.frames, self.legend, self._row(self.measure), self.words, self.note)
        self.root = widgets.VBox([widgets.HTML(CSS), controls, self.card, *below], layout=widgets.Layout(width=width))
        self.root.add_class("mlip-viewer")
        self._follow()

    def put(self, scene: widgets.DOMWidget | None) -> None:
        """Lay the 3-D view below the flat picture, or take it out."""
        self.card.children = (self.poster,) if scene is None else (scene, self.poster)

    def picture(self, png: bytes, words: str) -> None:
        """Show another flat picture."""
        self.poster.value = png
        self.poster.tooltip = words

    def close(self) -> None:
        """Take all widgets out of the page."""
        self._link.close()
        for widget in _all(self.root):
            widget.close()

    def place(self, **options: str) -> widgets.Layout:
        """A layout for one of the pictures: all lie in the same place, the last on top."""
        return widgets.Layout(width="100%", height=self._height, grid_area="1 / 1", **options)

    def _row(self, *children: widgets.Widget) -> widgets.Box:
        row = widgets.Box(children)
        row.add_class("mlip-row")
        return row

    def _follow(self) -> None:
        viewer = self._viewer
        self.mode.observe(lambda change: viewer.set_trait("mode", change["new"]), "value")
        self.slider.observe(lambda change: viewer.set_trait("frame", change["new"]), "value")
        self.measure.observe(self._typed, "value")
        viewer.observe(self._refresh, ["mode", "drawn", "frame", "n_frames", "measured", "words", "note"])
        self._refresh()

    def _refresh(self, change: Any = None) -> None:
        viewer = self._viewer
        self.mode.value = viewer.mode
        solid = viewer.mode == "3-D"
        for button in (self.home, *self.axes):
            button.disabled = viewer.n_frames == 0
        self.poster.layout.visibility = "hidden" if solid and viewer.drawn else "visible"
        last = max(viewer.n_frames - 1, 0)
        for player in (self.play, self.slider):
            player.max = last
        self.slider.value = viewer.frame
        self.frames.layout.display = "flex" if last else "none"
        if change is not None and change["name"] == "measured":
            self.measure.value = " ".join(str(index) for index in viewer.measured)
        self.words.value = f"<div class='mlip-words' role='status'>{escape(viewer.words)}</div>" if viewer.words else ""
        note, kind = viewer.note, "mlip-note"
        if not note and solid and not viewer.drawn and viewer.n_frames:
            note, kind = WAITING, "mlip-note mlip-late"
        self.note.value = f"<div class='{kind}'>{escape(note)}</div>" if note else ""

    def _typed(self, change: dict[str, Any]) -> None:
        try:
            self._viewer.measure(*parse_atoms(change["new"], self._viewer.n_atoms))
        except InputError as error:
            self._viewer.words = str(error)


def _button(label: str, tooltip: str, action: Callable[[], None]) -> widgets.Button:
    button = widgets.Button(description=label, tooltip=tooltip)
    button.on_click(lambda _: action())
    return button


def _all(widget: widgets.Widget) -> list[widgets.Widget]:
    """A widget with its parts, the innermost first."""
    parts = [inner for child in getattr(widget, "children", ()) for inner in _all(child)]
    extras = [getattr(widget, name) for name in ("layout", "style") if widget.has_trait(name)]
    return [*parts, *(extra for extra in extras if isinstance(extra, widgets.Widget)), widget]
