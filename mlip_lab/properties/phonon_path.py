"""The path through the Brillouin zone on which phonons are shown."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from mlip_lab.properties.symmetry import SYMMETRY_TOLERANCE, kinds_of

Floats = NDArray[np.float64]
SPACING = 0.02  # 1/Å between neighbouring points, 2π included


@dataclass(frozen=True, eq=False)
class BandPath:
    """Points in reciprocal space, one segment after the other.

    Attributes:
        qpoints: In units of the primitive cell's reciprocal vectors, (n, 3).
        distances: Length of the path so far in 1/Å with 2π, (n,); a jump between segments has none.
        labels: Names of the points where segments meet, with their distance: ("Γ", 0.0) and so on; "U|K" is a jump.
        points: Coordinates of the named points by name.
        breaks: Index of the first point of each segment after the first.
    """

    qpoints: Floats
    distances: Floats
    labels: tuple[tuple[str, float], ...]
    points: dict[str, Floats]
    breaks: tuple[int, ...]

    @property
    def segments(self) -> list[slice]:
        """Where each segment lies in the arrays."""
        ends = [0, *self.breaks, len(self.qpoints)]
        return [slice(first, last) for first, last in pairwise(ends)]


def band_path(atoms: Atoms, spacing: float = SPACING) -> BandPath:
    """The path that seekpath recommends for the symmetry of a primitive cell.

    Y. Hinuma and others, DOI 10.1016/j.commatsci.2016.10.015.

    Args:
        atoms: A primitive cell.
        spacing: 1/Å between neighbouring points.
    """
    cell = (atoms.cell.array, atoms.get_scaled_positions(), kinds_of(atoms))
    import seekpath  # late: a Lab opens without it

    found = seekpath.get_path_orig_cell(cell, symprec=SYMMETRY_TOLERANCE)
    points = {_label(name): np.array(place, dtype=np.float64) for name, place in found["point_coords"].items()}
    reciprocal = 2 * np.pi * atoms.cell.reciprocal().array
    qpoints: list[Floats] = []
    distances: list[Floats] = []
    breaks: list[int] = []
    labels: list[tuple[str, float]] = []
    done = 0.0
    for begin, end in ((_label(a), _label(b)) for a, b in found["path"]):
        length = float(np.linalg.norm((points[end] - points[begin]) @ reciprocal))
        along = np.linspace(0, 1, max(2, round(length / spacing) + 1))
        if qpoints:
            breaks.append(sum(map(len, qpoints)))
        if labels and labels[-1][0] != begin:
            labels[-1] = (f"{labels[-1][0]}|{begin}", done)
        labels = labels or [(begin, 0.0)]
        qpoints.append(points[begin] + along[:, None] * (points[end] - points[begin]))
        distances.append(done + along * length)
        done += length
        labels.append((end, done))
    return BandPath(np.concatenate(qpoints), np.concatenate(distances), tuple(labels), points, tuple(breaks))


def _label(name: str) -> str:
    return "Γ" if name == "GAMMA" else name.replace("SIGMA", "Σ").replace("DELTA", "Δ").replace("LAMBDA", "Λ")
