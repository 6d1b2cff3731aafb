"""Pictures of what a time step does to the vibrations of a structure."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm
from matplotlib.figure import Figure

from mlip_lab.dynamics import splitting
from mlip_lab.dynamics.stability import TimeStepStability
from mlip_lab.plots.style import OTHER, OURS, QUIET, REFERENCE, describe, legend, new_figure, rounded

WIDEST = 2.6  # ωΔt
FRICTIONS = (1e-3, 10.0)  # γΔt
LEVELS = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 1.0)


def stability(result: TimeStepStability) -> Figure:
    """The spectral radius over (ωΔt, γΔt) with the modes on it, and the temperature of each mode."""
    figure, axes = new_figure(1, 2, size=(8.6, 3.6))
    _map(axes[0, 0], result)
    _temperatures(axes[0, 1], result)
    step, longest = result.time_step, result.largest_step
    if not result.stable:
        words = f"At {step:.3g} fs the fastest mode grows at every step; {longest:.3g} fs is the largest stable step."
        return describe(figure, words)
    off = result.kinetic_temperature - result.temperature
    words = (
        f"{step:.3g} fs is stable, up to {longest:.3g} fs would be; momenta should show {off:+.2g} K and positions "
        f"{result.configurational_temperature - result.temperature:+.2g} K beside the bath's {result.temperature:g} K."
    )
    found = result.experiment
    if found is not None and found.kinetic is not None:
        words += f" Measured from momenta: {rounded(*found.kinetic)} K."
    return describe(figure, words)


def _map(ax: Axes, result: TimeStepStability) -> None:
    h, g = np.meshgrid(np.linspace(0.02, WIDEST, 200), np.geomspace(*FRICTIONS, 120))
    radius = splitting.spectral_radius(result.scheme, h, g)
    shades = BoundaryNorm(LEVELS, 256)  # most of what matters is close to one
    filled = ax.contourf(h, g, np.minimum(radius, 1.0), levels=LEVELS, cmap="cividis", norm=shades)
    ax.contourf(h, g, radius, levels=[1.0 + 1e-9, 1e9], colors="white", hatches=["///"], alpha=0.5)
    ax.figure.colorbar(filled, ax=ax, label="spectral radius", ticks=LEVELS[1::2])
    omega_dt = 2e-3 * np.pi * result.time_step * result.frequencies
    shown = (omega_dt > 0) & (omega_dt < WIDEST)
    gamma_dt = min(max(1e-3 * result.friction * result.time_step, FRICTIONS[0]), FRICTIONS[1])
    style: dict[str, Any] = {"ls": "", "marker": "|", "color": OTHER, "ms": 9, "label": "modes"}
    ax.plot(omega_dt[shown], np.full(int(shown.sum()), gamma_dt), **style)
    ax.plot(omega_dt[-1:], [gamma_dt], ls="", marker="o", mfc="white", mec=OTHER, label="fastest")
    ax.set(yscale="log", xlim=(0, WIDEST), xlabel="frequency × step, ωΔt", ylabel="friction × step, γΔt")
    legend(ax, loc="lower left")


def _temperatures(ax: Axes, result: TimeStepStability) -> None:
    swings = result.frequencies > 0
    lasts = swings & np.isfinite(result.kinetic)
    for values, color, name in (
        (result.configurational, OURS, "positions"),
        (result.kinetic, OTHER, "momenta"),
    ):
        ax.plot(result.frequencies[lasts], values[lasts], ls="", marker=".", color=color, label=f"{name}, each mode")
    ax.axhline(1.0, color=QUIET, lw=0.8)
    found = result.experiment
    if found is not None and found.kinetic is not None and found.configurational is not None:
        end = float(result.frequencies[-1])
        for estimate, at, color, name in (
            (found.configurational, 1.04 * end, OURS, "measured, all modes"),
            (found.kinetic, 1.08 * end, OTHER, ""),
        ):
            value, error = (number / result.temperature for number in estimate)
            ax.errorbar([at], [value], [error], color=color, marker="o", mfc="white", mec=REFERENCE, label=name or None)
    ax.set(xlabel="frequency (THz)", ylabel="temperature / bath's")
    legend(ax, loc="best")
