"""Picture of a comparison of two structures: both g(r), and their difference in its band."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mlip_lab.plots.style import BAND, OTHER, OURS, QUIET, describe, legend, new_figure
from mlip_lab.properties.same_structure import SameStructure

Floats = NDArray[np.float64]

MOST_COLUMNS = 3


def same_structure(result: SameStructure) -> Figure:
    """Both g(r) above; below their difference, its 95 % band for all bins at once, and the tolerance.

    Args:
        result: From `properties.same_structure`.
    """
    columns = min(MOST_COLUMNS, len(result.pairs))
    figure, axes = new_figure(
        2, columns, size=(max(5.4, 3.2 * columns), 4.8), sharex=True, gridspec_kw={"height_ratios": (1.4, 1)}
    )
    names = ("first", "reference" if result.frames[1] == 0 else "second")
    for column in range(columns):
        above, below = axes[:, column]
        edges, (first, second, wide) = _filled(
            result.ranges[column], [result.first[column], result.second[column], result.half_widths[column]]
        )
        above.stairs(second, edges, color=OTHER, lw=1.6, label=names[1])
        above.stairs(first, edges, color=OURS, lw=1.2, label=names[0])
        above.set(xlim=(0, max(r[-1, 1] for r in result.ranges if len(r))), ylim=(0, None))
        below.axhspan(-result.tolerance, result.tolerance, color=QUIET, alpha=BAND, lw=0, label="tolerance")
        low, high = (np.append(first - second + sign * wide, 0.0) for sign in (-1, 1))
        below.fill_between(edges, low, high, step="post", color=OURS, alpha=BAND, lw=0, label="95 % band")
        below.stairs(first - second, edges, color=OURS, lw=1.2)
        below.set_xlabel("distance (Å)" if len(result.pairs) == 1 else f"distance {result.pairs[column]} (Å)")
    axes[0, 0].set_ylabel("g(r)")
    axes[1, 0].set_ylabel("difference")
    legend(axes[0, 0])
    legend(axes[1, 0], loc="upper left", ncols=2)
    return describe(
        figure,
        f"{result.words} p = {result.p_value:.2g}; the largest difference in g(r) is {result.largest:.2g}, "
        f"at {result.largest_at:.2f} Å.",
    )


def _filled(ranges: Floats, values: list[Floats]) -> tuple[Floats, list[Floats]]:
    """Edges side by side and values in between, zero where no bin is."""
    edges, places = [0.0], []
    for low, high in ranges:
        if low > edges[-1] + 1e-9:
            edges.append(low)
        places.append(len(edges) - 1)
        edges.append(high)
    filled = []
    for value in values:
        filled.append(np.zeros(len(edges) - 1))
        filled[-1][places] = value
    return np.array(edges), filled
