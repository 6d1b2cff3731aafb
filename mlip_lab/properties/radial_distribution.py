"""Radial distribution: how often atoms are found at a distance, against an even spread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from mlip_lab.core.checks import as_floats, as_integer
from mlip_lab.core.errors import InputError
from mlip_lab.core.quantities import Quantity, validated
from mlip_lab.kernels.neighbors import build_pairs, check_geometry, pair_vectors

Radius = Annotated[float, Quantity("Å", low=0.5, high=50.0)]


@dataclass(frozen=True, eq=False)
class RadialDistribution:
    """g(r) of all pairs of atoms, averaged over frames.

    Attributes:
        distances: Middle of each bin in Å, (bins,).
        values: g(r) in each bin, 1 for an even spread, (bins,).
        neighbors: Mean number of neighbours nearer than the end of each bin, (bins,).
        frames: Frames averaged over.
    """

    distances: NDArray[np.float64]
    values: NDArray[np.float64]
    neighbors: NDArray[np.float64]
    frames: int


@validated
def radial_distribution(
    atoms: Atoms, positions: Any = None, *, radius: Radius = 6.0, bins: int = 150
) -> RadialDistribution:
    """Count pairs by distance over one or many sets of positions.

    g(r) = n(r) / (N ρ V_shell), with n(r) the ordered pairs in the shell's exact volume and ρ = N/V.

    Args:
        atoms: Cell, periodicity and, without `positions`, the one frame.
        positions: Frames in Å, (n_frames, n_atoms, 3), such as those of a molecular dynamics run.
        radius: Largest distance in Å; it may be larger than the cell.
        bins: Number of bins.

    Raises:
        InputError: If the structure is not periodic in three directions, or an argument is unusable.
    """
    bins = as_integer("bins", bins, low=2)
    if not isinstance(atoms, Atoms) or len(atoms) == 0:
        raise InputError("atoms: expected an ase.Atoms with at least one atom.")
    if not atoms.pbc.all():
        raise InputError(
            "atoms: a density needs a cell that is periodic in three directions. Choose a crystal or liquid."
        )
    frames = as_floats("positions", atoms.positions[None] if positions is None else positions, (None, len(atoms), 3))
    if len(frames) == 0:
        raise InputError("positions: expected at least one frame, got none.")
    cell = np.ascontiguousarray(atoms.cell.array)
    counts = np.zeros(bins)
    for frame in frames:
        check_geometry(frame, cell, atoms.pbc, radius)
        pairs = build_pairs(frame, cell, atoms.pbc, radius)
        distances = np.linalg.norm(pair_vectors(frame, cell, *pairs), axis=1)
        counts += np.histogram(distances, bins, range=(0.0, radius))[0]
    per_atom = counts / (len(frames) * len(atoms))
    edges = np.linspace(0.0, radius, bins + 1)
    shells = 4 / 3 * np.pi * np.diff(edges**3)
    return RadialDistribution(
        distances=(edges[1:] + edges[:-1]) / 2,
        values=per_atom * float(atoms.cell.volume) / (len(atoms) * shells),
        neighbors=np.cumsum(per_atom),
        frames=len(frames),
    )
