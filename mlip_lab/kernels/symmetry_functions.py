"""Behler–Parrinello symmetry functions, their transpose and their adjoint.

With the species z of the neighbours told apart, for the environment of atom i

    G2[z]     = Σ_{j∈z} exp(−η (r_ij − r_s)²) f_c(r_ij)
    G4[z₁z₂]  = 2^{1−ζ} Σ_{j,k} (1 + λ cos θ_jik)^ζ exp(−η (r_ij² + r_ik² + r_jk²)) f_c(r_ij) f_c(r_ik) f_c(r_jk)
    G5[z₁z₂]  = 2^{1−ζ} Σ_{j,k} (1 + λ cos θ_jik)^ζ exp(−η (r_ij² + r_ik²)) f_c(r_ij) f_c(r_ik)

where a pair {j, k} of neighbours, one of species z₁ and the other of z₂, is counted once. The cutoff function is that
of the rest of the package, f_c = (1 − (r/r_c)²)³, with two continuous derivatives at r_c (the cosine of the original
papers has one). Behler & Parrinello, DOI 10.1103/PhysRevLett.98.146401; Behler, DOI 10.1063/1.3553717.

With J = ∂G/∂(positions, strain):

- `descriptors`      positions → G
- `descriptors_vjp`  Jᵀ: ∂E/∂G → forces and virial
- `descriptors_jvp`  J: (displacements, strain) → δG

Features of an atom: G2 of species 0, of species 1, …; then G4 and G5 of the species pairs 00, 01, …, 11, 12, …

Every term of one triplet is P(cos θ) h(r_ij) h(r_ik) h(r_jk), with h = 1 in place of the last for G5, and all of its
derivatives come from four numbers: δG = A r_ij·δr_ij + B r_ik·δr_ik + C (r_ij·δr_ik + r_ik·δr_ij) + D r_jk·δr_jk.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from mlip_lab.core.checks import as_floats, as_integer
from mlip_lab.core.errors import InputError

Parameters = tuple[float, int, NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class SymmetryFunctions:
    """Parameters of a set of symmetry functions, the same for every species and pair of species.

    Attributes:
        cutoff: r_c in Å.
        n_species: Number of species.
        g2: Rows η (1/Å²), r_s (Å) of the radial functions, (n, 2).
        g4: Rows η (1/Å²), ζ (at least 1), λ (from -1 to 1) of the angular functions with r_jk, (n, 3).
        g5: The same for those without r_jk, (n, 3).

    Raises:
        InputError: If a shape is wrong or a parameter is out of its range.
    """

    cutoff: float
    n_species: int
    g2: NDArray[np.float64]
    g4: NDArray[np.float64]
    g5: NDArray[np.float64]

    def __post_init__(self) -> None:
        """Check the parameters once, and keep them in the types the kernels take."""
        cutoff = float(as_floats("cutoff", self.cutoff, ()))
        if cutoff <= 0.0:
            raise InputError(f"cutoff: expected a positive number in Å, got {cutoff:g}.")
        object.__setattr__(self, "cutoff", cutoff)
        object.__setattr__(self, "n_species", as_integer("n_species", self.n_species, low=1))
        for name, columns in (("g2", 2), ("g4", 3), ("g5", 3)):
            rows = as_floats(name, getattr(self, name), (None, columns))
            object.__setattr__(self, name, rows)
            if rows.size and rows[:, 0].min() < 0.0:
                raise InputError(f"{name}: expected η of at least 0 in column 0, got {rows[:, 0].min():g}.")
            if columns == 3 and rows.size and (rows[:, 1].min() < 1.0 or np.abs(rows[:, 2]).max() > 1.0):
                raise InputError(f"{name}: expected ζ ≥ 1 in column 1 and |λ| ≤ 1 in column 2, got {rows.tolist()}.")
        if self.n_features == 0:
            raise InputError("g2, g4, g5: expected at least one symmetry function, got none.")

    @property
    def n_features(self) -> int:
        """Number of features of one atom."""
        return int(count_features(self.n_species, self.g2, self.g4, self.g5))

    @property
    def parameters(self) -> Parameters:
        """What the kernels take as their last arguments."""
        return self.cutoff, self.n_species, self.g2, self.g4, self.g5


def default_symmetry_functions(cutoff: float, n_species: int) -> SymmetryFunctions:
    """A set that suits most materials: per species 9 radial, per pair of species 16 angular functions (G4).

    The radial functions are Gaussians as wide as their spacing, spread evenly up to the cutoff; the angular ones
    combine two ranges (η = 1/r_c² and 4/r_c²) with ζ = 1, 2, 4, 16 and λ = ±1.

    Args:
        cutoff: r_c in Å.
        n_species: Number of species.

    Raises:
        InputError: If the cutoff is not positive or there is no species.
    """
    length = float(as_floats("cutoff", cutoff, ()))
    if length <= 0.0:
        raise InputError(f"cutoff: expected a positive number in Å, got {length:g}.")
    spacing = length / 10.0
    g2 = [[0.5 / spacing**2, k * spacing] for k in range(1, 10)]
    g4 = [[eta / length**2, zeta, lam] for eta in (1.0, 4.0) for zeta in (1.0, 2.0, 4.0, 16.0) for lam in (-1.0, 1.0)]
    return SymmetryFunctions(length, n_species, np.array(g2), np.array(g4), np.empty((0, 3)))


@njit(cache=True, nogil=True)
def count_features(n_species, g2, g4, g5):
    """Number of features of one atom."""
    return n_species * g2.shape[0] + n_species * (n_species + 1) // 2 * (g4.shape[0] + g5.shape[0])


@njit(cache=True, nogil=True)
def descriptors(species, first, neighbor, vectors, cutoff, n_species, g2, g4, g5):
    """Symmetry functions of all atoms.

    Args:
        species: Species index of each atom, int64 (n,).
        first: Begin of each atom's pairs (n + 1,).
        neighbor: Neighbour index of each pair.
        vectors: r_j - r_i of each pair in Å (n_pairs, 3); pairs beyond the cutoff count nothing.
        cutoff: r_c in Å; this and what follows is `SymmetryFunctions.parameters`.
        n_species: Number of species.
        g2: η, r_s of the radial functions (n2, 2).
        g4: η, ζ, λ of the angular functions with r_jk (n4, 3).
        g5: η, ζ, λ of the angular functions without r_jk (n5, 3).

    Returns:
        G (n, n_features).

    Raises:
        InputError: If two atoms are at the same place.
    """
    out = np.zeros((species.shape[0], count_features(n_species, g2, g4, g5)))
    tables = _tables(cutoff, g4, g5)
    space = _workspace(first, tables, g2)
    radial, terms = space[5], space[6]
    for i in range(species.shape[0]):
        n = _gather(i, species, first, neighbor, vectors, cutoff, g2, tables, space)
        kind = space[2]
        for a in range(n):
            for f in range(g2.shape[0]):
                out[i, kind[a] * g2.shape[0] + f] += radial[0, f, a]
            for b in range(a):
                begin = _begin(kind[a], kind[b], n_species, g2, terms)
                for f in range(_triplet(a, b, tables, space)):
                    out[i, begin + f] += terms[0, f]
    return out


@njit(cache=True, nogil=True)
def descriptors_vjp(species, first, neighbor, vectors, cutoff, n_species, g2, g4, g5, dg):
    """Transpose Jᵀ: the gradient of an energy by the symmetry functions to forces and virial.

    All arguments but the last are those of `descriptors`; dg is ∂E/∂G in eV (n, n_features).

    Returns:
        Forces −∂E/∂positions in eV/Å (n, 3) and virial ∂E/∂strain in eV (3, 3), for r → (1 + strain) r.
    """
    forces = np.zeros((species.shape[0], 3))
    virial = np.zeros((3, 3))
    tables = _tables(cutoff, g4, g5)
    space = _workspace(first, tables, g2)
    vector, kind, pair, radial, terms = space[0], space[2], space[3], space[5], space[6]
    slope = np.empty((vector.shape[0], 3))  # ∂E/∂r_ij
    for i in range(species.shape[0]):
        n = _gather(i, species, first, neighbor, vectors, cutoff, g2, tables, space)
        slope[:] = 0.0
        for a in range(n):
            along = 0.0
            for f in range(g2.shape[0]):
                along += dg[i, kind[a] * g2.shape[0] + f] * radial[1, f, a]
            for d in range(3):
                slope[a, d] += along * vector[a, d]
            for b in range(a):
                begin = _begin(kind[a], kind[b], n_species, g2, terms)
                wa, wb, wc, wd = 0.0, 0.0, 0.0, 0.0
                for f in range(_triplet(a, b, tables, space)):
                    weight = dg[i, begin + f]
                    wa += weight * terms[1, f]
                    wb += weight * terms[2, f]
                    wc += weight * terms[3, f]
                    wd += weight * terms[4, f]
                for d in range(3):
                    x, y = vector[a, d], vector[b, d]
                    slope[a, d] += wa * x + wc * y + wd * (x - y)
                    slope[b, d] += wb * y + wc * x - wd * (x - y)
        for a in range(n):
            for d in range(3):
                forces[i, d] += slope[a, d]
                forces[neighbor[pair[a]], d] -= slope[a, d]
                for e in range(3):
                    virial[d, e] += slope[a, d] * vector[a, e]
    return forces, virial


@njit(cache=True, nogil=True)
def descriptors_jvp(species, first, neighbor, vectors, cutoff, n_species, g2, g4, g5, displacements, strain):
    """Adjoint J: the first-order change of the symmetry functions as atoms move and the space is strained.

    All arguments but the last two are those of `descriptors`; displacements are the change of the positions in Å
    (n, 3), and strain is ε in r → (1 + ε) r (3, 3).

    Returns:
        δG (n, n_features).
    """
    out = np.zeros((species.shape[0], count_features(n_species, g2, g4, g5)))
    tables = _tables(cutoff, g4, g5)
    space = _workspace(first, tables, g2)
    vector, kind, pair, radial, terms = space[0], space[2], space[3], space[5], space[6]
    change = np.empty((vector.shape[0], 3))  # δr_ij
    for i in range(species.shape[0]):
        n = _gather(i, species, first, neighbor, vectors, cutoff, g2, tables, space)
        for a in range(n):
            for d in range(3):
                stretch = strain[d, 0] * vector[a, 0] + strain[d, 1] * vector[a, 1] + strain[d, 2] * vector[a, 2]
                change[a, d] = displacements[neighbor[pair[a]], d] - displacements[i, d] + stretch
            along = _dot(vector, a, change, a)
            for f in range(g2.shape[0]):
                out[i, kind[a] * g2.shape[0] + f] += along * radial[1, f, a]
            for b in range(a):
                begin = _begin(kind[a], kind[b], n_species, g2, terms)
                own = _dot(vector, b, change, b)
                cross_ab, cross_ba = _dot(vector, a, change, b), _dot(vector, b, change, a)
                across = along + own - cross_ab - cross_ba  # r_jk · δr_jk
                for f in range(_triplet(a, b, tables, space)):
                    out[i, begin + f] += (
                        terms[1, f] * along
                        + terms[2, f] * own
                        + terms[3, f] * (cross_ab + cross_ba)
                        + terms[4, f] * across
                    )
    return out


@njit(cache=True, nogil=True)
def _dot(x, a, y, b):
    return x[a, 0] * y[b, 0] + x[a, 1] * y[b, 1] + x[a, 2] * y[b, 2]


@njit(cache=True, nogil=True)
def _begin(z1, z2, n_species, g2, terms):
    """First angular feature of a pair of species."""
    low, high = min(z1, z2), max(z1, z2)
    return n_species * g2.shape[0] + (low * n_species - low * (low - 1) // 2 + high - low) * terms.shape[1]


@njit(cache=True, nogil=True)
def _distinct(values):
    """Distinct rows of a table, and which of them each row is: equal factors of a triplet are computed once."""
    rows = np.empty(values.shape)
    which = np.empty(values.shape[0], dtype=np.int64)
    count = 0
    for f in range(values.shape[0]):
        k = 0
        while k < count and not (rows[k] == values[f]).all():
            k += 1
        if k == count:
            rows[count] = values[f]
            count += 1
        which[f] = k
    return rows[:count], which


@njit(cache=True, nogil=True)
def _tables(cutoff, g4, g5):
    """Cutoff, number of G4, and for G4 then G5 the distinct η, the distinct (ζ, λ), and which each function has."""
    angular = np.concatenate((g4, g5))
    etas, eta_of = _distinct(np.ascontiguousarray(angular[:, :1]))
    angles, angle_of = _distinct(np.ascontiguousarray(angular[:, 1:]))
    return cutoff, g4.shape[0], etas, eta_of, angles, angle_of


@njit(cache=True, nogil=True)
def _workspace(first, tables, g2):
    """Scratch arrays for the neighbours of one atom and the terms of one triplet."""
    most = 1
    for i in range(first.shape[0] - 1):
        most = max(most, first[i + 1] - first[i])
    etas, angles, n_angular = tables[2], tables[4], tables[5].shape[0]
    return (
        np.empty((most, 3)),  # r_ij
        np.empty(most),  # |r_ij|
        np.empty(most, dtype=np.int64),  # species of the neighbour
        np.empty(most, dtype=np.int64),  # index of the pair in the list
        np.empty((2, most, etas.shape[0])),  # h(r_ij) and h'(r_ij) / r_ij
        np.empty((2, g2.shape[0], most)),  # the same of the radial functions
        np.empty((5, n_angular)),  # value, A, B, C, D of each angular function
        np.empty((2, angles.shape[0])),  # P and P'
        np.empty((2, etas.shape[0])),  # h(r_jk) and h'(r_jk) / r_jk
    )


@njit(cache=True, nogil=True)
def _decay(square, cutoff, eta):
    """Give h = exp(−η r²) f_c(r) and h'/r, at r² within the cutoff."""
    inside = 1.0 - square / (cutoff * cutoff)
    gauss = math.exp(-eta * square)
    cut = inside * inside * inside
    return gauss * cut, gauss * (-2.0 * eta * cut - 6.0 * inside * inside / (cutoff * cutoff))


