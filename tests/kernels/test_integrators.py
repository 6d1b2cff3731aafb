"""What a step of dynamics must do, on systems whose answer is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from mlip_lab.kernels import integrators, noise
from mlip_lab.kernels.integrators import Scheme

pytestmark = pytest.mark.interpreted

Floats = NDArray[np.float64]
SLOW = bool(numba.config.DISABLE_JIT)


def scheme(time_step: float, decay: float = 1.0, k_t: float = 0.0, **more: Any) -> Scheme:
    given = {"ensemble": integrators.BAOAB, "k_t_slope": 0.0, "first_step": 0, "fix_center": False, "seed": 0}
    given |= {"degrees": 3, "bath_time": 1.0}
    return Scheme(**{**given, "time_step": time_step, "decay": decay, "k_t": k_t, **more})


def run(
    positions: Floats,
    momenta: Floats,
    inverse: Floats,
    force: Callable[[Floats], Floats],
    steps: int,
    time_step: float,
    decay: float = 1.0,
    k_t: float = 0.0,
    watch: Callable[[Floats, Floats], None] = lambda x, p: None,
    bath: Floats | None = None,
    **more: Any,
) -> float:
    """Drive the two halves of a step; returns the heat."""
    heat = 0.0
    how = scheme(time_step, decay, k_t, **more)
    bath = np.zeros(2 * integrators.LINKS) if bath is None else bath
    forces = force(positions)
    for step in range(steps):
        heat += integrators.begin_step(positions, momenta, forces, inverse, how, bath, step)
        forces = force(positions)
        heat += integrators.end_step(momenta, forces, inverse, how, bath, step)
        watch(positions, momenta)
    return heat


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [  # the known answers that the authors of Philox ship (Random123, kat_vectors)
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_gives_its_published_answers(
    counter: tuple[int, ...], key: tuple[int, ...], words: tuple[int, ...]
) -> None:
    assert tuple(int(w) for w in noise.philox(*(np.uint64(c) for c in counter + key))) == words


def test_noise_is_normal_and_independent() -> None:
    n = 300 if SLOW else 20_000
    drawn = np.array([noise.normals(7, step, atom, 0) for step in range(n // 100) for atom in range(100)])
    # a deterministic draw: 1e-3 is the chance that a right generator had to fail once and for all
    assert stats.kstest(drawn.ravel(), "norm").pvalue > 1e-3
    correlation = np.corrcoef(drawn.T)
    assert np.abs(correlation - np.eye(3)).max() < 4.0 / np.sqrt(n)
    assert len(np.unique(drawn)) == drawn.size


def test_noise_depends_on_every_part_of_its_counter() -> None:
    draws = [
        noise.normals(seed, step, atom, stream)
        for seed in (0, 1, 2**40)
        for step in (0, 1, 2**40)
        for atom in (0, 1)
        for stream in (integrators.NOISE, integrators.START)
    ]
    assert len(np.unique(np.array(draws))) == 3 * len(draws)
    assert noise.normals(0, 0, 0, 0) == draws[0]


@pytest.mark.parametrize("omega_dt", [0.3, 1.0, 1.6])
def test_baoab_of_harmonic_oscillators_has_exact_positions_and_biased_momenta(omega_dt: float) -> None:
    n_atoms, steps, skip = (30, 150, 60) if SLOW else (800, 260, 60)
    mass, k_t, time_step, decay = 2.0, 0.5, 0.1, 0.5  # c = 0.5: sixty steps forget the start
    stiffness = mass * (omega_dt / time_step) ** 2
    inverse = np.full(n_atoms, 1.0 / mass)
    x, p = np.zeros((n_atoms, 3)), np.zeros((n_atoms, 3))
    squares: list[tuple[Floats, Floats]] = []
    run(
        x, p, inverse, lambda x: -stiffness * x, steps, time_step, decay, k_t,
        watch=lambda x, p: squares.append((x**2, p**2)),
    )  # fmt: skip
    xx, pp = (np.mean([pair[i] for pair in squares[skip:]], axis=0).ravel() for i in (0, 1))
    for averages, exact in ((xx, k_t / stiffness), (pp, mass * k_t * (1.0 - (omega_dt / 2.0) ** 2))):
        # each oscillator is independent, so the scatter of their time averages gives the error
        error = averages.std(ddof=1) / np.sqrt(averages.size)
        assert error < (0.15 if SLOW else 0.03) * exact
        assert abs(averages.mean() - exact) < 4.0 * error


def test_heat_is_what_the_thermostat_gives_and_the_rest_is_conserved() -> None:
    rng = np.random.default_rng(1)
    x, p = rng.normal(size=(4, 3)), rng.normal(size=(4, 3))
    inverse = 1.0 / np.array([1.0, 2.0, 3.0, 4.0])

    def energy() -> float:
        return integrators.kinetic_energy(p, inverse) + 0.5 * float((x**2).sum())

    drifts = []
    for time_step in (0.02, 0.01):
        x[:], p[:] = 1.0, 0.0
        before = energy()
        heat = run(x, p, inverse, lambda x: -x, int(2.0 / time_step), time_step, np.exp(-time_step), 0.7)
        assert abs(heat) > 0.1  # the bath did something
        drifts.append(abs(energy() - before - heat))
    assert max(drifts) < 1e-3  # (ω Δt)²/8 of an energy of order 10


def test_velocity_verlet_keeps_the_invariant_of_the_harmonic_oscillator_exactly() -> None:
    mass, stiffness, time_step = 2.0, 3.0, 0.3
    x, p = np.array([[1.0, 0.0, -0.5]]), np.array([[0.3, 1.0, 0.0]])
    inverse = np.array([1.0 / mass])
    correction = 1.0 - stiffness / mass * time_step**2 / 4.0
    seen: list[float] = []

    def watch(x: Floats, p: Floats) -> None:
        seen.append(float((p**2).sum() / (2.0 * mass) + 0.5 * stiffness * correction * (x**2).sum()))

    run(x, p, inverse, lambda x: -stiffness * x, 200, time_step, watch=watch)
    assert np.ptp(seen) < 1e-13  # two hundred roundings of numbers of order one


def test_velocity_verlet_is_reversible_and_its_energy_error_is_of_second_order() -> None:
    inverse = np.array([1.0, 0.5])

    def force(x: Floats) -> Floats:  # E = ¼ Σ x⁴ + ½ (x0 - x1)²
        return -(x**3) - np.array([x[0] - x[1], x[1] - x[0]])

    def energies(time_step: float) -> float:
        x, p = np.array([[1.0, 0.2, 0.3], [-0.4, 0.5, 0.6]]), np.zeros((2, 3))
        start, seen = x.copy(), []

        def watch(x: Floats, p: Floats) -> None:
            potential = 0.25 * (x**4).sum() + 0.5 * ((x[0] - x[1]) ** 2).sum()
            seen.append(float(potential + integrators.kinetic_energy(p, inverse)))

        steps = round(10.0 / time_step)
        run(x, p, inverse, force, steps, time_step, watch=watch)
        p *= -1.0
        run(x, p, inverse, force, steps, time_step)
        assert np.abs(x - start).max() < 1e-12
        return float(np.ptp(seen))

    assert energies(0.05) / energies(0.025) == pytest.approx(4.0, rel=0.02)  # the next order is (ω Δt)² ~ 1 %


def test_free_particles_move_on_straight_lines_and_held_ones_stay() -> None:
    inverse = np.array([1.0, 0.0, 0.25])
    x, p = np.zeros((3, 3)), np.ones((3, 3))
    run(x, p, inverse, lambda x: np.zeros((3, 3)), 10, 0.1)
    np.testing.assert_allclose(x, np.outer(inverse, np.ones(3)), rtol=1e-14)
    p[1] = 0.0
    before = x[1].copy()
    run(x, p, inverse, lambda x: np.ones((3, 3)), 10, 0.1, decay=0.5, k_t=1.0)
    assert (x[1] == before).all() and (p[1] == 0.0).all()
    assert (p[0] != 1.0).all() and (p[2] != 1.0).all()


def test_a_fixed_center_takes_three_degrees_of_freedom() -> None:
    inverse = 1.0 / np.array([1.0, 5.0])
    k_t, n = 0.3, 300 if SLOW else 4000
    p = np.zeros((2, 3))
    energies = np.empty(n)
    for step in range(n):  # decay 0 forgets the old momenta at once
        integrators.thermostat(p, inverse, 0.0, k_t, True, 3, step, integrators.NOISE)
        energies[step] = integrators.kinetic_energy(p, inverse)
        assert np.abs(p.sum(axis=0)).max() < 1e-14
    # K of f degrees of freedom has mean f kT/2 and variance f (kT)²/2; here f = 2·3 - 3
    assert abs(energies.mean() - 1.5 * k_t) < 4.0 * k_t * np.sqrt(1.5 / n)


def test_a_fixed_center_does_not_move_in_an_external_field() -> None:
    masses = np.array([1.0, 2.0, 4.0])
    x = np.arange(9.0).reshape(3, 3) / 10.0
    center = masses @ x / masses.sum()
    p = np.zeros((3, 3))
    run(x, p, 1.0 / masses, lambda x: 1.0 - x**2, 50, 0.05, 0.9, 0.2, fix_center=True)
    np.testing.assert_allclose(masses @ x / masses.sum(), center, atol=1e-14)


def test_first_momenta_are_maxwell_boltzmann() -> None:
    n, k_t = 200 if SLOW else 5000, 0.2
    masses = np.where(np.arange(n) % 2, 1.0, 9.0)
    p = np.empty((n, 3))
    integrators.draw_momenta(p, 1.0 / masses, k_t, False, 5, 0)
    assert stats.kstest((p / np.sqrt(masses * k_t)[:, None]).ravel(), "norm").pvalue > 1e-3
    integrators.draw_momenta(p, 1.0 / masses, k_t, True, 5, 0)
    assert np.abs(p.sum(axis=0)).max() < 1e-11


def test_force_square_counts_what_moves_the_atoms() -> None:
    masses = np.array([1.0, 4.0, 2.0])
    forces = np.array([[1.0, 2.0, 0.0], [2.0, 0.0, 4.0], [1.0, 1.0, 1.0]])
    each = (forces**2).sum(axis=1) / masses
    assert integrators.force_square(forces, 1.0 / masses, False) == pytest.approx(each.sum(), rel=1e-14)
    assert integrators.force_square(forces, np.array([1.0, 0.0, 0.5]), False) == pytest.approx(each[0] + each[2])
    internal = forces - np.outer(masses, forces.sum(axis=0)) / masses.sum()
    expected = ((internal**2).sum(axis=1) / masses).sum()
    assert integrators.force_square(forces, 1.0 / masses, True) == pytest.approx(expected, rel=1e-13)


def test_no_friction_is_no_thermostat() -> None:
    p = np.ones((2, 3))
    assert integrators.thermostat(p, np.ones(2), 1.0, 5.0, True, 0, 0, integrators.NOISE) == 0.0
    assert (p == 1.0).all()


@pytest.mark.parametrize(("momentum", "small"), [(0.0, True), (0.9, True), (1.1, False), (np.nan, False)])
def test_atoms_that_jump_are_noticed(momentum: float, small: bool) -> None:
    p = np.zeros((3, 3))
    p[2, 1] = momentum * integrators.LARGEST_MOVE
    assert integrators.moves_are_small(p, np.full(3, 2.0), 0.5) is small
