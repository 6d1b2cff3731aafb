"""Nearest neighbours of every atom, for judging a structure before anything is computed with it."""

from __future__ import annotations

import itertools

import numpy as np
from ase.geometry import minkowski_reduce
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from mlip_lab.data.consistency import periodic_cell

Floats = NDArray[np.float64]


def nearest_neighbors(
    positions: Floats, cell: Floats, pbc: NDArray[np.bool_], reach: float
) -> tuple[Floats, NDArray[np.int64]]:
    """Distance to, and index of, each atom's nearest neighbour within `reach`, periodic images included.

    A k-d tree rather than the pair kernel: reading a file should not wait for a compiler.

    Args:
        positions: Å, (n, 3).
        cell: Å, rows (3, 3).
        pbc: Periodic directions (3,).
        reach: Å; how far to look.

    Returns:
        Distances in Å (n,), infinite where nothing is within reach; indices (n,), n there.
    """
    n = len(positions)
    points, owners = positions, np.arange(n)
    if pbc.any():
        full = periodic_cell(cell, pbc)
        inverse = np.linalg.inv(full)
        if reach * np.linalg.norm(inverse, axis=0)[pbc].max() > 4.0:  # flat: the same lattice in compact vectors
            full = minkowski_reduce(full, pbc)[0]
            inverse = np.linalg.inv(full)
            # The nearest neighbour is at most the shortest vector away, and heights are not far below that.
            reach = min(reach, 4.0 / np.linalg.norm(inverse, axis=0)[pbc].max())
        fractional = positions @ inverse
        fractional -= np.where(pbc, np.floor(fractional), 0.0)
        margin = np.where(pbc, reach * np.linalg.norm(inverse, axis=0), 0.0)  # reach over the height of the cell
        images = np.ceil(margin).astype(int)
        shifts = np.array(list(itertools.product(*(range(-m, m + 1) for m in images))), dtype=np.float64)
        shifts = shifts[np.argsort(np.abs(shifts).sum(axis=1), kind="stable")]  # the cell itself first
        ghosts = (fractional[None] + shifts[:, None]).reshape(-1, 3)
        near = np.all(((ghosts >= -margin) & (ghosts <= 1.0 + margin)) | ~pbc, axis=1)
        near[:n] = True
        points, owners = ghosts[near] @ full, np.tile(owners, len(shifts))[near]
    if len(points) < 2:
        return np.full(n, np.inf), np.full(n, n)
    # Atoms on top of each other may come back in any order, so the atom itself is not always the first found.
    distance, index = cKDTree(points).query(points[:n], k=2, distance_upper_bound=reach)
    own = index[:, 0] == np.arange(n)
    other = np.where(own, 1, 0)
    rows = np.arange(n)
    return distance[rows, other], np.append(owners, n)[index[rows, other]]
