"""Real spherical harmonics of unit vectors, with gradients, for a block of neighbours.

Y_lm(u) = Q_l|m|(z) · c_m(x, y) for m ≥ 0 and Q_l|m|(z) · s_|m|(x, y) for m < 0, where c_m + i s_m = (x + iy)^m and
Q_lm is the associated Legendre function divided by sin^m θ. Normalised to a mean of Y² over the sphere of one
(Y_00 = 1), without the Condon–Shortley sign; index lm = l² + l + m.

Values and gradients are stored one row a harmonic, one column a neighbour: vectors hold neighbours side by side.
"""

import math

import numpy as np
from numba import njit

from mlip_lab.kernels.vectors import full, lanes, load, store

LANES = lanes("float64")
# Sums may be reordered, so that loops become vector instructions. What is compiled so rounds otherwise in each place it
# is compiled into: an inner function is therefore copied into its callers (forceinline), or which of its copies runs
# would depend on what a process has loaded, and the process that fills the cache would differ from the next one.
FAST = {"reassoc", "contract", "nsz", "arcp"}


@njit(cache=True, nogil=True)
def legendre_factors(lmax):
    """Factors of the three-term recursion in l at fixed m.

    Q_mm = start[m], Q_lm = a[l, m] (z Q_{l-1,m} - b[l, m] Q_{l-2,m}); √2 for m > 0 is in `start`.

    Returns:
        start (lmax+1,), a (lmax+1, lmax+1), b (lmax+1, lmax+1).
    """
    start = np.ones(lmax + 1)
    a = np.zeros((lmax + 1, lmax + 1))
    b = np.zeros((lmax + 1, lmax + 1))
    for m in range(1, lmax + 1):
        start[m] = start[m - 1] * math.sqrt((2.0 * m + 1.0) / (2.0 * m))
    for m in range(lmax + 1):
        if m > 0:
            start[m] *= math.sqrt(2.0)
        for l in range(m + 1, lmax + 1):
            a[l, m] = math.sqrt((4.0 * l * l - 1.0) / (l * l - m * m))
            if l > m + 1:
                b[l, m] = math.sqrt(((l - 1.0) ** 2 - m * m) / (4.0 * (l - 1.0) ** 2 - 1.0))
    return start, a, b


@njit(cache=True, nogil=True, fastmath=FAST, forceinline=True)
def harmonics(n, u, lmax, factors, y, gradient):
    """Fill values and gradients of all harmonics up to lmax for n unit vectors.

    The gradient is that of the polynomial in (x, y, z); only its part across u is meaningful, so the caller takes
    (g - u (u·g)) / r.

    Args:
        n: Number of vectors, a multiple of LANES.
        u: Unit vectors (3, ≥ n).
        lmax: Largest degree.
        factors: What `legendre_factors(lmax)` gave.
        y: Out, values ((lmax+1)², ≥ n).
        gradient: Out, ((lmax+1)², 3, ≥ n).
    """
    start, a, b = factors
    row, unit, rows, slopes = y.shape[1], u.reshape(-1), y.reshape(-1), gradient.reshape(-1)
    for j in range(0, n, LANES):
        ux, uy, uz = load(unit, j), load(unit, u.shape[1] + j), load(unit, 2 * u.shape[1] + j)
        c, s, c_before, s_before = full(1.0), full(0.0), full(0.0), full(0.0)
        for m in range(lmax + 1):
            k = float(m)
            q, dq, q_before, dq_before = full(start[m]), full(0.0), full(0.0), full(0.0)
            for l in range(m, lmax + 1):
                if l > m:
                    alm, blm = a[l, m], b[l, m]
                    dq, dq_before = alm * (q + uz * dq - blm * dq_before), dq
                    q, q_before = alm * (uz * q - blm * q_before), q
                _row(rows, slopes, row, l * l + l + m, j, q * c, k * q * c_before, -k * q * s_before, dq * c)
                if m > 0:
                    _row(rows, slopes, row, l * l + l - m, j, q * s, k * q * s_before, k * q * c_before, dq * s)
            c, s, c_before, s_before = ux * c - uy * s, ux * s + uy * c, c, s


@njit(cache=True, nogil=True, fastmath=FAST, forceinline=True)
def _row(rows, slopes, row, lm, j, value, gx, gy, gz):
    """Store a harmonic and its gradient."""
    store(rows, lm * row + j, value)
    store(slopes, 3 * lm * row + j, gx)
    store(slopes, (3 * lm + 1) * row + j, gy)
    store(slopes, (3 * lm + 2) * row + j, gz)
