"""Every ensemble samples what it says, and what it should conserve it conserves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.constraints import FixAtoms
from scipy import stats

from mlip_lab.core.errors import CalculationError, InputError
from mlip_lab.core.units import BOLTZMANN, FEMTOSECOND, GPA
from mlip_lab.dynamics import barostat as barostats
from mlip_lab.dynamics import statistics
from mlip_lab.dynamics.barostat import Barostat
from mlip_lab.dynamics.md import ISOBARIC, md
from mlip_lab.kernels import integrators
from mlip_lab.kernels.integrators import Scheme

BATHS = ("langevin", "obabo", "bussi", "nose-hoover")
NPT: dict[str, Any] = {
    "ensemble": "npt", "temperature": 10.0, "pressure": 0.1, "compressibility": 0.3, "barostat_time": 500.0
}  # fmt: skip


def test_velocity_verlet_is_reversible_over_ten_thousand_steps() -> None:
    # anharmonic, but integrable: in chaotic motion rounding grows without bound, whatever the integrator
    rng = np.random.default_rng(1)
    x, p = rng.normal(size=(5, 3)), rng.normal(size=(5, 3))
    start, inverse, bath = x.copy(), 1.0 / np.arange(1.0, 6.0), np.zeros(2 * integrators.LINKS)
    how = Scheme(integrators.BAOAB, 0.05, 1.0, 0.0, 0.0, 0, False, 0, 15, 1.0)
    for _ in range(2):
        for step in range(10_000):
            integrators.begin_step(x, p, -x - x**3, inverse, how, bath, step)
            integrators.end_step(p, -x - x**3, inverse, how, bath, step)
        p *= -1.0
    assert np.abs(x - start).max() < 1e-10


def test_baths_agree_on_the_mean_energy(argon: Atoms, fast: Any) -> None:
    found = {}
    for name in BATHS:
        run = md(
            argon, fast, steps=20_000, time_step=4.0, ensemble=name, temperature=40.0, friction=2.0,
            bath_time=300.0, initial_temperature=80.0, sample_every=1000, seed=2,
        )  # fmt: skip
        found[name] = statistics.mean(run.total_energy[2000:])
        mean, error = run.mean_temperature(0.1)
        assert abs(mean - 40.0) < 4.0 * error + 0.1  # and the integrators' own bias, (ωΔt/2)² of less than 0.1 K
    means, errors = np.array(list(found.values())).T
    assert errors.max() < 0.015 * 93 * BOLTZMANN * 40.0  # of the thermal energy
    together = np.average(means, weights=errors**-2)
    assert (np.abs(means - together) < 4.0 * errors).all(), found


@pytest.mark.parametrize("name", BATHS)
def test_a_ramp_runs_the_same_both_ways(argon: Atoms, fast: Any, slow: Any, name: str) -> None:
    how: dict[str, Any] = {
        "steps": 100, "time_step": 4.0, "ensemble": name, "temperature": 20.0, "final_temperature": 200.0,
        "initial_temperature": 40.0, "bath_time": 50.0, "friction": 20.0,
    }  # fmt: skip
    a, b = (md(argon, calculator, **how) for calculator in (fast, slow))
    np.testing.assert_allclose(a.temperature, b.temperature, atol=1e-6)
    flat = md(argon, fast, **{**how, "final_temperature": None})
    assert a.temperature[-20:].mean() > 1.5 * flat.temperature[-20:].mean()


def test_rescaling_gives_the_canonical_distribution_of_kinetic_energy() -> None:
    # momenta alone: K of f degrees of freedom has mean f kT/2 and variance f (kT)²/2, also for f = 1 and 2
    for degrees in (1, 2, 3, 30):
        p = np.zeros((10, 3))
        p.ravel()[:degrees] = 1.0
        n, energies = 4000, []
        for step in range(n):
            integrators.rescaling(p, np.ones(10), 0.2, 0.5, degrees, 3, step, integrators.NOISE)
            energies.append(integrators.kinetic_energy(p, np.ones(10)))
        values = np.array(energies) / 0.5
        memory = (1 + 0.2) / (1 - 0.2)
        assert abs(values.mean() - degrees / 2) < 4.0 * np.sqrt(degrees / 2 * memory / n)
        spread = (values - degrees / 2) ** 2
        assert abs(spread.mean() - degrees / 2) < 4.0 * spread.std() * np.sqrt(memory / n)


def test_the_sum_of_squares_has_its_distribution() -> None:
    from mlip_lab.kernels.noise import sum_of_squares

    for count in (1, 2, 7, 200):
        drawn = [sum_of_squares(count, 5, step, integrators.NOISE) for step in range(2000)]
        assert stats.kstest(drawn, stats.chi2(count).cdf).pvalue > 1e-3  # a deterministic draw
    assert sum_of_squares(0, 5, 0, 0) == 0.0


# What is conserved, and a bound on its slope in eV/atom/ns. kT is 3.4 meV: the loosest loses kT in 11 ns.
SLOPES = {
    "nose-hoover": 1e-5, "langevin": 1e-4, "obabo": 1e-4, "bussi": 1e-4, "npt": 3e-4, "npt-flexible": 3e-4
}  # fmt: skip


@pytest.mark.parametrize("name", SLOPES)
def test_what_is_conserved_does_not_drift(argon: Atoms, fast: Any, name: str) -> None:
    bath: dict[str, Any] = {"temperature": 40.0, "bath_time": 300.0}
    more: dict[str, Any] = {**(NPT if name in ISOBARIC else bath), "ensemble": name}
    start = md(argon, fast, steps=2000, time_step=4.0, initial_temperature=80.0, **more).atoms
    run = md(start, fast, steps=20_000, time_step=4.0, sample_every=1000, **more)
    slope, error = run.energy_drift()
    assert error < SLOPES[name] / 2
    assert abs(slope) < SLOPES[name], f"{slope} ± {error}"
    # energy did go in and out
    assert np.ptp(run.total_energy) > 20 * np.ptp(run.conserved_energy)


def test_the_bath_may_change_its_temperature(argon: Atoms, fast: Any) -> None:
    for name in BATHS:
        run = md(
            argon, fast, steps=10_000, time_step=4.0, ensemble=name, temperature=20.0, final_temperature=60.0,
            friction=5.0, bath_time=200.0, initial_temperature=40.0, sample_every=1000,
        )  # fmt: skip
        early, late = run.temperature[1000:2000].mean(), run.temperature[-1000:].mean()
        # a tenth of the run at 26 K and at 58 K, each with the noise of 93 momenta over several memory times
        assert early == pytest.approx(26.0, rel=0.2) and late == pytest.approx(58.0, rel=0.2)
        assert run.bath_temperature is None


# T* = 0.85: density and pressure of the Lennard-Jones liquid, NIST Standard Reference Simulation Website, to 0.002.
LIQUID = [(0.780, 4.7924e-2), (0.820, 5.5355e-1), (0.860, 1.2660)]


@pytest.mark.parametrize(("density", "pressure"), LIQUID)
def test_the_liquid_of_lennard_jones_has_its_published_density(fluid: Any, density: float, pressure: float) -> None:
    atoms = bulk("Ar", "fcc", a=(4 / density) ** (1 / 3), cubic=True) * 3
    atoms.set_masses(np.ones(len(atoms)))
    unit = 1.0 / FEMTOSECOND  # of time in fs
    how: dict[str, Any] = {
        "time_step": 0.005 * unit, "temperature": 0.85 / BOLTZMANN, "bath_time": 0.3 * unit,
        "compressibility": 0.1 * GPA, "barostat_time": 0.25 * unit, "pressure": pressure / GPA, "ensemble": "npt",
        "fix_center_of_mass": False, "stability": "ignore",
    }  # fmt: skip
    melted = md(atoms, fluid, steps=2000, initial_temperature=6.0 / BOLTZMANN, seed=1, **how).atoms
    run = md(melted, fluid, steps=8000, sample_every=1000, seed=2, **how)
    volume, error = statistics.mean(run.volume)
    found, off = len(atoms) / volume, len(atoms) / volume**2 * error
    assert off < 0.01
    assert abs(found - density) < 4.0 * off + 0.002, f"{found} ± {off}"


class Gas:
    """An engine whose atoms do not feel each other."""

    potential = 0.0

    def __init__(self, n_atoms: int, volume: float) -> None:
        self.cell, self.positions = np.eye(3) * volume ** (1 / 3), np.zeros((n_atoms, 3))
        self.momenta, self.step = np.zeros((n_atoms, 3)), 0

    def virial(self) -> Any:
        return np.zeros((3, 3))

    def deform(self, matrix: Any, inverse: Any) -> None:
        self.cell, self.momenta = self.cell @ matrix, self.momenta @ inverse


@pytest.mark.parametrize("flexible", [False, True])
def test_what_the_barostat_counts_as_heat_makes_the_volume_of_an_ideal_gas_exact(
    flexible: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # With moves taken or not by what they change of the effective energy, any length of a move gives the ensemble, in
    # which V has the density V^N exp(−P V/kT): a gamma distribution of shape N + 1, of N with three momenta fewer.
    monkeypatch.setattr(barostats, "LARGEST", 2.0)
    n, k_t, pressure = 12, 0.5, 0.2
    gas, inverse, uniform = Gas(n, n * k_t / pressure), np.ones(n), np.random.default_rng(4).uniform
    scheme = Scheme(integrators.RESCALING, 1.0, 0.5, k_t, 0.0, 0, True, 1, 3 * n - 3, 1.0)
    barostat = Barostat(pressure, rate=0.05 / (3 * n * k_t), every=1, flexible=flexible)
    volumes, taken = [], 0
    for move in range(10_000):
        integrators.draw_momenta(gas.momenta, inverse, k_t, True, 2, move)
        gas.step, before = move + 1, (gas.cell, gas.momenta)
        kinetic = integrators.kinetic_energy(gas.momenta, inverse)
        heat = barostat.move(gas, inverse, scheme, 0.0)
        change = integrators.kinetic_energy(gas.momenta, inverse) - kinetic - heat
        if uniform() < np.exp(-change / k_t):
            taken += 1
        else:
            gas.cell, gas.momenta = before
        volumes.append(abs(np.linalg.det(gas.cell)) * pressure / k_t)
        gas.cell = np.eye(3) * np.cbrt(np.linalg.det(gas.cell))  # a gas keeps no shape, which would go on and on
    assert 0.8 * len(volumes) < taken < len(volumes)  # some moves are refused
    assert stats.kstest(np.array(volumes)[::60], stats.gamma(n).cdf).pvalue > 1e-3  # a deterministic draw
    mean, error = statistics.mean(np.array(volumes))
    assert error < 0.25 and abs(mean - n) < 3.5 * error  # V^N or V^(N-2) would be off by 1


def test_a_crystal_whose_cell_may_change_shape_keeps_its_volume_and_carries_no_shear(argon: Atoms, fast: Any) -> None:
    pressure, temperature = NPT["pressure"], NPT["temperature"]
    strained = argon.copy()
    strained.set_cell(argon.cell.array @ np.array([[1.01, 0.02, 0.0], [0.0, 0.99, 0.0], [0.0, 0.0, 1.0]]))
    strained.set_scaled_positions(argon.get_scaled_positions())
    found = {}
    for name, start in (("npt", argon), ("npt-flexible", strained)):
        how: dict[str, Any] = {**NPT, "ensemble": name, "time_step": 4.0}
        warm = md(start, fast, steps=3000, initial_temperature=2 * temperature, **how).atoms
        run = md(warm, fast, steps=30_000, sample_every=20, seed=1, **how)
        found[name] = statistics.mean(run.volume)
    (a, da), (b, db) = found.values()
    assert np.hypot(da, db) < 0.003 * a
    assert abs(a - b) < 4.0 * np.hypot(da, db)
    # the same lengths along all axes, right angles, and the pressure asked for in every direction
    metric = run.cells @ run.cells.transpose(0, 2, 1) / (run.volume[::20, None, None] ** (2 / 3))
    stress = np.array([_stress(run, k, fast) for k in range(0, len(run.cells), 5)])
    for i, j in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)):
        mean, error = statistics.mean(metric[:, i, j])
        assert error < 0.015
        assert abs(mean - float(i == j)) < 4.0 * error + 1e-3  # fluctuations of shape lengthen axes by their square
        mean, error = statistics.mean(stress[:, i, j] / GPA)
        assert error < 0.1 * pressure
        assert abs(mean + pressure * (i == j)) < 4.0 * error, (i, j, mean, error)


def _stress(run: Any, k: int, calculator: Any) -> Any:
    """Stress of a sample without its momenta, whose mean share N kT/V is added: −P in equilibrium, in eV/Å³."""
    frame = run.atoms.copy()
    frame.set_cell(run.cells[k])
    frame.positions[:] = run.positions[k]
    frame.calc = calculator
    return frame.get_stress(voigt=False) - (len(frame) - 1) * BOLTZMANN * NPT[
        "temperature"
    ] / frame.get_volume() * np.eye(3)


@pytest.mark.parametrize("ensemble", ISOBARIC)
def test_constant_pressure_runs_the_same_both_ways(argon: Atoms, fast: Any, slow: Any, ensemble: Any) -> None:
    how: dict[str, Any] = {**NPT, "ensemble": ensemble}
    a, b = (md(argon, force, steps=200, time_step=4.0, initial_temperature=80.0, **how) for force in (fast, slow))
    np.testing.assert_allclose(a.positions, b.positions, atol=1e-9)
    np.testing.assert_allclose(a.volume, b.volume, rtol=1e-11)
    np.testing.assert_allclose(a.conserved_energy, b.conserved_energy, atol=1e-9)
    assert len(np.unique(a.volume)) == 21 and a.cells.shape == (21, 3, 3)
    assert abs(np.linalg.det(a.cells[-1])) == pytest.approx(a.volume[-1], rel=1e-12)
    assert a.atoms.get_volume() == pytest.approx(a.volume[-1], rel=1e-12)
    first = md(argon, fast, steps=70, time_step=4.0, initial_temperature=80.0, **how)
    joined = first.then(md(first.atoms, fast, steps=130, time_step=4.0, **how))
    np.testing.assert_allclose(joined.volume, a.volume, rtol=1e-9)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ensemble": "bussi"}, 'ensemble "bussi" needs the temperature of its bath'),
        ({"ensemble": "nose-hoover", "temperature": 0.0}, "needs a temperature above 0 K"),
        ({"ensemble": "npt", "temperature": 0.0}, "needs a temperature above 0 K"),
        ({"final_temperature": 40.0}, 'final_temperature: the ensemble "nve" has no bath'),
        ({"ensemble": "bussi", "temperature": 40.0, "bath_time": 0.0}, "bath_time"),
        ({**NPT, "compressibility": 0.0}, "compressibility"),
        ({**NPT, "pressure": 1e6}, "pressure"),
    ],
)
def test_bad_arguments_are_refused_in_words(argon: Atoms, slow: Any, change: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        md(argon, slow, steps=10, initial_temperature=40.0, **change)


def test_constant_pressure_needs_a_cell_that_may_move_and_a_stress(argon: Atoms, slow: Any, springs: Any) -> None:
    start: dict[str, Any] = {"steps": 10, "initial_temperature": 40.0, **NPT}
    open_end, held = argon.copy(), argon.copy()
    open_end.pbc = [True, True, False]
    with pytest.raises(InputError, match="periodic in three directions"):
        md(open_end, slow, **start)
    held.set_constraint(FixAtoms([0]))
    with pytest.raises(InputError, match="remove FixAtoms"):
        md(held, slow, **start)
    with pytest.raises(InputError, match="gives no stress, which a barostat needs"):
        md(argon, springs(argon.positions, 1.0), **start)
    with pytest.raises(CalculationError, match="would change lengths by"):
        md(argon, slow, **{**start, "pressure": 900.0, "barostat_time": 10.0})
