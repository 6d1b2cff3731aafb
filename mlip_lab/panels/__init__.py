"""Panels: each is the picture of one function. `panels.md(atoms, calculator)` gives one for a notebook cell.

Every module of this package holds a `Capability`. The Lab finds it without its being named anywhere, and a function
that makes its panel stands here under the capability's name, in place of the module.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from typing import Any

from mlip_lab.panels.base.capability import Capability
from mlip_lab.panels.base.panel import Panel
from mlip_lab.panels.base.standalone import shelf_of


def capabilities() -> tuple[Capability, ...]:
    """The capability of every panel, in alphabetical order of their modules."""
    return _CAPABILITIES


def _found() -> tuple[Capability, ...]:
    names = sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.ispkg)
    modules = [importlib.import_module(f"{__name__}.{name}") for name in names]
    return tuple(value for module in modules for value in vars(module).values() if isinstance(value, Capability))


def _maker(capability: Capability) -> Callable[..., Panel]:
    def panel(atoms: Any = None, calculator: Any = None, **values: Any) -> Panel:
        return Panel(capability, shelf_of(atoms, calculator), values)

    panel.__name__ = panel.__qualname__ = capability.name
    panel.__doc__ = f"""A panel: {capability.meaning}

    Args:
        atoms: An ase.Atoms, or a shelf of structures and potentials to choose from; a calculator alone may stand here.
        calculator: Any ASE calculator.
        **values: Inputs to begin with, by the names of the function's parameters.
    """
    return panel


_CAPABILITIES = _found()
globals().update({capability.name: _maker(capability) for capability in _CAPABILITIES})
__all__ = ["capabilities", *(capability.name for capability in _CAPABILITIES)]
