"""Picture of an ensemble beyond its data: energy over volume with its spread, and where there were data."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mlip_lab.plots.style import BAND, OURS, QUIET, REFERENCE, describe, legend, new_figure
from mlip_lab.properties.energy_spread import EnergySpread

Points = tuple[NDArray[np.float64], NDArray[np.float64]]


def energy_spread(result: EnergySpread, *, known: Points | None = None, reference_name: str = "DFT") -> Figure:
    """Energy with a band of two standard deviations, and the standard deviation below.

    Args:
        result: From `properties.energy_spread`.
        known: Volumes (Å³ per atom) and energies (eV per atom) of a reference; their range is shaded.
        reference_name: What to call it.
    """
    figure, axes = new_figure(2, 1, size=(7.0, 5.2), sharex=True, height_ratios=(3, 2))
    above, below = axes[:, 0]
    zero = result.energies.min() if known is None else known[1].min()
    energies, spreads = result.energies - zero, result.spreads
    above.fill_between(
        result.volumes, energies - 2 * spreads, energies + 2 * spreads, color=OURS, alpha=BAND, lw=0,
        label="± 2 standard deviations",
    )  # fmt: skip
    above.plot(result.volumes, energies, color=OURS, lw=1.4, label="mean of the ensemble")
    below.semilogy(result.volumes, np.maximum(1000 * spreads, 1e-6), color=OURS, lw=1.4)
    words = f"The members differ by up to {_short(1000 * spreads.max())} meV/atom"
    if known is not None:
        low, high = float(known[0].min()), float(known[0].max())
        for ax in (above, below):
            ax.axvspan(low, high, color=QUIET, alpha=0.12, lw=0, label="volumes with data" if ax is above else None)
        above.plot(known[0], known[1] - zero, "o", ms=5, mfc="none", mec=REFERENCE, label=reference_name)
        words += f", and by up to {_short(1000 * result.within(low, high))} where there were data"
    above.set_ylabel(f"energy above the\nlowest of {reference_name} (eV/atom)" if known else "energy (eV/atom)")
    below.set(xlabel="volume (Å³/atom)", ylabel="spread\n(meV/atom)")
    legend(above)
    return describe(figure, f"{words}.")


def _short(value: float) -> str:
    """Two digits, without a power of ten."""
    return f"{float(f'{value:.2g}'):g}"
