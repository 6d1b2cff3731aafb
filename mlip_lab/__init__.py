"""A workbench for machine-learned interatomic potentials.

The public functions are imported when first used, so that `import mlip_lab` is quick and a trained potential
runs without torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlip_lab.data.label import label_frames as label
    from mlip_lab.data.reader import inspect, read_frames
    from mlip_lab.dynamics.md import md
    from mlip_lab.lab.lab import Lab
    from mlip_lab.model.files import load
    from mlip_lab.model.potential import Potential
    from mlip_lab.properties.elastic import elastic
    from mlip_lab.properties.equation_of_state import equation_of_state
    from mlip_lab.properties.phonons import phonons
    from mlip_lab.properties.relax import relax
    from mlip_lab.properties.surfaces import surfaces
    from mlip_lab.properties.thermal_expansion import thermal_expansion
    from mlip_lab.workflows.train import train

__version__ = "0.1.0"

__all__ = [
    "Lab",
    "Potential",
    "__version__",
    "elastic",
    "equation_of_state",
    "inspect",
    "label",
    "load",
    "md",
    "phonons",
    "read_frames",
    "relax",
    "surfaces",
    "thermal_expansion",
    "train",
]

_HOMES = {
    "Lab": ("mlip_lab.lab.lab", "Lab"),
    "Potential": ("mlip_lab.model.potential", "Potential"),
    "elastic": ("mlip_lab.properties.elastic", "elastic"),
    "equation_of_state": ("mlip_lab.properties.equation_of_state", "equation_of_state"),
    "inspect": ("mlip_lab.data.reader", "inspect"),
    "label": ("mlip_lab.data.label", "label_frames"),
    "load": ("mlip_lab.model.files", "load"),
    "md": ("mlip_lab.dynamics.md", "md"),
    "phonons": ("mlip_lab.properties.phonons", "phonons"),
    "read_frames": ("mlip_lab.data.reader", "read_frames"),
    "relax": ("mlip_lab.properties.relax", "relax"),
    "surfaces": ("mlip_lab.properties.surfaces", "surfaces"),
    "thermal_expansion": ("mlip_lab.properties.thermal_expansion", "thermal_expansion"),
    "train": ("mlip_lab.workflows.train", "train"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'mlip_lab' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(importlib.import_module(module), attribute)


def __dir__() -> list[str]:
    return __all__
