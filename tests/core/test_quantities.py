"""A quantity refuses what is no number in its range, in words that name it, and nothing else."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from mlip_lab.core.errors import InputError
from mlip_lab.core.quantities import Count, Quantity, Seed, Temperature, validated

KELVIN = Quantity("K", low=0.0, high=100.0)
WHOLE = Quantity("", low=1, whole=True)


@validated
def heat(temperature: Temperature, *, bath: Temperature | None = None, steps: Count = 1, seed: Seed | None = 0) -> Any:
    return temperature, bath, steps, seed


@pytest.mark.parametrize("value", [0, 100, 1.5, Fraction(1, 3), np.float32(2), np.int64(3)])
def test_a_number_in_range_passes(value: Any) -> None:
    KELVIN.check("temperature", value)


@pytest.mark.parametrize(
    "value",
    [-1e-9, 100.1, math.nan, math.inf, 10**400, -(10**5000), Fraction(10**400), True, "3", None, 1j, [1.0]],
    ids=lambda value: type(value).__name__,
)
def test_anything_else_is_refused_in_words(value: Any) -> None:
    with pytest.raises(InputError, match=r"^temperature: expected a number in K of at least 0 and at most 100, got "):
        KELVIN.check("temperature", value)


@pytest.mark.parametrize(
    "value", [0, 1.0, 10**400, -(10**5000), True, "3", None, math.nan], ids=lambda v: type(v).__name__
)
def test_what_is_no_whole_number_in_range_is_refused_in_words(value: Any) -> None:
    with pytest.raises(InputError, match=r"^steps: expected a whole number"):
        WHOLE.check("steps", value)


def test_none_passes_only_where_its_type_allows_it() -> None:
    assert heat(300.0, bath=None, seed=None) == (300.0, None, 1, None)
    with pytest.raises(InputError, match=r"^temperature: expected a number in K .*, got None"):
        heat(None)
    with pytest.raises(InputError, match=r"^steps: expected a whole number, got None"):
        heat(300.0, steps=None)
    with pytest.raises(InputError, match="bath"):
        heat(300.0, bath=-1.0)
