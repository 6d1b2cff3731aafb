"""A viewer of structures: a 3-D canvas where the browser can, a flat picture of the same atoms where it cannot."""

from __future__ import annotations

import threading
import time
from typing import Any

import ipywidgets as widgets
import numpy as np
import traitlets
from ase import Atoms
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from mlip_lab.core.errors import InputError
from mlip_lab.panels.viewer import live, measure
from mlip_lab.panels.viewer.frames import Frames, elsewhere
from mlip_lab.panels.viewer.legend import element_legend, scale_legend
from mlip_lab.panels.viewer.scene import Drawing, Scene, available, packed_colors
from mlip_lab.panels.viewer.view import View
from mlip_lab.plots.structure import along, seen_from, structure
from mlip_lab.plots.style import describe, description, new_figure, png

MISSING = "3-D needs nglview in the environment of this kernel (pip install nglview==3.1.4). This is the flat picture."
CROWDED = f"Flat, because {live.MOST} newer 3-D views are open. Choose 3-D to bring this one back."
IDLE = 9  # live, a flat picture is drawn at most a tenth of the time


class Viewer(traitlets.HasTraits):
    """Shows structures and trajectories in a notebook; nothing appears in 3-D before there is something to show.

    All methods may be called from any thread. The flat picture is there at once; the 3-D canvas takes its place when
    the browser says that it has drawn. Positions and cell are shown in the frame they are given in.

    Attributes:
        frame: Index of the frame that is shown; set it to move.
        n_frames: Number of frames, 0 before anything is shown.
        scheme: What the colours mean.
        mode: "3-D" or "flat".
        drawn: Whether the 3-D canvas is on the screen.
        measured: Indices of the atoms whose distance or angle is said, counted from 0.
        words: That distance or angle in words.
        note: What is not shown, and why, in words.
        widget: Put it into any layout.
    """

    frame = traitlets.Int(0)
    n_frames = traitlets.Int(0)
    scheme = traitlets.Unicode("element")
    mode = traitlets.Enum(["3-D", "flat"], "3-D")
    drawn = traitlets.Bool(False)
    measured = traitlets.Tuple()
    words = traitlets.Unicode()
    note = traitlets.Unicode()

    def __init__(
        self, atoms: Atoms | None = None, *, width: str = "100%", height: int = 360, wrap: bool = False
    ) -> None:
        """A viewer, empty or of a structure.

        Args:
            atoms: What to show.
            width: Of the whole, a CSS length.
            height: Of the picture in pixels.
            wrap: Fold atoms into the cell; otherwise they are where their positions say.
        """
        super().__init__()
        self._lock = threading.RLock()
        self._wrap = wrap
        self._frames: Frames | None = None
        self._scene: Scene | None = None
        self._rotation: NDArray[np.float64] = seen_from()
        self._idle_until = 0.0  # live flat pictures wait until then
        self._live = False  # the change of frame comes from a running calculation, not from a hand on the slider
        self._settled = True  # false while one structure takes another's place
        self._closed = False
        self._view = View(self, width, height)
        self.widget: widgets.DOMWidget = self._view.root
        if atoms is None:
            self._draw_flat()
        else:
            self.show(atoms)

    @traitlets.default("mode")
    def _first_mode(self) -> str:
        return "3-D" if available() else "flat"

    @traitlets.default("note")
    def _first_note(self) -> str:
        return "" if available() else MISSING

    @property
    def n_atoms(self) -> int:
        """Number of atoms of the structure, drawn or not."""
        return 0 if self._frames is None else len(self._frames.atoms)

    def show(self, atoms: Atoms) -> None:
        """Show a structure; the camera stays where it is for the same atoms in much the same place.

        Raises:
            InputError: If it is not a structure, or has numbers that are not finite.
        """
        self._begin(Frames(atoms, None, None, wrap=self._wrap))

    def show_frames(self, atoms: Atoms, positions: ArrayLike, *, cells: ArrayLike | None = None) -> None:
        """Show a trajectory with a slider, from its first frame.

        Args:
            atoms: The structure: its elements, and its cell where `cells` is not given.
            positions: Å, (n_frames, n_atoms, 3).
            cells: Cell vectors as rows in Å, (n_frames, 3, 3).

        Raises:
            InputError: If shapes do not fit or numbers are not finite.
        """
        self._begin(Frames(atoms, positions, cells, wrap=self._wrap))

    def move(self, positions: ArrayLike, cell: ArrayLike | None = None) -> None:
        """New coordinates of the atoms that are shown, in place of the old: cheap, for live pictures.

        In 3-D only the coordinates are sent. A flat picture is drawn as often as it takes a tenth of the time, so the
        last ones may be left out: end with `show` or `show_frames`.

        Args:
            positions: Å, (n_atoms, 3).
            cell: Cell vectors as rows in Å, (3, 3); None for that of before.

        Raises:
            InputError: If nothing is shown yet, shapes do not fit, or numbers are not finite.
        """
        with self._lock:
            if self._closed:
                return
            frames = self._shown()
            frames.put(positions, cell, self._index(frames))
        self._update(live=True)

    def append(self, positions: ArrayLike, cell: ArrayLike | None = None) -> None:
        """As `move`, but kept as one more frame; the slider follows while it stands at the end."""
        with self._lock:
            if self._closed:
                return
            frames = self._shown()
            follow = self._index(frames) == len(frames) - 1
            frames.put(positions, cell, None)
            count = len(frames)
        self.n_frames = count
        if follow:
            self._live = True
            self.frame = count - 1
            self._live = False

    def color_by(
        self,
        scheme: str,
        values: ArrayLike | None = None,
        *,
        unit: str = "",
        limits: tuple[float, float] | None = None,
    ) -> None:
        """Choose what the colours mean; may be called again and again with new values.

        Args:
            scheme: "element", "force", "energy", "uncertainty" or "displacement".
            values: One number an atom (n_atoms,), vectors (n_atoms, 3) that count by their length, or one such row for
                each frame. None for elements, and for displacements from the structure as it was first shown.
            unit: Unit of the values.
            limits: Values at the two ends of the colours; if not given, the range of all values so far.

        Raises:
            InputError: If nothing is shown yet, the scheme is unknown, or the values do not fit the atoms.
        """
        with self._lock:
            if self._closed:
                return
            frames = self._shown()
            again = scheme == frames.scheme
            frames.color_by(scheme, values, unit, limits)
        self.scheme = scheme
        self._update(live=again)

    def measure(self, *atoms: int) -> None:
        """Say the distance of two atoms or the angle at the second of three; of none, be silent.

        Raises:
            InputError: If there are more than three, or they do not exist.
        """
        chosen = measure.check_atoms(atoms, self.n_atoms)
        with self._lock:
            frames, scene = self._frames, self._scene
            words = "" if frames is None else measure.in_words(frames.at(self._index(frames)), chosen)
            if frames is not None and scene is not None:
                scene.mark(np.flatnonzero(np.isin(frames.kept, chosen)).tolist())
        self.measured, self.words = chosen, words

    def reset(self) -> None:
        """See the whole structure as at the start: from the front, a little from above, z upwards."""
        self._look(seen_from())

    def look_along(self, axis: int) -> None:
        """See the whole structure along a cell vector: 0 for a, 1 for b, 2 for c."""
        with self._lock:
            frames = self._frames
            cell = np.zeros((3, 3)) if frames is None else frames.cells[self._index(frames)]
        self._look(along(cell, axis))

    def figure(self) -> Figure:
        """The flat picture of what is shown, with its legend; `plots.style.description` has it in words."""
        return self._figure(legend=True)

    def png(self) -> bytes:
        """The flat picture as PNG."""
        return png(self.figure())

    def flatten(self) -> None:
        """Give the 3-D view back and say so; a viewer that is opened later needs it."""
        if not self._closed:
            self.mode = "flat"
            self._say(CROWDED)

    def close(self) -> None:
        """Take the viewer out of the page; after this its methods do nothing."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._drop_scene()
        self.unobserve_all()
        self._view.close()

    def _shown(self) -> Frames:
        if self._frames is None:
            raise InputError("viewer: nothing is shown yet. Call show(atoms) first.")
        return self._frames

    def _index(self, frames: Frames) -> int:
        """The frame that is shown, also while another thread puts fewer frames in place of these."""
        return min(self.frame, len(frames) - 1)

    def _begin(self, frames: Frames) -> None:
        with self._lock:
            if self._closed:
                return
            fit = self._frames is None or elsewhere(self._frames.drawn(self._index(self._frames)), frames.drawn(0))
            self._frames, self._settled = frames, False
            if fit:
                self._rotation = seen_from()
        self.frame, self.n_frames, self.scheme = 0, len(frames), "element"
        self.measured, self.words = (), ""
        self._say("" if available() else MISSING)
        self._settled = True
        self._load(fit)

    def _load(self, fit: bool) -> None:
        with self._lock:
            if self._frames is None or self._closed:
                return
            if self.mode == "3-D" and self._scene is None:
                self._scene = Scene(self._heard, layout=self._view.place())
                self._view.put(self._scene)
            if self._scene is not None:
                self._scene.load(self._drawing(self._frames, fit))
        self._draw_legend()
        if not self._solid():
            self._draw_flat()

    def _drawing(self, frames: Frames, fit: bool) -> Drawing:
        index = self._index(frames)
        atoms = frames.drawn(index)
        colors = packed_colors(atoms.numbers, frames.amounts(index), frames.limits)
        bonds = frames.bonds if frames.bonds_hold(atoms.positions) else frames.bonds[:0]
        marks = tuple(np.flatnonzero(np.isin(frames.kept, self.measured)).tolist())
        numbers, cell = atoms.numbers.astype(np.int64), atoms.cell.array
        return Drawing(numbers, atoms.positions, cell, bonds, colors, marks, self._rotation, fit)

    def _update(self, *, live: bool) -> None:
        """Show the coordinates and colours of the frame as they are now; of live ones, as many as there is time for."""
        with self._lock:
            frames = self._frames
            if frames is None or self._closed or not self._settled:
                return
            index = self._index(frames)
            atoms = frames.drawn(index)
            colors = packed_colors(atoms.numbers, frames.amounts(index), frames.limits)
            if self._scene is not None:
                if not frames.bonds_hold(atoms.positions):
                    self._scene.loosen()
                self._scene.move(atoms.positions, atoms.cell.array)
                self._scene.paint(colors)
            words = measure.in_words(frames.at(index), self.measured) if self.measured else self.words
        self.words = words
        self._draw_legend()
        if not self._solid() and not (live and time.monotonic() < self._idle_until):
            self._draw_flat()

    def _say(self, reason: str) -> None:
        left_out = "" if self._frames is None else self._frames.left_out
        self.note = " ".join(part for part in (left_out, reason) if part)

    @traitlets.validate("frame")
    def _within(self, proposal: Any) -> int:
        return int(min(max(proposal["value"], 0), max(self.n_frames - 1, 0)))

    @traitlets.observe("frame")
    def _frame_changed(self, _: Any) -> None:
        self._update(live=self._live)

    @traitlets.observe("mode")
    def _mode_changed(self, change: Any) -> None:
        if change["new"] == "flat":
            self._drop_scene()
            self._draw_flat()
        elif available():
            self._say("")
            self._load(fit=True)
        else:
            self.mode = "flat"

    def _drop_scene(self) -> None:
        with self._lock:
            scene, self._scene = self._scene, None
        live.release(self)
        self.drawn = False
        if scene is not None:
            self._view.put(None)
            scene.close()

    def _heard(self, event: str, details: dict[str, Any]) -> None:
        with self._lock:
            scene, frames = self._scene, self._frames
            if scene is None or frames is None:
                return
            newest = scene.drawing is not None and details.get("id") == scene.drawing.id
        if event == "loaded":
            live.claim(self)
        elif event == "drawn" and newest:
            self.drawn = True
        elif event == "failed":
            self.mode = "flat"
            self._say(f"3-D could not be drawn: {details.get('reason')}. This is the flat picture.")
        elif event == "picked":
            self._picked([int(frames.kept[place]) for place in details["atoms"] if place < len(frames.kept)])

    def _picked(self, atoms: list[int]) -> None:
        """A click adds an atom or takes it away; a click on a bond takes its two; the fourth starts anew."""
        if len(atoms) != 1:
            return self.measure(*atoms)
        chosen = [index for index in self.measured if index not in atoms]
        if len(chosen) == len(self.measured):
            chosen = [*(chosen if len(chosen) < 3 else []), *atoms]
        return self.measure(*chosen)

    def _look(self, rotation: NDArray[np.float64]) -> None:
        with self._lock:
            self._rotation = rotation
            if self._scene is not None:
                self._scene.look(rotation)
        if not self._solid():
            self._draw_flat()

    def _solid(self) -> bool:
        return self.mode == "3-D" and self.drawn

    def _figure(self, *, legend: bool) -> Figure:
        with self._lock:
            frames = self._frames
            if frames is None:
                figure, axes = new_figure()
                axes[0, 0].set_axis_off()
                return describe(figure, "No structure yet.")
            index = self._index(frames)
            atoms, amounts = frames.drawn(index), frames.amounts(index)
            scheme, unit, limits, rotation = frames.scheme, frames.unit, frames.limits, self._rotation
        return structure(
            atoms, scheme=scheme, values=amounts, unit=unit, limits=limits, rotation=rotation, legend=legend
        )

    def _draw_flat(self) -> None:
        if self._closed:
            return
        start = time.monotonic()
        figure = self._figure(legend=False)
        self._view.picture(png(figure), description(figure))
        now = time.monotonic()
        self._idle_until = now + IDLE * (now - start)

    def _draw_legend(self) -> None:
        with self._lock:
            frames = self._frames
            if frames is None or self._closed:
                return
            if frames.scheme == "element":
                html = element_legend(frames.atoms.numbers)
            else:
                html = scale_legend(frames.scheme, frames.unit, frames.limits)
        self._view.legend.value = html
