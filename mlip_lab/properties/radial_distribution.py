"""Radial distribution: how often atoms are found at a distance, against an even spread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from mlip_lab.core.checks import as_integer
from mlip_lab.core.errors import InputError
from mlip_lab.core.late import plotted
from mlip_lab.core.progress import Progress, silent
from mlip_lab.core.quantities import Quantity, validated
from mlip_lab.kernels.neighbors import check_geometry
from mlip_lab.kernels.pair_counts import count_pairs
from mlip_lab.properties.blocks import band, blocks_for, inefficiency
from mlip_lab.properties.trajectories import Trajectory, needs_density, of_positions, trajectory_of

Floats = NDArray[np.float64]
Radius = Annotated[float, Quantity("Å", low=0.5, high=50.0)]
Bins = Annotated[int, Quantity("", low=2, high=100_000, whole=True)]
REPORT_EVERY = 20  # frames


@dataclass(frozen=True, eq=False)
class PairCounts:
    """Pairs of atoms counted by species and distance, frame by frame.

    Attributes:
        edges: Ends of the bins in Å, (bins + 1,).
        species: Chemical symbols, sorted.
        numbers: Atoms of each species, (n_species,).
        pairs: Which species each row is of, as indices (a, b) with a ≤ b.
        counts: Neighbours of species b around atoms of species a, int64 (n_frames, n_pairs, bins); so a pair of like
            atoms counts twice.
        expected: The same for an even spread of atoms, N_a N_b V_shell / V, (n_frames, n_pairs, bins).
    """

    edges: Floats
    species: tuple[str, ...]
    numbers: NDArray[np.int64]
    pairs: tuple[tuple[int, int], ...]
    counts: NDArray[np.int64]
    expected: Floats

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each row, such as "O–Si"."""
        return tuple(f"{self.species[a]}–{self.species[b]}" for a, b in self.pairs)

    @property
    def multiplicity(self) -> NDArray[np.int64]:
        """How often a pair of atoms is counted in each row: twice for like ones, (n_pairs,)."""
        return np.array([2 if a == b else 1 for a, b in self.pairs])


@dataclass(frozen=True, eq=False)
class RadialDistribution:
    """g(r) of all pairs of atoms and of each pair of species, averaged over frames.

    Attributes:
        distances: Middle of each bin in Å, (bins,).
        values: g(r) in each bin, 1 for an even spread, (bins,).
        neighbors: Mean number of neighbours nearer than the end of each bin, (bins,).
        frames: Frames averaged over.
        pairs: Names of the pairs of species, such as "O–Si".
        partial: g(r) of each, (n_pairs, bins).
        partial_neighbors: Mean number of neighbours of the second species around one of the first, (n_pairs, bins).
        inefficiency: Frames that are worth one independent frame; None if there are too few to tell.
        band: Lower and upper end of the 95 % band of `values`, (2, bins); None if there are too few frames.
        partial_band: The same for each pair of species, (2, n_pairs, bins).
        counted: The counts that all this is made of.
    """

    distances: Floats
    values: Floats
    neighbors: Floats
    frames: int
    pairs: tuple[str, ...]
    partial: Floats
    partial_neighbors: Floats
    inefficiency: float | None
    band: Floats | None
    partial_band: Floats | None
    counted: PairCounts

    @property
    def effective_frames(self) -> float | None:
        """How many independent frames these are worth; None if there are too few to tell."""
        return None if self.inefficiency is None else self.frames / self.inefficiency

    def plot(self) -> Any:
        """As a matplotlib Figure."""
        return plotted("radial_distribution", "radial_distribution", self)


@validated
def radial_distribution(
    atoms: Any, positions: Any = None, *, radius: Radius = 6.0, bins: Bins = 150, progress: Progress = silent
) -> RadialDistribution:
    """Count pairs by distance over one or many frames.

    g(r) = n(r) / (N ρ V_shell), with n(r) the ordered pairs in the shell's exact volume and ρ = N/V; for species,
    g_ab(r) = n_ab(r) / (N_a ρ_b V_shell). N atoms spread at random have g = 1 − 1/N, because none is its own neighbour.
    The band is a bootstrap of independent blocks of frames (`properties/blocks.py`).

    Args:
        atoms: Cell, periodicity and, without `positions`, the one frame; or frames in one of the forms that
            `trajectory_of` takes: a file, a list of Atoms, the result of `md`.
        positions: Frames in Å, (n_frames, n_atoms, 3), in the cell of `atoms`.
        radius: Largest distance in Å; it may be larger than the cell.
        bins: Number of bins.
        progress: Called now and then with frames done.

    Raises:
        InputError: If the structure is not periodic in three directions, or an argument is unusable.
    """
    trajectory = trajectory_of(atoms, name="atoms") if positions is None else of_positions(atoms, positions)
    return from_counts(pair_counts(trajectory, radius=radius, bins=bins, progress=progress))


