"""Pictures of reaction paths: energy along the path, and the rate over its saddle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mlip_lab.core.errors import CalculationError
from mlip_lab.plots.style import OTHER, OURS, QUIET, REFERENCE, describe, legend, new_figure
from mlip_lab.properties.rates import HarmonicRate
from mlip_lab.properties.reaction_path import ReactionPath

KELVIN = np.linspace(200.0, 1200.0, 101)
OPEN: dict[str, Any] = {"ls": "", "marker": "o", "ms": 8, "mfc": "none", "mec": REFERENCE, "mew": 1.4, "zorder": 5}


def reaction_path(
    result: ReactionPath, *, reference: Mapping[str, float] | None = None, name: str = "reference"
) -> Figure:
    """Energy along the path with its slopes, the saddle point, and, where there is one, the rate over temperature.

    Args:
        result: From `properties.reaction_path`.
        reference: Values in eV above the reactant to draw beside it: "barrier", "reaction_energy".
        name: What to call the reference.
    """
    rates = _rates(result)
    figure, axes = new_figure(1, 2 if rates else 1, size=(8.6, 3.6) if rates else (5.4, 3.6))
    _profile(axes[0, 0], result, reference or {}, name)
    if rates:
        _arrhenius(axes[0, 1], *rates)
    return describe(figure, _words(result, reference or {}, name, rates))


def _profile(ax: Axes, result: ReactionPath, known: Mapping[str, float], name: str) -> None:
    places, energies = result.curve()
    own = result.energies - result.energies[0]
    ax.axhline(0.0, color=QUIET, lw=0.6)
    ax.plot(places, energies, color=OURS, lw=1.6, label="spline through energies and slopes")
    ax.plot(result.distances, own, "o", color=OURS, ms=5, label="images")
    reach = 0.15 * np.diff(result.distances).min()
    for place, energy, slope in zip(result.distances, own, result.slopes, strict=True):
        ax.plot([place - reach, place + reach], [energy - slope * reach, energy + slope * reach], color=OURS, lw=2.6)
    if result.saddle is not None:
        ax.plot(result.top[0], result.barrier, "*", color=OTHER, ms=12, label="saddle point", zorder=4)
    marks = [(result.top[0], known["barrier"])] if "barrier" in known else []
    marks += [(result.distances[-1], known["reaction_energy"])] if "reaction_energy" in known else []
    if marks:
        ax.plot(*np.array(marks).T, label=name, **OPEN)
    ax.set(xlabel="along the path (Å)", ylabel="energy above the reactant (eV)")
    low, high = ax.get_ylim()
    ax.set_ylim(low, high + 0.35 * (high - low))
    legend(ax, loc="upper left")


def _rates(result: ReactionPath) -> tuple[HarmonicRate, HarmonicRate] | None:
    try:
        return result.rate(), result.rate(reverse=True)
    except CalculationError:
        return None


def _arrhenius(ax: Axes, forth: HarmonicRate, back: HarmonicRate) -> None:
    ax.semilogy(1000 / KELVIN, forth.at(KELVIN), color=OURS, label="reactant to product")
    ax.semilogy(1000 / KELVIN, back.at(KELVIN), color=OTHER, ls="--", label="product to reactant")
    ax.set(xlabel="1000 / temperature (1/K)", ylabel="rate (1/s)")
    legend(ax)


def _words(
    result: ReactionPath, known: Mapping[str, float], name: str, rates: tuple[HarmonicRate, HarmonicRate] | None
) -> str:
    beside = f" ({name}: {known['barrier']:.3f} eV)" if "barrier" in known else ""
    words = f"The path climbs {result.barrier:.3f} eV{beside} and ends {result.reaction_energy:+.3f} eV from its start."
    if rates is None:
        return words
    return f"{words} At 300 K it is taken {float(rates[0].at(300.0)):.2g} times a second."
