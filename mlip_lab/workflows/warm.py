"""Compiling ahead of first use: forces and molecular dynamics of a potential."""

from __future__ import annotations

from typing import Any

from mlip_lab.dynamics.md import md


def warm(calculator: Any) -> None:
    """Compile now, or load from the cache, what the first force call and the first steps of dynamics need.

    Args:
        calculator: A calculator of a trained potential; any other needs nothing.
    """
    if hasattr(calculator, "warm"):
        calculator.warm()
        md(calculator.dimer(), calculator, steps=1, initial_temperature=1.0)
