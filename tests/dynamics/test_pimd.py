"""Ring polymers give the quantum mechanics of systems whose answer is known, at every number of beads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.constraints import FixAtoms
from numpy.typing import NDArray

from mlip_lab.core.errors import CalculationError, Cancelled, InputError
from mlip_lab.core.units import BOLTZMANN, FEMTOSECOND, HBAR
from mlip_lab.dynamics import pimd as pimd_module
from mlip_lab.dynamics import statistics
from mlip_lab.dynamics.bead_convergence import _extrapolated, bead_convergence
from mlip_lab.dynamics.pimd import pimd
from mlip_lab.kernels.ring_polymer import mode_frequencies
from mlip_lab.plots import style
from mlip_lab.plots.radial_distribution import overlaid
from mlip_lab.properties.radial_distribution import radial_distribution
from mlip_lab.properties.trajectories import trajectory_of

Floats = NDArray[np.float64]
ATOMS, T = 40, 300.0
K_T = BOLTZMANN * T


class Wells(Calculator):
    """Every coordinate of every atom in a well of its own; all beads at once, as a compiled potential would do it."""

    implemented_properties = ("energy", "forces")

    def __init__(self, centers: Floats, well: Callable[[Floats], tuple[Floats, Floats]]) -> None:
        super().__init__()
        self.centers, self.well = centers, well
        self.compiled = SimpleNamespace(
            module=SimpleNamespace(evaluate=self.evaluate), theta=None, cutoff=0.5, species_of=np.zeros_like
        )

    def evaluate(self, theta: Any, species: Any, positions: Floats, cell: Any, *rest: Any) -> None:
        *_, energies, forces, _ = rest
        values, slopes = self.well(positions - np.tile(self.centers, (len(positions) // len(self.centers), 1)))
        energies[:], forces[:] = values.sum(axis=1), -slopes

    def calculate(self, atoms: Any = None, properties: Any = ("energy",), system_changes: Any = all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        values, slopes = self.well(atoms.positions - self.centers)
        self.results = {"energy": float(values.sum()), "forces": -slopes}


def lattice(n: int) -> Atoms:
    return Atoms(f"H{n}", positions=np.outer(np.arange(n), [6.0, 0.0, 0.0]))


def oscillators(ratio: float, n: int = ATOMS) -> tuple[Atoms, Wells, float]:
    """Independent hydrogen atoms on springs with ħω = ratio kT, and ω."""
    atoms, omega = lattice(n), ratio * K_T / HBAR
    stiffness = atoms.get_masses()[0] * omega**2
    return atoms, Wells(atoms.positions, lambda x: (0.5 * stiffness * x**2, stiffness * x)), omega


@pytest.mark.parametrize(
    ("beads", "motion"), [(1, "pile-l"), (4, "pile-l"), (4, "pile-g"), (16, "pile-l"), (64, "pile-l")]
)
def test_oscillators_have_the_exact_energy_and_size_of_so_many_beads(beads: int, motion: Any) -> None:
    atoms, calculator, omega = oscillators(4.0)
    step = min(1.0, 0.35 * np.pi / (beads * K_T / HBAR) / FEMTOSECOND)
    found = pimd(
        atoms, calculator, steps=2500, beads=beads, time_step=step, motion=motion, bath_time=20.0,
        fix_center_of_mass=False, sample_every=500,
    )  # fmt: skip
    # a mode k of the ring sits in a well of ω² + ω_k² at the temperature P T
    parts = omega**2 / (mode_frequencies(beads, beads * K_T / HBAR) ** 2 + omega**2)
    energy = 3 * ATOMS * K_T * parts.sum()
    square = 3 * K_T * parts[1:].sum() / (atoms.get_masses()[0] * omega**2)
    virial, primitive = found.total(), statistics.mean((found.potential_energy + found.primitive_kinetic)[500:])
    # (ωΔt)² is 0.02 at the longest of these steps, whose part in the averages of positions is smaller still
    assert virial.error < 0.04 * energy
    assert abs(virial.value - energy) < 4.0 * virial.error + 2e-3 * energy
    assert abs(primitive.value - energy) < 4.0 * primitive.error + 2e-3 * energy
    radius, error = found.gyration("H")
    if beads == 1:
        assert radius < 1e-12
    else:
        assert error < 0.03 * radius
        assert abs(radius - np.sqrt(square)) < 4.0 * error + 2e-3 * radius
    assert found.bead_temperature[500:].mean() == pytest.approx(T, rel=0.05)
    assert np.ptp(found.conserved_energy) < 0.02 * energy * beads


def test_momenta_of_oscillators_have_the_width_of_quantum_mechanics() -> None:
    atoms, calculator, omega = oscillators(4.0)
    found = pimd(
        atoms, calculator, steps=1500, beads=32, time_step=0.3, bath_time=20.0, fix_center_of_mass=False,
        sample_every=500,
    )  # fmt: skip
    np.testing.assert_allclose(found.species_kinetic[:, 0] * ATOMS, found.virial_kinetic, rtol=1e-12)
    momenta = found.momentum_distribution("H")
    mass = atoms.get_masses()[0]
    exact = np.sqrt(0.5 * mass * HBAR * omega / np.tanh(0.5 * HBAR * omega / K_T)) / HBAR  # ⟨p²⟩ = ½ m ħω coth
    value, error = momenta.width
    assert error < 0.02 * exact
    assert abs(value - exact) < 4.0 * error + 0.01 * exact  # 32 beads lack (ħω/kT)²/24P² of it, less than 0.1 %
    assert exact > 1.3 * momenta.classical_width  # and the classical width is another
    for density, width in ((momenta.density, value), (momenta.classical, momenta.classical_width)):
        assert np.trapezoid(density, momenta.momenta) == pytest.approx(1.0, abs=1e-3)
        square = np.trapezoid(density * momenta.momenta**2, momenta.momenta)
        assert square == pytest.approx(3.0 * width**2, rel=2e-3)
    assert "Momenta of H have a width" in style.description(momenta.plot())
    with pytest.raises(InputError, match="symbol: expected one of H"):
        found.momentum_distribution("D")


def test_kinetic_energy_is_shared_out_to_the_elements(argon: Atoms, fast: Any) -> None:
    mixed = argon.copy()
    mixed.symbols[::3] = "Ne"
    found = pimd(mixed, fast, steps=30, beads=4, temperature=30.0, time_step=5.0)
    numbers = np.array([mixed.symbols.count(symbol) for symbol in found.species])
    np.testing.assert_allclose(found.species_kinetic @ numbers, found.virial_kinetic, rtol=1e-12)


def test_beads_as_frames_have_a_wider_g_of_r_than_their_centroids(argon: Atoms, fast: Any) -> None:
    found = pimd(argon, fast, steps=400, beads=4, temperature=20.0, time_step=5.0)
    frames = trajectory_of(found)
    assert len(frames) == 4 * len(found.positions) and frames.times is None
    assert (frames.positions[4:8] == found.positions[1]).all()
    quantum = radial_distribution(found, radius=6.0, bins=60)
    centroids = radial_distribution(argon, found.positions.mean(axis=1), radius=6.0, bins=60)
    assert 0.0 < quantum.values.max() < centroids.values.max()
    figure = overlaid({"quantum": quantum, "centroids": centroids})
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["quantum", "centroids"]
    assert style.description(figure).startswith("Highest peaks of g(r): quantum ")


def test_heat_capacity_of_oscillators() -> None:
    beads = 8
    atoms, calculator, omega = oscillators(3.0, n=10)
    found = pimd(
        atoms, calculator, steps=12_000, beads=beads, time_step=1.0, bath_time=20.0, fix_center_of_mass=False,
        sample_every=1000,
    )  # fmt: skip

    def energy(temperature: float) -> float:
        k_t = BOLTZMANN * temperature
        parts = omega**2 / (mode_frequencies(beads, beads * k_t / HBAR) ** 2 + omega**2)
        return float(30 * k_t * parts.sum())

    exact = (energy(T + 1.0) - energy(T - 1.0)) / 2.0 / BOLTZMANN
    value, error = found.heat_capacity()
    assert error < 4.0 < exact  # of 30 oscillators; the classical value is 30
    assert exact < 25.0 and abs(value - exact) < 4.0 * error


DEPTH, A = 1.0, 2.0  # eV, 1/Å


def morse(x: Floats) -> tuple[Floats, Floats]:
    """D (1 − e^{−a x})² and its slope."""
    e = np.exp(-A * x)
    return DEPTH * (1.0 - e) ** 2, 2.0 * DEPTH * A * (1.0 - e) * e


def morse_energy(mass: float, k_t: float) -> tuple[float, float]:
    """Mean energy and mean x of one coordinate on a grid of sinc functions (Colbert and Miller, 10.1063/1.462100)."""
    x = np.linspace(-0.8, 2.5, 400)
    dx, n = x[1] - x[0], np.arange(len(x))
    lag = n[:, None] - n
    with np.errstate(divide="ignore"):
        kinetic = np.where(lag == 0, np.pi**2 / 3.0, 2.0 * (-1.0) ** lag / np.where(lag == 0, 1, lag) ** 2)
    hamiltonian = HBAR**2 / (2.0 * mass * dx**2) * kinetic + np.diag(morse(x)[0])
    levels, states = np.linalg.eigh(hamiltonian)
    weights = np.exp(-(levels - levels[0]) / k_t)
    return float(weights @ levels / weights.sum()), float(weights @ (states.T**2 @ x) / weights.sum())


def test_a_morse_well_has_the_energy_of_an_exact_solution() -> None:
    atoms, temperature, beads = lattice(ATOMS), 600.0, 32
    energy, place = morse_energy(atoms.get_masses()[0], BOLTZMANN * temperature)
    found = pimd(
        atoms, Wells(atoms.positions, morse), steps=3000, beads=beads, temperature=temperature, time_step=0.25,
        bath_time=20.0, fix_center_of_mass=False, sample_every=10,
    )  # fmt: skip
    value, error = found.total()
    n = 3 * ATOMS
    omega = A * np.sqrt(2.0 * DEPTH / atoms.get_masses()[0])
    assert n * HBAR * omega / 2.0 > 2.0 * n * BOLTZMANN * temperature / 2.0  # well beyond classical
    assert error < 0.02 * n * energy
    assert abs(value - n * energy) < 4.0 * error + 5e-3 * n * energy  # 32 beads lack (ħω/kT)²/24P² of it
    x = (found.positions[60:] - atoms.positions).mean(axis=(1, 2, 3))
    mean = statistics.mean(x)
    assert abs(mean.value - place) < 4.0 * mean.error + 2e-3
    assert abs(mean.value) > 3.0 * mean.error  # it is anharmonic


def test_all_beads_in_one_call_give_what_single_calls_give(argon: Atoms, fast: Any, slow: Any) -> None:
    how: dict[str, Any] = {"steps": 60, "beads": 5, "temperature": 30.0, "time_step": 5.0}
    a, b = (pimd(argon, force, **how) for force in (fast, slow))
    np.testing.assert_allclose(a.positions, b.positions, atol=1e-10)
    np.testing.assert_allclose(a.virial_kinetic, b.virial_kinetic, atol=1e-10)
    with ThreadPoolExecutor(1) as pool:
        c = pimd(argon, slow, executor=pool, **how)
    np.testing.assert_allclose(c.positions, b.positions, atol=1e-10)
    assert a.positions.shape == (7, 5, 32, 3) and not a.stopped
    np.testing.assert_allclose(a.atoms.positions, a.positions[-1].mean(axis=0))


def test_one_bead_without_a_bath_is_velocity_verlet(argon: Atoms, fast: Any) -> None:
    from mlip_lab.dynamics.md import md

    how: dict[str, Any] = {"steps": 100, "time_step": 4.0, "seed": 3}
    ring = pimd(argon, fast, beads=1, temperature=50.0, motion="rpmd", **how)
    plain = md(argon, fast, initial_temperature=50.0, **how)
    np.testing.assert_allclose(ring.atoms.positions, plain.atoms.positions, atol=1e-10)
    np.testing.assert_allclose(ring.potential_energy, plain.potential_energy, atol=1e-10)


@pytest.mark.parametrize("motion", ["rpmd", "trpmd", "pile-l", "pile-g"])
def test_energy_less_heat_is_kept(argon: Atoms, fast: Any, motion: Any) -> None:
    swings = []
    for step in (10.0, 5.0):
        found = pimd(argon, fast, steps=int(2000 / step), beads=4, temperature=30.0, time_step=step, motion=motion)
        swings.append(np.ptp(found.conserved_energy))
        centers = found.positions.mean(axis=(1, 2))
        assert np.abs(centers - centers[0]).max() < 1e-10
    assert swings[1] < 0.45 * swings[0] < 1e-2  # of second order in the step


def test_a_stopped_run_goes_on(argon: Atoms, fast: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pimd_module, "REPORT_EVERY", -1.0)

    def stop(done: int, total: int, /, **live: Any) -> None:
        assert len(live["so_far"]().times) == done + 1 and live["positions"].shape == (32, 3)
        if done == 13:
            raise Cancelled

    how: dict[str, Any] = {"beads": 3, "temperature": 30.0, "time_step": 5.0}
    whole = pimd(argon, fast, steps=40, **how)
    part = pimd(argon, fast, steps=40, progress=stop, **how)
    assert part.stopped and len(part.times) == 14 and len(part.positions) == 2
    rest = pimd(part.atoms, fast, steps=27, **how)
    np.testing.assert_allclose(rest.virial_kinetic, whole.virial_kinetic[13:], atol=1e-10)
    moved = part.atoms.copy()
    moved.positions[0] += 0.1  # these beads are not its own any more
    assert pimd(moved, fast, steps=1, **how).gyration_squares[0].max() < 1e-30
    assert pimd(part.atoms, fast, steps=1, **{**how, "beads": 4}).gyration_squares[0].max() < 1e-30


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"beads": 0}, "beads: expected a whole number from 1 to 1024, got 0"),
        ({"temperature": 0.0}, "temperature"),
        ({"motion": "cmd"}, "motion: expected one of pile-l, pile-g, trpmd, rpmd; got 'cmd'"),
        ({"time_step": 20.0, "beads": 64, "temperature": 300.0}, "half a period of the stiffest spring of the ring"),
        ({"calculator": None}, "calculator"),
    ],
)
def test_bad_arguments_are_refused_in_words(argon: Atoms, slow: Any, change: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        pimd(argon, **{"calculator": slow, "steps": 5, "beads": 2, **change})


def test_what_goes_wrong_is_an_error_in_words(argon: Atoms, fast: Any, slow: Any) -> None:
    held = argon.copy()
    held.set_constraint(FixAtoms([0]))
    with pytest.raises(InputError, match="remove constraints"):
        pimd(held, fast, steps=5, beads=2)
    near = argon.copy()
    near.positions[1] = near.positions[0] + [0.5, 0.0, 0.0]
    with pytest.raises(CalculationError, match="blew up at step"):
        pimd(near, fast, steps=50, beads=2, time_step=10.0, temperature=30.0)
    with pytest.raises(InputError, match="symbol: expected one of Ar"):
        pimd(argon, slow, steps=30, beads=2).gyration("H")


def test_beads_converge_to_the_quantum_limit() -> None:
    atoms, calculator, omega = oscillators(2.0, n=20)
    found = bead_convergence(
        atoms, calculator, beads=(2, 4, 8, 16), steps=1500, temperature=T, time_step=1.0, tolerance=20.0
    )
    exact = 1.5 * HBAR * omega / np.tanh(HBAR * omega / 2.0 / K_T)  # three oscillators an atom
    # one direction of motion of twenty, that of the fixed centre, has no thermal part
    assert abs(found.limit.value - exact) < 4.0 * found.limit.error + 0.05 * exact
    words = style.description(found.plot())
    assert "beads" in words
    with pytest.raises(InputError, match="at least three different numbers"):
        bead_convergence(atoms, calculator, beads=(1, 2), steps=100)


def test_extrapolation_through_exact_energies_finds_limit_and_number() -> None:
    beads = np.array([4, 8, 16, 32])
    found = _extrapolated(beads, 1.0 - 0.32 / beads**2, np.full(4, 1e-4), 1.25)
    assert found.limit.value == pytest.approx(1.0, abs=1e-9) and found.slope == pytest.approx(-0.32, rel=1e-6)
    assert found.recommended == 16  # 0.32 eV / 16² = 1.25 meV
