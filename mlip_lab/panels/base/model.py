"""The observable state of a panel: everything a view shows, and all that its buttons do. No widgets here."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import traitlets
from matplotlib.figure import Figure

from mlip_lab.core.errors import Cancelled, InputError, MlipError
from mlip_lab.panels.base.capability import Capability
from mlip_lab.panels.base.code import printed
from mlip_lab.panels.base.form import FormModel
from mlip_lab.panels.base.record import Record
from mlip_lab.panels.base.shelf import PotentialEntry, Shelf, StructureEntry
from mlip_lab.panels.base.worker import Job, Painter
from mlip_lab.plots.style import DRAWING, description, png
from mlip_lab.workflows.warm import warm

STATES = ("empty", "ready", "running", "stopped", "done", "failed", "stale")
COMPILING = "Compiling, once: up to half a minute, then it is kept"
LIVE_DPI = 90
_compiled: set[str] = set()  # kinds of kernels that were called in this process


class PanelModel(FormModel):
    """What a panel holds beside its inputs.

    Attributes:
        state: "empty" (Run is not possible yet), "ready", "running", "stopped", "done", "failed", or "stale" (the
            inputs are not those of what is shown).
        reason: Why Run is disabled; "" if it is not.
        done, total: Work done and in all; 0 of 0 when that is not known.
        stage: What is being done.
        left: Time left in s; negative when that is not known.
        picture: PNG of the result, or of the running work so far.
        pictures: Counts pictures, so that a view hears of each.
        alt: The picture's main finding in words.
        verdicts, numbers: Judgements and values of the result.
        words: One sentence on how it stands: what was kept after a stop, what went wrong.
        details: More on an error.
        frames: (atoms, positions) for the viewer, or None.
        picked: What was clicked in the picture, in words.
        pointed: What the mouse rests on in the picture, in words.
        moving: Newest positions of a running job, (n_atoms, 3), or None.
        result: The result of the last run, or the part of it that was done; None before the first.
        record: What is shown of it, in a form that can be stored.
        listeners: Called with the model on the worker's thread after each run that gave a result.
    """

    state = traitlets.Enum(STATES, "empty")
    reason = traitlets.Unicode()
    done = traitlets.Int()
    total = traitlets.Int()
    stage = traitlets.Unicode()
    left = traitlets.Float(-1.0)
    picture = traitlets.Bytes()
    pictures = traitlets.Int()
    alt = traitlets.Unicode()
    verdicts = traitlets.Tuple()
    numbers = traitlets.Tuple()
    words = traitlets.Unicode()
    details = traitlets.Unicode()
    frames = traitlets.Any(None, allow_none=True)
    picked = traitlets.Unicode()
    pointed = traitlets.Unicode()
    moving = traitlets.Any(None, allow_none=True)

    def __init__(self, capability: Capability, shelf: Shelf, values: Mapping[str, Any] | None = None) -> None:
        """Show a capability with what is on a shelf; see `FormModel`."""
        super().__init__(capability, shelf, values)
        self.result: Any = None
        self.record: Record | None = None
        self._figure: Figure | None = None  # the picture of the result
        self.listeners: list[Callable[[PanelModel], None]] = []
        self._painter = Painter()
        self._job: Job | None = None
        self._made: dict[str, Any] | None = None  # inputs of what is shown
        self._extra: dict[str, Any] = {}
        self._ended = ""  # how the last run ended: "done", "stopped", "failed"
        self._reached = 0  # how much was done when the run was stopped that now goes on
        self._trace: dict[str, list[float]] = {}
        self._clock: tuple[str, float, int] = ("", 0.0, 0)  # stage, when it began, how much was done then
        self.refresh()
        shelf.observe(self._shelf_changed, names=["structures", "potentials"])

    def run(self) -> None:
        """Start.

        Raises:
            InputError: If Run is disabled, with the reason.
        """
        with self.lock:
            if self.reason:
                raise InputError(f"Run is not possible: {self.reason}")
            self._trace, self._extra, self._reached = {}, self.capability.extra(self.values), 0
            self.verdicts, self.numbers, self.result, self.record, self.moving = (), (), None, None, None
            self.picked, self.pointed, self._figure = "", "", None
            self._start(None)

    def resume(self) -> None:
        """Go on with a run that was stopped.

        Raises:
            InputError: If there is none.
        """
        with self.lock:
            if self.state != "stopped":
                raise InputError(f"Continue is for a run that was stopped; this one is {self.state}.")
            self._reached = 0 if self._starts_over(self.values) else self.done
            self._start(self.result)

    def stop(self) -> None:
        """Ask the run to stop; what is finished is kept."""
        with self.lock:
            if self._job is not None:
                self.stage = "Stopping"
                self._job.stop()

    def pick(self, x: float, y: float) -> None:
        """Show what belongs to a point of the picture; x and y from 0 to 1 from its lower left corner."""
        with self.lock:
            if self.capability.picked is None or self._figure is None or self.result is None:
                return
            found = self.capability.picked(self.result, self._figure, x, y)
            if found is not None:
                self.frames, self.picked = found

    def point(self, x: float, y: float) -> None:
        """Say what lies at a point of the picture, as for `pick`; outside of it there is nothing."""
        with self.lock:
            if self.capability.pointed is None or self._figure is None or self.result is None:
                return
            self.pointed = self.capability.pointed(self.result, self._figure, x, y)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the run is over; False if it is not after so many seconds."""
        job = self._job
        return True if job is None else job.wait(timeout)

    def show(self, record: Record) -> None:
        """Show a finished run from a record; its inputs become those of the form."""
        with self.lock:
            known = {name: self.fields[name].raw(v) for name, v in record.values.items() if name in self.fields}
            self.raw = {**self.raw, **known}
            self.result, self._figure, self.picked, self.pointed, self._ended = None, None, "", "", "done"
            self._show(record)
            self.refresh()
            self._made = self._inputs()
            self.refresh()

    def refresh(self) -> None:
        """Work out everything that follows from the inputs and from how the last run ended."""
        super().refresh()
        running = self._job is not None
        self.reason = "It is running." if running else self.obstacle()
        self.state = "running" if running else self._state()

    def _state(self) -> str:
        if self._made is not None and _same(self._made, self._inputs()):
            return self._ended
        if self.record is not None:
            return "stale"
        return "empty" if self.reason else "ready"

    def _inputs(self) -> dict[str, Any]:
        """What a result depends on: values, and the very structures and potentials, not their names."""
        try:
            return self.objects(self.values)
        except InputError:
            return {"unusable": object()}

    def _shelf_changed(self, _: Any) -> None:
        with self.lock:
            self.refresh()

    def _start(self, partial: Any) -> None:
        values = self.values
        self._made, self._ended = self._inputs(), ""
        self.words = self.details = ""
        self.left, self.stage = -1.0, "Waiting for another run to end"
        if not self._reached:
            self.done, self.total = 0, 0
        self._clock = ("", 0.0, 0)
        found = self.objects(values)
        self._job = Job(
            lambda progress: self._call(found, partial, progress),
            self._report,
            lambda result, error: self._over(values, result, error),
        )
        self.refresh()
        self._job.start()

    # ---- On the worker's thread -------------------------------------------------------------------------------------

    def _call(self, found: Mapping[str, Any], partial: Any, progress: Callable[..., None]) -> Any:
        arguments = {**found, **self._extra}
        self._report(0, 0, {"stage": "Starting"})
        for name, field in self.fields.items():
            if field.kind == "structure":
                arguments[name] = found[name].atoms
            elif field.kind == "potential":
                arguments[name] = self._warmed(found[name])
        if partial is not None and self.capability.resume is not None:
            return self.capability.resume(partial, arguments, progress)
        return self.capability.function(**arguments, progress=progress)

    def _warmed(self, entry: PotentialEntry) -> Any:
        """The calculator, its kernels compiled: that is said, since it takes long the first time."""
        calculator = entry.calculator
        if hasattr(calculator, "warm") and entry.name not in _compiled:
            self._report(0, 0, {"stage": COMPILING})
            warm(calculator)
            _compiled.add(entry.name)
            self._report(0, 0, {"stage": "Starting"})
        return calculator

    def _report(self, done: int, total: int, live: dict[str, Any]) -> None:
        stage, now = str(live.pop("stage", "Running")), time.monotonic()
        if self._clock[0] != stage or not 0 < self._clock[2] <= done:
            self._clock = (stage, now, done)  # the first unit is none to go by: it may have compiled, or was read again
        gained = done - self._clock[2]
        with self.lock, self.hold_trait_notifications():
            stopping = self._job is not None and self._job.stopping
            self.stage = "Stopping" if stopping else stage
            if total:
                self.done, self.total = max(done, self._reached), total
            self.left = (now - self._clock[1]) / gained * (total - done) if gained > 0 else -1.0
        if self.capability.live is None or not live:
            return
        self._trace.setdefault("done", []).append(float(done))
        for name, value in live.items():
            if isinstance(value, float):
                self._trace.setdefault(name, []).append(value)
        if live.get("positions") is not None:
            self.moving = live["positions"]
        trace = {name: tuple(values) for name, values in self._trace.items()}
        self._painter.ask(lambda: self._paint({**live, "done": done, "total": total, "trace": trace}))

    def _paint(self, live: Mapping[str, Any]) -> None:
        """Painter's thread: a picture of the running work."""
        job = self._job
        if job is None or self.capability.live is None:
            return
        try:
            with DRAWING:
                figure = self.capability.live(live)
                content = b"" if figure is None else png(figure, dpi=LIVE_DPI)
        except Exception:  # half-done work may have nothing to show; the final picture is drawn without this net
            return
        with self.lock:
            if figure is not None and job is self._job:
                self.alt, self.picture = description(figure), content
                self.pictures += 1

    def _over(self, values: dict[str, Any], result: Any, error: BaseException | None) -> None:
        left = self._painter.forget()
        stopped = isinstance(error, Cancelled)
        if getattr(result, "stopped", False) or (stopped and left):  # the last picture comes in a moment
            with self.lock, self.hold_trait_notifications():
                self._count()
                self.left, self.stage = -1.0, self._so_far(values)
        if stopped and left:
            left()
        record: Record | None = None
        kept: Sequence[StructureEntry | PotentialEntry] = ()
        try:
            if error is None:
                record = self._recorded(values, result)
                kept = self.capability.keep(result, self._extra) if record.state == "done" else ()
        except Exception as caught:  # shown in the panel like an error of the run
            record, error = None, caught
        with self.lock, self.hold_trait_notifications():
            self._count()
            self._job = None
            if record is not None:
                self.result, self._ended = result, record.state
                self._show(record)
                self.frames = None if self.capability.frames is None else self.capability.frames(result)
            elif stopped:
                self._ended = "stopped"
            else:
                self._ended = "failed"
                self.words, self.details = _in_words(error)
            if self._ended == "stopped":
                self.words = self._kept(values)
            self.refresh()
        if record is None:
            return
        for entry in kept:
            self.shelf.add(entry)
        for listener in list(self.listeners):
            listener(self)

    def _show(self, record: Record) -> None:
        self.record = record
        self.verdicts, self.numbers, self.alt = record.verdicts, record.numbers, record.alt
        self.picture = record.picture
        self.pictures += 1

    def _recorded(self, values: dict[str, Any], result: Any) -> Record:
        capability = self.capability
        with DRAWING:
            self._figure = figure = capability.picture(result)
            content = png(figure)
        return Record(
            capability=capability.name,
            values=values,
            picture=content,
            alt=description(figure),
            verdicts=tuple(capability.verdicts(result)),
            numbers=tuple(capability.numbers(result)),
            code=printed(capability, values, self.shelf),
            data=capability.data(result),
            state="stopped" if getattr(result, "stopped", False) else "done",
        )

    def _starts_over(self, values: Mapping[str, Any]) -> bool:
        told = self.capability.starts_over
        return told(values) if callable(told) else told

    def _kept(self, values: Mapping[str, Any]) -> str:
        if self.done == 0:
            return "Stopped before anything was finished. Continue starts again."
        return f"{self._so_far(values)}. Continue {'starts again' if self._starts_over(values) else 'picks up there'}."

    def _so_far(self, values: Mapping[str, Any]) -> str:
        unit = self.capability.unit
        so_far = f"{self.done:,} of {self.total:,} {unit(values) if callable(unit) else unit}"
        return f"Stopped after {so_far}".replace(",", "\u202f")

    def _count(self) -> None:
        if self._job is not None and self._job.total:
            self.done, self.total = max(self._job.done, self._reached), self._job.total


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether inputs are equal; structures and potentials must be the very same entries."""
    return one.keys() == other.keys() and all(
        one[key] is other[key] or (isinstance(one[key], str | float | int) and one[key] == other[key]) for key in one
    )


def _in_words(error: BaseException | None) -> tuple[str, str]:
    """One sentence on an error, and the rest."""
    assert error is not None
    details = "".join(traceback.format_exception(error))
    if isinstance(error, MlipError):
        return str(error), details
    if isinstance(error, MemoryError):
        return "The memory was not enough. Take a smaller structure or a shorter run.", details
    return f"This did not work: {type(error).__name__}: {error}", details
