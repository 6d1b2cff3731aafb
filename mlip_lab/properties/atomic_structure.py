"""Structure of moving atoms: g(r), coordination, angles between bonds and the structure factor, with bands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from mlip_lab.core.errors import InputError
from mlip_lab.core.late import plotted
from mlip_lab.core.progress import Progress, silent
from mlip_lab.core.quantities import Count, Quantity, validated
from mlip_lab.kernels.neighbors import build_pairs, pair_vectors
from mlip_lab.kernels.pair_counts import count_angles, density_waves
from mlip_lab.properties.blocks import Blocks, band, blocks_for
from mlip_lab.properties.radial_distribution import (
    REPORT_EVERY,
    Bins,
    RadialDistribution,
    Radius,
    ahead,
    from_counts,
    pair_counts,
)
from mlip_lab.properties.trajectories import Discard, Frames, Trajectory, trajectory_of

Floats = NDArray[np.float64]
Bond = Annotated[float, Quantity("Å", low=0.5, high=20.0)]
WaveNumber = Annotated[float, Quantity("1/Å", low=0.5, high=30.0)]

SMOOTH = 0.05  # Å; shells nearer than that are one
ANGLE_BINS = 90
WAVE_BINS = 150
WAVES_PER_BIN = 60  # of all that the cell allows; more cost time and tell little new


@dataclass(frozen=True, eq=False)
class AtomicStructure:
    """How atoms are arranged on average, each curve with its 95 % band where there are enough frames.

    Attributes:
        radial: g(r), total and by species.
        bond: Atoms nearer than this count as bonded, Å.
        coordination: Share of atoms with 0, 1, 2, ... bonds.
        mean_bonds: Mean number of bonds of an atom.
        mean_bonds_error: Its standard error; None if there are too few frames.
        angles: Middle of each bin in degrees, (n,).
        angle_density: Share of angles per degree, (n,); its integral is 1.
        angle_band: Its band, (2, n), or None.
        wave_numbers: Wave numbers that fit into the cell, binned, 1/Å, (m,).
        structure_factor: S(q), (m,).
        structure_factor_band: Its band, (2, m), or None.
        trajectory: The frames looked at.
    """

    radial: RadialDistribution
    bond: float
    coordination: Floats
    mean_bonds: float
    mean_bonds_error: float | None
    angles: Floats
    angle_density: Floats
    angle_band: Floats | None
    wave_numbers: Floats
    structure_factor: Floats
    structure_factor_band: Floats | None
    trajectory: Trajectory

    def plot(self) -> Any:
        """As a matplotlib Figure."""
        return plotted("radial_distribution", "atomic_structure", self)


@validated
def atomic_structure(
    trajectory: Frames,
    *,
    radius: Radius = 6.0,
    bins: Bins = 150,
    bond: Bond | None = None,
    highest_q: WaveNumber = 8.0,
    discard: Discard = 0.2,
    most_frames: Count = 400,
    progress: Progress = silent,
) -> AtomicStructure:
    """g(r), coordination numbers, angles between bonds and S(q) of a trajectory.

    S(q) = ⟨|Σ_j exp(iq·r_j)|²⟩/N over the waves q that fit into the cell. Bands are a bootstrap of blocks of frames
    that are long enough to be independent.

    Args:
        trajectory: A .extxyz, .xyz or .traj file, such as molecular dynamics writes; in Python also frames or a run.
        radius: Largest distance in g(r), Å.
        bins: Number of bins of g(r).
        bond: Atoms nearer than this are bonded, Å; None takes the first minimum of g(r).
        highest_q: Largest wave number, 1/Å.
        discard: Part of the trajectory to leave out at the start.
        most_frames: Frames to look at, evenly spaced, if there are more.
        progress: Called now and then with frames done.

    Raises:
        InputError: If the trajectory is not periodic in three directions, g(r) has no first minimum within the
            radius, or an argument is unusable.
    """
    frames = trajectory_of(trajectory).later(discard)
    frames = frames[:: -(-len(frames) // most_frames)]
    n = len(frames)
    radial = from_counts(pair_counts(frames, radius=radius, bins=bins, progress=ahead(progress, 0, 2 * n)))
    reach = first_minimum(radial) if bond is None else bond
    waves, lengths = _waves(frames.cells.mean(axis=0), highest_q)
    bonds, angles, factors = _counted(frames, reach, waves, lengths, ahead(progress, n, 2 * n))
    blocks = None if radial.inefficiency is None else blocks_for(radial.inefficiency, n)
    mean = bonds @ np.arange(bonds.shape[1]) / len(frames.atoms)
    width = 180.0 / ANGLE_BINS
    total = angles.sum(axis=1, keepdims=True) * np.ones(ANGLE_BINS)
    everywhere = np.ones_like(factors)
    return AtomicStructure(
        radial=radial,
        bond=reach,
        coordination=np.trim_zeros(bonds.sum(axis=0) / bonds.sum(), "b"),
        mean_bonds=float(mean.mean()),
        mean_bonds_error=None if blocks is None else _error(mean, blocks),
        angles=np.asarray((np.arange(ANGLE_BINS) + 0.5) * width, dtype=np.float64),
        angle_density=angles.sum(axis=0) / (max(1.0, angles.sum()) * width),
        angle_band=None if blocks is None else np.array(band(blocks.sums(angles), width * blocks.sums(total))),
        wave_numbers=np.array([lengths[lengths[:, 1] == k, 0].mean() for k in np.unique(lengths[:, 1])]),
        structure_factor=factors.mean(axis=0),
        structure_factor_band=None if blocks is None else np.array(band(blocks.sums(factors), blocks.sums(everywhere))),
        trajectory=frames,
    )


def first_minimum(radial: RadialDistribution) -> float:
    """Where g(r) is least between its first two shells, in Å; the middle where it is zero for a while.

    Raises:
        InputError: If there are no two shells within the radius.
    """
    width = radial.distances[1] - radial.distances[0]
    smooth = gaussian_filter1d(radial.values, SMOOTH / width, mode="nearest")
    peak = int(np.argmax(smooth))
    earlier = np.flatnonzero((smooth[1:-1] > smooth[:-2]) & (smooth[1:-1] >= smooth[2:]) & (smooth[1:-1] > 1.0)) + 1
    peak = int(earlier[0]) if len(earlier) else peak
    falling = np.minimum.accumulate(smooth[peak:])
    rises = np.flatnonzero((smooth[peak:] > falling + 0.1) & (falling < 0.9 * smooth[peak]))
    if len(rises) == 0 or smooth[peak] < 1:
        raise InputError(
            "bond: g(r) has no minimum between two shells within the radius; give the length below which atoms count "
            "as bonded, or a larger radius."
        )
    valley = smooth[peak : peak + rises[0] + 1]
    lowest = np.flatnonzero(valley <= valley.min() + 1e-3)
    return float(radial.distances[peak + round(float(lowest.mean()))])


def _waves(cell: Floats, highest: float) -> tuple[NDArray[np.int64], Floats]:
    """Waves up to a wave number, one of q and −q, at most so many in each bin; their wave numbers and bins."""
    reciprocal = 2 * np.pi * np.linalg.inv(cell).T
    reach = np.floor(highest * np.linalg.norm(cell, axis=1) / (2 * np.pi)).astype(int)
    grid = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in reach), indexing="ij"), axis=-1).reshape(-1, 3)
    grid = grid[len(grid) // 2 + 1 :]  # the grid is symmetric about its middle, which is zero
    length = np.linalg.norm(grid @ reciprocal, axis=1)
    grid, length = grid[length < highest], length[length < highest]
    if len(grid) == 0:
        raise InputError("highest_q: no wave is so long in this cell; take a larger one.")
    place = (length / highest * WAVE_BINS).astype(int)
    order = np.random.default_rng(0).permutation(len(grid))
    order = order[np.argsort(place[order], kind="stable")]
    first = np.searchsorted(place[order], place[order])
    order = order[np.arange(len(order)) - first < WAVES_PER_BIN]
    return np.ascontiguousarray(grid[order], dtype=np.int64), np.stack([length[order], place[order]], axis=1)


def _counted(
    frames: Trajectory, reach: float, waves: NDArray[np.int64], lengths: Floats, progress: Progress
) -> tuple[Floats, Floats, Floats]:
    """Of each frame: atoms by their number of bonds, angles between bonds, and S in each bin of wave numbers."""
    pbc = np.ones(3, dtype=np.bool_)
    starts = np.flatnonzero(np.diff(lengths[:, 1], prepend=-1))
    sizes = np.diff(starts, append=len(lengths))
    bonds, angles, factors = [], [], []
    for number, (frame, cell) in enumerate(zip(frames.positions, frames.cells, strict=True)):
        pairs = build_pairs(np.ascontiguousarray(frame), np.ascontiguousarray(cell), pbc, reach)
        vectors = pair_vectors(np.ascontiguousarray(frame), np.ascontiguousarray(cell), *pairs)
        bonds.append(np.bincount(np.diff(pairs[0])))
        angles.append(count_angles(vectors, pairs[0], ANGLE_BINS))
        found = density_waves(np.ascontiguousarray(frame @ np.linalg.inv(cell)), waves)
        factors.append(np.add.reduceat(found, starts) / sizes)
        if number % REPORT_EVERY == 0:
            progress(number, len(frames))
    progress(len(frames), len(frames))
    most = max(len(row) for row in bonds)
    table = np.array([np.pad(row, (0, most - len(row))) for row in bonds], dtype=np.float64)
    return table, np.array(angles, dtype=np.float64), np.array(factors)


def _error(series: Floats, blocks: Blocks) -> float:
    means = blocks.sums(series) / blocks.length
    return float(means.std(ddof=1) / np.sqrt(len(means)))
