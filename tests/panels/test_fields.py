"""A form is read off a signature: kinds, units, ranges, choices and words."""

from __future__ import annotations

from typing import Any

import pytest

from mlip_lab.core.errors import InputError
from mlip_lab.panels.base.fields import REQUIRED, argument_help, fields_of
from tests.panels.toy import count

FIELDS = {field.name: field for field in fields_of(count)}


def test_every_parameter_but_progress_has_a_field_of_its_kind() -> None:
    assert {name: field.kind for name, field in FIELDS.items()} == {
        "atoms": "structure",
        "calculator": "potential",
        "steps": "integer",
        "pause": "number",
        "scale": "number",
        "way": "choice",
        "goal": "number",
        "loud": "switch",
        "fail_at": "integer",
    }
    assert FIELDS["atoms"].default is REQUIRED
    assert (FIELDS["scale"].unit, FIELDS["scale"].default, FIELDS["scale"].optional) == ("Å", 1.5, False)
    assert FIELDS["goal"].optional and FIELDS["goal"].default is None
    assert FIELDS["way"].choices == ("up", "down")
    assert FIELDS["fail_at"].label == "Fail at"


def test_help_is_the_docstrings() -> None:
    assert argument_help(count)["pause"] == "Time between two numbers, on the clock."
    assert FIELDS["scale"].tooltip == "A length. Takes a number in Å above 0 and at most 10."
    assert "whole number" in FIELDS["steps"].tooltip


@pytest.mark.parametrize(
    ("name", "raw", "value"),
    [
        ("scale", "2.5", 2.5),
        ("scale", " 2,5 ", 2.5),
        ("steps", "7", 7),
        ("steps", "1e3", 1000),
        ("goal", "", None),
        ("goal", "300", 300.0),
        ("way", "down", "down"),
        ("loud", True, True),
        ("fail_at", "−3", -3),
    ],
)
def test_what_is_typed_becomes_a_value(name: str, raw: Any, value: Any) -> None:
    parsed = FIELDS[name].parse(raw)
    assert parsed == value and type(parsed) is type(value)


@pytest.mark.parametrize(
    ("name", "raw", "words"),
    [
        ("scale", "abc", "Scale: expected a number in Å above 0 and at most 10, got 'abc'"),
        ("scale", "0", "above 0"),
        ("scale", "11", "at most 10"),
        ("scale", "nan", "expected"),
        ("scale", "", "got nothing"),
        ("steps", "2.5", "whole number"),
        ("steps", "0", "at least 1"),
        ("steps", "inf", "whole number"),
        ("way", "sideways", "one of up, down"),
    ],
)
def test_nonsense_is_refused_in_words(name: str, raw: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        FIELDS[name].parse(raw)


@pytest.mark.parametrize("value", [1.5, 0.1 + 0.2, 1e-7, 3, None, 1e22])
def test_a_value_survives_being_typed(value: Any) -> None:
    field = FIELDS["goal"]
    back = field.parse(field.raw(value))
    assert back == value


def test_an_unknown_type_is_refused() -> None:
    def odd(*, thing: dict[str, int]) -> None:
        """Odd."""

    with pytest.raises(InputError, match="thing: no input is known"):
        fields_of(odd)
