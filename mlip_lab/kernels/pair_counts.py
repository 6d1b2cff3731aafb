"""Histograms of distances and of angles between atoms, and density waves, for any cell.

Distances: linked cells as in `neighbors.py`, but nothing is listed. Periodic images are written out as points, sorted
into a grid of bins, and the squared distances from an atom to a row of bins go through a short buffer into the
histogram. So the radius may be larger than the cell, and an atom's own images count as its neighbours.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from mlip_lab.kernels.neighbors import MARGIN, _box, _ghosts, _inverse_cell, _sort_into_bins, _wrap

FINER = 0.5  # width of the grid in radii: shorter rows, but fewer points that are looked at in vain


@njit(cache=True, nogil=True)
def count_pairs(
    positions: NDArray[np.float64],
    cell: NDArray[np.float64],
    pbc: NDArray[np.bool_],
    species: NDArray[np.int64],
    n_species: int,
    radius: float,
    bins: int,
) -> NDArray[np.int64]:
    """Count ordered pairs of atoms by their species and distance.

    Args:
        positions: Å, float64 (n_atoms, 3), inside the cell or not.
        cell: Cell vectors as rows in Å, float64 (3, 3).
        pbc: Periodic directions, bool (3,).
        species: Species of each atom from 0 on, int64 (n_atoms,).
        n_species: Number of species.
        radius: Largest distance in Å, itself excluded.
        bins: Number of bins of equal width.

    Returns:
        Pairs (i, j, image of j) other than an atom with itself, int64 (species of i, species of j, bins).
    """
    counts = np.zeros((n_species, n_species * bins), dtype=np.int64)
    reach = radius * (1.0 + MARGIN)
    inverse = _inverse_cell(cell, pbc)
    wrapped, fraction, floors = _wrap(positions, cell, inverse, pbc)
    box = _box(wrapped, reach)
    points, atom, _, total = _ghosts(wrapped, fraction, floors, cell, inverse, pbc, box, reach)
    points, order, start, grid, width = _sort_into_bins(points, total, box, FINER * reach)
    first_bin = np.empty(total, dtype=np.int64)
    for g in range(total):
        first_bin[g] = species[atom[order[g]]] * bins
    squares, slots = np.empty(total + 1), np.empty(total + 1, dtype=np.int64)
    for i in range(wrapped.shape[0]):
        near = _near(wrapped[i], points, first_bin, start, grid, box[0], width, radius, squares, slots)
        _bin(squares, slots, near, bins / radius, bins, counts[species[i]])
    for i in range(wrapped.shape[0]):
        counts[species[i], species[i] * bins] -= 1  # itself, at distance zero
    return counts.reshape((n_species, n_species, bins))


@njit(cache=True, nogil=True)
def _near(here, points, first_bin, start, grid, origin, width, radius, squares, slots):
    """Write squared distances of the points within the radius of `here`, and where their bins begin; how many."""
    xs, ys, zs = points[0], points[1], points[2]
    x, y, z = here[0], here[1], here[2]
    reach, square = radius * (1.0 + MARGIN), radius * radius
    x_low = max(0, int((x - reach - origin[0]) / width[0]))
    x_high = min(grid[0] - 1, int((x + reach - origin[0]) / width[0]))
    y_low = max(0, int((y - reach - origin[1]) / width[1]))
    y_high = min(grid[1] - 1, int((y + reach - origin[1]) / width[1]))
    near = 0
    for bx in range(x_low, x_high + 1):
        edge = origin[0] + bx * width[0]
        gap_x = max(0.0, edge - x, x - edge - width[0])
        for by in range(y_low, y_high + 1):
            edge = origin[1] + by * width[1]
            gap_y = max(0.0, edge - y, y - edge - width[1])
            left = reach * reach - gap_x * gap_x - gap_y * gap_y
            if left < 0.0:
                continue
            half = math.sqrt(left)
            row = (bx * grid[1] + by) * grid[2]
            z_low = max(0, int((z - half - origin[2]) / width[2]))
            z_high = min(grid[2] - 1, int((z + half - origin[2]) / width[2]))
            for g in range(start[row + z_low], start[row + z_high + 1]):
                dx, dy, dz = xs[g] - x, ys[g] - y, zs[g] - z
                found = dx * dx + dy * dy + dz * dz
                squares[near] = found  # overwritten by the next one unless it is close: no branch to mispredict
                slots[near] = first_bin[g]
                near += int(found < square)
    return near


@njit(cache=True, nogil=True)
def _bin(squares, slots, near, per_length, bins, counts):
    for k in range(near):
        counts[slots[k] + min(bins - 1, int(math.sqrt(squares[k]) * per_length))] += 1


@njit(cache=True, nogil=True)
def count_angles(vectors: NDArray[np.float64], first: NDArray[np.int64], bins: int) -> NDArray[np.int64]:
    """Count angles between any two bonds of an atom, int64 (bins,), from 0° to 180°.

    Args:
        vectors: Bond vectors in Å, float64 (n_bonds, 3).
        first: The bonds of atom i are first[i]:first[i + 1], int64 (n_atoms + 1,).
        bins: Number of bins of equal width.
    """
    counts = np.zeros(bins, dtype=np.int64)
    for i in range(first.shape[0] - 1):
        for a in range(first[i], first[i + 1]):
            for b in range(a + 1, first[i + 1]):
                dot, aa, bb = 0.0, 0.0, 0.0
                for d in range(3):
                    dot += vectors[a, d] * vectors[b, d]
                    aa += vectors[a, d] * vectors[a, d]
                    bb += vectors[b, d] * vectors[b, d]
                if aa > 0.0 and bb > 0.0:
                    angle = math.acos(max(-1.0, min(1.0, dot / math.sqrt(aa * bb))))
                    counts[min(bins - 1, int(angle / math.pi * bins))] += 1
    return counts


@njit(cache=True, nogil=True)
def density_waves(fractions: NDArray[np.float64], waves: NDArray[np.int64]) -> NDArray[np.float64]:
    """|Σ_j exp(2πi h·s_j)|²/n_atoms of each wave, float64 (n_waves,).

    Args:
        fractions: Positions in units of the cell vectors, float64 (n_atoms, 3).
        waves: Whole numbers h along the reciprocal vectors, int64 (n_waves, 3).
    """
    n_waves, n = waves.shape[0], fractions.shape[0]
    most = 0
    for w in range(n_waves):
        for d in range(3):
            most = max(most, abs(waves[w, d]))
    cosines, sines = np.empty((3, 2 * most + 1)), np.empty((3, 2 * most + 1))
    real, imaginary = np.zeros(n_waves), np.zeros(n_waves)
    for j in range(n):
        for d in range(3):
            for k in range(2 * most + 1):
                phase = 2.0 * math.pi * (k - most) * fractions[j, d]
                cosines[d, k], sines[d, k] = math.cos(phase), math.sin(phase)
        for w in range(n_waves):
            k0, k1, k2 = waves[w, 0] + most, waves[w, 1] + most, waves[w, 2] + most
            c = cosines[0, k0] * cosines[1, k1] - sines[0, k0] * sines[1, k1]
            s = cosines[0, k0] * sines[1, k1] + sines[0, k0] * cosines[1, k1]
            real[w] += c * cosines[2, k2] - s * sines[2, k2]
            imaginary[w] += c * sines[2, k2] + s * cosines[2, k2]
    return np.asarray((real * real + imaginary * imaginary) / n)