def pair_counts(trajectory: Trajectory, *, radius: float, bins: int, progress: Progress = silent) -> PairCounts:
    """Count pairs in every frame.

    Args:
        trajectory: Frames, periodic in three directions.
        radius: Largest distance in Å.
        bins: Number of bins.
        progress: Called now and then with frames done.

    Raises:
        InputError: If a direction is not periodic or a frame is not usable.
    """
    needs_density(trajectory, "atoms")
    bins = as_integer("bins", bins, low=2)
    names, of_atom = trajectory.species
    numbers = np.bincount(of_atom)
    pairs = tuple((a, b) for a in range(len(names)) for b in range(a, len(names)))
    first, second = np.array(pairs).T
    counts = np.empty((len(trajectory), len(pairs), bins), dtype=np.int64)
    pbc = np.ones(3, dtype=np.bool_)
    for number, (frame, cell) in enumerate(zip(trajectory.positions, trajectory.cells, strict=True)):
        if number == 0 or not np.array_equal(cell, trajectory.cells[number - 1]):
            check_geometry(frame, cell, pbc, radius)
        found = count_pairs(
            np.ascontiguousarray(frame), np.ascontiguousarray(cell), pbc, of_atom, len(names), radius, bins
        )
        counts[number] = found[first, second]
        if number % REPORT_EVERY == 0:
            progress(number, len(trajectory))
    progress(len(trajectory), len(trajectory))
    edges = np.linspace(0.0, radius, bins + 1)
    shells = 4 / 3 * np.pi * np.diff(edges**3)
    volumes = np.abs(np.linalg.det(trajectory.cells))
    expected = (numbers[first] * numbers[second] / volumes[:, None])[:, :, None] * shells
    return PairCounts(edges, names, numbers, pairs, counts, expected)


def ahead(progress: Progress, before: int, total: int) -> Progress:
    """Reports of a part of the work as reports of all of it.

    Args:
        progress: Told of all of it.
        before: Units of work done before this part.
        total: Units of work in all.
    """

    def report(done: int, _: int, /, **live: Any) -> None:
        progress(before + done, total, **live)

    return report


def from_counts(counted: PairCounts) -> RadialDistribution:
    """g(r) with its bands from pairs counted before."""
    twice = np.array([1 if a == b else 2 for a, b in counted.pairs])[:, None]  # ordered pairs of unlike atoms
    total, total_expected = (twice * counted.counts).sum(axis=1), (twice * counted.expected).sum(axis=1)
    found, bands, partial_bands = None, None, None
    frames = len(total)
    memory = inefficiency(counted.counts / counted.multiplicity[:, None]) if frames > 1 else 1.0
    try:
        blocks = blocks_for(memory, frames)
        found = memory
        bands = np.array(band(blocks.sums(total), blocks.sums(total_expected)))
        partial_bands = np.array(band(blocks.sums(counted.counts.astype(np.float64)), blocks.sums(counted.expected)))
    except InputError:  # one frame or a few are fine for g(r) itself
        pass
    around = frames * counted.numbers[[a for a, _ in counted.pairs]]
    return RadialDistribution(
        distances=(counted.edges[1:] + counted.edges[:-1]) / 2,
        values=total.sum(axis=0) / total_expected.sum(axis=0),
        neighbors=np.cumsum(total.sum(axis=0)) / (frames * counted.numbers.sum()),
        frames=frames,
        pairs=counted.names,
        partial=counted.counts.sum(axis=0) / counted.expected.sum(axis=0),
        partial_neighbors=np.cumsum(counted.counts.sum(axis=0), axis=1) / around[:, None],
        inefficiency=found,
        band=bands,
        partial_band=partial_bands,
        counted=counted,
    )
