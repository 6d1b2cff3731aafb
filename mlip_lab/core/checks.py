"""Checks at the public boundary: each says the name, what was expected and what came."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlip_lab.core.errors import InputError


def as_floats(name: str, value: Any, shape: Sequence[int | None]) -> NDArray[np.float64]:
    """Return `value` as a contiguous float64 array of finite numbers.

    Args:
        name: What the user calls this input.
        value: Anything numpy can turn into an array.
        shape: Expected shape, None for any length.

    Returns:
        The array.

    Raises:
        InputError: If it has another shape, is not numeric, or holds NaN or infinity.
    """
    wanted = "(" + ", ".join("any" if n is None else str(n) for n in shape) + ")"
    try:
        array = np.ascontiguousarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: expected numbers of shape {wanted}, got {type(value).__name__}.") from error
    if len(shape) == 0:
        array = array.reshape(array.shape if array.size != 1 else ())
    if array.ndim != len(shape) or any(n is not None and n != m for n, m in zip(shape, array.shape, strict=True)):
        raise InputError(f"{name}: expected shape {wanted}, got {array.shape}.")
    if not np.isfinite(array).all():
        raise InputError(f"{name}: expected finite numbers, got NaN or infinity.")
    return array


def as_integer(name: str, value: Any, *, low: int | None = None, high: int | None = None) -> int:
    """Return `value` as an int within bounds, refusing fractions and booleans."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise InputError(f"{name}: expected a whole number, got {value!r}.")
    number = int(value)
    if (low is not None and number < low) or (high is not None and number > high):
        raise InputError(f"{name}: expected a whole number {_interval(low, high)}, got {number}.")
    return number


def one_of(name: str, value: Any, choices: Sequence[str]) -> str:
    """Return `value` if it is among `choices`."""
    if value not in choices:
        raise InputError(f"{name}: expected one of {', '.join(choices)}; got {value!r}.")
    return str(value)


def _interval(low: float | None, high: float | None) -> str:
    if low is None:
        return f"up to {high}"
    return f"of at least {low}" if high is None else f"from {low} to {high}"
