"""Vibrational density of states from moving atoms: the power spectrum of their velocities.

g(f) = Σ_j m_j |ṽ_j(f)|² is the Fourier transform of the velocity autocorrelation. In a harmonic crystal every mode has
the same kinetic energy, so g is the density of states of its phonons; here its integral is 3 for each atom. Pieces of
the run, each under a Hann window and half overlapping the next, are averaged (Welch, DOI 10.1109/TAU.1967.1161901).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from mlip_lab.core.errors import InputError
from mlip_lab.core.late import plotted
from mlip_lab.core.progress import Progress, silent
from mlip_lab.core.quantities import Quantity, validated
from mlip_lab.properties.diffusion import time_between
from mlip_lab.properties.trajectories import Discard, Frames, Interval, trajectory_of

Floats = NDArray[np.float64]
Resolution = Annotated[float, Quantity("THz", low=1e-4, high=100.0)]
FEWEST = 16  # frames in a piece


@dataclass(frozen=True, eq=False)
class VelocitySpectrum:
    """Density of states of the motion.

    Attributes:
        frequencies: THz, (n,).
        states: States per THz and atom, (n,); their integral is 3.
        error: Standard error, by the scatter between pieces of the run, (n,).
        pieces: Pieces averaged over.
        resolution: Frequencies nearer to each other than this are one, THz.
    """

    frequencies: Floats
    states: Floats
    error: Floats
    pieces: int
    resolution: float

    def plot(self, **options: Any) -> Any:
        """As a matplotlib Figure; options as in `mlip_lab.plots.diffusion.velocity_spectrum`."""
        return plotted("diffusion", "velocity_spectrum", self, **options)


@validated
def velocity_spectrum(
    trajectory: Frames,
    *,
    resolution: Resolution = 0.5,
    interval: Interval | None = None,
    discard: Discard = 0.2,
    progress: Progress = silent,
) -> VelocitySpectrum:
    """Vibrational density of states of a trajectory.

    Args:
        trajectory: A .extxyz, .xyz or .traj file; in Python also frames or what `md` gives back. Without velocities
            in it, they are the displacements between frames.
        resolution: Frequencies nearer to each other than this need not be told apart, THz.
        interval: Time between two frames in fs; None takes it from the trajectory. The highest frequency is 1/(2
            interval); faster motion would appear at wrong places.
        discard: Part to leave out at the start.
        progress: Called after every piece.

    Raises:
        InputError: If the run is shorter than what the resolution needs, or the time between frames is not known.
    """
    run = trajectory_of(trajectory).later(discard)
    step = time_between(run, interval)
    measured = run.velocities is not None
    velocities = run.velocities if run.velocities is not None else np.diff(run.unwrapped(), axis=0) / step
    length = int(np.ceil(2000 / (resolution * step)))  # the window makes a line two bins wide
    if length > len(velocities) or length < FEWEST:
        finest, coarsest = (2000 / (frames * step) for frames in (len(velocities), FEWEST))
        raise InputError(
            f"resolution: this trajectory can give from {finest:.2g} to {coarsest:.2g} THz, got {resolution:g} THz; "
            "run longer for finer."
        )
    starts = range(0, len(velocities) - length + 1, max(1, length // 2))
    window = np.hanning(length + 1)[:-1, None, None]
    masses = run.atoms.get_masses()
    spectra = []
    for number, start in enumerate(starts, 1):
        piece = velocities[start : start + length]
        power = np.abs(np.fft.rfft(window * (piece - piece.mean(axis=0)), axis=0)) ** 2
        spectra.append(power.sum(axis=2) @ masses)
        progress(number, len(starts))
    frequencies: Floats = np.fft.rfftfreq(length, step / 1000).astype(np.float64)
    found: Floats = np.array(spectra)
    if not measured:  # a displacement is the mean of the velocity over a step
        found = found / np.sinc(frequencies * step / 1000) ** 2
    whole = float(np.trapezoid(found.mean(axis=0), frequencies))
    if whole <= 0:
        raise InputError("trajectory: no atom moves in it.")
    found *= 3 / whole
    # pieces that overlap by half under this window are nearly as good as independent ones
    error = found.std(axis=0, ddof=1) / np.sqrt(len(found)) if len(found) > 1 else np.full(found.shape[1], np.nan)
    return VelocitySpectrum(frequencies, found.mean(axis=0), error, len(found), resolution)
