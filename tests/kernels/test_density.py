"""Density projections against the plain sum, their transpose and its adjoint; the short-range repulsion."""

from __future__ import annotations

import numpy as np
import pytest

from mlip_lab.kernels.density import densities, densities_jvp, densities_vjp, whole
from mlip_lab.kernels.harmonics import harmonics, legendre_factors
from mlip_lab.kernels.neighbors import build_pairs, pair_vectors
from mlip_lab.kernels.radial import radial_basis
from mlip_lab.kernels.zbl import zbl

pytestmark = pytest.mark.interpreted
CUTOFF, N_RADIAL, N_PAIR, LMAX = 3.2, 4, 6, 3


def harmonics_of(u, lmax):
    n, n_lm = whole(len(u)), (lmax + 1) ** 2
    y, gradient = np.empty((n_lm, n)), np.empty((n_lm, 3, n))
    harmonics(n, np.resize(u, (n, 3)).T.copy(), lmax, legendre_factors(lmax), y, gradient)
    return y[:, : len(u)], gradient[..., : len(u)]


def radial_of(r, r0, cutoff, n_radial):
    n = whole(r.size)
    g, dg = np.empty((n_radial, n)), np.empty((n_radial, n))
    radial_basis(n, np.resize(r, n), np.full(n, r0), cutoff, g, dg)
    return g[:, : r.size], dg[:, : r.size]


def crystal(rng, n_species):
    """Four atoms in a skewed cell smaller than the cutoff."""
    cell = np.array([[3.0, 0.2, 0.0], [0.4, 2.9, 0.1], [0.0, 0.3, 3.3]])
    positions = np.array([[0.0, 0.0, 0.0], [0.5, 0.5, 0.1], [0.5, 0.0, 0.5], [0.0, 0.5, 0.6]]) @ cell
    return positions + 0.05 * rng.normal(size=(4, 3)), cell, np.arange(4) % n_species


def project(positions, cell, species, r0):
    first, neighbor, shift = build_pairs(positions, cell, np.ones(3, bool), CUTOFF)
    vectors = pair_vectors(positions, cell, first, neighbor, shift)
    return (species, first, neighbor, vectors, r0, CUTOFF, N_RADIAL, N_PAIR, LMAX)


@pytest.mark.parametrize("n_species", [1, 2, 4])
def test_densities_are_the_plain_sum(rng, n_species):
    positions, cell, species = crystal(rng, n_species)
    r0 = 1.5 + rng.random((n_species, n_species))
    arguments = project(positions, cell, species, r0)
    a, p = densities(*arguments)
    first, neighbor, vectors = arguments[1:4]
    for i in range(4):
        wanted, sums = np.zeros((16, n_species, N_RADIAL)), np.zeros((n_species, N_PAIR))
        for q in range(first[i], first[i + 1]):
            r, z = np.linalg.norm(vectors[q]), species[neighbor[q]]
            g = radial_of(np.array([r]), r0[species[i], z], CUTOFF, N_PAIR)[0][:, 0]
            wanted[:, z] += harmonics_of(vectors[q : q + 1] / r, LMAX)[0] * g[:N_RADIAL]
            sums[z] += g
        np.testing.assert_allclose(a[i], wanted.reshape(16, -1), atol=1e-12)
        np.testing.assert_allclose(p[i], sums.reshape(-1), atol=1e-12)


@pytest.mark.parametrize("n_species", [1, 2])
def test_transpose_is_the_gradient(rng, n_species):
    """Fourth-order differences of a random linear functional of (A, P); step 1e-3 leaves about 1e-9 of the largest."""
    positions, cell, species = crystal(rng, n_species)
    r0 = np.full((n_species, n_species), 1.8)
    arguments = project(positions, cell, species, r0)
    a, p = densities(*arguments)
    da, dp = rng.normal(size=a.shape), rng.normal(size=p.shape)
    gradient, virial = densities_vjp(*arguments, da, dp)

    def functional(moved, deformed):
        a, p = densities(*project(moved, deformed, species, r0))
        return np.sum(a * da) + np.sum(p * dp)

    def difference(direction, strain):
        def at(t):
            deformation = np.eye(3) + t * strain
            return functional((positions + t * direction) @ deformation.T, cell @ deformation.T)

        h = 1e-3
        return (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h)

    scale = np.abs(gradient).max()
    for i in range(4):
        for x in range(3):
            direction = np.zeros((4, 3))
            direction[i, x] = 1
            assert abs(difference(direction, np.zeros((3, 3))) - gradient[i, x]) < 1e-7 * scale
    strain = rng.normal(size=(3, 3))
    assert abs(difference(np.zeros((4, 3)), strain) - np.sum(strain * virial)) < 1e-7 * np.abs(virial).max()
    np.testing.assert_allclose(gradient.sum(axis=0), 0, atol=1e-12 * scale)


def test_transpose_and_adjoint(rng):
    positions, cell, species = crystal(rng, 2)
    arguments = project(positions, cell, species, np.full((2, 2), 1.8))
    a, p = densities(*arguments)
    da, dp = rng.normal(size=a.shape), rng.normal(size=p.shape)
    moves, strain = rng.normal(size=(4, 3)), rng.normal(size=(3, 3))
    gradient, virial = densities_vjp(*arguments, da, dp)
    change_a, change_p = densities_jvp(*arguments, moves, strain)
    left, right = np.sum(gradient * moves) + np.sum(virial * strain), np.sum(change_a * da) + np.sum(change_p * dp)
    assert abs(left - right) < 1e-12 * (np.abs(change_a * da).sum() + np.abs(change_p * dp).sum())


def test_repulsion_known_values_and_smooth_ends():
    # two silicon nuclei at 0.5 Å, from the formula worked by hand: x = r/a with a = 0.4685/(2·14^0.23)
    a = 0.46850 / (2 * 14**0.23)
    phi = sum(
        c * np.exp(-d * 0.5 / a)
        for c, d in [(0.18175, 3.1998), (0.50986, 0.94229), (0.28022, 0.4029), (0.02817, 0.20162)]
    )
    assert zbl(0.5, 14.0, 14.0, 1.0, 1.6)[0] == pytest.approx(14.399645351950548 * 196 / 0.5 * phi, rel=1e-12)
    assert zbl(1.6, 14.0, 14.0, 1.0, 1.6) == (0.0, 0.0)
    for end in (1.0, 1.6):
        (e0, d0), (e1, d1) = zbl(end - 1e-6, 14.0, 14.0, 1.0, 1.6), zbl(end + 1e-6, 14.0, 14.0, 1.0, 1.6)
        # continuous slope and curvature: both change by their own slope times 2e-6
        assert abs(e1 - e0) < 1e-3 and abs(d1 - d0) < 5e-3
    h = 1e-5
    for r in (0.7, 1.2, 1.5):
        numerical = (zbl(r + h, 14.0, 8.0, 1.0, 1.6)[0] - zbl(r - h, 14.0, 8.0, 1.0, 1.6)[0]) / (2 * h)
        assert zbl(r, 14.0, 8.0, 1.0, 1.6)[1] == pytest.approx(numerical, rel=1e-6)
