"""The passive view of a panel: widgets that show a model's traits and pass on what is clicked and typed."""

from __future__ import annotations

import base64
from collections.abc import Callable
from html import escape
from typing import Any

import ipywidgets as widgets

from mlip_lab.panels.base.image import DescribedImage
from mlip_lab.panels.base.inputs import Row
from mlip_lab.panels.base.look import CSS, clock, numbers_html, verdicts_html
from mlip_lab.panels.base.model import PanelModel
from mlip_lab.panels.base.saving import save_data, save_picture

RESTS = 120  # ms without a move until the mouse rests
STATE_WORDS = {
    "done": "Done.",
    "stale": "The inputs have changed since this result. Run again to see theirs.",
}


class PanelView:
    """Widgets of one panel. A Lab lays its parts out by itself; alone they stand below each other as `widget`.

    Attributes:
        model: What is shown.
        head, form, controls, picture, verdicts, numbers, tools: The parts, in reading order.
    """

    def __init__(self, model: PanelModel, *, show_shelf: bool = True) -> None:
        """Show a model.

        Args:
            model: What to show.
            show_shelf: Whether structure and potential are chosen here.
        """
        self.model = model
        self._seen = -1
        self.head = self._head()
        self.rows = {
            field.name: Row(model, field)
            for field in model.capability.fields
            if show_shelf or field.kind not in ("structure", "potential")
        }
        self.form = self._form()
        self.controls = self._controls()
        self._image = DescribedImage(format="png")
        self._image.add_class("mlip-picture")
        self._events = self._watched()
        self._caption = widgets.HTML()
        self._sketch = widgets.HTML(f"<div class='mlip-sketch'>Run shows here: {escape(model.capability.shows)}.</div>")
        self.picture = widgets.VBox([self._sketch])
        self.verdicts, self.numbers = widgets.HTML(), widgets.HTML()
        self.tools = self._tools()
        parts = [self.head, self.form, self.controls, self.picture, self.verdicts, self.numbers, self.tools]
        self.widget = widgets.VBox([widgets.HTML(f"<style>{CSS}</style>"), *parts])
        self.widget.add_class("mlip-panel")
        self._observed: list[tuple[Callable[..., None], list[str]]] = [
            (self._show_state, ["state", "reason", "stage", "done", "total", "left", "words", "details"]),
            (self._show_form, ["raw", "problems", "shown"]),
            (self._show_about, ["about"]),
            (self._show_picture, ["pictures", "picked", "pointed"]),
            (self._show_result, ["verdicts", "numbers"]),
            (self._show_code, ["code"]),
        ]
        for handler, names in self._observed:
            model.observe(handler, names=names)
            handler(None)

    def close(self) -> None:
        """Let go of the model and close every widget."""
        for handler, names in self._observed:
            self.model.unobserve(handler, names=names)
        _close(self.widget)
        for heard in self._events:
            heard.close()

    def _watched(self) -> list[Any]:
        """What hears clicks on the picture, and the mouse that rests on it, where they mean something."""
        found: list[Any] = []
        if self.model.capability.picked is not None:
            found.append(self._heard(self.model.pick, ["click"]))
        if self.model.capability.pointed is not None:
            found.append(self._heard(self.model.point, ["mousemove", "mouseleave"], RESTS))
        return found

    def _heard(self, do: Callable[[float, float], None], events: list[str], rests: int = 0) -> Any:
        from ipyevents import Event

        def passed_on(event: dict[str, Any]) -> None:
            width, height = event["boundingRectWidth"], event["boundingRectHeight"]
            do(event["relativeX"] / width, 1.0 - event["relativeY"] / height)

        limit = {"throttle_or_debounce": "debounce", "wait": rests} if rests else {}
        heard = Event(source=self._image, watched_events=events, **limit)
        heard.on_dom_event(passed_on)
        return heard

    def _head(self) -> widgets.Widget:
        capability = self.model.capability
        title = widgets.HTML(f"<h2>{escape(capability.title)}</h2>")
        meaning = widgets.HTML(f"<p class='mlip-meaning'>{escape(capability.meaning)}</p>")
        if not capability.formula:
            return widgets.VBox([title, meaning])
        ask = widgets.ToggleButton(
            description="?", tooltip="The formula and where it comes from", layout={"width": "36px"}
        )
        text = widgets.HTMLMath(capability.formula)
        text.add_class("mlip-help")
        text.layout.display = "none"
        ask.observe(lambda change: setattr(text.layout, "display", "" if change["new"] else "none"), names="value")
        return widgets.VBox([widgets.HBox([title, ask]), meaning, text])

    def _form(self) -> widgets.Widget:
        advanced = [row.widget for name, row in self.rows.items() if name in self.model.capability.advanced]
        plain = [row.widget for name, row in self.rows.items() if name not in self.model.capability.advanced]
        if advanced:
            folded = widgets.Accordion([widgets.VBox(advanced)], titles=("Advanced",), selected_index=None)
            plain.append(folded)
        self.about = widgets.HTML()
        form = widgets.VBox([*plain, self.about])
        form.add_class("mlip-form")
        return form

    def _controls(self) -> widgets.Widget:
        self.run = _button("Run", self.model.run, "Start")
        self.run.add_class("mlip-run")
        self.stop = _button("Stop", self.model.stop, "Stop and keep what is finished")
        self.resume = _button("Continue", self.model.resume, "Go on where it was stopped")
        self.bar = widgets.FloatProgress(min=0.0, max=1.0, layout={"width": "160px"})
        self.status = widgets.HTML()
        line = widgets.HBox([self.run, self.stop, self.resume, self.bar, self.status])
        line.add_class("mlip-controls")
        for row in self.rows.values():
            row.on_enter = self._entered
        return line

    def _entered(self) -> None:
        if not self.model.reason:
            self.model.run()

    def _tools(self) -> widgets.Widget:
        self.show_code = widgets.ToggleButton(
            description="Show code", tooltip="Python that does the same in a new cell"
        )
        self.code = widgets.Textarea(disabled=False, rows=10, layout={"width": "98%"})
        self.code.add_class("mlip-code")
        self.code.layout.display = "none"
        self.said = widgets.HTML()
        self.save_picture = _button("Save picture", lambda: self._saved(save_picture), "As PNG and SVG")
        self.save_data = _button(
            "Save data", lambda: self._saved(save_data), "As JSON with units, and files that belong to it"
        )
        self.show_code.observe(
            lambda change: setattr(self.code.layout, "display", "" if change["new"] else "none"), names="value"
        )
        line = widgets.HBox([self.show_code, self.save_picture, self.save_data, self.said])
        line.add_class("mlip-tools")
        return widgets.VBox([line, self.code])

    def _saved(self, save: Callable[[PanelModel], str]) -> None:
        self.said.value = f"<span class='mlip-quiet'>{escape(save(self.model))}</span>"

    def _show_state(self, _: Any) -> None:
        model = self.model
        running, stopped = model.state == "running", model.state == "stopped"
        self.run.disabled = bool(model.reason)
        self.stop.disabled = not running
        self.resume.disabled = not stopped
        self.bar.layout.display = "" if running or stopped else "none"
        self.bar.value = model.done / model.total if model.total else 0.0
        self.status.value = self._status()
        kept = model.record is not None
        self.save_picture.disabled = self.save_data.disabled = not kept
        for part in (self.picture, self.verdicts, self.numbers):
            (part.add_class if model.state in ("stale", "failed") else part.remove_class)("mlip-stale")

    def _status(self) -> str:
        model = self.model
        if model.state == "running":
            parts = [model.stage]
            if model.total:
                parts.append(f"{100 * model.done / model.total:.0f} %")
            if model.left >= 0:
                parts.append(f"{clock(model.left)} left")
            return f"<span role='status'>{escape(' · '.join(parts))}</span>"
        if model.state == "failed":
            more = f"<details><summary>Details</summary><pre>{escape(model.details)}</pre></details>"
            return f"<div class='mlip-bad-text' role='alert'>{escape(model.words)}</div>{more if model.details else ''}"
        if model.reason:
            return f"<span class='mlip-bad-text'>{escape(model.reason)}</span>"
        return f"<span role='status'>{escape(STATE_WORDS.get(model.state, model.words))}</span>"

    def _show_form(self, _: Any) -> None:
        for row in self.rows.values():
            row.show()

    def _show_about(self, _: Any) -> None:
        words = self.model.about
        self.about.value = f"<div class='mlip-report'>{escape(words)}</div>" if words else ""

    def _show_picture(self, _: Any) -> None:
        if self.model.picture:
            self._image.value = self.model.picture
            self._image.tooltip = self.model.alt
            invites = self.model.capability.invites if self.model.result is not None else ""
            words = " ".join(filter(None, (self.model.alt, self.model.pointed or self.model.picked or invites)))
            self._caption.value = f"<span class='mlip-quiet' role='status'>{escape(words)}</span>"
            if len(self.picture.children) == 1:
                self.picture.children = (self._image, self._caption)

    def _show_result(self, _: Any) -> None:
        self.verdicts.value = verdicts_html(self.model.verdicts)
        self.numbers.value = numbers_html(self.model.numbers)

    def _show_code(self, _: Any) -> None:
        self.code.value = self.model.code
        self.code.rows = min(24, self.model.code.count("\n") + 2)


def saved_html(model: PanelModel) -> str:
    """What a notebook keeps of a panel for when there is no kernel: picture, judgements and numbers."""
    record = model.record
    if record is None:
        return ""
    picture = base64.b64encode(record.picture).decode()
    return (
        f"<div class='mlip-saved'><h4>{escape(model.capability.title)}</h4>"
        f"<img alt='{escape(record.alt, quote=True)}' src='data:image/png;base64,{picture}' style='max-width:100%'>"
        f"<p>{escape(record.alt)}</p>{verdicts_html(record.verdicts)}{numbers_html(record.numbers)}</div>"
    )


def _button(name: str, action: Callable[[], Any], tooltip: str) -> widgets.Button:
    button = widgets.Button(description=name, tooltip=tooltip)
    button.on_click(lambda _: action())
    return button


def _close(widget: widgets.Widget) -> None:
    for child in getattr(widget, "children", ()):
        _close(child)
    widget.close()
