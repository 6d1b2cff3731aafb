"""A 3-D scene in the browser: atoms, bonds and cell in the frame they are given in.

nglview's wheel brings two things: a front end for the browser, with the NGL library in it, and a Python package. Only
the front end is used. The Python package would re-orient cells and round positions to 0.001 Å on its way through PDB,
start two threads a view that never end, show a widget when it is imported, and fail without pkg_resources, which new
versions of setuptools do not have. What the front end needs is small: a model that names it, and messages that call
the methods which `scene.js` adds to its view.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import resources
from importlib.util import find_spec
from typing import Any

import ipywidgets as widgets
import numpy as np
import traitlets
from ase.data import chemical_symbols
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from mlip_lab.plots.structure import SPHERE, atom_colors, cell_edges, seen_from

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FRONT_END = "^3.1.4"  # versions of nglview's front end; 3.1.4 is tested, 4.0.1's wheel brings 3.1.5
EDGE = 0.004  # radius of the cell's edges, as a part of its longest: lines of the same width on any screen
LETTER = 0.15  # size of the letters a, b and c, likewise; they are about half as high


def available() -> bool:
    """Whether nglview, and with it the front end, is installed beside this kernel."""
    return find_spec("nglview") is not None


@dataclass
class Drawing:
    """What a scene shows.

    Attributes:
        numbers: Atomic numbers, (n_atoms,).
        positions: Å, (n_atoms, 3).
        cell: Cell vectors as rows in Å, (3, 3).
        bonds: Pairs of atoms, (n_bonds, 2).
        colors: 24-bit red, green and blue, (n_atoms,).
        marks: Atoms that are marked.
        rotation: Rows are the directions to the right, up, and towards the viewer.
        fit: Set the camera anew.
        id: Tells one drawing from the next.
    """

    numbers: Ints
    positions: Floats
    cell: Floats
    bonds: Ints
    colors: Ints
    marks: tuple[int, ...] = ()
    rotation: Floats = field(default_factory=seen_from)
    fit: bool = True
    id: int = field(default_factory=itertools.count(1).__next__)


class Scene(widgets.DOMWidget):  # type: ignore[misc]  # ipywidgets ships no types
    """The model behind one NGL view. It keeps the whole drawing, so that a page that is reloaded gets it again."""

    # The names of nglview's front end, and what that reads from its model
    _model_name = traitlets.Unicode("NGLModel").tag(sync=True)
    _model_module = traitlets.Unicode("nglview-js-widgets").tag(sync=True)
    _model_module_version = traitlets.Unicode(FRONT_END).tag(sync=True)
    _view_name = traitlets.Unicode("NGLView").tag(sync=True)
    _view_module = traitlets.Unicode("nglview-js-widgets").tag(sync=True)
    _view_module_version = traitlets.Unicode(FRONT_END).tag(sync=True)
    _view_width = traitlets.Unicode("100%").tag(sync=True)
    _view_height = traitlets.Unicode("100%").tag(sync=True)
    _ngl_full_stage_parameters = traitlets.Dict().tag(sync=True)
    _camera_orientation: traitlets.List[Any] = traitlets.List().tag(sync=True)
    _synced_model_ids: traitlets.List[Any] = traitlets.List().tag(sync=True)
    _synced_repr_model_ids: traitlets.List[Any] = traitlets.List().tag(sync=True)
    _ngl_view_id: traitlets.List[Any] = traitlets.List().tag(sync=True)
    _ngl_msg_archive: traitlets.List[Any] = traitlets.List().tag(sync=True)
    _ngl_repr_dict = traitlets.Dict().tag(sync=True)
    _ngl_color_dict = traitlets.Dict().tag(sync=True)
    _ngl_serialize = traitlets.Bool(False).tag(sync=True)
    n_components = traitlets.Int(0).tag(sync=True)
    max_frame = traitlets.Int(0).tag(sync=True)
    gui_style = traitlets.Unicode(None, allow_none=True).tag(sync=True)
    _iplayer = traitlets.Instance(widgets.Box).tag(sync=True, **widgets.widget_serialization)
    _ibtn_fullscreen = traitlets.Instance(widgets.Button).tag(sync=True, **widgets.widget_serialization)

    def __init__(self, report: Callable[[str, dict[str, Any]], None], **options: Any) -> None:
        """Nothing is drawn before a browser shows this widget and says so.

        Args:
            report: Called with what the browser says: "loaded" (a view is there), "drawn" (with the drawing's "id"),
                "picked" (with "atoms", empty for the background), "failed" (with the "reason").
            **options: Passed to DOMWidget.
        """
        expand = widgets.Button(icon="expand", tooltip="Full screen")
        super().__init__(_iplayer=widgets.Box(), _ibtn_fullscreen=expand, **options)
        self.drawing: Drawing | None = None
        self._report = report
        self._loaded = False
        self.on_msg(self._hear)

    def load(self, drawing: Drawing) -> None:
        """Show another structure."""
        self.drawing = drawing
        self._draw()

    def move(self, positions: Floats, cell: Floats | None = None) -> None:
        """New coordinates of the same atoms, sent as they are in single precision: nothing is loaded anew."""
        if self.drawing is None:
            return
        self.drawing.positions = positions
        if self._loaded:
            self.send({"type": "binary_single", "data": {"0": 0}}, buffers=[positions.astype("<f4").tobytes()])
        if cell is not None and not np.array_equal(cell, self.drawing.cell):
            self.drawing.cell = cell
            self._call("mlipCell", cell_message(cell))

    def paint(self, colors: Ints) -> None:
        """New colours of the same atoms."""
        if self.drawing is not None and not np.array_equal(colors, self.drawing.colors):
            self.drawing.colors = colors
            self._call("mlipColors", colors.tolist())

    def mark(self, marks: Sequence[int]) -> None:
        """Mark some atoms, and no others."""
        if self.drawing is not None:
            self.drawing.marks = tuple(marks)
            self._call("mlipMarks", list(marks))

    def loosen(self) -> None:
        """Take the bonds away."""
        if self.drawing is not None and len(self.drawing.bonds):
            self.drawing.bonds = self.drawing.bonds[:0]
            self._call("mlipLoosen")

    def look(self, rotation: Floats) -> None:
        """Turn to a direction, with all of the structure in sight."""
        if self.drawing is not None:
            self.drawing.rotation = rotation
            self._call("mlipLook", quaternion(rotation))

    def close(self) -> None:
        """Take the scene and its small parts out of the page; the browser gives its WebGL context back."""
        for part in (self._iplayer, self._ibtn_fullscreen):
            part.layout.close()
            part.close()
        self._ibtn_fullscreen.style.close()
        self.layout.close()
        super().close()

    def _hear(self, _: widgets.Widget, content: dict[str, Any], buffers: Any) -> None:
        if content.get("type") == "request_loaded":  # a view was made: the first one, one more, or one after a reload
            self._loaded = True
            self._call("executeCode", resources.files(__package__).joinpath("scene.js").read_text("utf-8"))
            self._draw()
            self._report("loaded", {})
        elif content.get("type") == "mlip_lab":
            self._report(str(content.get("event")), content)

    def _draw(self) -> None:
        if self.drawing is not None:
            self._call("mlipShow", message(self.drawing))

    def _call(self, method: str, *arguments: Any) -> None:
        if self._loaded:
            call = {"target": "Widget", "methodName": method, "args": list(arguments), "kwargs": {}}
            self.send({"type": "call_method", **call})


def message(drawing: Drawing) -> dict[str, Any]:
    """A drawing as the browser gets it."""
    return {
        "id": drawing.id,
        "mol2": mol2(drawing.numbers, drawing.positions, drawing.bonds),
        "bonds": len(drawing.bonds) > 0,
        "colors": drawing.colors.tolist(),
        "cell": cell_message(drawing.cell),
        "marks": list(drawing.marks),
        "sphere": SPHERE,
        "rotation": quaternion(drawing.rotation),
        "fit": drawing.fit,
    }


def mol2(numbers: Ints, positions: Floats, bonds: Ints) -> str:
    """A structure in the Mol2 format: it names its bonds, and has room for all digits and any number of atoms."""
    atoms = [
        f"{index} {chemical_symbols[number]} {x:.7f} {y:.7f} {z:.7f} {chemical_symbols[number]} 1 A 0"
        for index, (number, (x, y, z)) in enumerate(zip(numbers, positions, strict=True), start=1)
    ]
    joined = [f"{index} {i + 1} {j + 1} 1" for index, (i, j) in enumerate(bonds, start=1)]
    head = ["@<TRIPOS>MOLECULE", "structure", f"{len(atoms)} {len(joined)}", "SMALL", "NO_CHARGES"]
    return "\n".join([*head, "@<TRIPOS>ATOM", *atoms, "@<TRIPOS>BOND", *joined, ""])


def cell_message(cell: Floats) -> dict[str, Any]:
    """The cell's edges as the browser gets them: end points in Å, and a name at the end of each cell vector."""
    longest = float(np.linalg.norm(cell, axis=1).max())
    labels = [[name, (1.04 * vector).tolist()] for name, vector in zip("abc", cell, strict=True) if np.any(vector)]
    edges = cell_edges(cell).tolist()
    return {"edges": edges, "labels": labels, "radius": EDGE * longest, "size": LETTER * longest}


def quaternion(rotation: Floats) -> list[float]:
    """A rotation for NGL as x, y, z, w: its camera is at −z, where −x is to the right."""
    behind = np.diag([-1.0, 1.0, -1.0])
    return [float(value) for value in Rotation.from_matrix(behind @ rotation).as_quat()]


def packed_colors(numbers: Ints, amounts: Floats | None, limits: tuple[float, float]) -> Ints:
    """The colours of `plots.structure`, 8 bits each for red, green and blue, (n_atoms,)."""
    bytes_ = np.rint(255 * atom_colors(numbers, amounts, limits)).astype(np.int64)
    return np.asarray(bytes_ @ np.array([1 << 16, 1 << 8, 1]))
