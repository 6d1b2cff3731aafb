"""Pictures of convex hulls: binary, ternary, more components, and two hulls side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mlip_lab.core.errors import InputError
from mlip_lab.plots.hover import Hovering
from mlip_lab.plots.style import OTHER, OURS, QUIET, REFERENCE, describe, legend, new_figure
from mlip_lab.properties.convex_hull import ConvexHull
from mlip_lab.properties.hull_comparison import HullComparison, compare_hulls

MEV = 1000.0
WINDOW = 0.35  # of the hull's depth is shown above zero
CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(3) / 2]])
MOST = 20  # bars
REACH = 0.12  # inches from a phase that are still on it


def convex_hull(hull: ConvexHull, *, reference: ConvexHull | None = None, name: str = "DFT") -> Figure:
    """Formation energies and the hull: over composition in a binary, in a triangle in a ternary, as bars beyond.

    Args:
        hull: From `properties.convex_hull.hull_of` or `workflows.convex_hull.convex_hull`.
        reference: Another hull of the same elements, drawn in black and open circles.
        name: What to call the reference.
    """
    order = len(hull.elements)
    if order == 2:
        figure = _binary(hull, reference, name)
    elif order == 3:
        figure = _ternary(hull, reference, name)
    else:
        figure = _bars(hull)
    words = _words(hull)
    if reference is not None:
        words += f" Against {name}: {compare_hulls(reference, hull)}".replace("\n", " ")
    return describe(figure, words)


def parity(comparison: HullComparison, *, name: str = "DFT") -> Figure:
    """Formation energies of one hull over those of another.

    Args:
        comparison: From `properties.hull_comparison.compare_hulls`.
        name: What to call the reference.
    """
    figure, axes = new_figure(size=(4.0, 3.8))
    ax = axes[0, 0]
    both = MEV * np.concatenate([comparison.reference, comparison.predicted])
    ends = [both.min() - 10, both.max() + 10]
    ax.plot(ends, ends, color=REFERENCE, lw=0.8)
    ax.plot(MEV * comparison.reference, MEV * comparison.predicted, "o", ms=4, color=OURS, alpha=0.7)
    for names, color, label in (
        (comparison.false_stable, OTHER, "stable here only"),
        (comparison.false_unstable, QUIET, f"stable by {name} only"),
    ):
        chosen = [comparison.names.index(n) for n in names]
        if chosen:
            ax.plot(
                MEV * comparison.reference[chosen], MEV * comparison.predicted[chosen], "s", color=color, label=label
            )
    ax.set(xlabel=f"formation energy, {name} (meV/atom)", ylabel="formation energy (meV/atom)")
    legend(ax)
    return describe(figure, str(comparison).replace("\n", " "))


def hovering(hull: ConvexHull, **options: Any) -> Hovering:
    """The picture of a binary or ternary hull whose points say what they are when the mouse rests on them.

    Args:
        hull: A hull of two or three components.
        **options: As in `convex_hull`.

    Raises:
        InputError: If there are fewer or more components.
    """
    if len(hull.elements) not in (2, 3):
        raise InputError(f"hull: expected two or three elements for this picture, got {', '.join(hull.elements)}.")
    figure = convex_hull(hull, **options)
    return Hovering(figure, figure.axes[0], spots(hull))


def spots(hull: ConvexHull) -> list[tuple[float, float, str]]:
    """Where each phase stands in the picture of a binary or ternary hull, in its axes' units, and what to say of it.

    Args:
        hull: A hull of two or three components.

    Returns:
        x, y and words for each phase.
    """
    if len(hull.elements) == 2:
        places = np.column_stack([hull.fractions[:, 1], MEV * hull.formation])
    else:
        places = hull.fractions @ CORNERS
    return [(float(x), float(y), said(hull, i)) for i, (x, y) in enumerate(places)]


def phase_at(hull: ConvexHull, figure: Figure, x: float, y: float) -> int | None:
    """The phase that is drawn at a place in the picture that `convex_hull` made.

    Args:
        hull: That the picture is of.
        figure: The picture, after it was drawn.
        x: From 0 to 1 from its left.
        y: From 0 to 1 from its bottom.

    Returns:
        Index of the nearest phase in reach, of those on one spot the most stable; None if there is none, or more
        than three components.
    """
    if len(hull.elements) not in (2, 3):
        return None
    place = figure.transFigure.transform((x, y))
    there = figure.axes[0].transData.transform([spot[:2] for spot in spots(hull)])
    apart = np.round(np.linalg.norm(there - place, axis=1) / figure.dpi, 2)
    nearest = int(np.lexsort((hull.above, apart))[0])
    return nearest if apart[nearest] < REACH and figure.axes[0].bbox.contains(*there[nearest]) else None


def said(hull: ConvexHull, index: int) -> str:
    """What there is to say of a phase: formation energy, and stability or what it falls apart into."""
    words = f"{hull.names[index]}: {MEV * hull.formation[index]:.1f} meV/atom"
    if hull.above[index] == 0.0:
        return f"{words}, stable"
    parts = hull.decomposition(hull.names[index])
    into = " + ".join(f"{share:.2f} {name}" for name, share in parts.items())
    return f"{words}, {MEV * hull.above[index]:.1f} above the hull, falls apart into {into}"


def _words(hull: ConvexHull) -> str:
    stable = [hull.names[i] for i in hull.stable if hull.compounds[i]]
    system = "-".join(hull.elements)
    if not stable:
        return f"{system}: no compound is stable among {int(hull.compounds.sum())} candidates."
    deepest = hull.names[int(np.argmin(hull.formation))]
    return (
        f"{system}: {len(stable)} of {int(hull.compounds.sum())} compounds are stable: {', '.join(stable)}. The "
        f"largest formation energy is that of {deepest}, {MEV * hull.formation.min():.0f} meV/atom."
    )


def _binary(hull: ConvexHull, reference: ConvexHull | None, name: str) -> Figure:
    figure, axes = new_figure(size=(6.4, 4.2))
    ax = axes[0, 0]
    x = hull.fractions[:, 1]
    if reference is not None:
        own = list(reference.elements).index(hull.elements[1])
        there = reference.fractions[:, own]
        tied = reference.facets
        order = np.unique(tied)[np.argsort(there[np.unique(tied)])]
        ax.plot(there[order], MEV * reference.formation[order], color=REFERENCE, lw=1.0, ls="--")
        style = {"ls": "", "marker": "o", "ms": 6, "mfc": "none", "mec": REFERENCE, "mew": 0.9}
        ax.plot(there, MEV * reference.formation, label=name, **style)
    on = np.unique(hull.facets)
    on = on[np.argsort(x[on])]
    unstable = hull.above > 0
    ax.plot(x[unstable], MEV * hull.formation[unstable], "o", ms=3.5, color=OURS, alpha=0.45, label="above the hull")
    ax.plot(x[on], MEV * hull.formation[on], "o-", ms=6, color=OURS, label="stable")
    _name_stable(ax, hull, x, MEV * hull.formation)
    depth = max(-MEV * float(hull.formation.min()), 20.0)
    top = min(MEV * float(hull.formation.max()), WINDOW * depth)
    ax.set_ylim(-1.25 * depth, max(top, 0.05 * depth))
    hidden = int((MEV * hull.formation > ax.get_ylim()[1]).sum())
    if hidden:
        ax.annotate(f"{hidden} higher up", (0.99, 0.98), xycoords="axes fraction", ha="right", va="top", color=QUIET)
    ax.set(xlabel=f"fraction of {hull.elements[1]}", ylabel="formation energy (meV/atom)", xlim=(-0.02, 1.02))
    legend(ax, loc="lower left")
    return figure


def _name_stable(ax: Axes, hull: ConvexHull, x: NDArray[np.float64], y: NDArray[np.float64]) -> None:
    for index in hull.stable:
        if hull.compounds[index]:
            below: dict[str, Any] = {"xytext": (0, -7), "textcoords": "offset points", "ha": "center", "va": "top"}
            ax.annotate(hull.names[index], (float(x[index]), float(y[index])), fontsize=8, **below)


def _ternary(hull: ConvexHull, reference: ConvexHull | None, name: str) -> Figure:
    figure, axes = new_figure(size=(5.6, 4.6))
    ax = axes[0, 0]
    places = hull.fractions @ CORNERS
    if reference is not None:
        order = [reference.elements.index(symbol) for symbol in hull.elements]
        there = reference.fractions[:, order] @ CORNERS
        for facet in reference.facets:
            ax.plot(*there[[*facet, facet[0]]].T, color=REFERENCE, lw=0.9, ls="--")
        stable = list(reference.stable)
        ax.plot(*there[stable].T, ls="", marker="o", ms=11, mfc="none", mec=REFERENCE, label=f"stable by {name}")
    for facet in hull.facets:
        ax.plot(*places[[*facet, facet[0]]].T, color=OURS, lw=0.8)
    high = np.argsort(-hull.above)
    high = high[hull.above[high] > 0]
    colored = ax.scatter(*places[high].T, c=MEV * hull.above[high], cmap="viridis", s=22, zorder=3, vmin=0, vmax=100)
    ax.plot(*places[list(hull.stable)].T, ls="", marker="o", ms=7, color=OURS, zorder=4, label="stable")
    figure.colorbar(colored, ax=ax, label="energy above the hull (meV/atom)", shrink=0.7, extend="max")
    _name_stable(ax, hull, *places.T)
    for corner, symbol, shift in zip(CORNERS, hull.elements, ((-12, -6), (12, -6), (0, 8)), strict=True):
        ax.annotate(symbol, corner, xytext=shift, textcoords="offset points", ha="center", fontsize=11)
    ax.set_aspect("equal")
    ax.axis("off")
    legend(ax, loc="upper left")
    return figure


def _bars(hull: ConvexHull) -> Figure:
    chosen: Sequence[int] = [int(i) for i in np.argsort(hull.above, kind="stable") if hull.compounds[i]][:MOST]
    figure, axes = new_figure(size=(6.0, 0.6 + 0.24 * max(len(chosen), 3)))
    ax = axes[0, 0]
    colors = [OURS if hull.above[i] == 0 else QUIET for i in chosen]
    ax.barh(np.arange(len(chosen)), [MEV * hull.margins[i] for i in chosen], color=colors)
    ax.axvline(0.0, color=REFERENCE, lw=0.8)
    ax.set_yticks(np.arange(len(chosen)), [hull.names[i] for i in chosen])
    ax.invert_yaxis()
    ax.set_xlabel("above the hull of all others (meV/atom)")
    return figure
