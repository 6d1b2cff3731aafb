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
from mlip_lab.kernels.vectors import full, lanes, load, store, total, whole_vectors

LANES = lanes("float64")


@njit(cache=True, nogil=True)
def whole(n):
    """The next multiple of LANES."""
    return (n + LANES - 1) // LANES * LANES


@njit(cache=True, nogil=True)
def aligned(n_rows, n):
    """Rows that begin where a cache line does: else half of the vectors lie on two of them (n_rows, whole(n))."""
    size = n_rows * whole(n)
    array = np.zeros(size + LANES)
    begin = -(array.ctypes.data // array.itemsize) % LANES
    return array[begin : begin + size].reshape(n_rows, whole(n))


@njit(cache=True, nogil=True)
def workspace(most, n_species, n_pair, lmax):
    """Scratch arrays for the basis of one atom with up to `most` neighbours."""
    n_lm = (lmax + 1) ** 2
    capacity = whole(most + n_species * (LANES - 1))
    return (
        aligned(3, capacity),  # unit vectors
        aligned(1, capacity)[0],  # distances
        aligned(1, capacity)[0],  # r0 of the pair
        np.empty(capacity, np.int64),  # index of the pair in the list
        aligned(n_pair, capacity),  # g
        aligned(n_pair, capacity),  # dg/dr
        aligned(n_lm, capacity),  # Y
        aligned(3 * n_lm, capacity).reshape(n_lm, 3, capacity),  # gradient of Y
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
    """Radial functions and harmonics of the n places of the workspace."""
    u, r, r0, _, g, dg, y, gradient, factors = space
    radial_basis(n, r, r0, cutoff, g, dg)
    harmonics(n, u, lmax, factors, y, gradient)


@njit(cache=True, nogil=True, fastmath=FAST, forceinline=True)
def gather(i, species, first, neighbor, vectors, r0, cutoff, offsets, space):
    """Collect the neighbours of atom i within the cutoff, ordered by species; offsets[z] is where species z begins.

    Each species fills whole vectors: the places left have a point at the cutoff, where everything is zero, and pair -1.
    """
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
                    r[n], pair[n] = d, p
                    n += 1
        while n % LANES != 0:
            u[0, n], u[1, n], u[2, n] = 0.0, 0.0, 1.0
            r[n], pair[n] = cutoff, -1
            n += 1
        r0_p[offsets[z] : n] = r0[species[i], z]
    offsets[offsets.size - 1] = n
    return n


@njit(cache=True, nogil=True, fastmath=FAST, forceinline=True)
def project(offsets, n_radial, space, a, p):
    """A[lm, zk] and P[zk] of one atom from its basis."""
    n_pair, row = space[4].shape
    g, y = space[4].reshape(-1), space[6].reshape(-1)
    for z in range(offsets.size - 1):
        for k in range(n_pair):
            found = full(0.0)
            for j in range(offsets[z], offsets[z + 1], LANES):
                found += load(g, k * row + j)
            p[z * n_pair + k] = total(found)
        for lm in range(a.shape[0]):
            for k in range(n_radial):
                found = full(0.0)
                for j in range(offsets[z], offsets[z + 1], LANES):
                    found += load(g, k * row + j) * load(y, lm * row + j)
                a[lm, z * n_radial + k] = total(found)


@njit(cache=True, nogil=True, fastmath=FAST, forceinline=True)
def pair_gradients(offsets, n_radial, space, da, dp, out):
    """Gradient of the energy by each pair vector of one atom.

    Args:
        offsets: Begin of each species among the neighbours.
        n_radial: Radial functions in A.
        space: Workspace with the basis.
        da: ∂E/∂A (lm, zk).
        dp: ∂E/∂P (zk).
        out: The gradient, one row a component (3, ≥ n).
    """
    n_pair, row = space[4].shape
    u, r, g, dg = space[0].reshape(-1), space[1], space[4].reshape(-1), space[5].reshape(-1)
    y, gradient, rows = space[6].reshape(-1), space[7].reshape(-1), out.reshape(-1)
    for z in range(offsets.size - 1):
        for j in range(offsets[z], offsets[z + 1], LANES):
            radial, gx, gy, gz = full(0.0), full(0.0), full(0.0), full(0.0)
            for k in range(n_pair):
                radial += dp[z * n_pair + k] * load(dg, k * row + j)
            for lm in range(da.shape[0]):
                w, v = full(0.0), full(0.0)
                for k in range(n_radial):
                    weight = da[lm, z * n_radial + k]
                    w += weight * load(g, k * row + j)
                    v += weight * load(dg, k * row + j)
                radial += v * load(y, lm * row + j)
                gx += w * load(gradient, 3 * lm * row + j)
                gy += w * load(gradient, (3 * lm + 1) * row + j)
                gz += w * load(gradient, (3 * lm + 2) * row + j)
            # from radial slope and gradient by the unit vector to the gradient by the pair vector
            ux, uy, uz, inverse = load(u, j), load(u, row + j), load(u, 2 * row + j), 1.0 / load(r, j)
            along = radial - (ux * gx + uy * gy + uz * gz) * inverse
            store(rows, j, gx * inverse + along * ux)
            store(rows, row + j, gy * inverse + along * uy)
            store(rows, 2 * row + j, gz * inverse + along * uz)


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
    space = workspace(most_neighbors(first), n_species, n_pair, lmax)
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
    space = workspace(most_neighbors(first), n_species, n_pair, lmax)
    out = aligned(3, space[3].size)
    for i in range(n_atoms):
        n = gather(i, species, first, neighbor, vectors, r0, cutoff, offsets, space)
        atom_basis(n, cutoff, lmax, space)
        pair_gradients(offsets, n_radial, space, da[i], dp[i], out)
        pair = space[3]
        for j in range(n):
            if pair[j] < 0:
                continue
            for a in range(3):
                gradient[neighbor[pair[j]], a] += out[a, j]
                gradient[i, a] -= out[a, j]
                for b in range(3):
                    virial[a, b] += out[a, j] * vectors[pair[j], b]
    return gradient, virial


@njit(cache=True, nogil=True, fastmath=FAST, forceinline=True)
def project_change(offsets, n_radial, space, t, a, p):
    """Change of A and P of one atom; t holds the changes of its distances and, in rows 1 to 3, of its unit vectors."""
    n_pair, row = space[4].shape
    g, dg = space[4].reshape(-1), space[5].reshape(-1)
    y, gradient, change = space[6].reshape(-1), space[7].reshape(-1), t.reshape(-1)
    for j in range(0, offsets[-1], LANES):
        for k in range(n_pair):
            store(dg, k * row + j, load(dg, k * row + j) * load(change, j))
    for z in range(offsets.size - 1):
        for k in range(n_pair):
            found = full(0.0)
            for j in range(offsets[z], offsets[z + 1], LANES):
                found += load(dg, k * row + j)
            p[z * n_pair + k] = total(found)
        for lm in range(a.shape[0]):
            for j in range(offsets[z], offsets[z + 1], LANES):
                dy = load(change, row + j) * load(gradient, 3 * lm * row + j)
                dy += load(change, 2 * row + j) * load(gradient, (3 * lm + 1) * row + j)
                dy += load(change, 3 * row + j) * load(gradient, (3 * lm + 2) * row + j)
                store(change, 4 * row + j, dy)
            for k in range(n_radial):
                found = full(0.0)
                for j in range(offsets[z], offsets[z + 1], LANES):
                    found += load(dg, k * row + j) * load(y, lm * row + j)
                    found += load(g, k * row + j) * load(change, 4 * row + j)
                a[lm, z * n_radial + k] = total(found)


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
    space = workspace(most_neighbors(first), n_species, n_pair, lmax)
    u, r, pair = space[0], space[1], space[3]
    t = aligned(5, pair.size)
    along, tx, ty, tz = t[0], t[1], t[2], t[3]
    for i in range(n_atoms):
        n = gather(i, species, first, neighbor, vectors, r0, cutoff, offsets, space)
        atom_basis(n, cutoff, lmax, space)
        for j in range(n):
            q = pair[j]
            if q < 0:
                t[:, j] = 0.0
                continue
            for b in range(3):
                d = displacements[neighbor[q], b] - displacements[i, b]
                for e in range(3):
                    d += strain[b, e] * vectors[q, e]
                t[1 + b, j] = d
            along[j] = tx[j] * u[0, j] + ty[j] * u[1, j] + tz[j] * u[2, j]
            for b in range(3):
                t[1 + b, j] = (t[1 + b, j] - along[j] * u[b, j]) / r[j]
        project_change(offsets, n_radial, space, t, a[i], p[i])
    return a, p


@njit(cache=True, nogil=True, fastmath=FAST, forceinline=True)
def mix(raw, mixing, lmax, a):
    """A_mixed[lm, c] = Σ_zk raw[lm, zk] mixing[l, zk, c] of one atom; channels fill whole vectors."""
    width, weights, rows = a.shape[1], mixing.reshape(-1), a.reshape(-1)
    for l in range(lmax + 1):
        for lm in range(l * l, (l + 1) * (l + 1)):
            for c in range(0, width, LANES):
                found = full(0.0)
                for k in range(raw.shape[1]):
                    found += raw[lm, k] * load(weights, (l * raw.shape[1] + k) * width + c)
                store(rows, lm * width + c, found)
