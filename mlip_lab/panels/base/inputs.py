"""One row of a form: label, input, unit, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any

import ipywidgets as widgets

from mlip_lab.panels.base.fields import Field
from mlip_lab.panels.base.form import FormModel
from mlip_lab.panels.base.upload import kept, upload_button

LABEL = {"description_width": "150px"}


class Row:
    """The input of one field. It shows the model's raw value and passes on every change.

    Attributes:
        widget: The row.
        input: The input in it.
        upload: The button beside it that takes a file, for labelled structures.
        on_enter: Called when Enter is pressed in a text input.
    """

    def __init__(self, model: FormModel, field: Field) -> None:
        """Make the input that suits the field."""
        self.model, self.field = model, field
        self.on_enter: Callable[[], None] = lambda: None
        self.input = self._input()
        self._problem = widgets.HTML()
        self._problem.add_class("mlip-problem")
        line = [self.input]
        if field.unit:
            unit = widgets.Label(field.unit)
            unit.add_class("mlip-unit")
            line.append(unit)
        if field.kind == "data":
            self.upload = upload_button(self._uploaded, self._say, takes="Any file with labels that ASE reads")
            line.append(self.upload)
        self._said = widgets.HTML(layout={"display": "none"})
        self._said.add_class("mlip-said")
        box = widgets.HBox(line)
        box.add_class("mlip-line")
        self.widget = widgets.VBox([box, self._problem, self._said])
        self.show()
        self.input.observe(self._changed, names="value")

    def _input(self) -> Any:
        field = self.field
        common = {"description": field.label, "style": LABEL, "tooltip": field.tooltip}
        if field.kind == "switch":
            return widgets.Checkbox(value=bool(self.model.raw[field.name]), indent=True, **common)
        if field.kind in ("choice", "structure", "potential"):
            return widgets.Dropdown(options=self._options(), layout={"width": "400px", "max_width": "100%"}, **common)
        if field.kind == "data":
            from mlip_lab.data.packaged import packaged_names

            return widgets.Combobox(
                options=packaged_names(), ensure_option=False, placeholder="name of a set, file or folder",
                layout={"width": "400px", "max_width": "100%"}, **common,
            )  # fmt: skip
        width = "400px" if field.kind == "text" else "260px"
        hint = "not given" if field.optional else ""
        text = widgets.Text(placeholder=hint, layout={"width": width, "max_width": "100%"}, **common)
        text.on_msg(self._message)
        return text

    def _options(self) -> list[tuple[str, str]]:
        field, shelf = self.field, self.model.shelf
        if field.kind == "choice":
            own = [(choice, choice) for choice in field.choices]
            return [("automatic", ""), *own] if field.optional else own
        names = shelf.structures if field.kind == "structure" else shelf.potentials
        return [(name, name) for name in names]

    def show(self) -> None:
        """Take over what the model holds."""
        raw = self.model.raw[self.field.name]
        if isinstance(self.input, widgets.Dropdown):
            options = self._options()
            if tuple(self.input.options) != tuple(options):
                self.input.options = options
            raw = raw if raw in [value for _, value in options] else None
        if self.input.value != raw:
            self.input.value = raw
        problem = self.model.problems.get(self.field.name, "")
        # An input that was never filled in is not blamed: the reason beside Run asks for it.
        wrong = bool(problem) and raw not in ("", None)
        (self.input.add_class if wrong else self.input.remove_class)("mlip-bad")
        self._problem.value = escape(problem) if wrong else ""
        self._problem.layout.display = "" if wrong else "none"
        self.widget.layout.display = "" if self.field.name in self.model.shown else "none"

    def _changed(self, change: dict[str, Any]) -> None:
        new = "" if change["new"] is None else change["new"]
        if new != self.model.raw[self.field.name]:
            self._say("", False)
            self.model.set(self.field.name, new)

    def _uploaded(self, name: str, content: bytes) -> str:
        path = kept(name, content)
        self.model.set(self.field.name, str(path))
        return f"Kept as {path} beside the notebook, where the code finds it."

    def _say(self, words: str, bad: bool) -> None:
        self._said.value = f"<span class='{'mlip-bad-text' if bad else 'mlip-quiet'}'>{escape(words)}</span>"
        self._said.layout.display = "" if words else "none"

    def _message(self, _: Any, content: dict[str, Any], __: Any) -> None:
        if content.get("event") == "submit":
            self.on_enter()
