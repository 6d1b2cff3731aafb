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
    from mlip_lab.dynamics.bead_convergence import bead_convergence
    from mlip_lab.dynamics.md import md
    from mlip_lab.dynamics.pimd import pimd
    from mlip_lab.dynamics.stability import time_step_stability
    from mlip_lab.lab.lab import Lab
    from mlip_lab.model.files import load
    from mlip_lab.model.potential import Potential
    from mlip_lab.properties.atomic_structure import atomic_structure
    from mlip_lab.properties.diffusion import diffusion
    from mlip_lab.properties.elastic import elastic
    from mlip_lab.properties.equation_of_state import equation_of_state
    from mlip_lab.properties.phonons import phonons
    from mlip_lab.properties.radial_distribution import radial_distribution
    from mlip_lab.properties.reaction_path import reaction_path
    from mlip_lab.properties.relax import relax
    from mlip_lab.properties.same_structure import same_structure
    from mlip_lab.properties.surfaces import surfaces
    from mlip_lab.properties.thermal_expansion import thermal_expansion
    from mlip_lab.properties.velocity_spectrum import velocity_spectrum
    from mlip_lab.workflows.convex_hull import convex_hull
    from mlip_lab.workflows.saddle_data import saddle_data
    from mlip_lab.workflows.screening import screening
    from mlip_lab.workflows.train import train

__version__ = "0.1.0"

__all__ = [
    "Lab",
    "Potential",
    "__version__",
    "atomic_structure",
    "bead_convergence",
    "convex_hull",
    "diffusion",
    "elastic",
    "equation_of_state",
    "inspect",
    "label",
    "load",
    "md",
    "phonons",
    "pimd",
    "radial_distribution",
    "reaction_path",
    "read_frames",
    "relax",
    "saddle_data",
    "same_structure",
    "screening",
    "surfaces",
    "thermal_expansion",
    "time_step_stability",
    "train",
    "velocity_spectrum",
]

_HOMES = {
    "Lab": ("mlip_lab.lab.lab", "Lab"),
    "Potential": ("mlip_lab.model.potential", "Potential"),
    "atomic_structure": ("mlip_lab.properties.atomic_structure", "atomic_structure"),
    "bead_convergence": ("mlip_lab.dynamics.bead_convergence", "bead_convergence"),
    "convex_hull": ("mlip_lab.workflows.convex_hull", "convex_hull"),
    "diffusion": ("mlip_lab.properties.diffusion", "diffusion"),
    "elastic": ("mlip_lab.properties.elastic", "elastic"),
    "equation_of_state": ("mlip_lab.properties.equation_of_state", "equation_of_state"),
    "inspect": ("mlip_lab.data.reader", "inspect"),
    "label": ("mlip_lab.data.label", "label_frames"),
    "load": ("mlip_lab.model.files", "load"),
    "md": ("mlip_lab.dynamics.md", "md"),
    "phonons": ("mlip_lab.properties.phonons", "phonons"),
    "pimd": ("mlip_lab.dynamics.pimd", "pimd"),
    "radial_distribution": ("mlip_lab.properties.radial_distribution", "radial_distribution"),
    "reaction_path": ("mlip_lab.properties.reaction_path", "reaction_path"),
    "read_frames": ("mlip_lab.data.reader", "read_frames"),
    "relax": ("mlip_lab.properties.relax", "relax"),
    "saddle_data": ("mlip_lab.workflows.saddle_data", "saddle_data"),
    "same_structure": ("mlip_lab.properties.same_structure", "same_structure"),
    "screening": ("mlip_lab.workflows.screening", "screening"),
    "surfaces": ("mlip_lab.properties.surfaces", "surfaces"),
    "thermal_expansion": ("mlip_lab.properties.thermal_expansion", "thermal_expansion"),
    "time_step_stability": ("mlip_lab.dynamics.stability", "time_step_stability"),
    "train": ("mlip_lab.workflows.train", "train"),
    "velocity_spectrum": ("mlip_lab.properties.velocity_spectrum", "velocity_spectrum"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'mlip_lab' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(importlib.import_module(module), attribute)


def __dir__() -> list[str]:
    return __all__
