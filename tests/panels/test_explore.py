"""Sliders draw a picture again, seldom enough, and live on after an error."""

from __future__ import annotations

import threading
import time
from typing import Annotated, Any, Literal

import ipywidgets as widgets
import pytest
from matplotlib.figure import Figure

from mlip_lab.core.errors import InputError
from mlip_lab.core.quantities import Quantity
from mlip_lab.panels.base.explore import Explored, explore
from mlip_lab.plots.style import describe, new_figure

Angle = Annotated[float, Quantity("°", low=0, high=360)]


def drawn(words: str) -> Figure:
    figure, _ = new_figure(size=(1.0, 1.0))
    return describe(figure, words)


def settled(explored: Explored, count: int) -> bool:
    """Wait until it was drawn at least so often and nobody draws any more."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        if explored.drawn >= count and not explored._busy:
            return True
        time.sleep(0.01)
    return False


def test_ranges_make_sliders() -> None:
    explored = explore(
        lambda a, b, c, d=0.7: drawn(f"{a} {b} {c} {d}"), a=(0, 5), b=(0.0, 1.0), c=["one", "two"], d=(0, 1, 0.1)
    )
    a, b, c, d = explored.sliders.values()
    assert (type(a), a.min, a.max, a.value, a.step) == (widgets.IntSlider, 0, 5, 0, 1)
    assert (type(b), b.step) == (widgets.FloatSlider, 0.01)
    assert (type(c), c.options, c.value) == (widgets.Dropdown, ("one", "two"), "one")
    assert (type(d), d.value, d.step) == (widgets.FloatSlider, 0.7, 0.1)
    assert bytes(explored.image.value).startswith(b"\x89PNG")
    assert explored.image.tooltip == "0 0.0 one 0.7"
    assert explored.drawn == 1


def test_annotated_parameters_need_no_range() -> None:
    def draw(angle: Angle = 30.0, way: Literal["up", "down"] = "down", loud: bool = True) -> Figure:
        """Draw.

        Args:
            angle: How far to turn.
            way: Where to.
            loud: Whether it is heard.
        """
        return drawn(f"{angle} {way} {loud}")

    explored = explore(draw)
    angle, way, loud = explored.sliders.values()
    assert (angle.min, angle.max, angle.value, angle.description) == (0, 360, 30, "Angle (°)")
    assert "How far to turn." in angle.tooltip
    assert (way.value, loud.value) == ("down", True)
    assert explored.image.tooltip == "30.0 down True"


def test_a_range_keeps_the_unit_of_the_annotation() -> None:
    slider = explore(turned, angle=(0.0, 90.0)).sliders["angle"]
    assert (slider.description, slider.max, slider.value) == ("Angle (°)", 90.0, 30.0)


def turned(angle: Angle = 30.0) -> Figure:
    return drawn(f"{angle}")


def test_moving_a_slider_draws_the_newest_state() -> None:
    explored = explore(lambda a: drawn(f"now {a}"), a=(0, 100))
    began = time.monotonic()
    for value in range(1, 101):
        explored.sliders["a"].value = value
        time.sleep(0.01)
    moved = time.monotonic() - began
    assert settled(explored, 2)
    assert explored.image.tooltip == "now 100"
    assert "now 100" in explored.words.value and "aria-live" in explored.words.value
    assert 2 < explored.drawn <= 3 + 5 * moved  # the first, one each 0.2 s, the last


def test_drawing_follows_on_another_thread_and_leaves_none_behind() -> None:
    where: list[str] = []

    def draw(a: int) -> Figure:
        where.append(threading.current_thread().name)
        return drawn(str(a))

    explored = explore(draw, a=(0, 10))
    explored.sliders["a"].value = 3
    assert settled(explored, 2)
    assert where == [threading.current_thread().name, "mlip_lab explore"]
    until = time.monotonic() + 5
    while time.monotonic() < until and any(thread.name == "mlip_lab explore" for thread in threading.enumerate()):
        time.sleep(0.01)
    assert all(thread.name != "mlip_lab explore" for thread in threading.enumerate())


@pytest.mark.parametrize("error", [InputError("Choose a smaller one."), ZeroDivisionError("division by zero")])
def test_an_error_is_said_and_the_next_move_draws_again(error: Exception) -> None:
    def draw(a: int) -> Figure:
        if a == 1:
            raise error
        return drawn(f"fine at {a}")

    explored = explore(draw, a=(0, 2))
    explored.sliders["a"].value = 1
    assert settled(explored, 1)
    assert str(error) in explored.words.value and "mlip-bad-text" in explored.words.value
    explored.sliders["a"].value = 2
    assert settled(explored, 2)
    assert "fine at 2" in explored.words.value


def test_what_cannot_be_drawn_at_all_is_an_error_at_once() -> None:
    def draw(a: int) -> Figure:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        explore(draw, a=(0, 2))


def test_a_notebook_keeps_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Any] = []
    monkeypatch.setattr("mlip_lab.panels.base.explore.display", lambda thing, **_: shown.append(thing))
    explored = explore(lambda a: drawn(f"it's {a} < 5"), a=(0, 3))
    explored._ipython_display_()
    assert shown[0] is explored.widget
    assert "data:image/png;base64," in shown[1].data
    assert "alt='it&#x27;s 0 &lt; 5'" in shown[1].data


@pytest.mark.parametrize(
    ("sliders", "words"),
    [
        ({}, "a: expected a range"),
        ({"a": (1, 0)}, r"a: expected \(low, high\)"),
        ({"a": (0.0, float("inf"))}, r"a: expected \(low, high\)"),
        ({"a": ("x", "y")}, r"a: expected \(low, high\)"),
        ({"a": []}, r"a: expected \(low, high\)"),
        ({"a": (0, 1), "b": (0, 1)}, r"got \['b'\]"),
    ],
)
def test_ranges_that_make_no_slider_are_refused(sliders: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        explore(lambda a: drawn("nothing"), **sliders)
