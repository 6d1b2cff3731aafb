"""Picture of a learning curve: test errors against the number of frames learned from."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from mlip_lab.plots.style import BAND, OURS, describe, new_figure
from mlip_lab.workflows.learning_curve import LearningCurve


def learning_curve(result: LearningCurve) -> Figure:
    """Energy and force error over frames on logarithmic axes: every random choice, their mean and their range.

    Args:
        result: From `workflows.learning_curve`.
    """
    figure, axes = new_figure(1, 2, size=(8.0, 3.4))
    parts = ((result.energy, "test RMSE of energy (meV/atom)"), (result.forces, "test RMSE of forces (eV/Å)"))
    for ax, (errors, label) in zip(axes[0], parts, strict=True):
        mean = errors.mean(axis=1)
        ax.loglog(result.frames, mean, "o-", color=OURS, ms=4, lw=1.4)
        ax.fill_between(result.frames, errors.min(axis=1), errors.max(axis=1), color=OURS, alpha=BAND, lw=0)
        for repeat in errors.T:
            ax.plot(result.frames, repeat, ".", color=OURS, ms=3, alpha=0.6)
        ax.set(xlabel="frames learned from", ylabel=label)
        ax.set_xticks(result.frames, [str(n) for n in result.frames])
        ax.xaxis.minorticks_off()
        ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        ax.yaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_minor_formatter("")
    first, last = (result.forces[k].mean() for k in (0, -1))
    words = f"From {result.frames[0]} to {result.frames[-1]} frames the force error falls from {first:.2g} to "
    words += f"{last:.2g} eV/Å, the energy error from {np.mean(result.energy[0]):.2g} to "
    return describe(figure, f"{words}{np.mean(result.energy[-1]):.2g} meV/atom.")
