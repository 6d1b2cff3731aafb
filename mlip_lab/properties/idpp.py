"""The image-dependent pair potential: a start for a path on which no atoms collide."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mlip_lab.properties.together import joined_pairs

Floats = NDArray[np.float64]
SIGHT = 6.0  # Å; pairs further apart than this half-way weigh nothing
NEAREST = 0.1  # Å; keeps 1/d finite where a straight line takes atoms through each other


class PairDistances:
    """Σ (d − d̄)² / d⁴ over pairs, with d̄ between the distances in reactant and product (Smidstrup et al.).

    DOI 10.1063/1.4878664. Called like `Together`, it gives "energies" and "forces" of all images at once.
    """

    def __init__(self, positions: Floats, cell: Floats, pbc: NDArray[np.bool_]) -> None:
        """Take the distances that images should have.

        Args:
            positions: Images from reactant to product, both included, in Å, (m, n, 3).
            cell: Å, (3, 3).
            pbc: Periodic directions, (3,).
        """
        middle = positions[len(positions) // 2]
        first, neighbor, shift = joined_pairs(middle[None], cell, pbc, SIGHT)
        self._here, self._there = np.repeat(np.arange(len(middle)), np.diff(first)), neighbor
        self._shift = shift @ cell
        ends = [np.linalg.norm(self._vectors(end[None])[0], axis=1) for end in (positions[0], positions[-1])]
        share = np.linspace(0.0, 1.0, len(positions))[1:-1, None]
        self._wanted = (1 - share) * ends[0] + share * ends[1]

    def __call__(self, positions: Floats, ask: Callable[[], None] = lambda: None) -> tuple[Floats, Floats]:
        """Of the images between the ends, positions (m − 2, n, 3); see `Together`."""
        vectors = self._vectors(positions)
        d = np.maximum(np.linalg.norm(vectors, axis=2), NEAREST)
        off = d - self._wanted
        energies = 0.5 * np.sum(off**2 / d**4, axis=1)  # every pair is listed twice
        slopes = off * (1.0 - 2.0 * off / d) / d**4  # of one pair's term
        pulls = 2.0 * (slopes / d)[:, :, None] * vectors
        forces = np.zeros(positions.shape)
        for image, pull in zip(forces, pulls, strict=True):
            for axis in range(3):
                image[:, axis] = np.bincount(self._here, weights=pull[:, axis], minlength=len(image))
        return energies, forces

    def _vectors(self, positions: Floats) -> Floats:
        return np.asarray(positions[:, self._there] - positions[:, self._here] + self._shift)
