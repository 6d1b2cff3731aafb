"""Picture of thermal expansion."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mlip_lab.plots.style import OURS, QUIET, REFERENCE, describe, legend, new_figure
from mlip_lab.properties.thermal_expansion import ThermalExpansion

CURVES = 6  # temperatures whose free energies are drawn


def thermal_expansion(
    result: ThermalExpansion,
    *,
    reference: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None,
    name: str = "experiment",
) -> Figure:
    """Free energy over volume at some temperatures with its least, and the linear expansion coefficient.

    Args:
        result: From `properties.thermal_expansion`.
        reference: Temperatures (K) and linear coefficients (1e-6/K) of a reference.
        name: What to call it.
    """
    figure, axes = new_figure(1, 2, size=(8.0, 3.4))
    left, right = axes[0]
    zero = result.energies.min()
    for k in np.linspace(0, len(result.temperatures) - 1, CURVES).astype(int):
        left.plot(result.volumes, 1000 * (result.free_energies[k] - zero), color=QUIET, lw=0.9)
        words = f" {result.temperatures[k]:.0f} K"
        left.annotate(words, (result.volumes[-1], 1000 * (result.free_energies[k, -1] - zero)), fontsize=8, va="center")
    least = [
        np.interp(v, result.volumes, f)
        for v, f in zip(result.volume, result.free_energies[: len(result.volume)], strict=True)
    ]
    left.plot(result.volume, 1000 * (np.array(least) - zero), color=OURS, lw=1.6, label="least free energy")
    left.set(xlabel="volume (Å³/atom)", ylabel="free energy (meV/atom)")
    legend(left, loc="lower left")
    right.plot(result.temperatures, result.expansion / 3, color=OURS, lw=1.4, label="this potential")
    right.axhline(0, color=QUIET, lw=0.5)
    if reference is not None:
        style: dict[str, Any] = {"ls": "", "marker": "o", "mfc": "white", "mec": REFERENCE}
        right.plot(*reference, label=name, **style)
    right.set(xlabel="temperature (K)", ylabel="linear expansion (10⁻⁶/K)")
    legend(right, loc="lower right")
    room = float(np.interp(300.0, result.temperatures, result.expansion)) / 3
    return describe(figure, f"At 300 K a length grows by {room:.2f} × 10⁻⁶ a kelvin.")