@njit(cache=True, nogil=True)
def _gather(i, species, first, neighbor, vectors, cutoff, g2, tables, space):
    """Collect the neighbours of atom i within the cutoff and their radial factors; returns how many there are."""
    vector, distance, kind, pair, factor, radial = space[0], space[1], space[2], space[3], space[4], space[5]
    n = 0
    for p in range(first[i], first[i + 1]):
        square = _dot(vectors, p, vectors, p)
        if square >= cutoff * cutoff:
            continue
        if square == 0.0:
            raise InputError("positions: two atoms are at the same place; move one of them.")
        vector[n, 0], vector[n, 1], vector[n, 2] = vectors[p, 0], vectors[p, 1], vectors[p, 2]
        r = math.sqrt(square)
        distance[n], kind[n], pair[n] = r, species[neighbor[p]], p
        for e in range(tables[2].shape[0]):
            factor[0, n, e], factor[1, n, e] = _decay(square, cutoff, tables[2][e, 0])
        cut, slope = _decay(square, cutoff, 0.0)
        for f in range(g2.shape[0]):
            away = r - g2[f, 1]
            gauss = math.exp(-g2[f, 0] * away * away)
            radial[0, f, n] = gauss * cut
            radial[1, f, n] = gauss * (slope - 2.0 * g2[f, 0] * away / r * cut)
        n += 1
    return n


