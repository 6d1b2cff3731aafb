"""Diffusion: how far atoms get with time, and the constant behind it, twice, with errors.

| symbol | name                          | unit  |
|--------|-------------------------------|-------|
| M(t)   | mean square displacement      | Å²    |
| C(t)   | velocity autocorrelation ⟨v(0)·v(t)⟩/3 | Å²/fs² |
| D      | diffusion constant            | Å²/ps |

1. M(t) = a + 6 D t once the velocity is forgotten. Points of M(t) come from the same path, so they are correlated, and
   later ones are known worse. The line is fitted by generalised least squares with the covariance of Brownian motion,

       cov(M_i, M_j) ∝ 2/(n_i n_j) Σ_st o(i, j, t − s)²,

   o the frames that the windows [s, s + i] and [t, t + j] share, n_i the number of windows (Bullerjahn, von Bülow and
   Hummer, DOI 10.1063/5.0008312).
2. D = ∫ C(t) dt up to where the velocity is forgotten (Green and Kubo); its relative variance is 4 t/(3 N T) for N
   atoms over a time T, the integral going up to t.

Either error is the larger one of what theory gives and of the scatter between atoms; that of a line which points miss
by more than their errors grows by as much (a solid, whose atoms swing together). An atom in a small periodic box drags
its images along: D_∞ = D + 2.837297 k_B T/(6 π η L) for a cube of edge L in a liquid of viscosity η (Yeh and Hummer,
DOI 10.1021/jp0477147).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlip_lab.core.errors import InputError
from mlip_lab.core.late import plotted
from mlip_lab.core.progress import Progress, silent
from mlip_lab.core.quantities import Quantity, Temperature, validated
from mlip_lab.core.units import BOLTZMANN, GPA
from mlip_lab.properties.trajectories import Discard, Frames, Interval, Trajectory, trajectory_of

Floats = NDArray[np.float64]
Viscosity = Annotated[float, Quantity("mPa s", low=0.0, high=1e9, open_low=True)]
Time = Annotated[float, Quantity("fs", low=0.0, high=1e9, open_low=True)]

FEWEST = 40  # frames
MEMORY = 6.0  # of the longest running integral of C/C(0): then the velocity is forgotten
LONGEST = 0.2  # of the run; displacements over longer times are too few to tell anything
LAGS = 12  # points of M(t) that are fitted
ATOMS = 10  # from so many on their scatter is an error of its own
LATTICE = 2.837297  # of a cubic lattice of images
PASCAL_SECOND = 1e-9 * GPA * 1e15  # in eV/Å³ fs


class Estimate(NamedTuple):
    """A value and its standard error, in the same unit."""

    value: float
    error: float


@dataclass(frozen=True, eq=False)
class Diffusion:
    """How atoms diffuse.

    Attributes:
        times: fs, (n,), from 0 on.
        displacement: Mean square displacement in Å², (n,).
        displacement_error: Its standard error, (n,); points next to each other err alike.
        fitted: From where to where the line was fitted, fs.
        offset: a of the line in Å².
        by_displacement: D in Å²/ps from the slope; 1 Å²/ps is 10⁻⁸ m²/s.
        correlation: Velocity autocorrelation in Å²/fs², (m,), at `times[:m]`.
        integral: Its integral up to each time in Å²/ps, (m,).
        by_velocity: D in Å²/ps from the integral up to `fitted[0]`.
        measured_velocities: Whether the frames held velocities; else they are displacements between frames.
        corrected: D of a box without end in Å²/ps, from `by_displacement`; None if no viscosity was given.
        atoms: Atoms averaged over.
    """

    times: Floats
    displacement: Floats
    displacement_error: Floats
    fitted: tuple[float, float]
    offset: float
    by_displacement: Estimate
    correlation: Floats
    integral: Floats
    by_velocity: Estimate
    measured_velocities: bool
    corrected: Estimate | None
    atoms: int

    def plot(self) -> Any:
        """As a matplotlib Figure."""
        return plotted("diffusion", "diffusion", self)


@validated
def diffusion(
    trajectory: Frames,
    *,
    element: str | None = None,
    interval: Interval | None = None,
    fit_from: Time | None = None,
    viscosity: Viscosity | None = None,
    temperature: Temperature = 300.0,
    discard: Discard = 0.2,
    progress: Progress = silent,
) -> Diffusion:
    """Mean square displacement, velocity autocorrelation and the diffusion constant from both.

    Args:
        trajectory: A .extxyz, .xyz or .traj file; in Python also frames or what `md` gives back.
        element: Chemical symbol of the atoms to follow; None follows all.
        interval: Time between two frames in fs; None takes it from the trajectory.
        fit_from: From when on displacements are fitted, fs; None finds when the velocity is forgotten.
        viscosity: Of the liquid, mPa s, for the correction to a box without end; None gives none.
        temperature: For that correction, K.
        discard: Part to leave out at the start.
        progress: Called after every part of the work.

    Raises:
        InputError: If there are fewer than 40 frames, none of that element, the time between frames is not known,
            the run is shorter than the memory of the velocity, or a correction is asked for in a box that is no cube.
    """
    run = trajectory_of(trajectory).later(discard)
    step = time_between(run, interval)
    if len(run) < FEWEST:
        raise InputError(f"trajectory: expected at least {FEWEST} frames after the start, got {len(run)}; run longer.")
    chosen = _chosen(run, element)
    path = run.unwrapped()[:, chosen]
    progress(1, 4)
    most = max(4, int(LONGEST * len(run)))
    squares = squared_displacements(path, most)
    progress(2, 4)
    measured = run.velocities is not None
    velocities = run.velocities[:, chosen] if run.velocities is not None else np.diff(path, axis=0) / step
    products = velocity_products(velocities, most)
    progress(3, 4)
    correlation = products.mean(axis=1)
    running = step * _integral(products, measured)
    begin = _forgotten(running.mean(axis=1), correlation[0], step) if fit_from is None else round(fit_from / step)
    last = most - 1
    if begin > last // 2:
        why = "the velocity is remembered for" if fit_from is None else "the fit is to begin at"
        raise InputError(
            f"trajectory: {why} about {begin * step:.4g} fs, too long for a run of {len(run) * step:.4g} fs; run about "
            f"{2 * begin / LONGEST / len(run):.1f} times as long."
        )
    offset, by_displacement = _slope(squares, max(1, begin), last, len(run), step)
    by_velocity = _estimate(1000 * running[begin], np.sqrt(4 * max(1, begin) / (3 * len(chosen) * len(run))))
    progress(4, 4)
    return Diffusion(
        times=step * np.arange(most, dtype=np.float64),
        displacement=squares.mean(axis=1),
        displacement_error=_displacement_error(squares, len(run)),
        fitted=(step * max(1, begin), step * last),
        offset=offset,
        by_displacement=by_displacement,
        correlation=correlation,
        integral=1000 * running.mean(axis=1),
        by_velocity=by_velocity,
        measured_velocities=measured,
        corrected=None if viscosity is None else _without_end(by_displacement, run, temperature, viscosity),
        atoms=len(chosen),
    )


def time_between(run: Trajectory, interval: float | None) -> float:
    """Time between frames in fs.

    Raises:
        InputError: If it is not known, or frames are not evenly spaced.
    """
    if interval is not None:
        return interval
    if run.times is None or len(run) < 2:
        raise InputError("interval: the trajectory does not say when its frames were; give the time between two in fs.")
    steps = np.diff(run.times)
    if steps[0] <= 0 or not np.allclose(steps, steps[0], rtol=1e-6):
        raise InputError("trajectory: expected frames evenly spaced in time; leave out those that are not.")
    return float(steps.mean())


def squared_displacements(path: Floats, most: int) -> Floats:
    """|r(s + t) − r(s)|² averaged over s for t = 0 ... most − 1, of each atom, (most, n_atoms), by Fourier transform.

    Σ_s |r(s + t) − r(s)|² is the sum of squares over both ends less twice Σ_s r(s)·r(s + t), which is a correlation
    (Kneller and others, DOI 10.1016/0010-4655(95)00048-K).
    """
    n = len(path)
    path = path - path.mean(axis=0)
    squares = np.concatenate([np.zeros((1, path.shape[1])), np.cumsum((path**2).sum(axis=2), axis=0)])
    lags = np.arange(most)
    ends = squares[n - lags] + (squares[n] - squares[lags])
    windows = (n - lags)[:, None]
    found = (ends - 2 * _correlated(path, most)) / windows
    return np.asarray(np.maximum(found, 0.0))


def velocity_products(velocities: Floats, most: int) -> Floats:
    """v(s)·v(s + t)/3 averaged over s for t = 0 ... most − 1, of each atom, (most, n_atoms)."""
    windows = (len(velocities) - np.arange(most))[:, None]
    return np.asarray(_correlated(velocities, most) / (3 * windows))


def _correlated(series: Floats, most: int) -> Floats:
    """Σ_s x(s)·x(s + t), (most, n_atoms)."""
    n = len(series)
    total = np.zeros((most, series.shape[1]))
    for axis in range(3):
        spectrum = np.fft.rfft(series[:, :, axis], 2 * n, axis=0)
        total += np.fft.irfft(np.abs(spectrum) ** 2, 2 * n, axis=0)[:most]
    return total


def _integral(products: Floats, measured: bool) -> Floats:
    """∫ C dt in steps: by the trapezoidal rule, which is exact for displacements between frames."""
    sums = np.cumsum(products, axis=0) - products[:1] / 2
    return sums - products / 2 if measured else sums


def _forgotten(running: Floats, at_zero: float, step: float) -> int:
    """Frames after which the velocity is forgotten."""
    if at_zero <= 0:
        return 1
    times = running / at_zero / step  # memory times in frames
    longest = np.maximum.accumulate(np.maximum(times, 0.5))
    enough = np.flatnonzero(np.arange(len(times)) >= MEMORY * longest)
    return int(enough[0]) if len(enough) else len(times)


def _chosen(run: Trajectory, element: str | None) -> NDArray[np.intp]:
    symbols = np.array(run.atoms.get_chemical_symbols())
    if element is None:
        return np.arange(len(symbols))
    found = np.flatnonzero(symbols == element)
    if len(found) == 0:
        raise InputError(f"element: expected one of {', '.join(sorted(set(symbols)))}; got {element!r}.")
    return found


def _slope(squares: Floats, first: int, last: int, frames: int, step: float) -> tuple[float, Estimate]:
    """Offset in Å² and D in Å²/ps of the line through M(t), by generalised least squares."""
    lags = np.unique(np.linspace(first, last, LAGS).round().astype(int))
    design = np.stack([np.ones(len(lags)), 6 * lags * step / 1000], axis=1)
    covariance = brownian_covariance(lags, frames)
    weighted = np.linalg.solve(covariance, design)
    to_line = np.linalg.solve(design.T @ weighted, weighted.T)
    lines = to_line @ squares[lags]
    offset, slope = lines.mean(axis=1)
    # Three directions of all atoms; σ² = 2 D a frame along each.
    unit = abs(slope) * 2 * step / 1000 * np.sqrt(3 / squares.shape[1])
    away = squares[lags].mean(axis=1) - design @ np.array([offset, slope])
    misfit = float(away @ np.linalg.solve(covariance, away)) / max(1, len(lags) - 2) / max(unit**2, 1e-300)
    relative = np.sqrt((to_line @ covariance @ to_line.T)[1, 1] * max(1.0, misfit)) * unit / max(abs(slope), 1e-300)
    return float(offset), _estimate(lines[1], relative)


def brownian_covariance(lags: NDArray[np.int64], frames: int) -> Floats:
    """Covariance of M at the given lags for Brownian motion along one direction, in units of (σ² of one frame)²."""
    found = np.empty((len(lags), len(lags)))
    for a, i in enumerate(lags):
        for b, j in enumerate(lags):
            shift = np.arange(-j + 1, i)  # t − s
            shared = np.minimum(i, shift + j) - np.maximum(0, shift)
            windows = np.minimum(frames - i, frames - j - shift) - np.maximum(0, -shift)
            found[a, b] = 2 * (np.maximum(windows, 0) * shared**2).sum() / ((frames - i) * (frames - j))
    return found


def _displacement_error(squares: Floats, frames: int) -> Floats:
    """Standard error of M(t): that of Brownian motion, or the scatter between atoms where that is larger."""
    lags, mean, atoms = np.arange(squares.shape[0]), squares.mean(axis=1), squares.shape[1]
    # var M_t / M_t² of one direction is 2 Σ o²/(n t)², close to 4 t/3 n for t ≪ n, and never better than windows allow
    relative = np.sqrt(np.maximum(4 * lags / 3, 2.0) / np.maximum(frames - lags, 1) / (3 * atoms))
    error = mean * relative
    return np.asarray(np.maximum(error, squares.std(axis=1, ddof=1) / np.sqrt(atoms)) if atoms >= ATOMS else error)


def _estimate(values: Floats, relative: float) -> Estimate:
    """Mean over atoms and the larger one of two errors: of theory, and by the scatter between atoms."""
    mean, error = float(values.mean()), float(abs(values.mean()) * relative)
    if len(values) >= ATOMS:
        error = max(error, float(values.std(ddof=1) / np.sqrt(len(values))))
    return Estimate(mean, error)


def _without_end(found: Estimate, run: Trajectory, temperature: float, viscosity: float) -> Estimate:
    """D of a box without end, by Yeh and Hummer."""
    cell = run.cells.mean(axis=0)
    edge = float(np.abs(np.linalg.det(cell)) ** (1 / 3))
    if not run.atoms.pbc.all() or not np.allclose(cell @ cell.T, edge**2 * np.eye(3), atol=1e-3 * edge**2):
        raise InputError(
            "viscosity: the correction is known for a cubic periodic cell; give none, or run in a cubic cell."
        )
    friction = 6 * np.pi * viscosity * 1e-3 * PASCAL_SECOND * edge  # eV fs/Å²
    return Estimate(found.value + 1000 * LATTICE * BOLTZMANN * temperature / friction, found.error)
