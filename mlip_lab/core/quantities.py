"""Annotated quantities: a parameter's unit and range, written once in its type.

`Annotated[float, Quantity("K", low=0, high=10_000)]` documents a parameter, validates it at the call (through
`validated`), draws its widget with its unit, and prints it in emitted code.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Annotated, Any, ParamSpec, TypeVar, get_args, get_origin, get_type_hints

from mlip_lab.core.checks import as_integer
from mlip_lab.core.errors import InputError

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Quantity:
    """A number with a unit and a range.

    Attributes:
        unit: Unit as shown to people; "" for a pure number.
        low: Smallest allowed value.
        high: Largest allowed value.
        open_low: Whether `low` itself is excluded.
        whole: Whether only whole numbers are allowed.
    """

    unit: str
    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    whole: bool = False

    def check(self, name: str, value: Any) -> None:
        """Raise InputError unless `value` is a finite number within the range."""
        if self.whole:
            if isinstance(value, Integral) and not -(2**63) <= int(value) < 2**63:
                raise InputError(f"{name}: expected {self.described()}, got one that 64 bits do not hold.")
            low, high = (int(end) if math.isfinite(end) else None for end in (self.low, self.high))
            as_integer(name, value, low=low, high=high)
            return
        if isinstance(value, bool) or not isinstance(value, Real):
            raise InputError(f"{name}: expected {self.described()}, got {value!r}.")
        try:
            number = float(value)
        except OverflowError as error:
            raise InputError(f"{name}: expected {self.described()}, got one beyond 1e308.") from error
        if not math.isfinite(number):
            raise InputError(f"{name}: expected {self.described()}, got {value!r}.")
        if number < self.low or number > self.high or (self.open_low and number == self.low):
            raise InputError(f"{name}: expected {self.described()}, got {value} {self.unit}".rstrip() + ".")

    def described(self) -> str:
        """The range in words."""
        number = "a whole number" if self.whole else "a number"
        words = f"{number} in {self.unit}" if self.unit else number
        if math.isfinite(self.low):
            words += f" {'above' if self.open_low else 'of at least'} {self.low:g}"
        if math.isfinite(self.high):
            words += f"{' and' if math.isfinite(self.low) else ''} at most {self.high:g}"
        return words


@dataclass(frozen=True)
class Labelled:
    """Marks a parameter that takes labelled structures: the name of a packaged set, a file or a folder."""


Cutoff = Annotated[float, Quantity("Å", low=0.5, high=20.0)]
Temperature = Annotated[float, Quantity("K", low=0.0, high=1e5)]
TimeStep = Annotated[float, Quantity("fs", low=0.0, high=100.0, open_low=True)]
Friction = Annotated[float, Quantity("1/ps", low=0.0, high=1e5)]
Strain = Annotated[float, Quantity("", low=0.0, high=0.1, open_low=True)]
Force = Annotated[float, Quantity("eV/Å", low=0.0, high=100.0, open_low=True)]
Pressure = Annotated[float, Quantity("GPa", low=-1000.0, high=1000.0)]
Count = Annotated[int, Quantity("", low=1, whole=True)]
Seed = Annotated[int, Quantity("", low=0, high=2**63 - 1, whole=True)]


def quantities(function: Callable[..., Any]) -> dict[str, Quantity]:
    """The quantities among the parameters of `function`, by name."""
    hints = get_type_hints(function, include_extras=True)
    return {name: found for name, hint in hints.items() if (found := _quantity(hint)) is not None}


def _quantity(hint: Any) -> Quantity | None:
    if get_origin(hint) is Annotated:
        return next((extra for extra in hint.__metadata__ if isinstance(extra, Quantity)), None)
    return next((found for part in get_args(hint) if (found := _quantity(part)) is not None), None)


def _takes_none(hint: Any) -> bool:
    return hint is type(None) or any(_takes_none(part) for part in get_args(hint))


def validated(function: Callable[P, R]) -> Callable[P, R]:
    """Check every annotated quantity that `function` is called with; None passes where its type allows None."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        bound = signature.bind(*args, **kwargs)
        hints = get_type_hints(function, include_extras=True)
        for name, quantity in quantities(function).items():
            if name in bound.arguments and not (bound.arguments[name] is None and _takes_none(hints[name])):
                quantity.check(name, bound.arguments[name])
        return function(*args, **kwargs)

    return checked
