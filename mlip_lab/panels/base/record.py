"""What a panel shows of a finished run, in a form that can be stored and shown again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Verdict:
    """One line that judges a result in words a student understands.

    Attributes:
        level: "good" (✓), "warning" (⚠) or "bad" (✗).
        text: The sentence.
        details: Numbers behind it.
    """

    level: Literal["good", "warning", "bad"]
    text: str
    details: str = ""


@dataclass(frozen=True)
class Number:
    """A value with its error, unit and reference.

    Attributes:
        name: What it is.
        value: The value.
        unit: Its unit, "" for a pure number.
        error: Standard error in the same unit; None if not known.
        reference: What to compare with, in the same unit; None if there is nothing.
        source: Where the reference comes from.
    """

    name: str
    value: float
    unit: str = ""
    error: float | None = None
    reference: float | None = None
    source: str = ""


@dataclass(frozen=True)
class Record:
    """A finished run as shown: all of it is text, numbers and a picture.

    Attributes:
        capability: Name of the capability that ran.
        values: What was typed and chosen, by parameter name; structures and potentials by their names.
        picture: PNG.
        alt: The picture's main finding in words.
        verdicts: Judgements.
        numbers: Values with errors, units and references.
        code: Python that does the same.
        data: Arrays and numbers with units, for JSON.
        state: "done" or "stopped".
    """

    capability: str
    values: dict[str, Any]
    picture: bytes
    alt: str
    verdicts: tuple[Verdict, ...] = ()
    numbers: tuple[Number, ...] = ()
    code: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    state: Literal["done", "stopped"] = "done"
