"""The way from a result up to its picture, taken only when it is asked for."""

from __future__ import annotations

import importlib
from typing import Any


def plotted(module: str, function: str, result: Any, **options: Any) -> Any:
    """Draw a result with `mlip_lab.plots.<module>.<function>`, so that the same picture is one call away.

    Results lie below pictures and must not import them; this import happens when a user asks for the picture.
    """
    return getattr(importlib.import_module(f"mlip_lab.plots.{module}"), function)(result, **options)
