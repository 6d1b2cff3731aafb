"""Frames made ready for learning: pairs and what the network's geometry needs, computed once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mlip_lab.core.errors import DataError
from mlip_lab.core.frame import Frame
from mlip_lab.kernels.density import densities, densities_jvp, densities_vjp
from mlip_lab.kernels.neighbors import build_pairs, pair_vectors
from mlip_lab.kernels.zbl import zbl
from mlip_lab.model.config import PotentialConfig

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Structure:
    """A frame with its pairs, and the labels that are left for the learned part.

    Attributes:
        frame: The labelled frame.
        species: Species index (n,).
        first: Begin of each atom's pairs (n+1,).
        neighbor: Neighbour of each pair.
        vectors: Pair vectors in Å (n_pairs, 3).
        energy: Repulsion's energy in eV, known before learning.
        forces: Repulsion's forces in eV/Å (n, 3).
        virial: Repulsion's ∂E/∂strain in eV (3, 3).
    """

    frame: Frame
    species: NDArray[np.int64]
    first: NDArray[np.int64]
    neighbor: NDArray[np.int32]
    vectors: Floats
    energy: float
    forces: Floats
    virial: Floats

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return int(self.species.size)


def prepare(frame: Frame, config: PotentialConfig) -> Structure:
    """Pairs and repulsion of a frame."""
    first, neighbor, shift = build_pairs(frame.positions, frame.cell, frame.pbc, config.cutoff)
    vectors = pair_vectors(frame.positions, frame.cell, first, neighbor, shift)
    species = config.species_of(frame.numbers)
    energy, forces, virial = _repulsion(config, species, first, neighbor, vectors)
    return Structure(frame, species, first, neighbor, vectors, energy, forces, virial)


def geometry(config: PotentialConfig) -> tuple[Floats, float, int, int, int]:
    """The arguments that `densities` and its derivatives take after the pairs."""
    return np.array(config.r0), config.cutoff, config.n_radial, config.n_pair, config.lmax


def project(structure: Structure, config: PotentialConfig) -> tuple[Floats, Floats]:
    """Densities A (n, lm, zk) and pair sums P (n, zk)."""
    s = structure
    a, p = densities(s.species, s.first, s.neighbor, s.vectors, *geometry(config))
    return a, p


def pull(structure: Structure, config: PotentialConfig, da: Floats, dp: Floats) -> tuple[Floats, Floats]:
    """∂E/∂(A, P) to ∂E/∂positions (n, 3) and ∂E/∂strain (3, 3)."""
    s = structure
    gradient, virial = densities_vjp(s.species, s.first, s.neighbor, s.vectors, *geometry(config), da, dp)
    return gradient, virial


def push(structure: Structure, config: PotentialConfig, moves: Floats, strain: Floats) -> tuple[Floats, Floats]:
    """Displacements (n, 3) and strain (3, 3) to the change of A and P."""
    s = structure
    a, p = densities_jvp(s.species, s.first, s.neighbor, s.vectors, *geometry(config), moves, strain)
    return a, p


def complete(config: PotentialConfig, frames: Sequence[Frame]) -> PotentialConfig:
    """Fill in what a configuration takes from the data: species, distances, range of the repulsion.

    The nearest-neighbour distance of a species pair is the median over atoms of the distance to the nearest atom of
    the other species. The repulsion ends at nine tenths of the shortest distance in the data, so it does not act there.

    Raises:
        DataError: If the cutoff is shorter than twice the nearest-neighbour distance would allow learning from.
    """
    numbers = tuple(sorted({int(z) for frame in frames for z in frame.numbers}))
    n = len(numbers)
    nearest: list[list[list[float]]] = [[[] for _ in range(n)] for _ in range(n)]
    index = {z: s for s, z in enumerate(numbers)}
    for frame in frames:
        _add_nearest(frame, config.cutoff, index, nearest)
    everything = [d for row in nearest for cell in row for d in cell]
    if not everything:
        raise DataError(f"cutoff: no two atoms of the data are closer than {config.cutoff} Å. Raise the cutoff.")
    typical = float(np.median(everything))
    shortest = min(everything)
    r0 = np.full((n, n), typical)
    least = np.full((n, n), shortest)
    for a in range(n):
        for b in range(n):
            both = nearest[a][b] + nearest[b][a]
            if both:
                r0[a, b], least[a, b] = np.median(both), min(both)
    outer = 0.9 * least

    def table(values: Floats) -> tuple[tuple[float, ...], ...]:
        return tuple(tuple(round(float(x), 6) for x in row) for row in values)

    return replace(config, numbers=numbers, r0=table(r0), inner=table(0.6 * outer), outer=table(outer))


def _add_nearest(frame: Frame, cutoff: float, index: dict[int, int], nearest: list[list[list[float]]]) -> None:
    first, neighbor, shift = build_pairs(frame.positions, frame.cell, frame.pbc, cutoff)
    distances = np.linalg.norm(pair_vectors(frame.positions, frame.cell, first, neighbor, shift), axis=1)
    species = np.array([index[int(z)] for z in frame.numbers])
    center = np.repeat(np.arange(species.size), np.diff(first))
    for b in np.unique(species):
        chosen = species[neighbor] == b
        least = np.full(species.size, np.inf)
        np.minimum.at(least, center[chosen], distances[chosen])
        for atom in np.flatnonzero(np.isfinite(least)):
            nearest[species[atom]][b].append(float(least[atom]))


def _repulsion(
    config: PotentialConfig,
    species: NDArray[np.int64],
    first: NDArray[np.int64],
    neighbor: NDArray[np.int32],
    vectors: Floats,
) -> tuple[float, Floats, Floats]:
    energy, forces, virial = 0.0, np.zeros((species.size, 3)), np.zeros((3, 3))
    if not config.repulsion:
        return energy, forces, virial
    inner, outer = np.array(config.inner), np.array(config.outer)
    center = np.repeat(np.arange(species.size), np.diff(first))
    r = np.linalg.norm(vectors, axis=1)
    for p in np.flatnonzero(r < outer[species[center], species[neighbor]]):
        i, j = center[p], neighbor[p]
        a, b = species[i], species[j]
        e, de = zbl(r[p], config.numbers[a], config.numbers[b], inner[a, b], outer[a, b])
        slope = 0.5 * de * vectors[p] / r[p]
        energy += 0.5 * e
        forces[i] += slope
        forces[j] -= slope
        virial += np.outer(slope, vectors[p])
    return float(energy), forces, virial
