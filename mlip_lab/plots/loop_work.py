"""Picture of a closed loop: forces along it, the work they do, and how that vanishes with the number of steps."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mlip_lab.plots.style import OTHER, OURS, QUIET, REFERENCE, describe, legend, new_figure
from mlip_lab.properties.loop_work import LoopWork, work_along

ARROWS = 8  # on an edge


def loop_work(result: LoopWork) -> Figure:
    """Forces along the path, work done so far beside the change of energy, and work against number of steps.

    Args:
        result: From `properties.loop_work`.
    """
    figure, axes = new_figure(1, 3, size=(11.0, 3.4))
    path, around, order = axes[0]
    _draw_forces(path, result)
    _draw_work(around, result)
    _draw_order(order, result)
    words = f"Round the loop the forces do {1000 * result.work:.2g} meV of work in {(len(result.path) - 1) // 4} steps"
    words += " an edge, and less the finer the steps."
    if result.swirl:
        words += f" With the made-up force it is {1000 * (result.work + result.swirl_work):.4g} meV, however fine."
    return describe(figure, words)


def _draw_forces(ax: Axes, result: LoopWork) -> None:
    x, y, _ = result.path.T
    ax.plot(x, y, color=QUIET, lw=0.8)
    ax.plot(0, 0, "o", ms=5, color=REFERENCE)
    shown = slice(0, -1, max(1, (len(x) - 1) // (4 * ARROWS)))
    total = result.forces + result.swirl_forces
    longest = max(float(np.linalg.norm(total[:, :2], axis=1).max()), 1e-12)
    scale = 2.5 * longest / float(np.ptp(x))  # the longest arrow is two fifths of an edge
    style: dict[str, Any] = {"angles": "xy", "scale_units": "xy", "scale": scale, "width": 0.008}
    ax.quiver(x[shown], y[shown], *result.forces[shown, :2].T, color=OURS, label="of the potential", **style)
    if result.swirl:
        ax.quiver(x[shown], y[shown], *total[shown, :2].T, color=OTHER, label="with made-up force", **style)
    ax.set(aspect="equal", xlabel="x (Å)", ylabel="y (Å)")
    ax.margins(0.45)
    ax.autoscale_view()
    ax.text(0.02, 0.98, f"longest arrow {longest:.2g} eV/Å", transform=ax.transAxes, fontsize=9, va="top")


def _draw_work(ax: Axes, result: LoopWork) -> None:
    edges = np.linspace(0, 4, len(result.path))
    work = work_along(result.path, result.forces)
    ax.plot(edges, 1000 * work, color=OURS, label="work of the forces")
    every = slice(None, None, max(1, (len(edges) - 1) // 16))
    marks: dict[str, Any] = {"ls": "", "marker": "o", "mfc": "none", "mec": REFERENCE, "ms": 5}
    ax.plot(edges[every], -1000 * result.energies[every], label="energy given up", **marks)
    if result.swirl:
        made_up = work + work_along(result.path, result.swirl_forces)
        ax.plot(edges, 1000 * made_up, "--", color=OTHER, label="with made-up force")
    ax.axhline(0, color=REFERENCE, lw=0.6)
    ax.set(xlabel="edges passed", ylabel="work so far (meV)", xticks=range(5))
    ax.margins(y=0.35)
    legend(ax, loc="upper left")


def _draw_order(ax: Axes, result: LoopWork) -> None:
    steps, work = result.convergence()
    size = np.maximum(1000 * np.abs(work), 1e-12)
    ax.loglog(steps, size, "o-", color=OURS, ms=4, label="work of the forces")
    ax.loglog(steps, size[0] * (steps / steps[0]) ** -2.0, ":", color=QUIET, label="∝ 1 / steps²")
    if result.swirl:  # linear in x and y, so the trapezoidal rule is exact for it with any number of steps
        total = 1000 * np.abs(work + result.swirl_work)
        ax.loglog(steps, total, "s--", color=OTHER, ms=4, label="with made-up force")
    ax.set(xlabel="steps on an edge", ylabel="|work round the loop| (meV)")
    ax.set_xticks(steps, [str(step) for step in steps])
    ax.minorticks_off()
    legend(ax)
