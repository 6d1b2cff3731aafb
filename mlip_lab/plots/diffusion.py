"""Pictures of diffusion: displacements and their line, the velocity's memory and its integral; the spectrum."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from mlip_lab.plots.style import BAND, OTHER, OURS, QUIET, REFERENCE, describe, legend, new_figure, rounded
from mlip_lab.properties.diffusion import Diffusion
from mlip_lab.properties.velocity_spectrum import VelocitySpectrum


def diffusion(result: Diffusion) -> Figure:
    """Mean square displacement with the fitted line, and the integral of the velocity autocorrelation.

    Args:
        result: From `properties.diffusion`.
    """
    figure, axes = new_figure(1, 2, size=(8.0, 3.4))
    left, right = axes[0]
    picoseconds = result.times / 1000
    left.plot(picoseconds, result.displacement, color=OURS, lw=1.4, label="mean square displacement")
    low, high = (result.displacement + sign * 1.96 * result.displacement_error for sign in (-1, 1))
    left.fill_between(picoseconds, low, high, color=OURS, alpha=BAND, lw=0)
    span = np.array(result.fitted) / 1000
    line = result.offset + 6 * result.by_displacement.value * span
    left.plot(span, line, color=REFERENCE, lw=1.0, ls="--", label="fitted line")
    left.set(xlabel="time (ps)", ylabel="displacement² (Å²)", xlim=(0, None), ylim=(0, None))
    legend(left)
    shown = picoseconds[: len(result.integral)]
    end = min(len(shown), max(10, int(4 * np.searchsorted(result.times, result.fitted[0]))))
    right.plot(shown[:end], result.integral[:end], color=OURS, lw=1.4, label="∫ C dt")
    normal = result.correlation[:end] / max(result.correlation[0], 1e-300) * np.abs(result.integral[:end]).max()
    right.plot(shown[:end], normal, color=OTHER, lw=1.0, label="C, scaled")
    right.axhline(0, color=QUIET, lw=0.5)
    right.axvline(span[0], color=QUIET, lw=0.8, ls=":")
    right.set(xlabel="time (ps)", ylabel="diffusion constant (Å²/ps)", xlim=(0, None))
    legend(right)
    return describe(
        figure,
        f"The diffusion constant is {rounded(*result.by_displacement)} Å²/ps from displacements and "
        f"{rounded(*result.by_velocity)} Å²/ps from velocities, over {result.atoms} atoms.",
    )


def velocity_spectrum(result: VelocitySpectrum, *, phonons: Any = None) -> Figure:
    """Density of states of the motion, beside that of the phonons if they are given.

    Args:
        result: From `properties.velocity_spectrum`.
        phonons: A PhononResult of the same crystal.
    """
    figure, axes = new_figure(size=(5.6, 3.6))
    ax = axes[0, 0]
    top = 1.1 * float(result.frequencies[np.flatnonzero(result.states > 0.01 * result.states.max())[-1]])
    if phonons is not None:
        states = phonons.dos / len(phonons.atoms)
        ax.plot(phonons.dos_frequencies, states, color=REFERENCE, lw=1.0, ls="--", label="phonons")
    ax.plot(result.frequencies, result.states, color=OURS, lw=1.4, label="moving atoms")
    low, high = (result.states + sign * 1.96 * np.nan_to_num(result.error) for sign in (-1, 1))
    ax.fill_between(result.frequencies, low, high, color=OURS, alpha=BAND, lw=0)
    ax.set(xlabel="frequency (THz)", ylabel="states (1/THz and atom)", xlim=(0, top), ylim=(0, None))
    legend(ax)
    peak = float(result.frequencies[result.states.argmax()])
    mean = float(np.trapezoid(result.states * result.frequencies, result.frequencies) / 3)
    return describe(figure, f"Atoms swing most at {peak:.2f} THz; the mean frequency is {mean:.2f} THz.")
