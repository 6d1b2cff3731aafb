"""A certificate calls a good run good, and each fault by its name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from numpy.typing import NDArray

from mlip_lab.core.errors import InputError
from mlip_lab.dynamics.certificate import certificate
from mlip_lab.dynamics.configurational import configurational_temperature
from mlip_lab.dynamics.equilibration import equilibrated, statistical_inefficiency
from mlip_lab.dynamics.md import MDResult, md
from mlip_lab.dynamics.shares import Shares

Floats = NDArray[np.float64]


def autoregressive(memory: float, n: int, rng: np.random.Generator) -> Floats:
    noise = rng.normal(size=n)
    for t in range(1, n):
        noise[t] += memory * noise[t - 1]
    return noise


def as_published(values: Floats) -> float:
    """The sum as the published detector does it, term by term."""
    n, away = len(values), values - values.mean()
    variance, g = (away**2).mean(), 1.0
    for t in range(1, n - 1):
        c = (away[: n - t] * away[t:]).sum() / ((n - t) * variance)
        if c <= 0.0 and t > 3:
            break
        g += 2.0 * c * (1.0 - t / n)
    return max(g, 1.0)


@pytest.mark.parametrize("memory", [0.0, 0.5, 0.9, 0.98])
def test_inefficiency_is_that_of_the_published_sum_and_of_theory(memory: float, rng: np.random.Generator) -> None:
    assert statistical_inefficiency(values := autoregressive(memory, 2000, rng)) == pytest.approx(
        as_published(values), rel=1e-9
    )
    found = np.mean([statistical_inefficiency(autoregressive(memory, 20_000, rng)) for _ in range(10)])
    assert found == pytest.approx((1 + memory) / (1 - memory), rel=0.15)


def test_a_constant_has_no_memory_and_few_values_are_refused() -> None:
    assert statistical_inefficiency(np.full(100, 3.0)) == 1.0
    with pytest.raises(InputError, match="at least 20, got 19"):
        statistical_inefficiency(np.zeros(19))


def test_the_cut_is_where_the_start_is_forgotten(rng: np.random.Generator) -> None:
    time = np.arange(10_000)
    starts = [equilibrated(autoregressive(0.8, len(time), rng) + 30.0 * np.exp(-time / 500.0)).start for _ in range(10)]
    # 30 e^{-t/500} is lost in noise of width 1.7 after some 1500 steps
    assert 700 < np.median(starts) < 3000
    calm = equilibrated(autoregressive(0.8, len(time), rng))
    assert calm.start < 3000 and calm.samples == pytest.approx(10_000 / 9, rel=0.3)
    long = equilibrated(autoregressive(0.999, 100_000, rng))  # is thinned
    assert long.inefficiency == pytest.approx(2000, rel=0.5)


@pytest.fixture(scope="module")
def run(toy: Any) -> MDResult:
    from ase.build import bulk

    from tests.dynamics.conftest import ToyCalculator

    atoms = bulk("Ar", cubic=True, a=5.3) * 2
    atoms.numbers[::2] = 36
    return md(
        atoms, ToyCalculator(toy, fast=True), steps=20_000, time_step=4.0, ensemble="langevin", temperature=30.0,
        friction=2.0, initial_temperature=60.0, seed=1,
    )  # fmt: skip


def test_a_good_run_is_called_good(run: MDResult, fast: Any) -> None:
    found = run.certificate(fast)
    assert found.level == "good", str(found)
    names = ["equilibrium", "energy", "temperature", "kinetic energy", "equipartition", "positions"]
    assert [check.name for check in found.checks] == names
    assert "can be trusted: 6 checks hold" in found.line
    assert found.equilibration.samples > 50


def faults(run: MDResult) -> list[str]:
    return [check.name for check in certificate(run).checks if check.level != "good"]


def test_each_fault_is_called_by_its_name(run: MDResult) -> None:
    assert faults(run) == []
    n = len(run.times)
    leak = replace(run, potential_energy=run.potential_energy + 1e-5 * 32 * run.times)
    assert "energy" in faults(leak)
    assert "temperature" in faults(replace(run, bath_temperature=33.0))
    # the same mean, but the width of a bath that only holds the mean (as Berendsen's does)
    mean = run.kinetic_energy.mean()
    narrow = replace(run, kinetic_energy=mean + 0.5 * (run.kinetic_energy - mean))
    assert "kinetic energy" in faults(narrow)
    assert run.species == ("Ar", "Kr") and run.species_temperatures is not None
    hot = run.species_temperatures.copy()
    hot[:, 1, 2] *= 1.3
    found = certificate(replace(run, species_temperatures=hot))
    (fault,) = [check for check in found.checks if check.level != "good"]
    assert fault.text.startswith("Kr z has another temperature") and found.line == fault.text
    rising = replace(run, potential_energy=run.potential_energy + np.minimum(np.arange(n), 0.7 * n) * 2e-4)
    assert "equilibrium" in faults(rising)
    few = md_part(run, 60)
    assert "Run longer" in certificate(few).line and certificate(few).equilibration.samples < 20


def md_part(run: MDResult, n: int) -> MDResult:
    names = ("times", "potential_energy", "kinetic_energy", "heat", "force_square")
    assert run.species_temperatures is not None
    return replace(
        run,
        **{name: getattr(run, name)[:n] for name in names},
        species_temperatures=run.species_temperatures[: n // 10],
    )


def test_without_a_bath_only_what_can_be_known_is_judged(argon: Atoms, fast: Any) -> None:
    found = md(argon, fast, steps=400, time_step=4.0, initial_temperature=40.0).certificate(fast)
    assert [check.name for check in found.checks] == ["equilibrium", "energy", "equipartition"]
    with pytest.raises(InputError, match="at least 39 steps to judge, got 10"):
        md(argon, fast, steps=10, time_step=4.0, initial_temperature=40.0).certificate()


def test_the_temperature_of_positions_is_exact_for_springs(springs: Any) -> None:
    atoms = Atoms("Ar50", positions=np.zeros((50, 3)))
    calculator = springs(np.zeros((50, 3)), 0.5)
    run = md(
        atoms, calculator, steps=4000, time_step=20.0, ensemble="langevin", temperature=100.0, friction=5.0,
        initial_temperature=200.0, fix_center_of_mass=False,
    )  # fmt: skip
    value, error = configurational_temperature(run, calculator)
    squares = 0.5 * (run.positions[80:] ** 2).sum(axis=(1, 2)) / 150 / 8.617330337217213e-05
    assert error < 3.0
    assert abs(value - 100.0) < 4.0 * error
    assert value == pytest.approx(squares.mean(), rel=0.03)  # the same quantity at a tenth of the steps


def test_shares_of_kinetic_energy_are_even_on_average() -> None:
    from mlip_lab.core.units import BOLTZMANN
    from mlip_lab.kernels import integrators

    atoms = Atoms("He2Xe2", positions=np.eye(4, 3))
    inverse, p = 1.0 / atoms.get_masses(), np.zeros((4, 3))
    shares, found = Shares(atoms, inverse, True), []
    for step in range(4000):
        integrators.draw_momenta(p, inverse, BOLTZMANN * 50.0, True, 0, step)
        found.append(shares.temperatures(p))
    mean, error = np.mean(found, axis=0), np.std(found, axis=0) / np.sqrt(4000)
    assert shares.species == ("He", "Xe")
    assert (np.abs(mean - 50.0) < 4.0 * error).all()


@pytest.mark.parametrize("ensemble", ["langevin", "nose-hoover"])
def test_half_the_time_step_has_a_quarter_of_the_error(argon: Atoms, fast: Any, ensemble: Any) -> None:
    run = md(argon, fast, steps=3000, time_step=8.0, ensemble=ensemble, temperature=20.0, initial_temperature=40.0)
    check = run.certificate(fast, two_steps=True).checks[-1]
    assert (check.name, check.level) == ("time step", "good"), check
    with pytest.raises(InputError, match="two_steps: give the calculator"):
        run.certificate(two_steps=True)


def test_forces_that_are_not_the_slope_of_the_energy_are_found_by_two_steps(argon: Atoms, springs: Any) -> None:
    class Jumps(springs):  # type: ignore[misc]
        def calculate(self, atoms: Any = None, properties: Any = (), system_changes: Any = ()) -> None:
            super().calculate(atoms, properties, system_changes)
            self.results["energy"] += 0.01 * float(np.floor(40.0 * atoms.positions[0].sum()) % 2)

    for calculator, level in ((springs(argon.positions, 1.0), "good"), (Jumps(argon.positions, 1.0), "bad")):
        run = md(argon, calculator, steps=200, time_step=5.0, initial_temperature=50.0, fix_center_of_mass=False)
        assert run.certificate(calculator, two_steps=True).checks[-1].level == level
