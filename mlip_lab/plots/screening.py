"""Picture of many barriers: how they are distributed, and how they go with the energy of reaction."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mlip_lab.plots.style import COLORS, QUIET, REFERENCE, describe, kind_styles, legend, new_figure
from mlip_lab.workflows.screening import Screening

FEWEST_BINS, MOST_BINS = 6, 30


def screening(result: Screening) -> Figure:
    """Barriers there and back as stacked bars, each kind in its colour; barriers over the energy of reaction.

    A path and its way back are two hops: each has its barrier.

    Args:
        result: From `workflows.screening`.
    """
    figure, axes = new_figure(1, 2, size=(9.6, 3.6))
    if not result.good:
        for ax in axes[0]:
            ax.set_axis_off()
        axes[0, 0].text(0.5, 0.5, "no barrier yet", ha="center", color=QUIET, transform=axes[0, 0].transAxes)
        return describe(figure, f"No barrier yet; {len(result.hops)} paths were asked for.")
    kinds = sorted({path.kind for path in result.good})
    _distribution(axes[0, 0], result, kinds)
    _by_reaction_energy(axes[0, 1], result, kinds)
    return describe(figure, _words(result, kinds))


def both_ways(result: Screening, kind: str) -> list[float]:
    """Barriers of one kind, there and back, in eV."""
    ahead = [(path.barrier or 0.0, path.reaction_energy or 0.0) for path in result.good if path.kind == kind]
    return [barrier for barrier, _ in ahead] + [barrier - energy for barrier, energy in ahead]


def _distribution(ax: Axes, result: Screening, kinds: list[str]) -> None:
    groups = [both_ways(result, kind) for kind in kinds]
    every = np.concatenate(groups)
    bins = int(np.clip(np.sqrt(len(every)), FEWEST_BINS, MOST_BINS))
    colors = [kind_styles(kinds)[kind][0] for kind in kinds]
    drawn: Any = ax.hist(groups, bins=bins, stacked=True, color=colors, label=kinds)[2]
    if len(kinds) > len(COLORS):  # the colours begin again
        for bar in drawn[len(COLORS) :]:
            for patch in bar:
                patch.set_hatch("///")
    ax.axvline(float(np.median(every)), color=REFERENCE, ls="--", lw=1.2)
    ax.set(xlabel="barrier, there and back (eV)\ndashed: median", ylabel="number of hops")


def _by_reaction_energy(ax: Axes, result: Screening, kinds: list[str]) -> None:
    styles = kind_styles(kinds)
    for kind in kinds:
        color, marker = styles[kind]
        pairs = [(p.reaction_energy, p.barrier) for p in result.good if p.kind == kind]
        ax.plot(*np.array(pairs, dtype=np.float64).T, marker, color=color, ms=5, label=kind)
    ax.set(xlabel="product above reactant (eV)", ylabel="barrier (eV)")
    legend(ax, loc="center left", bbox_to_anchor=(1.0, 0.5), title="hop", title_fontsize=9)


def _words(result: Screening, kinds: list[str]) -> str:
    medians = ", ".join(f"{kind} {np.median(both_ways(result, kind)):.2f} eV" for kind in kinds)
    lowest, highest = result.barriers.min(), result.barriers.max()
    return (
        f"{len(result.good)} of {len(result.hops)} barriers, from {lowest:.2f} to {highest:.2f} eV. Medians there and "
        f"back: {medians}."
    )
