"""Picture of what data near a saddle point are worth."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.interpolate import PchipInterpolator

from mlip_lab.data.malonaldehyde_frames import NEAR_SADDLE
from mlip_lab.plots.style import BAND, OTHER, OURS, QUIET, REFERENCE, describe, legend, new_figure
from mlip_lab.workflows.saddle_data import SaddleData, proton_coordinates

STYLES = ((OURS, "-"), (OTHER, "--"))


def saddle_data(result: SaddleData) -> Figure:
    """Energy along the proton's way of both potentials beside density-functional theory, and their force errors.

    Args:
        result: From `workflows.saddle_data`.
    """
    figure, axes = new_figure(1, 2, size=(9.4, 3.8), width_ratios=(1.7, 1.0))
    _paths(axes[0, 0], result)
    _errors(axes[0, 1], result)
    parts = [f"{student.barrier:.0f} meV {name}" for name, student in result.students.items()]
    return describe(figure, f"Barrier: {', '.join(parts)}; density-functional theory says {result.barrier:.0f} meV.")


def _paths(ax: Axes, result: SaddleData) -> None:
    ax.axvspan(-NEAR_SADDLE, NEAR_SADDLE, color=QUIET, alpha=BAND / 2, lw=0, label="left out of one training")
    for (name, student), (color, style) in zip(result.students.items(), STYLES, strict=True):
        path = student.path
        places, energies = path.curve()
        proton = PchipInterpolator(path.distances, proton_coordinates(path.positions))(places)
        ax.plot(proton, 1000 * energies, style, color=color, lw=1.8, label=f"{name} ({student.frames} frames)")
    exact = np.array([(result.minimum, 0.0), (0.0, result.barrier), (-result.minimum, 0.0)])
    ax.plot(*exact.T, "o", ms=8, mfc="none", mec=REFERENCE, mew=1.4, label="DFT: minima and saddle", zorder=5)
    learned = next(iter(result.students.values())).coordinates
    ax.plot(learned, np.full(len(learned), -0.06 * result.barrier), "|", color=QUIET, ms=6, alpha=0.5)
    ax.set(xlabel="d(O–H) − d(O'–H) (Å)", ylabel="energy above the minimum (meV)", xlim=(-1.1, 1.1))
    ax.set_ylim(top=1.65 * result.barrier)
    legend(ax, loc="upper center")


def _errors(ax: Axes, result: SaddleData) -> None:
    places = np.arange(2)
    for number, (student, (color, _)) in enumerate(zip(result.students.values(), STYLES, strict=True)):
        ax.bar(places + 0.4 * (number - 0.5), [student.near, student.far], 0.36, color=color)
    ax.set_xticks(places, ["near the saddle", "elsewhere"])
    ax.set_ylabel("force error on test frames (eV/Å)")
