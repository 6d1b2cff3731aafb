"""What the colours mean, as HTML that is legible in the light and in the dark theme."""

from __future__ import annotations

from html import escape

import numpy as np
from ase.data import atomic_names, chemical_symbols
from ase.data.colors import jmol_colors
from matplotlib import colormaps
from matplotlib.colors import to_hex
from numpy.typing import NDArray

from mlip_lab.plots.structure import COLORMAP

NAMES = {
    "force": "force on each atom",
    "energy": "energy of each atom",
    "uncertainty": "uncertainty of each atom",
    "displacement": "displacement of each atom",
}


def element_legend(numbers: NDArray[np.integer]) -> str:
    """A spot of colour, the symbol and the number of atoms for each element."""
    kinds, counts = np.unique(numbers, return_counts=True)
    parts = [
        f"<span class='mlip-element' title='{escape(atomic_names[z])}'>"
        f"<span class='mlip-spot' style='background:{to_hex(jmol_colors[z])}'></span>{chemical_symbols[z]} × {count}"
        "</span>"
        for z, count in zip(kinds, counts, strict=True)
    ]
    return f"<div class='mlip-legend'>{''.join(parts)}</div>"


def scale_legend(scheme: str, unit: str, limits: tuple[float, float]) -> str:
    """A bar from the least to the greatest value, with its unit."""
    stops = ", ".join(to_hex(colormaps[COLORMAP](x)) for x in np.linspace(0, 1, 9))
    low, middle, high = (f"{value:.3g}" for value in (limits[0], (limits[0] + limits[1]) / 2, limits[1]))
    name = NAMES[scheme] + (f" ({escape(unit)})" if unit else "")
    return (
        f"<div class='mlip-legend mlip-scale'><div>{name}</div>"
        f"<div class='mlip-bar' style='background:linear-gradient(to right, {stops})'></div>"
        f"<div class='mlip-ticks'><span>{low}</span><span>{middle}</span><span>{high}</span></div></div>"
    )
