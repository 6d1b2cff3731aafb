"""A picture whose points say what they are when the mouse rests on them: an image map, without any script."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mlip_lab.plots.style import DRAWING, description, png

REACH = 7  # pixels around a point


class Hovering:
    """A figure that a notebook shows with words over its points.

    Attributes:
        figure: The figure.
        areas: x and y in pixels from the upper left corner, and the words, of each point.
        size: Width and height in pixels.
    """

    def __init__(self, figure: Figure, ax: Axes, spots: Sequence[tuple[float, float, str]], dpi: int = 100) -> None:
        """Find where the points are.

        Args:
            figure: The figure.
            ax: The axes that the points are in.
            spots: x and y in the units of the axes, and what to say.
            dpi: Pixels in an inch.
        """
        self.figure = figure
        with DRAWING:
            self._image = png(figure, dpi=dpi)  # lays out the axes
            scale = dpi / figure.dpi
            width, height = (round(float(length * dpi)) for length in figure.get_size_inches())
            low, high = sorted(ax.get_ylim())
            inside = [spot for spot in spots if low <= spot[1] <= high]
            places = ax.transData.transform(np.array([spot[:2] for spot in inside]).reshape(-1, 2))
        self.size = width, height
        self.areas = tuple(
            (round(x * scale), height - round(y * scale), words)
            for (x, y), (_, _, words) in zip(places, inside, strict=True)
        )

    def _repr_html_(self) -> str:
        name = f"spots-{id(self):x}"
        areas = "".join(
            f"<area shape='circle' coords='{x},{y},{REACH}' title='{escape(words, quote=True)}' "
            f"alt='{escape(words, quote=True)}'>"
            for x, y, words in self.areas
        )
        image = base64.b64encode(self._image).decode()
        alt, (width, height) = escape(description(self.figure), quote=True), self.size
        return (
            f"<img alt='{alt}' width='{width}' height='{height}' usemap='#{name}' "
            f"src='data:image/png;base64,{image}'><map name='{name}'>{areas}</map>"
        )
