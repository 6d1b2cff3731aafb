"""Fields of a form, read off a function's signature: one a parameter, with unit, range, default and help."""

from __future__ import annotations

import inspect
import math
import re
import types
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from mlip_lab.core.checks import one_of
from mlip_lab.core.errors import InputError
from mlip_lab.core.progress import Progress
from mlip_lab.core.quantities import Labelled, Quantity

Kind = Literal["structure", "potential", "data", "number", "integer", "switch", "choice", "text"]
REQUIRED: Any = inspect.Parameter.empty
PLAIN = Quantity("")


@dataclass(frozen=True)
class Field:
    """One line of a form.

    Attributes:
        name: Parameter of the function.
        label: What stands before the input.
        kind: What may be put in.
        default: Its default; REQUIRED if there is none.
        quantity: Unit and range of a number.
        choices: What a choice is among.
        optional: Whether None is allowed; an empty input means it.
        help: What the function's docstring says of it.
    """

    name: str
    label: str
    kind: Kind
    default: Any = REQUIRED
    quantity: Quantity = PLAIN
    choices: tuple[str, ...] = ()
    optional: bool = False
    help: str = ""

    @property
    def unit(self) -> str:
        """Unit as shown behind the input."""
        return self.quantity.unit

    def parse(self, raw: Any) -> Any:
        """Turn what was typed or chosen into a value for the function.

        Raises:
            InputError: If it is not one, in words.
        """
        if isinstance(raw, str):
            raw = raw.strip()
        if raw is None or raw == "":
            if self.optional:
                return None
            raise InputError(f"{self.label}: {_asked_for(self)}.")
        if self.kind == "switch":
            return bool(raw)
        if self.kind == "choice":
            return one_of(self.label, raw, self.choices)
        if self.kind in ("number", "integer"):
            return self._number(raw)
        return str(raw)

    def _number(self, raw: Any) -> float | int:
        try:
            value = float(str(raw).replace("−", "-").replace(",", "."))
        except ValueError as error:
            raise InputError(f"{self.label}: expected {self.quantity.described()}, got {raw!r}.") from error
        if self.kind == "integer":
            if not math.isfinite(value) or value != int(value):
                raise InputError(f"{self.label}: expected a whole number, got {raw!r}.")
            value = int(value)
        self.quantity.check(self.label, value)
        return value

    def raw(self, value: Any) -> Any:
        """A value as it stands in the input: text, or true and false for a switch."""
        if self.kind == "switch":
            return bool(value)
        if value is None or value is REQUIRED:
            return ""
        return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)

    @property
    def tooltip(self) -> str:
        """Help and allowed range."""
        limits = self.quantity.described() if self.kind in ("number", "integer") else ""
        empty = "Leave empty for none." if self.optional else ""
        return " ".join(part for part in (self.help, f"Takes {limits}." if limits else "", empty) if part)


def _asked_for(field: Field) -> str:
    if field.kind in ("number", "integer"):
        return f"expected {field.quantity.described()}, got nothing"
    asked = {"structure": "choose a structure", "potential": "choose a potential", "data": "choose labelled structures"}
    return asked.get(field.kind, "fill this in")


def fields_of(function: Callable[..., Any], labels: dict[str, str] | None = None) -> tuple[Field, ...]:
    """The fields of a function, in the order of its parameters; `progress` and `executor` have none.

    Args:
        function: A capability: annotated, with a Google-style docstring.
        labels: Labels other than the parameter's name in words.

    Raises:
        InputError: If a parameter has a type that no input is known for.
    """
    hints = get_type_hints(function, include_extras=True)
    helps = argument_help(function)
    found = []
    for name, parameter in inspect.signature(function).parameters.items():
        kind, quantity, choices, optional = _described(name, hints.get(name))
        if kind is None:
            continue
        label = (labels or {}).get(name) or name.replace("_", " ").capitalize()
        found.append(Field(name, label, kind, parameter.default, quantity, choices, optional, helps.get(name, "")))
    return tuple(found)


def argument_help(function: Callable[..., Any]) -> dict[str, str]:
    """What the Args section of a Google-style docstring says of each parameter."""
    text = inspect.getdoc(function) or ""
    section = re.search(r"^Args:\n(.*?)(?=^\S|\Z)", text, re.MULTILINE | re.DOTALL)
    entries = re.findall(r"^    (\w+): (.*?)(?=^    \w|\Z)", section.group(1) if section else "", re.M | re.S)
    return {name: " ".join(words.split()) for name, words in entries}


def _described(name: str, hint: Any) -> tuple[Kind | None, Quantity, tuple[str, ...], bool]:
    """Kind, quantity, choices and whether None is allowed; no kind for what has no input."""
    quantity, labelled, optional = PLAIN, False, False
    while True:
        if get_origin(hint) is Annotated:
            hint, *extras = get_args(hint)
            quantity = next((extra for extra in extras if isinstance(extra, Quantity)), quantity)
            labelled = labelled or any(isinstance(extra, Labelled) for extra in extras)
        elif get_origin(hint) in (Union, types.UnionType) and type(None) in get_args(hint):
            optional = True
            hint = Union[tuple(part for part in get_args(hint) if part is not type(None))]  # noqa: UP007 - built here
        else:
            break
    if hint in (Progress, Executor):
        return None, quantity, (), optional
    if name in ("atoms", "calculator"):
        return ("structure" if name == "atoms" else "potential"), quantity, (), optional
    if labelled:
        return "data", quantity, (), optional
    if get_origin(hint) is Literal:
        return "choice", quantity, tuple(str(choice) for choice in get_args(hint)), optional
    kinds: dict[Any, Kind] = {bool: "switch", int: "integer", float: "number", str: "text", Path: "text"}
    kind = kinds.get(hint) or ("text" if set(get_args(hint)) <= {str, Path} and get_args(hint) else None)
    if kind is None:
        raise InputError(f"{name}: no input is known for the type {hint!r}; annotate it, or leave it out of the form.")
    return kind, quantity, (), optional
