"""How large a time step may be: vibrations of a structure, what one step does to each, and a run to compare with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray

from mlip_lab.core.checks import as_integer, one_of
from mlip_lab.core.errors import CalculationError, Cancelled, InputError
from mlip_lab.core.late import plotted
from mlip_lab.core.progress import Progress, silent
from mlip_lab.core.quantities import Friction, Quantity, Seed, Temperature, TimeStep, validated
from mlip_lab.dynamics import splitting
from mlip_lab.dynamics.configurational import configurational_temperature
from mlip_lab.dynamics.md import md
from mlip_lab.dynamics.momenta import degrees_of_freedom, inverse_masses
from mlip_lab.dynamics.normal_modes import DISPLACEMENT, MassWeightedHessian, normal_modes
from mlip_lab.dynamics.start import checked_start
from mlip_lab.dynamics.statistics import Estimate

Floats = NDArray[np.float64]
SchemeName = Literal["BAOAB", "OBABO", "velocity Verlet"]
Bias = Annotated[float, Quantity("", low=1e-4, high=0.5)]
Steps = Annotated[int, Quantity("", low=0, high=10_000_000, whole=True)]

ENSEMBLES = {"BAOAB": "langevin", "OBABO": "obabo"}
SHORTEST = 200  # steps of an experiment that says anything
SAMPLES = 100  # structures of an experiment at which the curvature is taken
DISCARD = 0.2


@dataclass(frozen=True)
class Experiment:
    """A run at the step that was asked for.

    Attributes:
        kinetic: Temperature of the momenta in K, with its standard error; None if the run did not last.
        configurational: Temperature of the positions in K, likewise.
        end: Why the run did not last, in words; "" if it did.
    """

    kinetic: Estimate | None
    configurational: Estimate | None
    end: str = ""


@dataclass(frozen=True, eq=False)
class TimeStepStability:
    """Vibrations, and what a time step does to them.

    Attributes:
        scheme: Splitting of the step.
        time_step: fs.
        friction: 1/ps; zero for velocity Verlet.
        temperature: K.
        frequencies: THz, ascending, imaginary ones negative, (m,).
        weights: Part of all modes that each stands for, (m,).
        exact: Whether these are all modes; else they are a quadrature from Lanczos' recursion.
        highest_error: Bound on the error of the highest frequency, THz.
        largest_step: Largest stable step in fs.
        recommended_step: Step in fs at which no temperature of the fastest mode is off by more than `tolerance`.
        tolerance: Part of the temperature.
        radius: Spectral radius for the fastest mode at `time_step`.
        kinetic: Temperature of the momenta of each mode over that of the bath, (m,); infinite where unstable.
        configurational: The same of the positions; one for modes that are no vibrations.
        experiment: A run at `time_step`, or None.
        stopped: Whether that run was stopped before its end, and left out.
    """

    scheme: str
    time_step: float
    friction: float
    temperature: float
    frequencies: Floats
    weights: Floats
    exact: bool
    highest_error: float
    largest_step: float
    recommended_step: float
    tolerance: float
    radius: float
    kinetic: Floats
    configurational: Floats
    experiment: Experiment | None = None
    stopped: bool = False

    @property
    def stable(self) -> bool:
        """Whether the step is below the largest stable one."""
        return self.time_step < self.largest_step

    @property
    def kinetic_temperature(self) -> float:
        """Temperature of the momenta that a run should show, K."""
        return self.temperature * float(self.weights @ self.kinetic)

    @property
    def configurational_temperature(self) -> float:
        """Temperature of the positions that ⟨ΣF²/m⟩/⟨tr D⟩ should show, K: modes count by their ω²."""
        squares = self.weights * np.maximum(self.frequencies, 0.0) ** 2
        return self.temperature * float(squares @ self.configurational / squares.sum())

    def plot(self) -> Any:
        """Map of the spectral radius with the modes on it, and the temperature of each mode, as a Figure."""
        return plotted("stability", "stability", self)


@validated
def time_step_stability(
    atoms: Any,
    calculator: Any,
    *,
    time_step: TimeStep | None = None,
    scheme: SchemeName = "BAOAB",
    temperature: Temperature = 300.0,
    friction: Friction = 5.0,
    tolerance: Bias = 0.02,
    steps: Steps = 0,
    seed: Seed = 0,
    progress: Progress = silent,
) -> TimeStepStability:
    """Tell which time steps are stable, and how far temperatures are off at one of them.

    Vibrations are those of the structure as it is given, by differences of forces: all of them up to 400 coordinates,
    beyond it the ends of the spectrum and a quadrature. What a step does to each is exact (`dynamics/splitting.py`).

    Args:
        atoms: Structure, relaxed or near it. FixAtoms constraints are kept, others refused.
        calculator: Any ASE calculator.
        time_step: Step to judge in fs; None takes the recommended one.
        scheme: Splitting of the step. "velocity Verlet" has no bath.
        temperature: Temperature of the bath in K.
        friction: Strength of the coupling to the bath in 1/ps.
        tolerance: Part of the temperature by which the fastest mode may be off at the recommended step.
        steps: Length of a run at this step to compare with, at least 200; 0 for none.
        seed: Of random vectors and noise.
        progress: Called after force calls, then with steps of the run.

    Returns:
        Vibrations, largest and recommended step, predicted and, with `steps`, measured temperatures.

    Raises:
        InputError: If an argument cannot be used, or no mode is a vibration.
        CalculationError: If the calculator fails.
        Cancelled: If progress stops it before the run; a stopped run is left out.
    """
    one_of("scheme", scheme, ("BAOAB", "OBABO", "velocity Verlet"))
    start = checked_start(atoms, calculator)
    _check_experiment(scheme, temperature, friction, steps)
    inverse = inverse_masses(start)
    fix_center = bool(inverse.all()) and len(start) > 1
    degrees_of_freedom(inverse, fix_center)
    hessian = MassWeightedHessian(start, calculator, inverse, fix_center=fix_center, displacement=DISPLACEMENT)
    modes = normal_modes(hessian, seed=seed, progress=progress)
    omega = 2.0 * np.pi * 1e-3 * modes.frequencies  # 1/fs
    fastest = float(omega[-1])
    if fastest <= 0.0:
        raise InputError("atoms: no mode of this structure is a vibration, so nothing limits the step. Relax it first.")
    gamma = 0.0 if scheme == "velocity Verlet" else 1e-3 * friction  # 1/fs
    recommended = splitting.largest_within(scheme, tolerance, gamma / fastest) / fastest
    chosen = recommended if time_step is None else time_step
    kinetic, configurational = _temperatures(scheme, omega * chosen, gamma * chosen)
    squares = max(float(modes.squares[-1]), 1e-300)
    experiment, stopped = None, False
    if steps:
        experiment, stopped = _experiment(
            start, calculator, scheme, temperature, friction, chosen, steps, seed, progress
        )
    return TimeStepStability(
        scheme=scheme,
        time_step=chosen,
        friction=1e3 * gamma,
        temperature=temperature,
        frequencies=modes.frequencies,
        weights=modes.weights,
        exact=modes.exact,
        highest_error=float(0.5 * modes.error / squares * modes.frequencies[-1]),
        largest_step=splitting.largest_stable(scheme, gamma / fastest) / fastest,
        recommended_step=recommended,
        tolerance=tolerance,
        radius=float(splitting.spectral_radius(scheme, fastest * chosen, gamma * chosen)),
        kinetic=kinetic,
        configurational=configurational,
        experiment=experiment,
        stopped=stopped,
    )


def _check_experiment(scheme: str, temperature: float, friction: float, steps: int) -> None:
    if steps == 0:
        return
    as_integer("steps", steps, low=SHORTEST)
    if scheme not in ENSEMBLES or friction == 0.0 or temperature == 0.0:
        raise InputError(
            "steps: a run to compare with needs a bath, whose temperature it can be held against. Choose BAOAB or "
            "OBABO with a friction and a temperature above 0, or steps=0."
        )


def _temperatures(scheme: str, omega_dt: Floats, gamma_dt: float) -> tuple[Floats, Floats]:
    """Kinetic and configurational temperature of each mode over the bath's; infinite where it is not stable."""
    kinetic, configurational = np.ones(len(omega_dt)), np.ones(len(omega_dt))
    swings = omega_dt > 1e-6
    limit = 1.0 if gamma_dt > 0.0 else 1.0 + 1e-12
    lasts = (
        swings
        & (omega_dt < splitting.largest_stable(scheme))
        & (splitting.spectral_radius(scheme, omega_dt, gamma_dt) <= limit)
    )
    if lasts.any():
        found = splitting.covariance(scheme, omega_dt[lasts], gamma_dt)
        configurational[lasts], kinetic[lasts] = found[:, 0, 0], found[:, 1, 1]
    kinetic[swings & ~lasts] = configurational[swings & ~lasts] = np.inf
    return kinetic, configurational


def _experiment(
    start: Any,
    calculator: Any,
    scheme: str,
    temperature: float,
    friction: float,
    time_step: float,
    steps: int,
    seed: int,
    progress: Progress,
) -> tuple[Experiment | None, bool]:
    """A run at a step, and whether it was stopped."""
    ensemble: Any = ENSEMBLES[scheme]
    try:
        run = md(
            start,
            calculator,
            steps=steps,
            time_step=time_step,
            ensemble=ensemble,
            temperature=temperature,
            friction=friction,
            initial_temperature=2.0 * temperature,  # half of it becomes potential energy
            stability="ignore",
            seed=seed,
            sample_every=max(1, steps // SAMPLES),
            progress=lambda done, total, /, **live: progress(done, total),
        )
    except CalculationError as error:
        return Experiment(None, None, str(error)), False
    if run.stopped:
        return None, True
    try:
        found = configurational_temperature(run, calculator, discard=DISCARD, seed=seed)
    except (Cancelled, InputError) as error:
        return None, isinstance(error, Cancelled)
    return Experiment(run.mean_temperature(DISCARD), found), False
