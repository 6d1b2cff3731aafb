"""Density projections around each atom, their transpose and their adjoint.

A[i, lm, zk] = Σ_{j of species z} g_k(r_ij) Y_lm(r̂_ij) and the pair sums P[i, zk] = Σ_{j of species z} g_k(r_ij), whose
radial basis is the same but longer. With J = ∂(A, P)/∂(positions, strain):

- `densities`      positions → (A, P)
- `densities_vjp`  Jᵀ: (∂E/∂A, ∂E/∂P) → (∂E/∂positions, ∂E/∂strain)
- `densities_jvp`  J: (displacements, strain) → (δA, δP)

ACE: Drautz, DOI 10.1103/PhysRevB.99.014104.
"""

import numpy as np
from numba import njit

from mlip_lab.kernels.harmonics import FAST, harmonics, legendre_factors
from mlip_lab.kernels.radial import radial_basis
from mlip_lab.kernels.vectors import whole_vectors


@njit(cache=True, nogil=True)
def workspace(capacity, n_pair, lmax):
    """Scratch arrays for the basis of one atom with up to `capacity` neighbours."""
    n_lm = (lmax + 1) ** 2
    capacity = max(capacity, 1)
    return (
        np.empty((3, capacity)),  # unit vectors
        np.empty(capacity),  # distances
        np.empty(capacity),  # r0 of the pair
        np.empty(capacity, np.int64),  # index of the pair in the list
        np.empty((n_pair, capacity)),  # g
        np.empty((n_pair, capacity)),  # dg/dr
        np.empty((n_lm, capacity)),  # Y
        np.empty((n_lm, 3, capacity)),  # gradient of Y
        np.empty((2 * lmax + 8, capacity)),
        legendre_factors(lmax),
    )


@njit(cache=True, nogil=True)
def most_neighbors(first):
    """Largest number of neighbours of one atom."""
    most = 0
    for i in range(first.size - 1):
        most = max(most, first[i + 1] - first[i])
    return most


@njit(cache=True, nogil=True, fastmath=FAST, forceinline=True)
def atom_basis(n, cutoff, lmax, space):
    """Radial functions and harmonics of the n neighbours gathered in the workspace."""
    u, r, r0, _, g, dg, y, gradient, work, factors = space
    radial_basis(n, r, r0, cutoff, work, g, dg)
    harmonics(n, u, lmax, factors, work, y, gradient)


@njit(cache=True, nogil=True, fastmath=FAST, forceinline=True)
def gather(i, species, first, neighbor, vectors, r0, cutoff, offsets, space):
    """Collect the neighbours of atom i within the cutoff, ordered by species; offsets[z] is where species z begins."""
    u, r, r0_p, pair = space[0], space[1], space[2], space[3]
    n = 0
    for z in range(offsets.size - 1):
        offsets[z] = n
        for p in range(first[i], first[i + 1]):
            if species[neighbor[p]] == z:
                x0, x1, x2 = vectors[p, 0], vectors[p, 1], vectors[p, 2]
                d2 = x0 * x0 + x1 * x1 + x2 * x2
                if d2 < cutoff * cutoff:
                    d = np.sqrt(d2)
                    u[0, n], u[1, n], u[2, n] = x0 / d, x1 / d, x2 / d
                    r[n] = d
                    r0_p[n] = r0[species[i], z]
                    pair[n] = p
                    n += 1
    offsets[offsets.size - 1] = n
    return n


@njit(cache=True, nogil=True, fastmath=FAST, forceinline=True)
def project(offsets, n_radial, space, a, p):
    """A[lm, zk] and P[zk] of one atom from its basis."""
    g, y = space[4], space[6]
    n_pair = g.shape[0]
    for z in range(offsets.size - 1):
        # rows are cut to start at zero and stay contiguous: else the compiler does not vectorise
        begin, end = offsets[z], offsets[z + 1]
        n = end - begin
        for k in range(n_pair):
            gk = g[k, begin:end]
            total = 0.0
            for j in range(n):
                total += gk[j]
            p[z * n_pair + k] = total
        for lm in range(a.shape[0]):
            ylm, row = y[lm, begin:end], a[lm, z * n_radial : (z + 1) * n_radial]
            for k in range(n_radial):
                gk = g[k, begin:end]
                total = 0.0
                for j in range(n):
                    total += gk[j] * ylm[j]
                row[k] = total


@njit(cache=True, nogil=True, fastmath=FAST, forceinline=True)
def _combine(weights, rows, begin, end, out):
    """out[j] = Σ_k weights[k] rows[k, j] for begin ≤ j < end, five rows at a time to spare the stores."""
    n = end - begin
    for j in range(n):
        out[j] = 0.0
    blocked = weights.size - weights.size % 5
    for k in range(0, blocked, 5):
        w0, w1, w2, w3, w4 = weights[k], weights[k + 1], weights[k + 2], weights[k + 3], weights[k + 4]
        r0, r1, r2 = rows[k, begin:end], rows[k + 1, begin:end], rows[k + 2, begin:end]
        r3, r4 = rows[k + 3, begin:end], rows[k + 4, begin:end]
        for j in range(n):
            out[j] += w0 * r0[j] + w1 * r1[j] + w2 * r2[j] + w3 * r3[j] + w4 * r4[j]
    for k in range(blocked, weights.size):
        w0, r0 = weights[k], rows[k, begin:end]
        for j in range(n):
            out[j] += w0 * r0[j]


