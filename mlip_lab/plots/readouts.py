"""Picture of several trained potentials side by side: errors on test frames, and time to train."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mlip_lab.core.errors import InputError
from mlip_lab.plots.style import COLORS, describe, new_figure


def readouts(reports: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Bars of the test errors of energy and forces and of the time to train, from the reports of potentials.

    Args:
        reports: `potential.report` by name, each of a training with test frames.

    Raises:
        InputError: If a report has no test errors.
    """
    missing = [name for name, report in reports.items() if not report.get("test")]
    if not reports or missing:
        raise InputError(f"reports: expected trainings with test frames, got {missing or 'none at all'}.")
    figure, axes = new_figure(1, 3, size=(11.0, 0.7 + 0.6 * len(reports)), sharey=True)
    names = list(reports)
    columns = (
        ("test RMSE of energy (meV/atom)", [reports[name]["test"]["energy_rmse_mev_per_atom"] for name in names]),
        ("test RMSE of forces (eV/Å)", [reports[name]["test"]["forces_rmse_ev_per_ang"] for name in names]),
        ("time to train (s)", [reports[name]["train_seconds"] for name in names]),
    )
    for ax, (label, values) in zip(axes[0], columns, strict=True):
        bars = ax.barh(names, values, 0.6, color=COLORS[: len(names)])
        ax.bar_label(bars, [f"{value:.3g}" for value in values], padding=4, fontsize=9)
        ax.set_xlabel(label)
        ax.margins(x=0.2)
        ax.xaxis.set_major_locator(MaxNLocator(5))
    axes[0, 0].invert_yaxis()
    axes[0, 0].tick_params(axis="y", labelsize=10)
    parts = [f"{name}: {columns[1][1][k]:.3g} eV/Å in {columns[2][1][k]:.3g} s" for k, name in enumerate(names)]
    return describe(figure, f"Force error and time to train. {'; '.join(parts)}.")
