"""Real spherical harmonics of unit vectors, with gradients, for a block of neighbours.

Y_lm(u) = Q_l|m|(z) · c_m(x, y) for m ≥ 0 and Q_l|m|(z) · s_|m|(x, y) for m < 0, where c_m + i s_m = (x + iy)^m and
Q_lm is the associated Legendre function divided by sin^m θ. Normalised to a mean of Y² over the sphere of one
(Y_00 = 1), without the Condon–Shortley sign; index lm = l² + l + m.

Values and gradients are stored one row a harmonic, one column a neighbour, so that inner loops run over neighbours.
"""

import math

import numpy as np
from numba import njit

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
def harmonics(n, u, lmax, factors, work, y, gradient):
    """Fill values and gradients of all harmonics up to lmax for n unit vectors.

    The gradient is that of the polynomial in (x, y, z); only its part across u is meaningful, so the caller takes
    (g - u (u·g)) / r.

    Args:
        n: Number of vectors.
        u: Unit vectors (3, ≥ n).
        lmax: Largest degree.
        factors: What `legendre_factors(lmax)` gave.
        work: Scratch (2 lmax + 8, ≥ n).
        y: Out, values ((lmax+1)², ≥ n).
        gradient: Out, ((lmax+1)², 3, ≥ n).
    """
    start, a, b = factors
    c, s = work[: lmax + 1], work[lmax + 1 : 2 * lmax + 2]
    q0, q1, d0, d1 = work[2 * lmax + 2], work[2 * lmax + 3], work[2 * lmax + 4], work[2 * lmax + 5]
    ux, uy, uz = u[0], u[1], u[2]
    for j in range(n):
        c[0, j] = 1.0
        s[0, j] = 0.0
    for m in range(1, lmax + 1):
        cm, sm, cp, sp = c[m], s[m], c[m - 1], s[m - 1]
        for j in range(n):
            cm[j] = ux[j] * cp[j] - uy[j] * sp[j]
            sm[j] = ux[j] * sp[j] + uy[j] * cp[j]
    for m in range(lmax + 1):
        for j in range(n):
            q0[j], q1[j], d0[j], d1[j] = 0.0, start[m], 0.0, 0.0
        for l in range(m, lmax + 1):
            if l > m:
                alm, blm = a[l, m], b[l, m]
                for j in range(n):
                    d = alm * (q1[j] + uz[j] * d1[j] - blm * d0[j])
                    q = alm * (uz[j] * q1[j] - blm * q0[j])
                    d0[j] = d1[j]
                    d1[j] = d
                    q0[j] = q1[j]
                    q1[j] = q
            _rows(n, m, q1, d1, c, s, l * l + l, y, gradient)


@njit(cache=True, nogil=True, fastmath=FAST, forceinline=True)
def _rows(n, m, q, d, c, s, center, y, gradient):
    """The rows (l, m) and (l, -m) from Q_lm and its derivative."""
    yp, gx, gy, gz = y[center + m], gradient[center + m, 0], gradient[center + m, 1], gradient[center + m, 2]
    cm, sm = c[m], s[m]
    for j in range(n):
        yp[j] = q[j] * cm[j]
        gz[j] = d[j] * cm[j]
    if m == 0:
        for j in range(n):
            gx[j] = 0.0
            gy[j] = 0.0
        return
    cp, sp = c[m - 1], s[m - 1]
    for j in range(n):
        gx[j] = m * q[j] * cp[j]
        gy[j] = -m * q[j] * sp[j]
    yn, hx, hy, hz = y[center - m], gradient[center - m, 0], gradient[center - m, 1], gradient[center - m, 2]
    for j in range(n):
        yn[j] = q[j] * sm[j]
        hz[j] = d[j] * sm[j]
    for j in range(n):
        hx[j] = m * q[j] * sp[j]
        hy[j] = m * q[j] * cp[j]
