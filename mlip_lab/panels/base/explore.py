"""A picture with sliders: `explore(draw, angle=(0, 360))` draws again whenever a slider is moved."""

from __future__ import annotations

import base64
import inspect
import math
import threading
import time
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import ipywidgets as widgets
from IPython.display import HTML, DisplayHandle, display
from matplotlib.figure import Figure

from mlip_lab.core.errors import InputError, MlipError
from mlip_lab.panels.base.clicks import hear_all_clicks
from mlip_lab.panels.base.fields import Field, fields_of
from mlip_lab.panels.base.image import DescribedImage
from mlip_lab.panels.base.look import CSS
from mlip_lab.panels.base.worker import REPORT_EVERY
from mlip_lab.plots.style import DRAWING, description, png

STEPS = 100  # of a slider between the ends, where none are given
OWN_SIZE = {"align_self": "flex-start", "width": "auto", "max_width": "100%"}  # not blown up to the full width
STYLE: dict[str, Any] = {"style": {"description_width": "150px"}, "layout": {"width": "480px", "max_width": "100%"}}


class Explored:
    """What `explore` gives: sliders above the picture they make.

    Attributes:
        sliders: Widgets by parameter name.
        image: The picture.
        words: Its main finding, or why it could not be drawn, in a live region that a screen reader reads out.
        widget: All of it.
        drawn: How often it was drawn.
    """

    def __init__(self, draw: Callable[..., Figure], sliders: dict[str, widgets.Widget]) -> None:
        """Draw once, here and now, so that an error of `draw` is seen by the one who wrote it."""
        self._draw, self.sliders, self.drawn = draw, sliders, 0
        self._lock, self._asked, self._busy = threading.Lock(), False, False
        self._kept: DisplayHandle | None = None
        self.image = DescribedImage(format="png", layout=OWN_SIZE)
        self.image.add_class("mlip-picture")
        self.words = widgets.HTML()
        self._show()
        self.widget = widgets.VBox([widgets.HTML(f"<style>{CSS}</style>"), *sliders.values(), self.image, self.words])
        self.widget.add_class("mlip-panel")
        for slider in sliders.values():
            slider.observe(self._moved, names="value")

    @property
    def values(self) -> dict[str, Any]:
        """Where the sliders stand."""
        return {name: slider.value for name, slider in self.sliders.items()}

    def _moved(self, _: Any) -> None:
        with self._lock:
            self._asked = True
            if self._busy:
                return
            self._busy = True
        threading.Thread(target=self._follow, name="mlip_lab explore", daemon=True).start()

    def _follow(self) -> None:
        """Draw the newest state until nobody asks any more, at most five times a second."""
        while True:
            with self._lock:
                if not self._asked:
                    self._busy = False
                    return
                self._asked = False
            began = time.monotonic()
            try:
                self._show()
            except MlipError as error:
                self._say(str(error), "mlip-bad-text")
            except Exception as error:  # what the reader draws may fail in any way; the sliders must live on
                self._say(f"This could not be drawn: {type(error).__name__}: {error}", "mlip-bad-text")
            if not self._asked and self._kept is not None:
                self._kept.update(HTML(self._saved()))
            time.sleep(max(0.0, REPORT_EVERY - (time.monotonic() - began)))

    def _show(self) -> None:
        with DRAWING:
            figure = self._draw(**self.values)
            picture = png(figure)
        self.image.value, self.image.tooltip = picture, description(figure)
        self._say(description(figure), "mlip-quiet")
        self.drawn += 1

    def _say(self, words: str, look: str) -> None:
        self.words.value = f"<span class='{look}' role='status' aria-live='polite'>{escape(words)}</span>"

    def _saved(self) -> str:
        picture = base64.b64encode(self.image.value).decode()
        alt = escape(self.image.tooltip, quote=True)
        return (
            f"<div class='mlip-saved'><img alt='{alt}' src='data:image/png;base64,{picture}' style='max-width:100%'>"
            f"<p>{alt}</p></div>"
        )

    def _ipython_display_(self) -> None:
        hear_all_clicks()
        display(self.widget)
        self._kept = display(HTML(self._saved()), display_id=True)


def explore(draw: Callable[..., Figure], **sliders: Any) -> Explored:
    """A picture with a slider for each parameter of the function that draws it.

    Moving a slider, by mouse or by arrow keys, draws again in the background, at most five times a second. What is
    drawn from must not be used elsewhere at the same time: give `draw` a calculator of its own.

    Args:
        draw: Parameters → Figure made with `plots.style`, without pyplot. Where all are annotated, their units are
            shown, and a `Quantity` with two limits, a Literal or bool needs no range here.
        **sliders: By parameter name, (low, high) or (low, high, step) in whole or other numbers, or a list of choices.

    Returns:
        Sliders and picture; a notebook shows them when they are the last line of a cell.

    Raises:
        InputError: If a parameter has no range, or a range is for no parameter.
    """
    parameters = inspect.signature(draw).parameters
    unknown = sorted(set(sliders) - set(parameters))
    if unknown or not parameters:
        raise InputError(f"sliders: expected ranges for {', '.join(parameters) or 'nothing'}, got {unknown}.")
    annotated = all(parameter.annotation is not parameter.empty for parameter in parameters.values())
    fields = {field.name: field for field in fields_of(draw)} if annotated else {}
    made = {}
    for name, parameter in parameters.items():
        field = fields.get(name) or Field(name, name.replace("_", " ").capitalize(), "number")
        default = None if parameter.default is parameter.empty else parameter.default
        made[name] = _from_range(field, sliders[name], default) if name in sliders else _from_field(field, default)
    return Explored(draw, made)


def _from_range(field: Field, given: Any, default: Any) -> widgets.Widget:
    if isinstance(given, list) and given:
        return _choice(field, given, default)
    numbers = isinstance(given, tuple) and all(isinstance(n, int | float) and math.isfinite(n) for n in given)
    if not numbers or len(given) not in (2, 3) or not given[0] < given[1]:
        raise InputError(f"{field.name}: expected (low, high), (low, high, step) or a list of choices, got {given!r}.")
    return _slider(field, given, default)


def _from_field(field: Field, default: Any) -> widgets.Widget:
    if field.kind == "switch":
        return widgets.Checkbox(value=bool(default), description=field.label, tooltip=field.help, **STYLE)
    if field.kind == "choice":
        return _choice(field, field.choices, default)
    low, high = field.quantity.low, field.quantity.high
    if field.kind not in ("number", "integer") or not (math.isfinite(low) and math.isfinite(high)):
        raise InputError(f"{field.name}: expected a range such as {field.name}=(0, 1), got none.")
    return _slider(field, (int(low), int(high)) if field.kind == "integer" else (float(low), float(high)), default)


def _choice(field: Field, choices: Sequence[Any], default: Any) -> widgets.Widget:
    value = default if default in choices else choices[0]
    options = list(choices)
    return widgets.Dropdown(options=options, value=value, description=field.label, tooltip=field.help, **STYLE)


def _slider(field: Field, ends: tuple[Any, ...], default: Any) -> widgets.Widget:
    low, high = ends[:2]
    value = low if default is None else min(max(default, low), high)
    kind: Any = widgets.FloatSlider
    step = ends[2] if len(ends) == 3 else (high - low) / STEPS
    if all(isinstance(end, int) for end in ends):
        kind, step = widgets.IntSlider, ends[2] if len(ends) == 3 else 1
    label = f"{field.label} ({field.unit})" if field.unit else field.label
    return kind(value=value, min=low, max=high, step=step, description=label, tooltip=field.help, **STYLE)
