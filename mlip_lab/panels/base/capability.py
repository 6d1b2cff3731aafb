"""What a panel needs to know of a capability beyond its function: words, picture, judgements."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ase import Atoms
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mlip_lab.panels.base.fields import Field, fields_of
from mlip_lab.panels.base.record import Number, Verdict
from mlip_lab.panels.base.shelf import PotentialEntry, StructureEntry

Values = Mapping[str, Any]
Frames = tuple[Atoms, NDArray[Any]]


def _nothing(_: Any) -> Sequence[Any]:
    return ()


def needs_crystal(values: Values) -> str:
    """Why a property of a crystal cannot be computed of this structure, in words; "" if it can."""
    periodic = values["atoms"].pbc.all()
    return "" if periodic else "Needs a crystal, periodic in three directions. Choose another structure."


@dataclass(frozen=True)
class Capability:
    """A function and how its panel speaks of it.

    Attributes:
        function: function(atoms, calculator, *, …) → result, annotated; `progress` and `executor` get no field.
        title: Heading of the panel.
        meaning: One sentence on what it gives.
        group: Heading it stands under in the Lab.
        picture: result → Figure, with its main finding as text (`plots.style.describe`).
        shows: What its picture shows, in words that go on from "Run shows here:".
        formula: The formula, two lines of physics and the source: HTML with LaTeX between dollar signs.
        live: What a running function passes to progress → Figure; None where that has no picture.
        verdicts: result → judgements.
        numbers: result → values with errors, units and references.
        data: result → JSON of what there is to save, units in the names or beside.
        files: result → more files to save, content by name.
        frames: result → (atoms, positions (n, n_atoms, 3)) for the viewer.
        picked: (result, its picture, x, y) → (atoms, positions) for the viewer and words on them: what a click on the
            picture shows; x and y from 0 to 1 from its lower left corner. None where there is nothing.
        pointed: (result, its picture, x, y) → words on what lies there: what the mouse says that rests on the picture;
            "" where there is nothing.
        invites: What a click on the picture does, or the mouse that rests on it, in one sentence.
        needs: Values that were parsed → why they cannot run together, "" if they can.
        shown: Values that were parsed → names of fields that mean something with them; None shows all.
        defaults: Values to begin with where the function's own are not a good start.
        labels: Labels of fields where the parameter's name does not read well.
        advanced: Fields that are folded away.
        left_out: Parameters without a field; they keep their default.
        resume: (what the stopped run had, arguments) → result. None: the same call goes on by itself.
        starts_over: Whether a stopped run has nothing to go on from; where that depends on the inputs, a function of
            the values that were parsed.
        unit: What progress counts, in the plural; or such a function.
        extra: Values that were parsed → arguments that the panel adds by itself, such as a folder for checkpoints.
            They are chosen when a run starts, not when it goes on, and are not part of the printed code.
        about: Values that were parsed → what there is to know of them before a run, such as what is in a data file.
            It may take long, and may refuse with an error in words, which then keeps Run disabled.
        about_of: The fields that `about` depends on.
        keep: (result, extra arguments) → what goes on the shelf: entries of structures and potentials.
    """

    function: Callable[..., Any]
    title: str
    meaning: str
    group: str
    picture: Callable[[Any], Figure]
    shows: str = "the result as a picture"
    formula: str = ""
    live: Callable[[Mapping[str, Any]], Figure | None] | None = None
    verdicts: Callable[[Any], Sequence[Verdict]] = _nothing
    numbers: Callable[[Any], Sequence[Number]] = _nothing
    data: Callable[[Any], dict[str, Any]] = field(default=lambda _: {})
    files: Callable[[Any], dict[str, bytes]] = field(default=lambda _: {})
    frames: Callable[[Any], Frames] | None = None
    picked: Callable[[Any, Figure, float, float], tuple[Frames, str] | None] | None = None
    pointed: Callable[[Any, Figure, float, float], str] | None = None
    invites: str = ""
    needs: Callable[[Values], str] = field(default=lambda _: "")
    shown: Callable[[Values], Sequence[str]] | None = None
    defaults: Values = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    advanced: Sequence[str] = ()
    left_out: Sequence[str] = ()
    resume: Callable[..., Any] | None = None
    starts_over: bool | Callable[[Values], bool] = False
    unit: str | Callable[[Values], str] = "steps"
    extra: Callable[[Values], dict[str, Any]] = field(default=lambda _: {})
    about: Callable[[Values], str] | None = None
    about_of: Sequence[str] = ()
    keep: Callable[[Any, Values], Sequence[StructureEntry | PotentialEntry]] = field(default=lambda *_: ())

    @property
    def name(self) -> str:
        """Name of the function."""
        return self.function.__name__

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        """The form, in the order of the signature."""
        return tuple(f for f in fields_of(self.function, dict(self.labels)) if f.name not in self.left_out)
