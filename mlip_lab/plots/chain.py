"""Picture of a chain: its bands in several ways, and how far each is off."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mlip_lab.plots.style import OTHER, OURS, QUIET, REFERENCE, describe, legend, new_figure
from mlip_lab.properties.chain import Chain, Spring, wave_vectors
from mlip_lab.workflows.chain import ChainBands

COLORS = {"two bodies": OTHER, "many bodies": OURS}


def chain(result: ChainBands) -> Figure:
    """Frequencies over the wave vector: formula, Hessian by numbers, trained potentials; their distance below.

    Args:
        result: From `workflows.chain`.
    """
    rows = 2 if result.learned else 1
    grid: dict[str, Any] = {"gridspec_kw": {"height_ratios": (2.6, 1)}} if rows == 2 else {}
    figure, axes = new_figure(rows, 1, size=(5.6, 4.6 if rows == 2 else 3.4), sharex=True, **grid)
    bands = axes[0, 0]
    edge = np.pi / result.chain.spacing
    for name, frequencies in result.learned.items():
        color = COLORS.get(name, QUIET)
        bands.plot(result.wave_vectors / edge, frequencies, color=color, lw=1.6, label=f"potential of {name}")
        axes[1, 0].plot(result.wave_vectors / edge, frequencies - result.analytic, color=color, lw=1.4)
    bands.plot(result.wave_vectors / edge, result.analytic, color=REFERENCE, lw=0.9, ls="--", label="formula")
    marks: dict[str, Any] = {"ls": "", "marker": "o", "mfc": "white", "mec": REFERENCE, "ms": 5}
    bands.plot(result.fitting / edge, result.numeric, label=f"Hessian of {result.ring} atoms", **marks)
    _finish(bands, float(result.analytic.min()))
    legend(bands, loc="lower right")
    axes[-1, 0].set_xlabel("wave vector (π/a)")
    words = _words(result)
    if result.learned:
        axes[1, 0].axhline(0, color=QUIET, lw=0.5)
        axes[1, 0].set_ylabel("off by (THz)")
        words += "".join(
            f" A potential of {name} misses it by up to {result.miss(name):.2g} THz." for name in result.learned
        )
    return describe(figure, words)


def springs(
    nearest: Spring = 5.0,
    next_nearest: Spring = 0.0,
    three_body: Spring = 0.0,
    spacing: float = 2.5,
    mass: float = 28.0,
) -> Figure:
    """Frequencies of a chain by its formula, beside those of its nearest springs alone: quick enough for sliders.

    Args:
        nearest: Spring between neighbours, eV/Å².
        next_nearest: Spring between every atom and the one after the next, eV/Å².
        three_body: Spring on the difference of the two bonds of an atom, eV/Å².
        spacing: Distance of neighbours in Å.
        mass: Mass of an atom in amu.
    """
    figure, axes = new_figure(size=(5.6, 3.4))
    ax = axes[0, 0]
    whole, plain = Chain(nearest, next_nearest, three_body, spacing, mass), Chain(nearest, 0.0, 0.0, spacing, mass)
    ks = wave_vectors(spacing)
    edge = np.pi / spacing
    ax.plot(ks / edge, plain.frequencies(ks), color=QUIET, lw=1.0, ls="--", label="nearest springs alone")
    ax.plot(ks / edge, whole.frequencies(ks), color=OURS, lw=1.6, label="all springs")
    _finish(ax, float(whole.frequencies(ks).min()))
    ax.set_xlabel("wave vector (π/a)")
    legend(ax, loc="lower right")
    found = whole.frequencies(ks)
    if found.min() < -1e-9:
        return describe(
            figure, f"Frequencies are imaginary, down to {-found.min():.2f}i THz: this chain is not stable."
        )
    top = ks[int(found.argmax())] / edge
    return describe(figure, f"Frequencies reach {found.max():.2f} THz at {top:.2f} π/a.")


def _words(result: ChainBands) -> str:
    lowest = result.analytic.min()
    if lowest < -1e-9:
        return f"The chain is not stable: frequencies down to {-lowest:.2f}i THz."
    off = np.abs(result.numeric - result.chain.frequencies(result.fitting)).max()
    top = f"Frequencies of the chain reach {result.analytic.max():.2f} THz"
    return f"{top}; the Hessian by numbers agrees to {off:.1g} THz."


def _finish(ax: Axes, lowest: float) -> None:
    ax.set_ylabel("frequency (THz)" if lowest > -1e-9 else "frequency (THz), imaginary below 0")
    ax.set_xlim(0, 1)
    if lowest > -1e-9:
        ax.set_ylim(bottom=0)
    else:
        ax.axhline(0, color=QUIET, lw=0.5)
