"""Chebyshev radial basis with a smooth cutoff, for a block of neighbours.

g_k(r) = T_k(x) f_c(r), with f_c = (1 - (r/r_c)²)³, which has two continuous derivatives at r_c, and the distance
transform y = 1 / (1 + (r/r₀)²), x = 2 (y - y_c) / (1 - y_c) - 1 (y_c = y(r_c)), which spends the resolution near the
nearest-neighbour distance r₀ of the species pair.
"""

from numba import njit

from mlip_lab.kernels.harmonics import FAST
from mlip_lab.kernels.vectors import full, lanes, load, positive, store

LANES = lanes("float64")


@njit(cache=True, nogil=True, fastmath=FAST, forceinline=True)
def radial_basis(n, r, r0, cutoff, g, dg):
    """Fill the radial functions and their derivatives for n distances.

    Args:
        n: Number of distances, a multiple of LANES.
        r: Distances in Å (≥ n,).
        r0: Nearest-neighbour distance of each pair's species in Å (≥ n,).
        cutoff: r_c in Å; beyond it everything is zero.
        g: Out, values (n_radial, ≥ n).
        dg: Out, derivatives by r in 1/Å (n_radial, ≥ n).
    """
    row, rows, slopes = g.shape[1], g.reshape(-1), dg.reshape(-1)
    for j in range(0, n, LANES):
        d, d0 = load(r, j), load(r0, j)
        s0 = 1.0 / (d0 * d0)
        y = 1.0 / (1.0 + d * d * s0)
        yc = 1.0 / (1.0 + cutoff * cutoff * s0)
        slope = 2.0 / (1.0 - yc)
        x = slope * (y - yc) - 1.0
        dx = -2.0 * slope * d * s0 * y * y
        h = positive((cutoff - d) * (cutoff + d) * (1.0 / (cutoff * cutoff)))  # zero at the cutoff to the last bit
        f, df = h * h * h, -6.0 / (cutoff * cutoff) * d * h * h
        # T_k, T_{k-1} and their slopes by x, from T_0 = 1 and T_{-1} = x on
        t, before, dt, dbefore = full(1.0), x, full(0.0), full(1.0)
        for k in range(g.shape[0]):
            store(rows, k * row + j, t * f)
            store(slopes, k * row + j, dt * dx * f + t * df)
            dt, dbefore = 2.0 * t + 2.0 * x * dt - dbefore, dt
            t, before = 2.0 * x * t - before, t
