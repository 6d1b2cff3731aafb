"""Radial functions: Chebyshev polynomials of a transformed distance that end smoothly."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mlip_lab.kernels.density import whole
from mlip_lab.kernels.radial import radial_basis

pytestmark = pytest.mark.interpreted
Floats = NDArray[np.float64]
CUTOFF, R0, N = 5.0, 2.3, 8


def evaluated(r: Floats, n: int = N, r0: float = R0) -> tuple[Floats, Floats]:
    """Values and derivatives (n, n_distances)."""
    filled = whole(r.size)
    g, dg = np.full((n, filled), np.nan), np.full((n, filled), np.nan)
    radial_basis(filled, np.resize(r, filled), np.full(filled, r0), CUTOFF, g, dg)
    return g[:, : r.size], dg[:, : r.size]


def test_known_values() -> None:
    """At r = 0 and at x = 0 the Chebyshev polynomials are 1, 1, 1, … and 1, 0, -1, 0, 1, …"""
    y_cutoff = 1 / (1 + (CUTOFF / R0) ** 2)
    middle = R0 * np.sqrt(2 / (1 + y_cutoff) - 1)  # where y is half-way between y_c and 1
    g, _ = evaluated(np.array([0.0, middle]))
    np.testing.assert_allclose(g[:, 0], 1.0, atol=1e-14)
    np.testing.assert_allclose(
        g[:, 1], np.cos(np.arange(N) * np.pi / 2) * (1 - (middle / CUTOFF) ** 2) ** 3, atol=1e-14
    )


def test_polynomials_are_those_of_numpy() -> None:
    r = np.linspace(0.3, 4.99, 31)
    y, y_cutoff = 1 / (1 + (r / R0) ** 2), 1 / (1 + (CUTOFF / R0) ** 2)
    x = 2 * (y - y_cutoff) / (1 - y_cutoff) - 1
    wanted = np.polynomial.chebyshev.chebvander(x, N - 1).T * (1 - (r / CUTOFF) ** 2) ** 3
    np.testing.assert_allclose(evaluated(r)[0], wanted, atol=1e-13)


def test_derivative() -> None:
    """Fourth-order differences: h⁴ times a fifth derivative of up to 1e5 (T_7 in a steep transform) is 1e-7 at 1e-3."""
    r, h = np.linspace(0.3, 4.9, 31), 1e-3
    at = {k: evaluated(r + k * h)[0] for k in (-2, -1, 1, 2)}
    numerical = (8 * (at[1] - at[-1]) - (at[2] - at[-2])) / (12 * h)
    np.testing.assert_allclose(evaluated(r)[1], numerical, atol=1e-7)


def test_value_slope_and_curvature_vanish_at_the_cutoff() -> None:
    """Near the end g_k = ±8 (d/r_c)³ at a distance d before it, so slope and curvature go as d² and d."""
    for d in (1e-2, 1e-3):
        g, dg = evaluated(np.array([CUTOFF - d]))
        _, inner = evaluated(np.array([CUTOFF - 0.9 * d]))
        curvature = (inner - dg) / (0.1 * d)
        # k² times the slope of the transform enters to the next order in d
        np.testing.assert_allclose(np.abs(g), 8 * (d / CUTOFF) ** 3, rtol=40 * d)
        np.testing.assert_allclose(np.abs(dg), 24 * d**2 / CUTOFF**3, rtol=40 * d)
        np.testing.assert_allclose(np.abs(curvature), 48 * 0.95 * d / CUTOFF**3, rtol=60 * d)
    for part in evaluated(np.array([CUTOFF, CUTOFF + 1e-9, CUTOFF + 0.5, 2 * CUTOFF])):
        assert not part.any()


def test_fewer_functions_are_the_first_of_them() -> None:
    r = np.linspace(0.5, 5.5, 11)
    for n in (1, 2, 3):
        for few, many in zip(evaluated(r, n), evaluated(r), strict=True):
            np.testing.assert_array_equal(few, many[:n])


def test_each_distance_has_the_scale_of_its_own_pair() -> None:
    n = whole(3)
    r, r0 = np.resize([2.0, 2.0, 3.0], n), np.resize([1.5, 2.5, 2.5], n)
    g, dg = np.empty((N, n)), np.empty((N, n))
    radial_basis(n, r, r0, CUTOFF, g, dg)
    for j in range(3):
        alone, slope = evaluated(r[j : j + 1], r0=r0[j])
        np.testing.assert_allclose(g[:, j], alone[:, 0], rtol=1e-14)
        np.testing.assert_allclose(dg[:, j], slope[:, 0], rtol=1e-12, atol=1e-15)