@njit(cache=True, nogil=True, fastmath=FAST, forceinline=True)
def pair_gradients(offsets, n_radial, space, da, dp, out):
    """Gradient of the energy by each pair vector of one atom.

    Args:
        offsets: Begin of each species among the neighbours.
        n_radial: Radial functions in A.
        space: Workspace with the basis.
        da: ∂E/∂A (lm, zk).
        dp: ∂E/∂P (zk).
        out: The gradient in rows 0 to 2, scratch in rows 3 to 5 (6, ≥ n).
    """
    g, dg, y, gradient = space[4], space[5], space[6], space[7]
    n_pair = g.shape[0]
    for z in range(offsets.size - 1):
        begin, end = offsets[z], offsets[z + 1]
        n = end - begin
        gx, gy, gz = out[0, begin:end], out[1, begin:end], out[2, begin:end]
        radial, w, v = out[3, begin:end], out[4, begin:end], out[5, begin:end]
        _combine(dp[z * n_pair : (z + 1) * n_pair], dg, begin, end, radial)
        for j in range(n):
            gx[j] = 0.0
            gy[j] = 0.0
            gz[j] = 0.0
        for lm in range(da.shape[0]):
            weights = da[lm, z * n_radial : (z + 1) * n_radial]
            _combine(weights, g, begin, end, w)
            _combine(weights, dg, begin, end, v)
            ylm, hx = y[lm, begin:end], gradient[lm, 0, begin:end]
            hy, hz = gradient[lm, 1, begin:end], gradient[lm, 2, begin:end]
            for j in range(n):
                radial[j] += v[j] * ylm[j]
                gx[j] += w[j] * hx[j]
            for j in range(n):
                gy[j] += w[j] * hy[j]
                gz[j] += w[j] * hz[j]
    _across_and_along(offsets[-1], space[0], space[1], out)


@njit(cache=True, nogil=True, fastmath=FAST, forceinline=True)
def _across_and_along(n, u, r, out):
    """From radial slope and gradient by the unit vector to the gradient by the pair vector."""
    ux, uy, uz = u[0], u[1], u[2]
    gx, gy, gz, radial, w, v = out[0], out[1], out[2], out[3], out[4], out[5]
    for j in range(n):
        w[j] = 1.0 / r[j]
        v[j] = radial[j] - (ux[j] * gx[j] + uy[j] * gy[j] + uz[j] * gz[j]) * w[j]
    for j in range(n):
        gx[j] = gx[j] * w[j] + v[j] * ux[j]
        gy[j] = gy[j] * w[j] + v[j] * uy[j]
        gz[j] = gz[j] * w[j] + v[j] * uz[j]


@njit(cache=True, nogil=True)
def densities(species, first, neighbor, vectors, r0, cutoff, n_radial, n_pair, lmax):
    """Density projections and pair sums of all atoms.

    Args:
        species: Species index of each atom (n,).
        first: Begin of each atom's pairs (n+1,).
        neighbor: Neighbour index of each pair.
        vectors: r_j - r_i of each pair in Å (n_pairs, 3).
        r0: Nearest-neighbour distance per species pair in Å (S, S).
        cutoff: In Å.
        n_radial: Radial functions in A.
        n_pair: Radial functions in P, at least n_radial.
        lmax: Largest degree.

    Returns:
        A (n, (lmax+1)², S·n_radial) and P (n, S·n_pair).
    """
    whole_vectors()
    n_atoms, n_species = species.size, r0.shape[0]
    a = np.empty((n_atoms, (lmax + 1) ** 2, n_species * n_radial))
    p = np.empty((n_atoms, n_species * n_pair))
    offsets = np.zeros(n_species + 1, np.int64)
    space = workspace(most_neighbors(first), n_pair, lmax)
    for i in range(n_atoms):
        n = gather(i, species, first, neighbor, vectors, r0, cutoff, offsets, space)
        atom_basis(n, cutoff, lmax, space)
        project(offsets, n_radial, space, a[i], p[i])
    return a, p


