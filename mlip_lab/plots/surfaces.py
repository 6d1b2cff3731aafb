"""Pictures of surfaces: their energies, how these depend on the thickness of slabs, and the shape of a crystal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d.art3d import Poly3DCollection

from mlip_lab.plots.style import BAND, COLORS, OURS, REFERENCE, Picture, describe, dress, legend
from mlip_lab.properties.slabs import Miller
from mlip_lab.properties.surfaces import SurfacesResult, face_name
from mlip_lab.properties.wulff import WulffShape

ABOVE: dict[str, Any] = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0), "ncols": 3, "columnspacing": 1.0}
LIGHT = np.array([0.3, -0.5, 0.8])  # where it comes from


def surfaces(result: SurfacesResult, *, reference: Mapping[str, float] | None = None, name: str = "DFT") -> Figure:
    """Energies of each face, the textbook formula over thickness beside the line through all slabs, Wulff's shape.

    Args:
        result: From `properties.surfaces`.
        reference: Values in J/m² by face: "100" for a relaxed one, "100_ideal" for one with atoms in their places.
        name: What to call the reference.
    """
    shape = result.shape
    figure = Picture(figsize=(10.5 if shape else 7.4, 3.5), layout="constrained")
    grid = figure.add_gridspec(1, 3 if shape else 2)
    bars, growth = (figure.add_subplot(grid[0, k]) for k in (0, 1))
    for ax in (bars, growth):
        dress(ax)
    words = [_energies(bars, result, reference or {}, name), _thickness(growth, result)]
    if shape is not None:
        words.append(_shape(figure, grid[0, 2], shape, {s.face: COLORS[k % 7] for k, s in enumerate(result.surfaces)}))
    return describe(figure, " ".join(words))


def wulff(shape: WulffShape) -> Figure:
    """Wulff's shape alone.

    Args:
        shape: From `properties.wulff`.
    """
    figure = Picture(figsize=(4.6, 3.8), layout="constrained")
    colors = {face: COLORS[k % len(COLORS)] for k, face in enumerate(shape.shares)}
    return describe(figure, _shape(figure, figure.add_gridspec(1, 1)[0, 0], shape, colors))


def _energies(ax: Axes, result: SurfacesResult, known: Mapping[str, float], name: str) -> str:
    places = np.arange(len(result.surfaces))
    names = [surface.name for surface in result.surfaces]
    relaxed = [s.relaxed for s in result.surfaces]
    if all(relaxed):
        ax.bar(places - 0.2, [r.fitted for r in relaxed if r], 0.36, color=OURS, label="relaxed")
    ax.bar(places + 0.2, [s.ideal.fitted for s in result.surfaces], 0.36, color=OURS, alpha=2 * BAND, label="ideal")
    marks = []
    for place, surface in zip(places, result.surfaces, strict=True):
        key = "".join(map(str, surface.face))
        marks += [(place - 0.2, known[key])] if key in known else []
        marks += [(place + 0.2, known[f"{key}_ideal"])] if f"{key}_ideal" in known else []
    if marks:
        style: dict[str, Any] = {"ls": "", "marker": "o", "ms": 8, "mfc": "white", "mec": REFERENCE, "mew": 1.4}
        ax.plot(*np.array(marks).T, label=name, **style)
    ax.set_xticks(places, names)
    ax.set_ylabel("surface energy (J/m²)")
    legend(ax, **ABOVE)
    parts = []
    for surface in result.surfaces:
        key = "".join(map(str, surface.face))
        beside = f" ({name}: {known[key]:.2f})" if key in known else ""
        parts.append(f"{surface.name} {surface.best.fitted:.2f} J/m²{beside}")
    return f"Surface energies: {', '.join(parts)}."


def _thickness(ax: Axes, result: SurfacesResult) -> str:
    for number, surface in enumerate(result.surfaces):
        color, best = COLORS[number % len(COLORS)], surface.best
        ax.plot(surface.thicknesses, best.textbook, "o", ms=4, color=color, label=surface.name)
        ax.axhline(best.fitted, color=color, lw=1.2)
    ax.set(xlabel="thickness of the slab (Å)", ylabel="with the crystal's energy (J/m²)")
    span = max(abs(surface.best.textbook - surface.best.fitted).max() for surface in result.surfaces)
    low, high = ax.get_ylim()
    ax.set_ylim(low - 0.02, high + 0.02)
    worst = max(result.surfaces, key=lambda surface: abs(surface.best.drift))
    legend(ax, **ABOVE)
    return (
        f"With the energy of the crystal in place of the line's they differ by up to {span:.2g} J/m²; "
        f"{worst.name} drifts by {worst.best.drift:.2g} J/m² for every 10 Å."
    )


def _shape(figure: Figure, place: Any, shape: WulffShape, colors: Mapping[Miller, str]) -> str:
    ax: Any = figure.add_subplot(place, projection="3d")
    for face, corners in shape.facets:
        normal = np.cross(corners[1] - corners[0], corners[2] - corners[1])
        normal = normal / np.linalg.norm(normal)
        shade = 0.55 + 0.45 * abs(float(normal @ LIGHT / np.linalg.norm(LIGHT)))
        color = tuple(shade * part for part in to_rgb(colors[face]))
        ax.add_collection3d(Poly3DCollection([corners], facecolors=[color], edgecolors="black", linewidths=0.6))
    reach = 1.02 * max(float(np.linalg.norm(corners, axis=1).max()) for _, corners in shape.facets)
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), zlim=(-reach, reach))
    ax.set_box_aspect((1, 1, 1))
    ax.set_axis_off()
    parts = [f"{face_name(face)} {100 * share:.0f} %" for face, share in shape.shares.items()]
    for number, (face, part) in enumerate(zip(shape.shares, parts, strict=True)):
        ax.text2D(0.02, 0.98 - 0.08 * number, part, color=colors[face], transform=ax.transAxes, va="top", fontsize=9)
    return f"Shares of the area of Wulff's shape: {', '.join(parts)}."
