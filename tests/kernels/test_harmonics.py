"""Real harmonics: known polynomials, orthonormal, and derivatives that are exact."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mlip_lab.kernels.density import whole
from mlip_lab.kernels.harmonics import harmonics, legendre_factors

pytestmark = pytest.mark.interpreted
Floats = NDArray[np.float64]
LMAX = 6


def evaluated(u: Floats, lmax: int = LMAX) -> tuple[Floats, Floats]:
    """Values (n_lm, n) and gradients (n_lm, 3, n) at vectors (n, 3)."""
    n, n_lm = whole(len(u)), (lmax + 1) ** 2
    y, gradient = np.full((n_lm, n), np.nan), np.full((n_lm, 3, n), np.nan)
    harmonics(n, np.resize(u, (n, 3)).T.copy(), lmax, legendre_factors(lmax), y, gradient)
    return y[:, : len(u)], gradient[..., : len(u)]


@pytest.fixture
def sphere(rng: np.random.Generator) -> Floats:
    u = rng.normal(size=(9, 3))
    u[:3] = np.diag([1.0, -1.0, 1.0])  # along the axes, where angles are not defined
    return u / np.linalg.norm(u, axis=1)[:, None]


def test_known_polynomials(sphere: Floats) -> None:
    x, y, z = sphere.T
    known = [
        np.ones(9),
        *(np.sqrt(3) * v for v in (y, z, x)),
        *(np.sqrt(15) * v for v in (x * y, y * z)),
        np.sqrt(5) / 2 * (3 * z * z - 1),
        np.sqrt(15) * x * z,
        np.sqrt(15) / 2 * (x * x - y * y),
    ]
    found, _ = evaluated(sphere)
    np.testing.assert_allclose(found[:9], known, atol=4e-15)  # a few roundings of numbers of order one
    pole, _ = evaluated(np.array([[0.0, 0.0, 1.0]]))
    for l in range(LMAX + 1):
        expected = np.zeros(2 * l + 1)
        expected[l] = np.sqrt(2 * l + 1)
        np.testing.assert_allclose(pole[l * l : (l + 1) ** 2, 0], expected, atol=1e-14)


def test_addition_theorem(sphere: Floats) -> None:
    """Σ_m Y_lm(u) Y_lm(v) = (2l + 1) P_l(u·v)."""
    y, _ = evaluated(sphere)
    for l in range(LMAX + 1):
        block = y[l * l : (l + 1) ** 2]
        legendre = np.polynomial.legendre.Legendre.basis(l)(sphere @ sphere.T)
        np.testing.assert_allclose(block.T @ block, (2 * l + 1) * legendre, atol=1e-13)


def test_orthonormal() -> None:
    """The mean of Y_a Y_b over the sphere is one or zero; the quadrature is exact to degree 2 lmax."""
    z, weight = np.polynomial.legendre.leggauss(LMAX + 1)
    phi = 2 * np.pi * np.arange(2 * LMAX + 1) / (2 * LMAX + 1)
    s = np.sqrt(1 - z**2)
    u = np.stack([np.outer(s, np.cos(phi)), np.outer(s, np.sin(phi)), np.outer(z, np.ones_like(phi))], axis=-1)
    y, _ = evaluated(u.reshape(-1, 3))
    overlap = (y * np.repeat(weight / 2 / phi.size, phi.size)) @ y.T
    np.testing.assert_allclose(overlap, np.eye((LMAX + 1) ** 2), atol=1e-13)


def test_parity(sphere: Floats) -> None:
    parity = np.repeat((-1.0) ** np.arange(LMAX + 1), 2 * np.arange(LMAX + 1) + 1)[:, None]
    np.testing.assert_allclose(evaluated(-sphere)[0], parity * evaluated(sphere)[0], atol=1e-14)


def test_gradients_are_those_of_the_polynomials(sphere: Floats) -> None:
    """The functions are polynomials in (x, y, z) also off the sphere: differences in each coordinate, none excluded.

    The degree is 6 at most, so the fourth-order formula errs by h⁴ times a fifth derivative of 1e4: 1e-8 at h = 1e-3.
    """
    h, (_, gradient) = 1e-3, evaluated(sphere)
    for x in range(3):
        step = h * np.eye(3)[x]
        at = {k: evaluated(sphere + k * step)[0] for k in (-2, -1, 1, 2)}
        numerical = (8 * (at[1] - at[-1]) - (at[2] - at[-2])) / (12 * h)
        np.testing.assert_allclose(gradient[:, x], numerical, atol=1e-8)


@pytest.mark.parametrize("lmax", [0, 1, 3])
def test_a_smaller_lmax_gives_the_first_of_them(sphere: Floats, lmax: int) -> None:
    n_lm = (lmax + 1) ** 2
    for few, many in zip(evaluated(sphere, lmax), evaluated(sphere), strict=True):
        np.testing.assert_array_equal(few, many[:n_lm])
