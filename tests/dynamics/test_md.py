"""Molecular dynamics: both ways to run it agree, chunks do not show, and nothing wrong gives a number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes
from ase.constraints import FixAtoms, FixBondLength
from ase.io import read
from ase.md.verlet import VelocityVerlet

from mlip_lab.core.errors import CalculationError, Cancelled, InputError, MlipError
from mlip_lab.core.units import BOLTZMANN, FEMTOSECOND
from mlip_lab.dynamics import run as run_module
from mlip_lab.dynamics.engines import CompiledEngine, Engine, Kept, PythonEngine, make_engine
from mlip_lab.dynamics.md import md
from mlip_lab.dynamics.momenta import draw_momenta
from mlip_lab.kernels.integrators import BAOAB, CHAIN, OBABO, RESCALING, Scheme

BATH: dict[str, Any] = {"ensemble": "langevin", "temperature": 60.0}
START: dict[str, Any] = {"initial_temperature": 120.0}
OTHERS: list[dict[str, Any]] = [{**BATH, "ensemble": name} for name in ("obabo", "bussi", "nose-hoover")]
BOTH = pytest.mark.parametrize(
    "ensemble", [START, BATH, *OTHERS], ids=["nve", "langevin", "obabo", "bussi", "nose-hoover"]
)


@BOTH
def test_compiled_and_python_driven_runs_agree(argon: Atoms, fast: Any, slow: Any, ensemble: dict[str, Any]) -> None:
    argon.rattle(0.1, seed=2)
    a = md(argon, fast, steps=400, time_step=4.0, seed=5, **ensemble)
    b = md(argon, slow, steps=400, time_step=4.0, seed=5, **ensemble)
    assert np.linalg.norm(a.positions[-1] - a.positions[0], axis=1).max() > 0.5  # the list was rebuilt on the way
    # sums over neighbours in another order differ in the last digit, and the motion multiplies that a little
    np.testing.assert_allclose(a.positions, b.positions, atol=1e-10)
    np.testing.assert_allclose(a.potential_energy, b.potential_energy, atol=1e-11)
    np.testing.assert_allclose(a.kinetic_energy, b.kinetic_energy, atol=1e-11)
    np.testing.assert_allclose(a.heat, b.heat, atol=1e-11)


def test_constant_energy_follows_the_verlet_of_ase(argon: Atoms, slow: Any) -> None:
    argon.rattle(0.1, seed=2)
    argon.set_momenta(draw_momenta(1.0 / argon.get_masses(), 50.0, fix_center=True, exact=False, seed=1))
    ours = md(argon, slow, steps=100, time_step=4.0)
    argon.calc = slow
    with VelocityVerlet(argon, timestep=4.0 * units.fs) as theirs:
        theirs.run(100)
    np.testing.assert_allclose(ours.atoms.positions, argon.positions, atol=1e-11)
    np.testing.assert_allclose(ours.atoms.get_momenta(), argon.get_momenta(), atol=1e-11)
    assert ours.total_energy[-1] == pytest.approx(argon.get_total_energy(), abs=1e-12)


def engine_for(atoms: Atoms, calculator: Any, decay: float, ensemble: int = BAOAB) -> Engine:
    inverse = 1.0 / atoms.get_masses()
    momenta = draw_momenta(inverse, 150.0, fix_center=True, exact=False, seed=1)
    scheme = Scheme(ensemble, 4.0 * FEMTOSECOND, decay, BOLTZMANN * 100.0, 0.0, 0, True, 9, 93, 100.0 * FEMTOSECOND)
    return make_engine(atoms, calculator, momenta, inverse, scheme, 0)


@pytest.mark.parametrize(
    ("ensemble", "decay"), [(BAOAB, 1.0), (BAOAB, 0.97), (OBABO, 0.98), (RESCALING, 0.97), (CHAIN, 1.0)]
)
@pytest.mark.parametrize("cuts", [(1, 299), (37, 100, 63, 100), (150, 150)])
def test_chunks_do_not_show_in_any_bit(
    argon: Atoms, fast: Any, ensemble: int, decay: float, cuts: tuple[int, ...]
) -> None:
    def run(cuts: tuple[int, ...]) -> tuple[Engine, Any, Any]:
        engine, out = engine_for(argon, fast, decay, ensemble), np.zeros((4, sum(cuts)))
        samples, done = np.zeros((2, sum(cuts) // 7, len(argon), 3)), 0
        for n in cuts:
            kept = samples[:, done // 7 : (done + n) // 7]
            assert engine.advance(*out[:, done : done + n], Kept(7 - done % 7, 7, *kept)) == n
            done += n
        return engine, out, samples

    assert isinstance(engine_for(argon, fast, decay, ensemble), CompiledEngine)
    (whole, a, kept), (cut, b, kept_too) = run((300,)), run(cuts)
    assert (a == b).all()
    assert (kept == kept_too).all() and (np.ptp(kept, axis=1) > 0.0).all()
    assert (whole.positions == cut.positions).all() and (whole.momenta == cut.momenta).all()


@pytest.mark.interpreted
@BOTH
def test_a_tiny_cell_runs_the_same_both_ways(toy: Any, fast: Any, slow: Any, ensemble: dict[str, Any]) -> None:
    atoms = bulk("Ar", a=5.3) * (2, 1, 1)  # smaller than the cutoff
    atoms.rattle(0.2, seed=1)
    a, b = (md(atoms, calculator, steps=12, sample_every=5, **ensemble) for calculator in (fast, slow))
    np.testing.assert_allclose(a.positions, b.positions, atol=1e-12)
    np.testing.assert_allclose(a.potential_energy, b.potential_energy, atol=1e-12)


def test_samples_kept_inside_the_loop_are_those_taken_between_calls(argon: Atoms, fast: Any, tmp_path: Path) -> None:
    how = {"ensemble": "langevin", "temperature": 100.0, "initial_temperature": 150.0, "steps": 50, "sample_every": 7}
    inside = md(argon, fast, **how)
    between = md(argon, fast, trajectory=tmp_path / "run.traj", **how)
    assert inside.positions.shape == (8, 32, 3)
    assert (inside.positions == between.positions).all()
    np.testing.assert_allclose(inside.species_temperatures, between.species_temperatures, rtol=1e-14)


@BOTH
def test_the_same_seed_is_the_same_run(argon: Atoms, fast: Any, ensemble: dict[str, Any]) -> None:
    runs = [
        md(argon, fast, steps=50, seed=seed, sample_every=every, **ensemble)
        for seed, every in [(1, 10), (1, 7), (2, 10)]
    ]
    assert (runs[0].total_energy == runs[1].total_energy).all()
    assert (runs[0].atoms.positions == runs[1].atoms.positions).all()
    assert abs(runs[0].total_energy - runs[2].total_energy).max() > 1e-3


@BOTH
@pytest.mark.parametrize("through", ["memory", "file"])
def test_a_run_continues_without_a_seam(
    argon: Atoms, fast: Any, ensemble: dict[str, Any], through: str, tmp_path: Path
) -> None:
    whole = md(argon, fast, steps=100, time_step=4.0, **ensemble)
    first = md(argon, fast, steps=50, time_step=4.0, trajectory=tmp_path / "first.traj", **ensemble)
    start = first.atoms if through == "memory" else read(tmp_path / "first.traj")
    more = {} if ensemble is START else ensemble
    second = md(start, fast, steps=50, time_step=4.0, **more)
    assert second.atoms.info["md_step"] == 100
    np.testing.assert_allclose(second.potential_energy, whole.potential_energy[50:], atol=1e-11)
    np.testing.assert_allclose(second.atoms.positions, whole.atoms.positions, atol=1e-10)


def test_results_have_the_shapes_and_units_they_say(argon: Atoms, fast: Any) -> None:
    before = argon.copy()
    result = md(argon, fast, steps=25, time_step=2.0, sample_every=10, exact_temperature=True, **START)
    assert argon == before and "md_step" not in argon.info
    np.testing.assert_allclose(result.times, 2.0 * np.arange(26), rtol=1e-14)
    np.testing.assert_allclose(result.sample_times, [0.0, 20.0, 40.0], rtol=1e-14)
    assert result.positions.shape == (3, 32, 3)
    assert (result.positions[0] == argon.positions).all()
    assert result.degrees_of_freedom == 93
    assert result.temperature[0] == pytest.approx(120.0, rel=1e-12)
    assert result.kinetic_energy[-1] == pytest.approx(result.atoms.get_kinetic_energy(), rel=1e-12)
    assert (result.heat == 0.0).all() and not result.stopped
    assert np.abs(result.atoms.get_momenta().sum(axis=0)).max() < 1e-12


def test_constant_energy_is_constant(argon: Atoms, fast: Any) -> None:
    warm = md(argon, fast, steps=2000, time_step=4.0, friction=10.0, **BATH)
    result = md(warm.atoms, fast, steps=20_000, time_step=4.0)
    slope, error = result.energy_drift()
    assert abs(slope) < 4.0 * error
    assert error < 1e-6  # eV/atom/ns
    # what the integrator keeps fluctuates by the square of what its energy does, (ω Δt)⁴ for (ω Δt)²
    assert np.ptp(result.shadow_energy) < 0.05 * np.ptp(result.total_energy)


def test_the_shadow_energy_is_of_fourth_order(argon: Atoms, springs: Any) -> None:
    swings = []
    for time_step in (20.0, 10.0):  # (ω Δt)² = 0.19 and 0.05
        result = md(argon, springs(argon.positions, 2.0), steps=300, time_step=time_step, **START)
        swings.append((np.ptp(result.total_energy), np.ptp(result.shadow_energy)))
    # the total energy is off by second order, the shadow energy by fourth; (ω Δt)² is the next order of each
    assert swings[0][0] / swings[1][0] == pytest.approx(4.0, rel=0.2)
    assert swings[0][1] / swings[1][1] == pytest.approx(16.0, rel=0.2)
    assert result.shadow_energy.shape == (299,)


def test_a_leak_of_energy_is_measured(argon: Atoms, springs: Any) -> None:
    class Leaky(springs):  # type: ignore[misc]
        def calculate(self, atoms: Any = None, properties: Any = (), system_changes: Any = all_changes) -> None:
            super().calculate(atoms, properties, system_changes)
            self.calls = getattr(self, "calls", -1) + 1
            self.results["energy"] += 1e-6 * self.calls

    result = md(argon, Leaky(argon.positions, 1.0), steps=2000, time_step=1.0, **START)
    slope, error = result.energy_drift(discard=0.1)
    assert slope == pytest.approx(1e-6 / 32 / 1e-6, abs=4.0 * error)  # 1e-6 eV a step of 1e-6 ns, 32 atoms
    assert 0.0 < error < 0.1 * slope


def test_langevin_has_the_temperature_of_its_bath(argon: Atoms, fast: Any) -> None:
    result = md(argon, fast, steps=40_000, time_step=4.0, friction=5.0, sample_every=1000, **BATH)
    mean, error = result.mean_temperature(discard=0.1)
    assert error < 0.02 * 60.0
    # velocities are colder by (ω Δt/2)²: at most (2π 2 THz 2 fs)² = 0.06 % here
    assert abs(mean - 60.0) < 4.0 * error
    # what the bath gave accounts for what the energy did, up to the integrator's own error
    assert np.ptp(result.conserved_energy) < 1e-3 * np.ptp(result.total_energy)


def test_springs_have_the_fluctuations_of_theory(springs: Any) -> None:
    atoms = Atoms("Ar100", positions=np.zeros((100, 3)))
    result = md(
        atoms, springs(np.zeros((100, 3)), 0.5), steps=3000, time_step=20.0, friction=5.0, ensemble="langevin",
        temperature=100.0, fix_center_of_mass=False,
    )  # fmt: skip
    squares = (result.positions[30:] ** 2).mean(axis=0).ravel()  # of 300 independent oscillators
    error = squares.std() / np.sqrt(squares.size)
    assert error < 0.02 * squares.mean()
    assert abs(squares.mean() - BOLTZMANN * 100.0 / 0.5) < 4.0 * error
    assert result.degrees_of_freedom == 300


@pytest.mark.parametrize("calculator", ["fast", "slow"])
@BOTH
def test_held_atoms_stay(
    argon: Atoms, calculator: str, ensemble: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    argon.rattle(0.1, seed=1)
    argon.set_constraint(FixAtoms([0, 5]))
    argon.set_momenta(np.ones((32, 3)), apply_constraint=False)
    result = md(argon, request.getfixturevalue(calculator), steps=50, sample_every=1, **ensemble)
    assert (result.positions[:, [0, 5]] == argon.positions[[0, 5]]).all()
    assert (result.atoms.get_momenta()[[0, 5]] == 0.0).all()
    moved = np.abs(result.positions[-1] - result.positions[0]).max(axis=1) > 0.0
    assert moved.sum() == 30
    assert result.degrees_of_freedom == 90
    assert np.ptp(result.conserved_energy) < 1e-4
    assert isinstance(result.atoms.constraints[0], FixAtoms)


def test_the_center_of_mass_rests_or_not(argon: Atoms, slow: Any) -> None:
    argon.set_momenta(np.ones((32, 3)))
    still = md(argon, slow, steps=5)
    assert np.abs(still.positions.mean(axis=1) - argon.positions.mean(axis=0)).max() < 1e-12
    moving = md(argon, slow, steps=5, fix_center_of_mass=False)
    np.testing.assert_allclose(moving.atoms.get_momenta(), 1.0, rtol=1e-12)
    assert (moving.degrees_of_freedom, still.degrees_of_freedom) == (96, 93)


def test_free_energy_is_the_one_that_is_conserved(argon: Atoms, springs: Any) -> None:
    class Smeared(springs):  # type: ignore[misc]
        implemented_properties = ("energy", "forces", "free_energy")

        def calculate(self, *args: Any, **kwargs: Any) -> None:
            super().calculate(*args, **kwargs)
            self.results["free_energy"] = self.results["energy"]
            self.results["energy"] *= 0.5

    result = md(argon, Smeared(argon.positions, 1.0), steps=50, time_step=1.0, **START)
    assert np.ptp(result.total_energy) < 1e-3 < np.ptp(result.kinetic_energy)


@pytest.mark.parametrize("calculator", ["fast", "slow"])
def test_a_stopped_run_returns_what_is_done_and_goes_on(
    argon: Atoms, calculator: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(run_module, "REPORT_EVERY", 0.0)  # report after every step
    force = request.getfixturevalue(calculator)
    whole = md(argon, force, steps=60, **BATH)
    seen: list[tuple[int, int]] = []

    def stop(done: int, total: int, /, **live: Any) -> None:
        numbers = {"time", "temperature", "potential", "kinetic", "total", "conserved"}
        assert set(live) == numbers | {"positions", "so_far"}
        assert all(np.isfinite(live[name]) for name in numbers)
        so_far = live["so_far"]()
        assert len(so_far.times) == done + 1 and (so_far.total_energy == whole.total_energy[: done + 1]).all()
        assert (live["positions"] == so_far.atoms.positions).all()
        seen.append((done, total))
        if done >= 25:
            raise Cancelled("enough")

    part = md(argon, force, steps=60, progress=stop, trajectory=tmp_path / "part.extxyz", **BATH)
    assert part.stopped
    assert seen[0] == (0, 60) and seen[-1] == (25, 60) and len(part.times) == 26
    assert len(part.positions) == len(part.sample_times) == 3
    assert len(read(tmp_path / "part.extxyz", ":")) == 3
    assert (part.total_energy == whole.total_energy[:26]).all()
    rest = md(part.atoms, force, steps=35, **BATH)
    np.testing.assert_allclose(rest.total_energy, whole.total_energy[25:], atol=1e-11)
    joined = part.then(rest)
    for name in ("times", "heat", "temperature"):
        np.testing.assert_allclose(getattr(joined, name), getattr(whole, name), atol=1e-9)
    assert joined.sample_times.tolist() == [0, 10, 20, 35, 45, 55] and len(joined.positions) == 6
    assert not joined.stopped
    with pytest.raises(InputError, match="later: expected a run of the same atoms"):
        part.then(md(argon[:20], force, steps=5, **START))


def test_a_finished_run_reports_its_end(argon: Atoms, fast: Any) -> None:
    seen: list[int] = []
    md(argon, fast, steps=30, progress=lambda done, total, /, **live: seen.append(done), **START)
    assert seen[0] == 0 and seen[-1] == 30 and seen == sorted(set(seen))


def test_a_stop_before_the_first_step_gives_the_start(argon: Atoms, fast: Any) -> None:
    def stop(done: int, total: int, /, **live: float) -> None:
        raise Cancelled

    result = md(argon, fast, steps=30, progress=stop, **START)
    assert result.stopped and len(result.times) == 1
    with pytest.raises(InputError, match="at least 20 values, got 0"):
        result.energy_drift()


class Broken(Calculator):
    """Gives what it is told to, from the second call on."""

    implemented_properties = ("energy", "forces")

    def __init__(self, energy: Any = 0.0, forces: Any = 0.0, error: Exception | None = None, after: int = 1) -> None:
        super().__init__()
        self.given, self.error, self.after, self.calls = (energy, forces), error, after, 0

    def calculate(self, atoms: Any = None, properties: Any = (), system_changes: Any = all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        self.calls += 1
        late = self.calls > self.after
        if late and self.error is not None:
            raise self.error
        energy, forces = self.given if late else (0.0, 0.0)
        self.results = {"energy": energy, "forces": np.full((len(atoms), 3), forces) * np.sign(atoms.positions - 5.0)}


@pytest.mark.parametrize(
    ("calculator", "words"),
    [
        (Broken(energy=np.nan, after=15), "blew up at step 15"),
        (Broken(forces=np.nan, after=15), "blew up at step 15"),
        (Broken(forces=1e6, after=15), "blew up at step 15.*smaller time_step"),
        (Broken(error=ValueError("no convergence"), after=15), "failed at step 14: no convergence"),
        (Broken(error=CalculationError("atoms overlap"), after=15), "atoms overlap"),
        (Broken(energy=np.nan, after=0), "not finite for the first structure"),
    ],
)
def test_a_failing_calculator_is_an_error_in_words_and_earlier_frames_are_kept(
    argon: Atoms, calculator: Broken, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "run.extxyz"
    with pytest.raises(CalculationError, match=words):
        md(argon, calculator, steps=100, trajectory=path, sample_every=5, **START)
    if calculator.after:
        assert len(read(path, ":")) == 3  # steps 0, 5 and 10
    else:
        assert not path.exists()  # so that the next try can use the name


@pytest.mark.parametrize("calculator", ["fast", "slow"])
def test_an_explosion_is_an_error_in_words(argon: Atoms, calculator: str, request: pytest.FixtureRequest) -> None:
    argon.positions[1] = argon.positions[0] + [0.5, 0.0, 0.0]
    with pytest.raises(CalculationError, match=r"blew up at step \d+ of 50.*time_step \(now 10 fs\)"):
        md(argon, request.getfixturevalue(calculator), steps=50, time_step=10.0, **START)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"steps": 0}, "steps: expected a whole number of at least 1, got 0"),
        ({"steps": 1.5}, "steps"),
        ({"time_step": -1.0}, "time_step: expected a number in fs above 0"),
        ({"time_step": 0.0}, "time_step"),
        ({"time_step": np.nan}, "time_step"),
        ({"temperature": 300.0}, 'ensemble "nve" has no bath'),
        ({"ensemble": "langevin"}, "needs the temperature of its bath"),
        ({"ensemble": "langevin", "temperature": -1.0}, "temperature: expected a number in K of at least 0"),
        ({"ensemble": "langevin", "temperature": 300.0, "friction": -1.0}, "friction"),
        (
            {"ensemble": "nvt"},
            "ensemble: expected one of nve, langevin, obabo, bussi, nose-hoover, npt, npt-flexible; got 'nvt'",
        ),
        ({"initial_temperature": -5.0}, "initial_temperature"),
        ({"initial_temperature": None}, "atoms have no momenta"),
        ({"seed": -1}, "seed"),
        ({"sample_every": 0}, "sample_every"),
        ({"calculator": None}, "calculator: expected an ASE calculator, got NoneType"),
        ({"trajectory": "run.pdb"}, r"\.extxyz, \.xyz, \.traj, \.h5, \.h5md; got 'run.pdb'"),
        ({"steps": 10**15}, "do not fit into memory"),
    ],
)
def test_bad_arguments_are_refused_in_words(argon: Atoms, slow: Any, change: dict[str, Any], words: str) -> None:
    arguments = {"calculator": slow, "steps": 10, "initial_temperature": 50.0, **change}
    with pytest.raises(InputError, match=words):
        md(argon, **arguments)


def test_bad_atoms_are_refused_in_words(argon: Atoms, slow: Any) -> None:
    def refused(atoms: Any, words: str, calculator: Any = slow, **options: Any) -> None:
        with pytest.raises(MlipError, match=words):
            md(atoms, calculator, steps=10, **{**START, **options})

    refused("Si", "atoms: expected an ase.Atoms, got str")
    refused(Atoms(), "at least one atom")
    nowhere, speedless = argon.copy(), argon.copy()
    nowhere.positions[3] = np.nan
    refused(nowhere, "positions: expected finite numbers")
    speedless.set_momenta(np.full((32, 3), np.nan))
    refused(speedless, "momenta: expected finite numbers", initial_temperature=None)
    massless = argon.copy()
    massless.set_masses(np.zeros(32))
    refused(massless, "masses: expected positive numbers")
    bound = argon.copy()
    bound.set_constraint(FixBondLength(0, 1))
    refused(bound, "expected FixAtoms only, got FixBondLength")
    held = argon.copy()
    held.set_constraint(FixAtoms(range(32)))
    refused(held, "FixAtoms holds them all")
    refused(argon[:1], "fix_center_of_mass=False")
    wrong = argon.copy()
    wrong.info["md_step"] = -3
    refused(wrong, "md_step")


def test_the_python_engine_needs_nothing_but_forces(argon: Atoms, slow: Any) -> None:
    assert isinstance(engine_for(argon, slow, 1.0), PythonEngine)
