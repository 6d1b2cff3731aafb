"""Vibrations, steps and temperatures of structures whose answers are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes
from ase.constraints import FixAtoms

from mlip_lab.core.errors import CalculationError, Cancelled, InputError
from mlip_lab.core.units import FEMTOSECOND
from mlip_lab.dynamics.md import md
from mlip_lab.dynamics.momenta import inverse_masses
from mlip_lab.dynamics.normal_modes import MassWeightedHessian, lanczos, normal_modes
from mlip_lab.dynamics.stability import time_step_stability
from mlip_lab.plots import style


def hessian(atoms: Atoms, calculator: Any, fix_center: bool = True) -> MassWeightedHessian:
    return MassWeightedHessian(atoms, calculator, inverse_masses(atoms), fix_center=fix_center, displacement=0.01)


class Chain(Calculator):
    """A ring of equal masses on equal springs along x, and each atom on a weak spring across."""

    implemented_properties = ("energy", "forces")

    def __init__(self, stiffness: float, across: float, spacing: float) -> None:
        super().__init__()
        self.stiffness, self.across, self.spacing, self.calls = stiffness, across, spacing, 0

    def calculate(self, atoms: Any = None, properties: Any = ("energy",), system_changes: Any = all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        self.calls += 1
        n = len(atoms)
        u = atoms.positions - np.outer(np.arange(n), [self.spacing, 0.0, 0.0])
        stretch = np.roll(u[:, 0], -1) - u[:, 0]
        forces = -self.across * u
        forces[:, 0] = self.stiffness * (stretch - np.roll(stretch, 1))
        energy = 0.5 * self.stiffness * (stretch**2).sum() + 0.5 * self.across * (u[:, 1:] ** 2).sum()
        self.results = {"energy": float(energy), "forces": forces}


def ring(n: int) -> Atoms:
    return Atoms(f"Ar{n}", positions=np.outer(np.arange(n), [3.0, 0.0, 0.0]))


def exact_squares(n: int, calculator: Chain, mass: float) -> Any:
    waves = 4.0 * calculator.stiffness * np.sin(np.pi * np.arange(1, n) / n) ** 2 / mass
    return np.sort(np.concatenate([waves, np.full(2 * n - 2, calculator.across / mass)]))


def test_all_modes_of_a_ring_are_those_on_paper() -> None:
    atoms, calculator = ring(9), Chain(2.0, 0.3, 3.0)
    found = normal_modes(hessian(atoms, calculator))
    assert found.exact and calculator.calls == 2 * 27
    np.testing.assert_allclose(found.squares, exact_squares(9, calculator, atoms.get_masses()[0]), rtol=1e-8)


def test_lanczos_finds_the_end_of_the_spectrum_and_means_over_it() -> None:
    atoms, calculator = ring(300), Chain(2.0, 0.3, 3.0)
    exact = exact_squares(300, calculator, atoms.get_masses()[0])
    found = normal_modes(hessian(atoms, calculator))
    assert not found.exact and calculator.calls == 2 * 3 * 40
    assert found.squares[-1] == pytest.approx(exact[-1], rel=5e-3)
    assert exact[-1] - found.squares[-1] <= 4.0 * found.error + 1e-12  # the next eigenvalues lie close by
    assert found.weights.sum() == pytest.approx(1.0, rel=1e-12)
    # a random vector gives a mean over 898 modes to sqrt(2/898) of the spread, three of them to 0.577 of that
    spread = exact.std() * np.sqrt(2.0 / 898 / 3)
    assert abs(found.weights @ found.squares - exact.mean()) < 4.0 * spread


def test_lanczos_ends_by_itself_where_there_is_no_more() -> None:
    matrix = np.diag([1.0, 1.0, 4.0])
    found = lanczos(lambda v: matrix @ v, np.array([1.0, 1.0, 1.0]), 10)
    np.testing.assert_allclose(found.squares, [1.0, 4.0], atol=1e-12)
    np.testing.assert_allclose(found.weights, [2 / 3, 1 / 3], atol=1e-12)


def test_held_atoms_and_the_center_have_no_modes(springs: Any) -> None:
    atoms = Atoms("Ar2He", positions=np.eye(3) * 4)
    calculator = springs(atoms.positions, 1.5)
    atoms.set_constraint(FixAtoms([0]))
    found = normal_modes(hessian(atoms, calculator, fix_center=False))
    masses = atoms.get_masses()
    np.testing.assert_allclose(found.squares, np.repeat(np.sort(1.5 / masses[1:]), 3), rtol=1e-9)
    atoms.set_constraint()
    assert len(normal_modes(hessian(atoms, calculator)).squares) == 6


def test_steps_and_temperatures_of_springs(springs: Any) -> None:
    atoms = Atoms("Ar8", positions=np.random.default_rng(0).normal(size=(8, 3)))
    calculator = springs(atoms.positions, 2.0)
    omega = np.sqrt(2.0 / atoms.get_masses()[0]) * FEMTOSECOND  # 1/fs
    found = time_step_stability(atoms, calculator, temperature=200.0, time_step=1.0 / omega)
    assert found.largest_step == pytest.approx(2.0 / omega, rel=1e-8)
    assert found.recommended_step == pytest.approx(2.0 * np.sqrt(0.02) / omega, rel=1e-8)
    assert found.kinetic_temperature == pytest.approx(150.0, rel=1e-6)  # 1 − (ωΔt/2)² = 3/4
    assert found.configurational_temperature == pytest.approx(200.0, rel=1e-6)
    other = time_step_stability(atoms, calculator, temperature=200.0, time_step=1.0 / omega, scheme="OBABO")
    assert other.kinetic_temperature == pytest.approx(200.0, rel=1e-6)
    assert other.configurational_temperature == pytest.approx(200.0 / 0.75, rel=1e-6)
    assert time_step_stability(atoms, calculator).time_step == pytest.approx(found.recommended_step)


def test_a_run_has_the_temperatures_predicted(argon: Atoms, fast: Any) -> None:
    argon.set_masses(np.full(32, 4.0))  # cold, so that it is nearly harmonic, at a sixth of its fastest period
    found = time_step_stability(argon, fast, time_step=60.0, temperature=2.0, friction=3.0, steps=8000, seed=3)
    assert found.stable and 0.75 * 2.0 < found.kinetic_temperature < 0.9 * 2.0
    assert found.experiment is not None and found.experiment.kinetic is not None
    for measured, predicted in (
        (found.experiment.kinetic, found.kinetic_temperature),
        (found.experiment.configurational, found.configurational_temperature),
    ):
        assert measured is not None and measured.error < 0.03 * 2.0
        assert abs(measured.value - predicted) < 4.0 * measured.error
    words = style.description(found.plot())
    assert "is stable" in words and "Measured from momenta" in words


def test_an_unstable_step_is_told_before_and_shows_in_the_run(argon: Atoms, fast: Any) -> None:
    argon.set_masses(np.full(32, 2.0))
    found = time_step_stability(argon, fast, time_step=90.0, steps=500)
    assert not found.stable and found.radius > 1.0 and found.largest_step < 80.0
    assert np.isinf(found.kinetic[-1]) and np.isfinite(found.kinetic[0])
    assert found.experiment is not None and "blew up" in found.experiment.end
    assert "grows at every step" in style.description(found.plot())


def stiff() -> tuple[Atoms, Chain]:
    atoms = ring(20)
    return atoms, Chain(2000.0, 0.3, 3.0)


def test_md_refuses_a_step_that_cannot_be_integrated() -> None:
    atoms, calculator = stiff()
    limit = 2.0 / np.sqrt(4.0 * 2000.0 / atoms.get_masses()[0]) / FEMTOSECOND
    run: dict[str, Any] = {"steps": 1000, "initial_temperature": 10.0}
    with pytest.raises(InputError, match=f"largest stable step, {limit:.2g}.*velocity Verlet is stable up to") as found:
        md(atoms, calculator, time_step=1.05 * limit, **run)
    assert 'stability="ignore"' in str(found.value)
    assert calculator.calls <= 24
    assert len(md(atoms, calculator, time_step=0.8 * limit, **run).times) == 1001
    with (
        pytest.warns(RuntimeWarning, match="beyond the largest stable step"),
        pytest.raises(CalculationError, match="blew up"),
    ):
        md(atoms, calculator, time_step=1.2 * limit, stability="warn", **run)
    with pytest.raises(CalculationError, match="blew up"):
        md(atoms, calculator, time_step=1.2 * limit, stability="ignore", **run)
    with pytest.raises(InputError, match="stability: expected one of refuse, warn, ignore; got 'perhaps'"):
        md(atoms, calculator, stability="perhaps", **run)  # type: ignore[arg-type]


def test_a_stable_step_is_not_refused_for_a_crystal_far_from_its_minimum(slow: Any) -> None:
    atoms = bulk("Ar", cubic=True, a=5.3) * 2
    atoms.rattle(0.3, seed=1)
    assert len(md(atoms, slow, steps=1000, time_step=4.0, initial_temperature=40.0).times) == 1001


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"scheme": "leapfrog"}, "scheme: expected one of BAOAB"),
        ({"steps": 10}, "steps: expected a whole number of at least 200"),
        ({"steps": 500, "scheme": "velocity Verlet"}, "needs a bath"),
        ({"steps": 500, "friction": 0.0}, "needs a bath"),
        ({"time_step": -1.0}, "time_step"),
        ({"tolerance": 0.0}, "tolerance"),
        ({"atoms": None}, "atoms: expected an ase.Atoms"),
    ],
)
def test_bad_arguments_are_refused_in_words(argon: Atoms, slow: Any, change: dict[str, Any], words: str) -> None:
    arguments: dict[str, Any] = {"atoms": argon, "calculator": slow, **change}
    with pytest.raises(InputError, match=words):
        time_step_stability(**arguments)


def test_free_atoms_have_no_vibrations_and_no_limit(springs: Any) -> None:
    atoms = ring(4)
    with pytest.raises(InputError, match="no mode of this structure is a vibration"):
        time_step_stability(atoms, springs(atoms.positions, 0.0))
    md(atoms, springs(atoms.positions, 0.0), steps=1000, time_step=50.0, initial_temperature=1.0)


def test_it_can_be_stopped(argon: Atoms, slow: Any) -> None:
    def stop(done: int, total: int, /, **live: Any) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        time_step_stability(argon, slow, progress=stop)


def test_a_run_that_is_stopped_is_left_out_and_said_so(argon: Atoms, slow: Any) -> None:
    def stop(done: int, total: int, /, **live: Any) -> None:
        if total == 400:  # of the run; force calls before it are fewer
            raise Cancelled

    how: dict[str, Any] = {"steps": 400, "temperature": 20.0, "friction": 5.0}
    found = time_step_stability(argon, slow, progress=stop, **how)
    assert found.stopped and found.experiment is None and found.stable
    assert not time_step_stability(argon, slow, **how).stopped


def test_a_step_at_which_every_vibration_grows_is_told(argon: Atoms, springs: Any) -> None:
    found = time_step_stability(argon, springs(argon.positions, 20.0), time_step=60.0, temperature=20.0, friction=5.0)
    swings = found.frequencies > 1e-3
    assert not found.stable and swings.sum() == 93
    assert np.isinf(found.kinetic[swings]).all() and np.isinf(found.configurational[swings]).all()
    found.plot()
