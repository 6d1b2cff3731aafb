"""The invariants: unchanged by rotation and inversion, and the emitted code with its derivatives."""

from __future__ import annotations

import numpy as np
import pytest
from numba import config
from scipy.spatial.transform import Rotation

from mlip_lab.kernels import couplings, generated
from mlip_lab.kernels.density import whole
from mlip_lab.kernels.harmonics import harmonics, legendre_factors

pytestmark = pytest.mark.interpreted
LMAX = 2 if config.DISABLE_JIT else 4


def density(points, weights, lmax):
    n = whole(len(points))
    y, gradient = np.empty(((lmax + 1) ** 2, n)), np.empty(((lmax + 1) ** 2, 3, n))
    harmonics(n, np.resize(points, (n, 3)).T.copy(), lmax, legendre_factors(lmax), y, gradient)
    return y[:, : len(points)] @ weights


@pytest.mark.parametrize("body_order", [2, 3, 4, 5])
@pytest.mark.parametrize("sign", [1, -1])
def test_invariant_to_rotation_and_inversion(rng, body_order, sign):
    points = rng.normal(size=(6, 3))
    points /= np.linalg.norm(points, axis=1)[:, None]
    weights = rng.normal(size=(6, 3))
    polynomials = couplings.invariants(LMAX, body_order)
    before = couplings.evaluate(polynomials, density(points, weights, LMAX))
    turned = sign * points @ Rotation.random(random_state=3).as_matrix().T
    after = couplings.evaluate(polynomials, density(turned, weights, LMAX))
    # sums of up to a hundred products of numbers of order ten
    np.testing.assert_allclose(after, before, atol=1e-10 * np.abs(before).max())


def test_number_of_invariants():
    """One of body order 2, lmax + 1 of order 3, and the even triples that satisfy the triangle rule of order 4."""
    assert len(couplings.invariants(4, 2)) == 1
    assert len(couplings.invariants(4, 3)) == 6
    triples = [
        (a, b, c) for a in range(5) for b in range(a, 5) for c in range(b, 5) if c <= a + b and (a + b + c) % 2 == 0
    ]
    assert len(couplings.invariants(4, 4)) == 6 + len(triples) == 20


def test_gaunt_coefficients_known():
    """Mean of Y20 Y20 Y20 is 2√5/7, of Y10 Y10 Y20 is 2/√5, in the normalisation of mean square one."""
    table = couplings.gaunt(2)
    assert table[6, 6, 6] == pytest.approx(2 * np.sqrt(5) / 7, abs=1e-13)
    assert table[2, 2, 6] == pytest.approx(2 / np.sqrt(5), abs=1e-13)
    assert table[0, 3, 3] == pytest.approx(1, abs=1e-13)


@pytest.mark.parametrize("c", [3, 8, 21])
def test_emitted_code(rng, c):
    """For columns that do not fill a vector, that do, and that leave some over."""
    module = generated.learning_module(LMAX, 4)
    polynomials = couplings.invariants(LMAX, 4)
    n_lm, n_b = (LMAX + 1) ** 2, len(polynomials)
    a, t, db = rng.normal(size=(n_lm, c)), rng.normal(size=(n_lm, c)), rng.normal(size=(n_b, c))
    b, slope, da, curve = np.empty((n_b, c)), np.empty((n_b, c)), np.empty((n_lm, c)), np.empty((n_lm, c))
    module.invariants(a, b)
    np.testing.assert_allclose(b, couplings.evaluate(polynomials, a), rtol=1e-12, atol=1e-12)
    module.invariants_jvp(a, t, slope)
    h = 1e-3
    at = [couplings.evaluate(polynomials, a + k * h * t) for k in (-2, -1, 1, 2)]
    # cubic polynomials: the fourth-order formula is exact up to rounding, 1e-16 / h
    np.testing.assert_allclose(slope, (8 * (at[2] - at[1]) - (at[3] - at[0])) / (12 * h), atol=1e-10)
    module.invariants_vjp(a, db, da)
    assert np.sum(da * t) == pytest.approx(np.sum(db * slope), rel=1e-12)
    module.invariants_hvp(a, db, t, curve)
    plus, minus = np.empty_like(da), np.empty_like(da)
    module.invariants_vjp(a + h * t, db, plus)
    module.invariants_vjp(a - h * t, db, minus)
    # the gradient is quadratic: central differences are exact up to rounding
    np.testing.assert_allclose(curve, (plus - minus) / (2 * h), atol=1e-10)


@pytest.mark.parametrize("body_order", [2, 3, 4, 5])
def test_emitted_text_of_every_body_order(rng, body_order):
    """The text itself, run as plain Python: values, and the three derivatives by their definitions."""
    module: dict = {"njit": lambda **_: lambda function: function, "FAST": None, "real": np.float64}
    module |= {"whole_vectors": lambda: None, "LANES": 2, "np": np, "full": lambda number: np.full(2, number)}
    module["load"] = lambda array, index: array[index : index + 2].copy()
    module["store"] = lambda array, index, vector: array.__setitem__(slice(index, index + 2), vector)
    exec(couplings.source(2, body_order), module)
    polynomials, c = couplings.invariants(2, body_order), 3
    n_b = len(polynomials)
    a, t, db = rng.normal(size=(9, c)), rng.normal(size=(9, c)), rng.normal(size=(n_b, c))
    b, slope, da, curve = np.empty((n_b, c)), np.empty((n_b, c)), np.empty((9, c)), np.empty((9, c))
    module["invariants"](a, b)
    np.testing.assert_allclose(b, couplings.evaluate(polynomials, a), rtol=1e-12, atol=1e-12)
    h = 1e-3
    at = {k: couplings.evaluate(polynomials, a + k * h * t) for k in (-2, -1, 1, 2)}
    module["invariants_jvp"](a, t, slope)
    # degree four at most: the fourth-order formula is exact up to rounding, 1e-16 / h times values of up to 1e3
    np.testing.assert_allclose(slope, (8 * (at[1] - at[-1]) - (at[2] - at[-2])) / (12 * h), atol=1e-9)
    module["invariants_vjp"](a, db, da)
    assert np.sum(da * t) == pytest.approx(np.sum(db * slope), rel=1e-11)
    module["invariants_hvp"](a, db, t, curve)
    pulled = {}
    for k in (-2, -1, 1, 2):
        pulled[k] = np.empty((9, c))
        module["invariants_vjp"](a + k * h * t, db, pulled[k])
    wanted = (8 * (pulled[1] - pulled[-1]) - (pulled[2] - pulled[-2])) / (12 * h)
    np.testing.assert_allclose(curve, wanted, atol=1e-9)


def test_body_order_five_is_the_products_of_order_three(rng):
    a = rng.normal(size=(9, 2))
    b = couplings.evaluate(couplings.invariants(2, 5), a)
    power = b[1:4]
    products = [power[l] * power[k] for l in range(3) for k in range(l, 3)]
    np.testing.assert_allclose(b[-6:], products, rtol=1e-12)
