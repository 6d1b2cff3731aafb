"""Pictures of elastic constants: bars for a cubic crystal, the whole tensor for any other, and how it pulls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from mlip_lab.plots.style import BAND, OURS, REFERENCE, Picture, describe, dress, legend, new_figure
from mlip_lab.properties.elastic import ElasticResult

CUBIC = ("C11", "C12", "C44")
MERIDIANS, PARALLELS = 61, 31  # of the surface of Young's modulus


def overview(result: ElasticResult, *, reference: Mapping[str, float] | None = None, name: str = "DFT") -> Figure:
    """The constants, and Young's modulus in every direction where the crystal is stable.

    Args:
        result: From `properties.elastic`.
        reference: As in `elastic`.
        name: What to call the reference.
    """
    if not result.stable:
        return elastic(result, reference=reference, name=name)
    figure = Picture(figsize=(9.0, 3.8), layout="constrained")
    grid = figure.add_gridspec(1, 2, width_ratios=(1.1, 1.0))
    constants = figure.add_subplot(grid[0, 0])
    dress(constants)
    words = [_constants(constants, result, reference or {}, name), _young(figure, grid[0, 1], result)]
    return describe(figure, " ".join(words))


def elastic(result: ElasticResult, *, reference: Mapping[str, float] | None = None, name: str = "DFT") -> Figure:
    """C11, C12 and C44 with relaxed and with clamped ions beside a reference.

    A crystal that is not cubic is shown by its whole tensor, without reference.

    Args:
        result: From `properties.elastic`.
        reference: Values in GPa by name: "C11", "C12", "C44" and, with clamped ions, "C44_clamped" and so on.
        name: What to call the reference.
    """
    figure, axes = new_figure(size=(5.0, 3.6) if result.system == "cubic" else (4.8, 4.2))
    return describe(figure, _constants(axes[0, 0], result, reference or {}, name))


def youngs_modulus(result: ElasticResult) -> Figure:
    """Young's modulus in every direction as the distance of a surface from the origin.

    Args:
        result: Of a stable crystal, from `properties.elastic`.

    Raises:
        CalculationError: If the crystal is not stable.
    """
    figure = Picture(figsize=(4.6, 3.8), layout="constrained")
    return describe(figure, _young(figure, figure.add_gridspec(1, 1)[0, 0], result))


def _constants(ax: Axes, result: ElasticResult, reference: Mapping[str, float], name: str) -> str:
    return _bars(ax, result, reference, name) if result.system == "cubic" else _table(ax, result)


def _bars(ax: Axes, result: ElasticResult, known: Mapping[str, float], name: str) -> str:
    places = np.arange(len(CUBIC))
    clamped, constants = list(result.named(result.clamped).values()), list(result.independent.values())
    if result.relaxed is not None:
        ax.bar(places - 0.2, constants, 0.36, color=OURS, label="ions relaxed", yerr=float(result.errors.max()))
    ax.bar(places + 0.2, clamped, 0.36, color=OURS, alpha=2 * BAND, label="ions clamped")
    marks = [(place - 0.2, known[key]) for place, key in enumerate(CUBIC) if key in known]
    marks += [(place + 0.2, known[f"{key}_clamped"]) for place, key in enumerate(CUBIC) if f"{key}_clamped" in known]
    if marks:
        style: dict[str, Any] = {"ls": "", "marker": "o", "ms": 8, "mfc": "white", "mec": REFERENCE, "mew": 1.4}
        ax.plot([place for place, _ in marks], [value for _, value in marks], label=name, **style)
    ax.set_xticks(places, CUBIC)
    ax.set_ylabel("elastic constant (GPa)")
    legend(ax)
    parts = [
        f"{key} {value:.1f} GPa" + (f" ({name}: {known[key]:.1f})" if key in known else "")
        for key, value in zip(CUBIC, constants, strict=True)
    ]
    return f"Elastic constants: {', '.join(parts)}; C44 with clamped ions is {clamped[2]:.1f} GPa."


def _table(ax: Axes, result: ElasticResult) -> str:
    """The constants as a table of colours, Voigt order."""
    constants = result.constants
    image = ax.imshow(constants, cmap="cividis")
    for i in range(6):
        for j in range(6):
            dark = constants[i, j] < 0.5 * (constants.max() + constants.min())
            ax.text(j, i, f"{constants[i, j]:.0f}", ha="center", va="center", color="white" if dark else "black")
    names = ("xx", "yy", "zz", "yz", "xz", "xy")
    ax.set_xticks(range(6), names)
    ax.set_yticks(range(6), names)
    ax.figure.colorbar(image, ax=ax, label="elastic constant (GPa)", shrink=0.8)
    diagonal = ", ".join(f"C{i + 1}{i + 1} {constants[i, i]:.1f}" for i in range(6))
    return f"Elastic tensor; on its diagonal {diagonal} GPa."


def _young(figure: Figure, place: Any, result: ElasticResult) -> str:
    polar, around = np.meshgrid(np.linspace(0, np.pi, PARALLELS), np.linspace(0, 2 * np.pi, MERIDIANS))
    directions = np.stack([np.sin(polar) * np.cos(around), np.sin(polar) * np.sin(around), np.cos(polar)], axis=-1)
    moduli = result.youngs_modulus(directions)
    ax: Any = figure.add_subplot(place, projection="3d")
    ends = Normalize(float(moduli.min()), float(moduli.max()) + 1e-9)
    colors = ScalarMappable(ends, "viridis").to_rgba(moduli)
    x, y, z = np.moveaxis(directions * moduli[..., None], -1, 0)
    ax.plot_surface(x, y, z, facecolors=colors, rstride=1, cstride=1, linewidth=0, antialiased=False, shade=True)
    reach = 1.05 * float(moduli.max())
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), zlim=(-reach, reach), xlabel="x", ylabel="y", zlabel="z")
    ax.set_box_aspect((1, 1, 1))
    for axis in (ax.xaxis, ax.yaxis, ax.zaxis):
        axis.set_ticklabels([])
    figure.colorbar(ScalarMappable(ends, "viridis"), ax=ax, label="Young's modulus (GPa)", shrink=0.7, pad=0.08)
    # the extremes of a crystal with axes lie along simple directions, which the mesh may miss
    simple = np.stack(np.meshgrid(*[np.arange(-2, 3)] * 3), axis=-1).reshape(-1, 3)
    simple = simple[np.lexsort((simple[:, 0], simple[:, 1], simple[:, 2], (simple**2).sum(axis=1)))][1:]
    among = np.concatenate([simple / np.linalg.norm(simple, axis=1, keepdims=True), directions.reshape(-1, 3)])
    along = np.round(result.youngs_modulus(among), 6)
    soft, stiff = int(along.argmin()), int(along.argmax())
    return (
        f"Young's modulus is {along[soft]:.1f} GPa along {_direction(among[soft])} and {along[stiff]:.1f} GPa along "
        f"{_direction(among[stiff])}."
    )


def _direction(vector: Any) -> str:
    """As (0.58, 0.58, 0.58), the first component that is not zero positive."""
    vector = np.round(vector, 2)
    first = vector[np.flatnonzero(vector)[0]]
    return "(" + ", ".join(f"{part:.2g}" for part in vector * np.sign(first) + 0.0) + ")"
