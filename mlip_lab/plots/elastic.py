"""Pictures of elastic constants: three bars for a cubic crystal, the whole tensor for any other."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from mlip_lab.core.errors import CalculationError
from mlip_lab.plots.style import BAND, OURS, REFERENCE, describe, legend, new_figure
from mlip_lab.properties.elastic import ElasticResult, cubic_constants

NAMES = ("C11", "C12", "C44")


def elastic(result: ElasticResult, *, reference: Mapping[str, float] | None = None, name: str = "DFT") -> Figure:
    """C11, C12 and C44 with relaxed and with clamped ions beside a reference.

    A crystal that is not cubic along its axes is shown by `tensor`, without reference.

    Args:
        result: From `properties.elastic`.
        reference: Values in GPa by name: "C11", "C12", "C44" and, with clamped ions, "C44_clamped" and so on.
        name: What to call the reference.
    """
    try:
        clamped = cubic_constants(result.clamped)
    except CalculationError:
        return tensor(result)
    figure, axes = new_figure()
    ax = axes[0, 0]
    known = reference or {}
    places = np.arange(len(NAMES))
    if result.relaxed is not None:
        ax.bar(places - 0.2, cubic_constants(result.relaxed), 0.36, color=OURS, label="ions relaxed")
    ax.bar(places + 0.2, clamped, 0.36, color=OURS, alpha=2 * BAND, label="ions clamped")
    marks = [(place - 0.2, known[key]) for place, key in enumerate(NAMES) if key in known]
    marks += [(place + 0.2, known[f"{key}_clamped"]) for place, key in enumerate(NAMES) if f"{key}_clamped" in known]
    if marks:
        style = {"ls": "", "marker": "o", "ms": 8, "mfc": "white", "mec": REFERENCE, "mew": 1.4}
        ax.plot([place for place, _ in marks], [value for _, value in marks], label=name, **style)
    ax.set_xticks(places, NAMES)
    ax.set_ylabel("elastic constant (GPa)")
    legend(ax)
    constants = cubic_constants(result.constants)
    parts = [
        f"{key} {value:.1f} GPa" + (f" ({name}: {known[key]:.1f})" if key in known else "")
        for key, value in zip(NAMES, constants, strict=True)
    ]
    return describe(figure, f"Elastic constants: {', '.join(parts)}; C44 with clamped ions is {clamped[2]:.1f} GPa.")


def tensor(result: ElasticResult) -> Figure:
    """The constants as a table of colours, Voigt order."""
    figure, axes = new_figure(size=(4.8, 4.2))
    ax = axes[0, 0]
    constants = result.constants
    image = ax.imshow(constants, cmap="cividis")
    for i in range(6):
        for j in range(6):
            dark = constants[i, j] < 0.5 * (constants.max() + constants.min())
            ax.text(j, i, f"{constants[i, j]:.0f}", ha="center", va="center", color="white" if dark else "black")
    names = ("xx", "yy", "zz", "yz", "xz", "xy")
    ax.set_xticks(range(6), names)
    ax.set_yticks(range(6), names)
    figure.colorbar(image, ax=ax, label="elastic constant (GPa)", shrink=0.8)
    diagonal = ", ".join(f"C{i + 1}{i + 1} {constants[i, i]:.1f}" for i in range(6))
    return describe(figure, f"Elastic tensor; on its diagonal {diagonal} GPa.")
