"""Pictures of a training: its learning curve, and labels against predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import LogLocator
from numpy.typing import NDArray

from mlip_lab.plots.style import (
    OTHER,
    OURS,
    QUIET,
    REFERENCE,
    Picture,
    describe,
    dress,
    kind_styles,
    legend,
    new_figure,
)
from mlip_lab.workflows.errors import Predicted, energy_pairs, force_pairs, rmse, stress_pairs

Pairs = Callable[[Sequence[Predicted]], NDArray[np.float64]]
QUANTITIES: tuple[tuple[str, str, float, str, Pairs], ...] = (
    # name, unit of the axes, factor to the unit of the error, that unit, label and prediction
    ("energy", "eV/atom", 1000.0, "meV/atom", energy_pairs),
    ("force", "eV/Å", 1.0, "eV/Å", force_pairs),
    ("stress", "GPa", 1.0, "GPa", stress_pairs),
)
CURVES = (
    ("energy_rmse_mev_per_atom", "energy RMSE (meV/atom)"),
    ("forces_rmse_ev_per_ang", "force RMSE (eV/Å)"),
)


def learning_curve(history: Mapping[str, Sequence[float]]) -> Figure:
    """Errors over epochs, on frames learned from and on frames held out.

    Args:
        history: Lists of equal length: "epoch", and "train_..." and "validation_..." followed by
            "energy_rmse_mev_per_atom" or "forces_rmse_ev_per_ang". What is missing is left out.
    """
    figure, axes = new_figure(1, 2, size=(8.0, 3.2))
    return describe(figure, _draw_curves(axes, history))


def parity(predictions: Sequence[Predicted]) -> Figure:
    """Predictions against labels for energy, forces and stress, coloured by kind, with what is left below."""
    figure, axes = new_figure(2, 3, size=(11.0, 5.4), height_ratios=(3, 1), sharex="col")
    return describe(figure, _draw_parity(figure, axes, predictions))


def overview(predictions: Sequence[Predicted], history: Mapping[str, Sequence[float]]) -> Figure:
    """Predictions against labels, and below how the errors fell while the potential learned."""
    if not history:
        return parity(predictions)
    figure = Picture(figsize=(11.0, 8.6), layout="constrained")
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=(5.4, 3.2))[:, 0]
    axes = above.subplots(2, 3, squeeze=False, height_ratios=(3, 1), sharex="col")
    curves = below.subplots(1, 2, squeeze=False)
    for ax in (*axes.flat, *curves.flat):
        dress(ax)
    words = _draw_parity(above, axes, predictions)
    return describe(figure, f"{words} {_draw_curves(curves, history)}")


def _draw_curves(axes: NDArray[Any], history: Mapping[str, Sequence[float]]) -> str:
    words = []
    for ax, (name, label) in zip(axes.flat, CURVES, strict=True):
        for part, color, style in (("train", OURS, "--"), ("validation", OTHER, "-")):
            values = history.get(f"{part}_{name}", ())
            if len(values) == 0:
                continue
            epochs = history.get("epoch", range(1, len(values) + 1))
            ax.plot(epochs, values, style, color=color, lw=1.2, label="learned from" if part == "train" else "held out")
            if part == "validation":
                words.append(f"{label} of held-out frames falls from {values[0]:.3g} to {values[-1]:.3g}")
        ax.set_xlabel("epoch")
        ax.set_ylabel(label)
        if ax.lines:
            ax.set_yscale("log")
            ax.yaxis.set_minor_locator(LogLocator(subs=(2.0, 3.0, 5.0)))
            ax.yaxis.set_major_formatter("{x:g}")
            ax.yaxis.set_minor_formatter("{x:g}")
        else:
            ax.text(0.5, 0.5, "solved in one step", ha="center", color=QUIET, transform=ax.transAxes)
        legend(ax)
    return "Learning curve. " + ("; ".join(words) or "The fit was solved in one step") + "."


def _draw_parity(figure: Figure | SubFigure, axes: NDArray[Any], predictions: Sequence[Predicted]) -> str:
    kinds = list(dict.fromkeys(p.frame.kind or "unnamed" for p in predictions))
    styles = kind_styles(kinds)
    words = []
    for column, (name, unit, factor, error_unit, pairs) in enumerate(QUANTITIES):
        above, below = axes[0, column], axes[1, column]
        for kind in kinds:
            color, marker = styles[kind]
            points = pairs([p for p in predictions if (p.frame.kind or "unnamed") == kind])
            style = {"ls": "", "marker": marker, "ms": 3.5, "mew": 0, "color": color, "alpha": 0.7, "rasterized": True}
            above.plot(points[:, 0], points[:, 1], label=kind, **style)
            below.plot(points[:, 0], factor * (points[:, 1] - points[:, 0]), **style)
        error = rmse(pairs(predictions))
        _finish(above, below, name, unit, error_unit, None if error is None else factor * error)
        if error is not None:
            words.append(f"{name} {factor * error:.3g} {error_unit}")
    figure.legend(
        *axes[0, 0].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=7,
        frameon=False,
        fontsize=9,
        markerscale=1.6,
    )
    found = ", ".join(words) or "no labels"
    return f"Predictions against DFT on {len(predictions)} frames; root mean square errors: {found}."


def _finish(above: Axes, below: Axes, name: str, unit: str, error_unit: str, error: float | None) -> None:
    if error is None:
        above.text(0.5, 0.5, "no labels", ha="center", color=QUIET, transform=above.transAxes)
    else:
        low, high = above.dataLim.x0, above.dataLim.x1
        above.plot([low, high], [low, high], color=REFERENCE, lw=0.8, zorder=0)
        above.text(0.04, 0.92, f"RMSE {error:.3g} {error_unit}", transform=above.transAxes, fontsize=10)
        below.axhline(0, color=REFERENCE, lw=0.8, zorder=0)
    above.set_ylabel(f"predicted {name} ({unit})")
    below.set_ylabel(f"error\n({error_unit})")
    below.set_xlabel(f"DFT {name} ({unit})")
