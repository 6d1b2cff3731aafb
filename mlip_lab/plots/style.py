"""One look for every picture: Okabe–Ito colours, thin axes, units on the labels, words for those who cannot see it.

No pyplot and no global settings: figures are made one by one and may be drawn on any thread.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import imread, imsave
from numpy.typing import NDArray

DRAWING = threading.RLock()  # matplotlib's fonts and text are not made for two threads at once

OURS = "#0072B2"  # blue
OTHER = "#D55E00"  # vermilion
REFERENCE = "#000000"  # open circles
QUIET = "#6E6E6E"
# Colours and markers of kinds: fourteen that differ in at least one of the two, also in grey
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#6E6E6E")
MARKERS = ("o", "s", "^", "v", "D", "P", "X")
BAND = 0.2  # opacity of an uncertainty


class Picture(Figure):
    """A figure that a notebook shows as it is, without pyplot."""

    def _repr_png_(self) -> bytes:
        return png(self)


def new_figure(
    rows: int = 1, columns: int = 1, *, size: tuple[float, float] = (5.0, 3.6), **grid: Any
) -> tuple[Figure, NDArray[Any]]:
    """A figure in the house style and its axes, (rows, columns).

    Args:
        rows: Rows of axes.
        columns: Columns of axes.
        size: Width and height in inches.
        **grid: Passed to Figure.subplots.
    """
    figure = Picture(figsize=size, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, **grid)
    for ax in axes.flat:
        dress(ax)
    return figure, axes


def dress(ax: Axes) -> None:
    """Give axes the house style."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_linewidth(0.8)
    ax.tick_params(labelsize=9, width=0.8)
    ax.xaxis.label.set_fontsize(10)
    ax.yaxis.label.set_fontsize(10)


def legend(ax: Axes, **options: Any) -> None:
    """A legend without a frame, if there is anything to name."""
    if ax.get_legend_handles_labels()[1]:
        ax.legend(frameon=False, fontsize=9, **options)


def kind_styles(kinds: list[str]) -> dict[str, tuple[str, str]]:
    """A colour and a marker for each kind."""
    return {
        kind: (COLORS[i % len(COLORS)], MARKERS[(i + i // len(COLORS)) % len(MARKERS)]) for i, kind in enumerate(kinds)
    }


def describe(figure: Figure, words: str) -> Figure:
    """Keep the text alternative, with the picture's main finding, on the figure."""
    figure.set_label(words)
    return figure


def description(figure: Figure) -> str:
    """The text alternative of a figure."""
    return str(figure.get_label())


def png(figure: Figure, dpi: int = 120) -> bytes:
    """The figure as PNG."""
    buffer = io.BytesIO()
    with DRAWING:
        figure.savefig(buffer, format="png", dpi=dpi, facecolor="white")
    return buffer.getvalue()


def mosaic(rows: Sequence[Sequence[Figure]], dpi: int = 120) -> bytes:
    """Rows of figures as one PNG, white where they do not fill it."""
    drawn = [[_pixels(figure, dpi) for figure in row] for row in rows]
    strips = [np.concatenate(_padded(row, axis=0), axis=1) for row in drawn]
    buffer = io.BytesIO()
    imsave(buffer, np.concatenate(_padded(strips, axis=1), axis=0), format="png")
    return buffer.getvalue()


def _pixels(figure: Figure, dpi: int) -> NDArray[np.float64]:
    return np.asarray(imread(io.BytesIO(png(figure, dpi)))[..., :3], dtype=np.float64)


def _padded(images: Sequence[NDArray[np.float64]], axis: int) -> list[NDArray[np.float64]]:
    size = max(image.shape[axis] for image in images)
    widths = [[(0, size - image.shape[axis] if i == axis else 0) for i in range(3)] for image in images]
    return [np.pad(image, width, constant_values=1.0) for image, width in zip(images, widths, strict=True)]


def rounded(value: float, error: float) -> str:
    """A value and its error, "1.23 ± 0.04": the error to two digits, the value to the same place."""
    if not np.isfinite(error) or error <= 0:
        return f"{value:.4g}"
    places = max(0, 1 - int(np.floor(np.log10(error))))
    power = int(np.floor(np.log10(max(abs(value), error))))
    if places > 5 and power < 0:
        return f"({rounded(value / 10.0**power, error / 10.0**power)}) × 10^{power}"
    return f"{value:.{places}f} ± {error:.{places}f}"
