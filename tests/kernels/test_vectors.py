"""Vectors in compiled code do what they say on NumPy, also uncompiled and with every index checked."""

from __future__ import annotations

import numpy as np
import pytest
from numba import config, njit

from mlip_lab.kernels import vectors
from mlip_lab.kernels.harmonics import FAST
from mlip_lab.kernels.vectors import (
    full,
    load,
    narrow,
    positive,
    root,
    splat,
    store,
    total,
    whole_vectors,
)

pytestmark = pytest.mark.interpreted
PRECISIONS = ("float64", "float32")


@njit(fastmath=FAST, error_model="numpy")
def arithmetic(x, y, number, out):
    whole_vectors()
    a, b = load(x, 1), splat(y, 2)
    c = number * a + b / (full(number) + a * a) - root(a)
    c += a
    c -= number
    store(out, 0, c * positive(b - a))
    out[-1] = total(a)


@njit
def lowered(x, out):
    narrow(out, 1, load(x, 0))


@njit
def read(x, index):
    return total(load(x, index))


@pytest.mark.parametrize("precision", PRECISIONS)
def test_arithmetic(precision: str, rng: np.random.Generator) -> None:
    n, number = vectors.lanes(precision), np.dtype(precision).type(0.7)
    x, y, out = (rng.uniform(0.1, 2.0, size=n + 1).astype(precision) for _ in range(3))
    arithmetic(x, y, number, out)
    a, b = x[1:], y[2]
    wanted = (number * a + b / (number + a * a) - np.sqrt(a) + a - number) * np.maximum(b - a, 0)
    assert out.dtype == precision
    tolerance = 20 * np.finfo(precision).eps  # a dozen roundings of numbers of order one
    np.testing.assert_allclose(out[:n], wanted, rtol=tolerance, atol=tolerance)
    assert out[-1] == pytest.approx(a.sum(), rel=float(n * np.finfo(precision).eps))


@pytest.mark.parametrize("precision", PRECISIONS)
def test_to_single_precision(precision: str, rng: np.random.Generator) -> None:
    n = vectors.lanes(precision)
    x, out = rng.normal(size=n).astype(precision), np.zeros(n + 1, dtype=np.float32)
    lowered(x, out)
    np.testing.assert_array_equal(out, [0.0, *x.astype(np.float32)])


@pytest.mark.skipif(not config.BOUNDSCHECK, reason="Indices are checked where NUMBA_BOUNDSCHECK=1 says so.")
def test_an_index_beyond_the_end() -> None:
    x = np.ones(vectors.lanes("float64"))
    assert read(x, 0) == x.size
    with pytest.raises(IndexError):
        read(x, 1)
