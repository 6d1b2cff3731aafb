"""Free rings move exactly, and both usual forms of the ring's Hamiltonian are the same."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.linalg import expm

from mlip_lab.kernels import ring_polymer
from mlip_lab.kernels.ring_polymer import Ring

pytestmark = pytest.mark.interpreted

Floats = NDArray[np.float64]
SLOW = bool(numba.config.DISABLE_JIT)


@pytest.mark.parametrize("beads", [1, 2, 3, 4, 7, 8, 16])
def test_modes_are_orthogonal_and_diagonalise_the_springs(beads: int) -> None:
    matrix = ring_polymer.mode_matrix(beads)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(beads), atol=1e-14)
    springs = 2.0 * np.eye(beads) - np.roll(np.eye(beads), 1, axis=0) - np.roll(np.eye(beads), -1, axis=0)
    expected = np.diag(ring_polymer.mode_frequencies(beads, 1.0) ** 2)
    np.testing.assert_allclose(matrix @ springs @ matrix.T, expected, atol=1e-13)


def ring(**more: float) -> Ring:
    given = {"time_step": 0.3, "k_t": 1.0, "fix_center": False, "rescale": False, "degrees": 6, "seed": 0}
    return Ring(**{**given, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize("beads", [1, 2, 5])
def test_a_free_ring_moves_as_its_equations_say(beads: int) -> None:
    rng = np.random.default_rng(1)
    q, p = rng.normal(size=(2, beads, 2, 3))
    masses, omega, step = np.array([1.0, 3.0]), 1.7, 0.3
    springs = 2.0 * np.eye(beads) - np.roll(np.eye(beads), 1, axis=0) - np.roll(np.eye(beads), -1, axis=0)
    expected_q, expected_p = np.empty_like(q), np.empty_like(p)
    for i, m in enumerate(masses):
        system = np.block(
            [[np.zeros((beads, beads)), np.eye(beads) / m], [-m * omega**2 * springs, np.zeros((beads, beads))]]
        )
        end = expm(step * system) @ np.concatenate([q[:, i], p[:, i]])
        expected_q[:, i], expected_p[:, i] = end[:beads], end[beads:]
    matrix, omegas = ring_polymer.mode_matrix(beads), ring_polymer.mode_frequencies(beads, omega)
    heat = ring_polymer.begin_step(q, p, np.zeros_like(q), 1.0 / masses, ring(), matrix, omegas, np.ones(beads), 0)
    ring_polymer.end_step(p, np.zeros_like(q), ring())
    assert abs(heat) < 1e-13  # without a bath
    np.testing.assert_allclose(q, expected_q, atol=1e-13)
    np.testing.assert_allclose(p, expected_p, atol=1e-13)


def test_spring_energy_is_kept_by_the_free_ring() -> None:
    rng = np.random.default_rng(2)
    q, p = rng.normal(size=(2, 6, 3, 3))
    inverse, omega = 1.0 / np.array([1.0, 2.0, 5.0]), 1.3
    matrix, omegas = ring_polymer.mode_matrix(6), ring_polymer.mode_frequencies(6, omega)

    def energy() -> float:
        return ring_polymer.spring_energy(q, inverse, omega) + ring_polymer.kinetic_energy(p, inverse)

    before = energy()
    for step in range(50):
        ring_polymer.begin_step(q, p, np.zeros_like(q), inverse, ring(), matrix, omegas, np.ones(6), step)
    assert energy() == pytest.approx(before, rel=1e-12)


def test_both_forms_of_the_hamiltonian_weigh_a_ring_alike() -> None:
    # summed potential at P·T with ω_P = P kT/ħ, against the potential over P at T with ω_P = sqrt(P) kT/ħ
    q = np.random.default_rng(3).normal(size=(5, 2, 3))
    beads, k_t, hbar, inverse = 5, 0.3, 0.7, np.array([1.0, 0.25])
    potential = float((q**4).sum())
    summed = (ring_polymer.spring_energy(q, inverse, beads * k_t / hbar) + potential) / (beads * k_t)
    averaged = (ring_polymer.spring_energy(q, inverse, np.sqrt(beads) * k_t / hbar) + potential / beads) / k_t
    assert summed == pytest.approx(averaged, rel=1e-13)


@pytest.mark.parametrize("rescale", [False, True])
def test_baths_give_every_mode_its_temperature(rescale: bool) -> None:
    n, beads, atoms = (200 if SLOW else 3000), 3, 2
    inverse, p = 1.0 / np.array([1.0, 4.0]), np.ones((beads, atoms, 3))
    found = np.empty((n, beads))
    for step in range(n):
        ring_polymer.pile(p, inverse, np.full(beads, 0.2), ring(rescale=rescale), step)
        found[step] = (p**2 * inverse[:, None]).mean(axis=(1, 2))
    memory = (1.0 + 0.2) / (1.0 - 0.2)  # of rescaling; that of the others is shorter
    error = np.sqrt(2.0 / 6.0 * memory / n)
    assert (np.abs(found[1:].mean(axis=0) - 1.0) < 4.0 * error).all()


def test_a_fixed_center_stays() -> None:
    rng = np.random.default_rng(4)
    q, p = rng.normal(size=(2, 4, 3, 3))
    masses = np.array([1.0, 2.0, 3.0])
    matrix, omegas = ring_polymer.mode_matrix(4), ring_polymer.mode_frequencies(4, 1.0)
    start = masses @ q.mean(axis=0)
    for step in range(20):
        ring_polymer.begin_step(
            q, p, np.ones_like(q), 1.0 / masses, ring(fix_center=True), matrix, omegas, np.full(4, 0.5), step
        )
    np.testing.assert_allclose(masses @ q.mean(axis=0), start, atol=1e-13)


def test_estimators_are_their_sums() -> None:
    rng = np.random.default_rng(5)
    q, f = rng.normal(size=(2, 4, 3, 3))
    virials, squares = ring_polymer.estimators(q, f)
    away = q - q.mean(axis=0)
    np.testing.assert_allclose(virials, -(away * f).sum(axis=2).mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(squares, (away**2).sum(axis=2).mean(axis=0), rtol=1e-13)
