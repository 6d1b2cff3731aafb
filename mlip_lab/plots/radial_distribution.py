"""Pictures of the structure of moving atoms: g(r), coordination, angles, structure factor."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mlip_lab.plots.style import BAND, COLORS, OURS, QUIET, describe, legend, new_figure, rounded
from mlip_lab.properties.atomic_structure import AtomicStructure
from mlip_lab.properties.radial_distribution import RadialDistribution

Floats = NDArray[np.float64]


def radial_distribution(result: RadialDistribution) -> Figure:
    """g(r) with its band, by species where there are several, above the number of neighbours.

    Args:
        result: From `properties.radial_distribution`.
    """
    figure, axes = new_figure(2, 1, size=(5.4, 4.6), sharex=True, gridspec_kw={"height_ratios": (2.2, 1)})
    _radial(axes[0, 0], result)
    axes[0, 0].set_xlabel("")
    for values, color in _neighbors(result):
        axes[1, 0].plot(result.distances, values, color=color, lw=1.4)
    axes[1, 0].set(xlabel="distance (Å)", ylabel="neighbours", ylim=(0, None))
    return describe(figure, _words(result))


def overlaid(results: Mapping[str, RadialDistribution]) -> Figure:
    """g(r) of several runs in one picture, quantum over classical for example, each with its band.

    Args:
        results: Each under the name it gets in the legend.
    """
    figure, axes = new_figure()
    ax = axes[0, 0]
    for k, (name, result) in enumerate(results.items()):
        _curve(ax, result.distances, result.values, result.band, COLORS[k % len(COLORS)], name)
    ax.axhline(1, color=QUIET, lw=0.8, ls=":")
    ax.set(xlabel="distance (Å)", ylabel="g(r)", ylim=(0, None))
    ax.set_xlim(0, max(float(result.distances[-1]) for result in results.values()))
    legend(ax)
    heights = ", ".join(f"{name} {result.values.max():.1f}" for name, result in results.items())
    return describe(figure, f"Highest peaks of g(r): {heights}.")


def atomic_structure(result: AtomicStructure) -> Figure:
    """g(r), S(q), angles between bonds and coordination numbers.

    Args:
        result: From `properties.atomic_structure`.
    """
    figure, axes = new_figure(2, 2, size=(8.0, 5.2))
    radial, factor, angles, coordination = axes.flat
    _radial(radial, result.radial)
    radial.axvline(result.bond, color=QUIET, lw=0.8, ls="--")
    _curve(factor, result.wave_numbers, result.structure_factor, result.structure_factor_band, OURS)
    factor.axhline(1, color=QUIET, lw=0.8, ls=":")
    factor.set(xlabel="wave number (1/Å)", ylabel="S(q)", xlim=(0, None), ylim=(0, None))
    _curve(angles, result.angles, result.angle_density, result.angle_band, OURS)
    angles.set(xlabel="angle between bonds (°)", ylabel="share (1/°)", xlim=(0, 180), ylim=(0, None))
    angles.set_xticks([0, 60, 90, 120, 180])
    coordination.bar(np.arange(len(result.coordination)), 100 * result.coordination, color=OURS, width=0.7)
    coordination.set(xlabel=f"bonds of an atom, shorter than {result.bond:.2f} Å", ylabel="atoms (%)")
    bonds = rounded(result.mean_bonds, result.mean_bonds_error or 0.0)
    return describe(figure, f"{_words(result.radial)} An atom has {bonds} bonds shorter than {result.bond:.2f} Å.")


def _radial(ax: Axes, result: RadialDistribution) -> None:
    if len(result.pairs) == 1:
        _curve(ax, result.distances, result.values, result.band, OURS)
    else:
        for row, name in enumerate(result.pairs):
            bands = None if result.partial_band is None else result.partial_band[:, row]
            _curve(ax, result.distances, result.partial[row], bands, COLORS[row % len(COLORS)], name)
        legend(ax)
    ax.axhline(1, color=QUIET, lw=0.8, ls=":")
    ax.set(xlabel="distance (Å)", ylabel="g(r)", xlim=(0, float(result.distances[-1])), ylim=(0, None))


def _neighbors(result: RadialDistribution) -> list[tuple[Floats, str]]:
    if len(result.pairs) == 1:
        return [(result.neighbors, OURS)]
    return [(values, COLORS[row % len(COLORS)]) for row, values in enumerate(result.partial_neighbors)]


def _curve(ax: Axes, x: Floats, values: Floats, bands: Floats | None, color: str, name: str | None = None) -> None:
    ax.plot(x, values, color=color, lw=1.4, label=name)
    if bands is not None:
        ax.fill_between(x, *bands, color=color, alpha=BAND, lw=0)


def _words(result: RadialDistribution) -> str:
    peak = int(np.argmax(result.values))
    words = f"g(r) has its highest peak, {result.values[peak]:.1f}, at {result.distances[peak]:.2f} Å"
    if result.effective_frames is None:
        return f"{words}; {result.frames} frames, too few for a band."
    return f"{words}; {result.frames} frames, worth {result.effective_frames:.0f} independent ones."