@njit(cache=True, nogil=True)
def densities_vjp(species, first, neighbor, vectors, r0, cutoff, n_radial, n_pair, lmax, da, dp):
    """Transpose Jᵀ: gradients by densities to gradients by positions and strain.

    Args:
        species: As in `densities`, and so on to lmax.
        first: See `densities`.
        neighbor: See `densities`.
        vectors: See `densities`.
        r0: See `densities`.
        cutoff: See `densities`.
        n_radial: See `densities`.
        n_pair: See `densities`.
        lmax: See `densities`.
        da: ∂E/∂A (n, lm, zk) in eV.
        dp: ∂E/∂P (n, zk) in eV.

    Returns:
        ∂E/∂positions (n, 3) in eV/Å and ∂E/∂strain (3, 3) in eV.
    """
    whole_vectors()
    n_atoms, n_species = species.size, r0.shape[0]
    gradient = np.zeros((n_atoms, 3))
    virial = np.zeros((3, 3))
    offsets = np.zeros(n_species + 1, np.int64)
    capacity = most_neighbors(first)
    space = workspace(capacity, n_pair, lmax)
    out = np.empty((6, max(capacity, 1)))
    for i in range(n_atoms):
        n = gather(i, species, first, neighbor, vectors, r0, cutoff, offsets, space)
        atom_basis(n, cutoff, lmax, space)
        pair_gradients(offsets, n_radial, space, da[i], dp[i], out)
        pair = space[3]
        for j in range(n):
            for a in range(3):
                gradient[neighbor[pair[j]], a] += out[a, j]
                gradient[i, a] -= out[a, j]
                for b in range(3):
                    virial[a, b] += out[a, j] * vectors[pair[j], b]
    return gradient, virial


@njit(cache=True, nogil=True, fastmath=FAST, forceinline=True)
def _project_change(begin, end, n_radial, space, t, a, p):
    """Change of A and P of one species; dg holds the change of g, t[1:4] that of the unit vectors."""
    g, dg, y, gradient = space[4], space[5], space[6], space[7]
    n = end - begin
    tx, ty, tz, dy = t[1, begin:end], t[2, begin:end], t[3, begin:end], t[4, begin:end]
    for k in range(p.size):
        dgk = dg[k, begin:end]
        total = 0.0
        for j in range(n):
            total += dgk[j]
        p[k] = total
    for lm in range(a.shape[0]):
        ylm, hx = y[lm, begin:end], gradient[lm, 0, begin:end]
        hy, hz = gradient[lm, 1, begin:end], gradient[lm, 2, begin:end]
        for j in range(n):
            dy[j] = tx[j] * hx[j] + ty[j] * hy[j] + tz[j] * hz[j]
        for k in range(n_radial):
            gk, dgk = g[k, begin:end], dg[k, begin:end]
            total = 0.0
            for j in range(n):
                total += dgk[j] * ylm[j] + gk[j] * dy[j]
            a[lm, k] = total


@njit(cache=True, nogil=True, fastmath=FAST)
def densities_jvp(species, first, neighbor, vectors, r0, cutoff, n_radial, n_pair, lmax, displacements, strain):
    """Adjoint of the transpose, J: displacements and strain to the change of densities.

    Args:
        species: As in `densities`, and so on to lmax.
        first: See `densities`.
        neighbor: See `densities`.
        vectors: See `densities`.
        r0: See `densities`.
        cutoff: See `densities`.
        n_radial: See `densities`.
        n_pair: See `densities`.
        lmax: See `densities`.
        displacements: (n, 3).
        strain: (3, 3), r → r + strain·r.

    Returns:
        δA (n, lm, zk) and δP (n, zk).
    """
    whole_vectors()
    n_atoms, n_species = species.size, r0.shape[0]
    a = np.empty((n_atoms, (lmax + 1) ** 2, n_species * n_radial))
    p = np.empty((n_atoms, n_species * n_pair))
    offsets = np.zeros(n_species + 1, np.int64)
    capacity = most_neighbors(first)
    space = workspace(capacity, n_pair, lmax)
    u, r, pair, dg = space[0], space[1], space[3], space[5]
    t = np.empty((6, max(capacity, 1)))
    along, tx, ty, tz = t[0], t[1], t[2], t[3]
    for i in range(n_atoms):
        n = gather(i, species, first, neighbor, vectors, r0, cutoff, offsets, space)
        atom_basis(n, cutoff, lmax, space)
        for j in range(n):
            q = pair[j]
            for b in range(3):
                d = displacements[neighbor[q], b] - displacements[i, b]
                for e in range(3):
                    d += strain[b, e] * vectors[q, e]
                t[1 + b, j] = d
            along[j] = tx[j] * u[0, j] + ty[j] * u[1, j] + tz[j] * u[2, j]
            for b in range(3):
                t[1 + b, j] = (t[1 + b, j] - along[j] * u[b, j]) / r[j]
        for k in range(n_pair):
            dgk = dg[k]
            for j in range(n):
                dgk[j] *= along[j]
        for z in range(n_species):
            begin, end = offsets[z], offsets[z + 1]
            _project_change(
                begin,
                end,
                n_radial,
                space,
                t,
                a[i, :, z * n_radial : (z + 1) * n_radial],
                p[i, z * n_pair : (z + 1) * n_pair],
            )
    return a, p


@njit(cache=True, nogil=True, fastmath=FAST)
def mix(raw, mixing, lmax, a):
    """A_mixed[lm, c] = Σ_zk raw[lm, zk] mixing[l, zk, c] of one atom."""
    for l in range(lmax + 1):
        for lm in range(l * l, (l + 1) * (l + 1)):
            row = a[lm]
            for c in range(row.size):
                row[c] = 0.0
            for k in range(raw.shape[1]):
                value, m = raw[lm, k], mixing[l, k]
                for c in range(row.size):
                    row[c] += value * m[c]
