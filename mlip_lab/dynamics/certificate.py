"""What a run proves of itself: is its energy kept, is it in equilibrium, is it distributed as it should be?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from mlip_lab.core.errors import InputError
from mlip_lab.dynamics import statistics
from mlip_lab.dynamics.configurational import configurational_temperature
from mlip_lab.dynamics.equilibration import FEWEST, Equilibration, equilibrated, statistical_inefficiency
from mlip_lab.dynamics.md import md
from mlip_lab.dynamics.result import MDResult

Floats = NDArray[np.float64]
Level = Literal["good", "warning", "bad"]

STEADY = 1e-3  # eV/atom/ns of drift: a µeV per atom and ps
FEW = 40  # steps before anything can be said
INDEPENDENT = 20.0  # samples that make a mean worth its error
UNLIKELY = 0.003  # chance that a right run is called wrong by one test
MEASURED = 500  # steps at the time step of the run, and twice as many at half of it
QUARTER = (3.2, 5.0)  # energy's error over that at half the step: 4, and what the next order and chance may do to it
COLD = 0.05  # part of the temperature by which momenta may be off before it is more than a small bias


@dataclass(frozen=True)
class Check:
    """One judgement.

    Attributes:
        name: What was looked at.
        level: "good", "warning" or "bad".
        text: A sentence.
        details: Numbers behind it.
    """

    name: str
    level: Level
    text: str
    details: str


@dataclass(frozen=True)
class Certificate:
    """All judgements of a run.

    Attributes:
        checks: One by one.
        equilibration: Of the energy, without a bath of the potential energy, in steps.
    """

    checks: tuple[Check, ...]
    equilibration: Equilibration

    @property
    def level(self) -> Level:
        """The worst of all."""
        levels = [check.level for check in self.checks]
        return "bad" if "bad" in levels else "warning" if "warning" in levels else "good"

    @property
    def line(self) -> str:
        """One sentence on the whole."""
        if self.level == "good":
            n = self.equilibration.samples
            return (
                f"This run can be trusted: {len(self.checks)} checks hold, and it is worth {n:.0f} independent samples."
            )
        return " ".join(check.text for check in self.checks if check.level != "good")

    def __str__(self) -> str:
        """One line a check."""
        marks = {"good": "✓", "warning": "⚠", "bad": "✗"}
        return "\n".join(f"{marks[c.level]} {c.name}: {c.text} ({c.details})" for c in self.checks)


def certificate(run: MDResult, calculator: Any = None, *, two_steps: bool = False) -> Certificate:
    """Judge a run by what must hold for it, whatever the material.

    Args:
        run: Of at least 40 steps.
        calculator: The one of the run, for the temperature of the positions, which takes some hundred force calls; None
            leaves that out.
        two_steps: Whether to go on from the last state without a bath, once at the time step of the run and once at
            half of it, and to compare how far the energy strays; with a calculator, of which it takes 1500 force calls.

    Raises:
        InputError: If the run is too short to be judged.
    """
    if len(run.times) < FEW:
        raise InputError(f"run: expected at least {FEW - 1} steps to judge, got {len(run.times) - 1}; run longer.")
    # the energy that only the bath changes remembers longest; without a bath it is constant
    found = equilibrated(run.total_energy if run.heat.any() else run.potential_energy)
    discard = min(found.start / len(run.times), 0.5)
    checks = [_equilibrium(run, found), _drift(run, discard)]
    judges: list[Callable[[MDResult, float], Check | None]] = [_temperature, _distribution, _equipartition]
    checks += [check for judge in judges if (check := judge(run, discard)) is not None]
    if calculator is not None and run.volume is None and run.bath_temperature:
        checks.append(_positions(run, calculator, discard))
    if two_steps:
        if calculator is None:
            raise InputError("two_steps: give the calculator of the run, which takes a few more steps with it.")
        checks.append(_two_steps(run, calculator))
    return Certificate(tuple(checks), found)


def _estimate(estimate: tuple[float, float], unit: str) -> str:
    value, error = estimate
    places = max(0, 1 - int(np.floor(np.log10(error)))) if error > 0 else 3
    return f"{value:.{places}f} ± {error:.{places}f} {unit}"


def _equilibrium(run: MDResult, found: Equilibration) -> Check:
    step = float(run.times[1] - run.times[0])
    words = (
        f"{found.start * step / 1000:.3g} ps cut, {found.samples:.0f} independent samples, "
        f"{found.inefficiency * step / 1000:.2g} ps apart"
    )
    name = "equilibrium"
    if found.start > 0.5 * len(run.times):
        text = "The energy was still finding its level in the first half. Run longer."
        return Check(name, "warning", text, words)
    if found.samples < INDEPENDENT:
        return Check(name, "warning", "The run is worth few independent samples. Run longer.", words)
    return Check(name, "good", "The energy has found its level.", words)


def _drift(run: MDResult, discard: float) -> Check:
    name = "energy"
    if len(run.times) * (1.0 - discard) < FEW:
        discard = 0.0
    slope = run.energy_drift(discard)
    words = f"{slope.value:.2g} ± {slope.error:.1g} eV/atom/ns"
    if abs(slope.value) + 2 * slope.error < STEADY:
        return Check(name, "good", "The conserved energy does not drift: forces and time step fit together.", words)
    if abs(slope.value) - 2 * slope.error > STEADY:
        text = "The conserved energy drifts. Take a smaller time step, or check the potential."
        return Check(name, "warning", text, words)
    return Check(name, "warning", "Too short to tell whether the conserved energy drifts. Run longer.", words)


def _temperature(run: MDResult, discard: float) -> Check | None:
    """The mean of the kinetic energy against the bath's."""
    bath = run.bath_temperature
    if not bath or len(run.times) * (1.0 - discard) < FEW:
        return None
    mean = run.mean_temperature(discard)
    words = f"momenta {_estimate(mean, 'K')}, bath {bath:g} K"
    off = mean.value - bath
    if abs(off) < 3.0 * mean.error or abs(off) < 1e-3 * bath:
        return Check("temperature", "good", "Momenta have the temperature of the bath.", words)
    part = f"{100 * abs(off) / bath:.1g} % {'colder' if off < 0 else 'hotter'}"
    if abs(off) < COLD * bath:
        text = f"Momenta are {part} than the bath: the trace of the time step, or too short a run."
        return Check("temperature", "warning", text, words)
    text = f"Momenta are {part} than the bath. The time step is too long, or equilibrium not reached."
    return Check("temperature", "bad", text, words)