@njit(cache=True, nogil=True)
def _power(x, exponent):
    """Raise x to an exponent ≥ 0, by multiplications where it is a small whole number."""
    whole = int(min(exponent, 64.0))
    if whole != exponent:
        return x**exponent
    result = 1.0
    while whole > 0:
        if whole % 2 == 1:
            result *= x
        x *= x
        whole //= 2
    return result


@njit(cache=True, nogil=True)
def _triplet(a, b, tables, space):
    """Value, A, B, C, D of all angular functions for neighbours a and b; returns how many can differ from zero.

    Those are all of them, or none where nothing but G4 is asked for and r_jk is beyond the cutoff.
    """
    cutoff, n_closed, etas, eta_of, angles, angle_of = tables
    vector, distance, factor = space[0], space[1], space[4]
    terms, angle, closing = space[6], space[7], space[8]
    dot = _dot(vector, a, vector, b)
    square_a, square_b = distance[a] * distance[a], distance[b] * distance[b]
    inverse = 1.0 / (distance[a] * distance[b])
    cosine = dot * inverse
    square_c = square_a + square_b - 2.0 * dot
    near = square_c < cutoff * cutoff
    if not near and n_closed == eta_of.shape[0]:
        return 0
    for q in range(angles.shape[0]):
        zeta, lam = angles[q, 0], angles[q, 1]
        base = max(0.5 * (1.0 + lam * cosine), 0.0)  # rounding may leave it just below zero
        power = _power(base, zeta - 1.0)
        angle[0, q] = 2.0 * base * power
        angle[1, q] = zeta * lam * power
    for e in range(etas.shape[0]):
        closing[0, e], closing[1, e] = _decay(square_c, cutoff, etas[e, 0]) if near else (0.0, 0.0)
    for f in range(eta_of.shape[0]):
        e, q = eta_of[f], angle_of[f]
        hc, dhc = (closing[0, e], closing[1, e]) if f < n_closed else (1.0, 0.0)
        ha, hb = factor[0, a, e], factor[0, b, e]
        value = angle[0, q]
        turn = angle[1, q] * ha * hb * hc
        terms[0, f] = value * ha * hb * hc
        terms[1, f] = value * factor[1, a, e] * hb * hc - turn * cosine / square_a
        terms[2, f] = value * ha * factor[1, b, e] * hc - turn * cosine / square_b
        terms[3, f] = turn * inverse
        terms[4, f] = value * ha * hb * dhc
    return eta_of.shape[0]
