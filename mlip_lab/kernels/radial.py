"""Chebyshev radial basis with a smooth cutoff, for a block of neighbours.

g_k(r) = T_k(x) f_c(r), with f_c = (1 - (r/r_c)²)³, which has two continuous derivatives at r_c, and the distance
transform y = 1 / (1 + (r/r₀)²), x = 2 (y - y_c) / (1 - y_c) - 1 (y_c = y(r_c)), which spends the resolution near the
nearest-neighbour distance r₀ of the species pair.
"""

from numba import njit

from mlip_lab.kernels.harmonics import FAST


@njit(cache=True, nogil=True, fastmath=FAST, forceinline=True)
def radial_basis(n, r, r0, cutoff, work, g, dg):
    """Fill the radial functions and their derivatives for n distances.

    Args:
        n: Number of distances.
        r: Distances in Å (≥ n,).
        r0: Nearest-neighbour distance of each pair's species in Å (≥ n,).
        cutoff: r_c in Å; beyond it everything is zero.
        work: Scratch (4, ≥ n).
        g: Out, values (n_radial, ≥ n).
        dg: Out, derivatives by r in 1/Å (n_radial, ≥ n).
    """
    x, dx, f, df = work[0], work[1], work[2], work[3]
    for j in range(n):
        s0 = 1.0 / (r0[j] * r0[j])
        y = 1.0 / (1.0 + r[j] * r[j] * s0)
        yc = 1.0 / (1.0 + cutoff * cutoff * s0)
        slope = 2.0 / (1.0 - yc)
        x[j] = slope * (y - yc) - 1.0
        dx[j] = -2.0 * slope * r[j] * s0 * y * y
        h = max(1.0 - (r[j] / cutoff) ** 2, 0.0)
        f[j] = h * h * h
        df[j] = -6.0 * r[j] / (cutoff * cutoff) * h * h
    # T_k and T_k' first, by their recursions, then times the cutoff function
    t0, d0 = g[0], dg[0]
    for j in range(n):
        t0[j] = 1.0
        d0[j] = 0.0
    if g.shape[0] > 1:
        t1, d1 = g[1], dg[1]
        for j in range(n):
            t1[j] = x[j]
            d1[j] = 1.0
    for k in range(2, g.shape[0]):
        tk, t1, t0 = g[k], g[k - 1], g[k - 2]
        for j in range(n):
            tk[j] = 2.0 * x[j] * t1[j] - t0[j]
        dk, d1, d0 = dg[k], dg[k - 1], dg[k - 2]
        for j in range(n):
            dk[j] = 2.0 * t1[j] + 2.0 * x[j] * d1[j] - d0[j]
    for k in range(g.shape[0]):
        gk, dk = g[k], dg[k]
        for j in range(n):
            dk[j] = dk[j] * dx[j] * f[j] + gk[j] * df[j]
            gk[j] *= f[j]