def _distribution(run: MDResult, discard: float) -> Check | None:
    """Kinetic energies of independent samples against their exact distribution, a gamma distribution of shape f/2."""
    if not run.bath_temperature:
        return None
    kinetic = run.kinetic_energy[int(discard * len(run.times)) :]
    if len(kinetic) < FEWEST:
        return None
    every = int(np.ceil(statistical_inefficiency(kinetic)))
    independent = kinetic[::every]
    if len(independent) < FEWEST:
        return None
    f = run.degrees_of_freedom
    # the mean has its own check above: here it is that of the run, and only the shape is judged
    chance = float(stats.kstest(independent, stats.gamma(0.5 * f, scale=2.0 * kinetic.mean() / f).cdf).pvalue)
    spread = float(independent.std(ddof=1) / kinetic.mean() / np.sqrt(2.0 / f))
    words = f"{len(independent)} samples, p = {chance:.2g}, width {spread:.2f} of the exact one"
    if chance > UNLIKELY:
        return Check("kinetic energy", "good", "Kinetic energies are distributed as they should be.", words)
    text = "Kinetic energies are not distributed as in a canonical ensemble. Check the thermostat or run longer."
    return Check("kinetic energy", "bad", text, words)


def _equipartition(run: MDResult, discard: float) -> Check | None:
    """Temperatures of elements and directions against each other."""
    shares = run.species_temperatures
    if shares is None:
        return None
    shares = shares[int(discard * len(shares)) :]
    if len(shares) < FEWEST or not shares.any():
        return None
    each = [
        (f"{symbol} {axis}", statistics.mean(shares[:, s, d]))
        for s, symbol in enumerate(run.species)
        for d, axis in enumerate("xyz")
    ]
    values, errors = np.array([tuple(estimate) for _, estimate in each]).T
    whole = float(run.temperature[int(discard * len(run.times)) :].mean())
    away = (values - whole) / np.maximum(errors, 1e-12 * max(whole, 1e-12))
    worst = int(np.abs(away).argmax())
    limit = float(stats.norm.isf(0.5 * UNLIKELY / len(each)))
    words = f"furthest: {each[worst][0]} {_estimate(each[worst][1], 'K')}, all {whole:.4g} K"
    if abs(away[worst]) < limit:
        return Check("equipartition", "good", "All elements and directions share the same temperature.", words)
    text = f"{each[worst][0]} has another temperature than the rest. Equilibrium is not reached: run longer."
    return Check("equipartition", "warning", text, words)


def _positions(run: MDResult, calculator: Any, discard: float) -> Check:
    """The temperature of the positions against the bath's."""
    bath = run.bath_temperature
    assert bath
    found = configurational_temperature(run, calculator, discard=discard)
    words = f"positions {_estimate(found, 'K')}, bath {bath:g} K"
    if abs(found.value - bath) < 3.0 * found.error:
        return Check("positions", "good", "Positions have the temperature of the bath.", words)
    off = abs(found.value - bath) / bath
    text = "Positions have another temperature than the bath: the time step is too long, or the run too short."
    return Check("positions", "warning" if off < COLD else "bad", text, words)


def _two_steps(run: MDResult, calculator: Any) -> Check:
    """Velocity Verlet strays from the energy it keeps by a part (ω Δt)²: by a quarter of that at half the step."""
    step = float(run.times[1] - run.times[0])
    swings = []
    for part in (1, 2):
        n = MEASURED * part
        found = md(
            run.atoms, calculator, steps=n, time_step=step / part, initial_temperature=None, stability="ignore",
            sample_every=n,
        )  # fmt: skip
        swings.append(float(found.total_energy.std()))
    ratio = swings[0] / max(swings[1], 1e-300)
    words = f"{1e3 * swings[0]:.2g} meV at {step:.3g} fs, {1e3 * swings[1]:.2g} meV at half of it: {ratio:.2f} times"
    if QUARTER[0] < ratio < QUARTER[1]:
        return Check("time step", "good", "Half the time step has a quarter of the error in the energy.", words)
    text = (
        "Half the time step does not have a quarter of the error in the energy: forces are not the slope of the "
        "energy, or jump or scatter, or the step is close to unstable."
    )
    return Check("time step", "bad" if ratio < 2.0 else "warning", text, words)
