"""A small capability for the tests of the machinery: it counts, slowly, and may fail."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from ase.build import bulk
from ase.calculators.emt import EMT
from matplotlib.figure import Figure

from mlip_lab.core.errors import CalculationError, Cancelled
from mlip_lab.core.progress import Progress, silent
from mlip_lab.core.quantities import Count, Quantity, validated
from mlip_lab.panels.base.capability import Capability
from mlip_lab.panels.base.record import Number, Verdict
from mlip_lab.panels.base.shelf import PotentialEntry, Shelf, Snippet, StructureEntry
from mlip_lab.plots.style import describe, new_figure


@dataclass(frozen=True)
class Counted:
    """What was counted."""

    numbers: tuple[int, ...]
    scale: float
    stopped: bool = False


@validated
def count(
    atoms: Any,
    calculator: Any,
    *,
    steps: Count = 20,
    pause: Annotated[float, Quantity("s", low=0.0, high=1.0)] = 0.0,
    scale: Annotated[float, Quantity("Å", low=0.0, high=10.0, open_low=True)] = 1.5,
    way: Literal["up", "down"] = "up",
    goal: Annotated[float, Quantity("K", low=0.0)] | None = None,
    loud: bool = False,
    fail_at: int | None = None,
    progress: Progress = silent,
) -> Counted:
    """Count to a number of steps.

    Args:
        atoms: Ignored.
        calculator: Ignored.
        steps: How far to count.
        pause: Time between two numbers,
            on the clock.
        scale: A length.
        way: Up or down.
        goal: A temperature, or none.
        loud: Whether to shout.
        fail_at: Where to fail.
        progress: Called at each number.
    """
    return _count([], steps, pause, scale, fail_at, progress)


def _count(
    numbers: list[int], steps: int, pause: float, scale: float, fail_at: int | None, progress: Progress
) -> Counted:
    for number in range(len(numbers), steps):
        if number == fail_at:
            raise CalculationError(f"Counting failed at {number}. Count less far.")
        time.sleep(pause)
        numbers.append(number)
        try:
            progress(number + 1, steps, level=float(number), so_far=tuple(numbers))
        except Cancelled:
            return Counted(tuple(numbers), scale, stopped=True)
    return Counted(tuple(numbers), scale)


def go_on(partial: Counted, arguments: Mapping[str, Any], progress: Callable[..., None]) -> Counted:
    return _count(
        list(partial.numbers),
        arguments["steps"],
        arguments["pause"],
        arguments["scale"],
        arguments["fail_at"],
        progress,
    )


def picture(result: Counted) -> Figure:
    figure, axes = new_figure()
    axes[0, 0].plot(result.numbers)
    return describe(figure, f"Counted to {len(result.numbers)}.")


def live(state: Mapping[str, Any]) -> Figure:
    figure, axes = new_figure()
    axes[0, 0].plot(state["trace"]["level"])
    return describe(figure, f"Counting, {state['done']} so far.")


COUNT = Capability(
    function=count,
    title="Count",
    meaning="Counts.",
    group="Learn",
    picture=picture,
    live=live,
    verdicts=lambda result: [Verdict("good", "It was counted.", f"{len(result.numbers)} numbers")],
    numbers=lambda result: [Number("last", result.numbers[-1], "Å", 0.5, 10.0, "the book")] if result.numbers else [],
    data=lambda result: {"numbers": list(result.numbers)},
    needs=lambda values: "" if values["atoms"].pbc.all() else "needs a periodic cell",
    shown=lambda values: [n for n in ("atoms", "calculator", "steps", "pause", "scale", "way", "fail_at", "loud")
                          ] + (["goal"] if values["loud"] else []),
    resume=go_on,
    labels={"atoms": "Structure", "calculator": "Potential"},
    advanced=("fail_at",),
    unit="numbers",
)  # fmt: skip


def shelf() -> Shelf:
    """Copper and EMT."""
    made = Shelf()
    crystal = bulk("Cu", cubic=True)
    code = Snippet('bulk("Cu", cubic=True)', ("from ase.build import bulk",))
    made.add_structure(StructureEntry("copper", crystal, code))
    emt = Snippet("EMT()", ("from ase.calculators.emt import EMT",))
    made.add_potential(PotentialEntry("EMT", emt, EMT, {"kind": "catalogue", "name": "EMT", "options": {}}))
    return made
