"""Picture of an equation of state."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mlip_lab.plots.style import OURS, REFERENCE, describe, legend, new_figure
from mlip_lab.properties.equation_of_state import EquationOfState


def equation_of_state(
    result: EquationOfState,
    *,
    reference_volume: float | None = None,
    reference_points: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None,
    reference_name: str = "DFT",
) -> Figure:
    """Energy per atom over volume per atom, each curve from its own minimum.

    Args:
        result: From `properties.equation_of_state`.
        reference_volume: Equilibrium volume of a reference in Å³ per atom.
        reference_points: Volumes (Å³ per atom) and energies (eV per atom) of a reference.
        reference_name: What to call it.
    """
    figure, axes = new_figure()
    ax = axes[0, 0]
    fine = np.linspace(result.volumes.min(), result.volumes.max(), 200)
    ax.plot(fine, 1000 * (result.curve(fine) - result.energy), color=OURS, lw=1.4, label="this potential")
    ax.plot(result.volumes, 1000 * (result.energies - result.energy), "o", color=OURS, ms=3.5)
    if reference_points is not None:
        volumes, energies = reference_points
        style = {"ls": "", "marker": "o", "mfc": "none", "color": REFERENCE}
        ax.plot(volumes, 1000 * (energies - np.min(energies)), label=reference_name, **style)
    if reference_volume is not None:
        ax.axvline(reference_volume, color=REFERENCE, lw=0.8, ls=":", label=f"minimum of {reference_name}")
    ax.set_xlabel("volume (Å³/atom)")
    ax.set_ylabel("energy above minimum (meV/atom)")
    legend(ax)
    words = f"Energy over volume has its minimum at {result.volume:.3f} Å³/atom"
    if reference_volume is not None:
        words += f" ({reference_name}: {reference_volume:.3f})"
    return describe(figure, f"{words}; the bulk modulus is {result.bulk_modulus:.1f} GPa.")
