"""Single modes: those that are not stable and what they mean, and a mode as a film."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import lcm

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from mlip_lab.core.checks import as_floats, as_integer
from mlip_lab.properties.force_constants import Waves
from mlip_lab.properties.phonon_path import BandPath

Floats = NDArray[np.float64]
STEADY = 0.05  # THz; what is less imaginary than that may be rounding
NEAR = 0.12  # of a reciprocal vector: a wave that long sees the crystal as a continuum
MOST_CELLS = 8  # along one vector in which a wave is said to repeat


@dataclass(frozen=True, eq=False)
class ImaginaryMode:
    """A mode that lowers the energy.

    Attributes:
        q: Its point in units of the primitive cell's reciprocal vectors, (3,).
        name: Name of the point, as "X", or "between Γ and X".
        band: Which mode there, 0 for the lowest.
        frequency: THz, negative: i times its size.
        meaning: What it says of the crystal, in a sentence.
    """

    q: Floats
    name: str
    band: int
    frequency: float
    meaning: str


def imaginary_modes(path: BandPath, frequencies: Floats) -> tuple[ImaginaryMode, ...]:
    """Imaginary modes at the named points, and the most imaginary one of each segment if it lies between two.

    Args:
        path: Points in the Brillouin zone.
        frequencies: THz there, (n_points, n_modes).
    """
    found: dict[tuple[str, int], ImaginaryMode] = {}
    for segment, (begin, end) in zip(path.segments, _ends(path), strict=True):
        bands = frequencies[segment]
        for place, name in ((0, begin), (len(bands) - 1, end)):
            for band in np.flatnonzero(bands[place] < -STEADY):
                mode = _mode(path.qpoints[segment][place], name, int(band), float(bands[place, band]))
                found.setdefault((name, int(band)), mode)
        lowest = int(bands[:, 0].argmin())
        if 0 < lowest < len(bands) - 1 and bands[lowest, 0] < -STEADY:
            name = f"between {begin} and {end}"
            found.setdefault((name, 0), _mode(path.qpoints[segment][lowest], name, 0, float(bands[lowest, 0])))
    return tuple(sorted(found.values(), key=lambda mode: mode.frequency))


def moving_frames(
    waves: Waves, cell: Atoms, q: Sequence[float] | Floats, band: int, *, amplitude: float, count: int, atoms: int
) -> list[Atoms]:
    """u_j(r, t) ∝ Re[e_j e^{i(q·r − ωt)}] / √m_j over one period; see `PhononResult.mode`."""
    point = as_floats("q", q, (3,))
    as_integer("band", band, low=0, high=3 * len(cell) - 1)
    as_integer("count", count, low=2, high=1000)
    waves.run_qpoints(point[None], with_eigenvectors=True)
    vectors = np.asarray(waves.qpoints.eigenvectors)[0, :, band].reshape(-1, 3)
    shape = vectors / np.sqrt(cell.get_masses())[:, None]
    repeats = np.array(repeats_of(point))
    while np.prod(repeats) * len(cell) < atoms:
        repeats[np.argmin(repeats * cell.cell.lengths())] *= 2
    still: Atoms = cell.repeat(tuple(int(n) for n in repeats))
    # phonopy's phase is that of the atom's own place, not that of its cell
    phases = np.exp(2j * np.pi * (still.positions @ cell.cell.reciprocal().array.T) @ point)
    waving = np.tile(shape, (int(np.prod(repeats)), 1)) * phases[:, None]
    largest = np.linalg.norm(waving, axis=1).max()
    frames = []
    for k in range(count):
        frame = still.copy()
        frame.positions += amplitude / largest * (waving * np.exp(-2j * np.pi * k / count)).real
        frames.append(frame)
    return frames


def repeats_of(q: Floats) -> tuple[int, int, int]:
    """Cells along each vector after which a wave repeats, each at most eight (then nearly)."""
    first, second, third = (Fraction(float(part)).limit_denominator(MOST_CELLS).denominator for part in q)
    return first, second, third


def _ends(path: BandPath) -> list[tuple[str, str]]:
    """Names of the first and last point of each segment."""
    names = [label for label, _ in path.labels]
    return [(a.split("|")[-1], b.split("|")[0]) for a, b in pairwise(names)]


def _mode(q: Floats, name: str, band: int, frequency: float) -> ImaginaryMode:
    return ImaginaryMode(q=q, name=name, band=band, frequency=frequency, meaning=_meaning(q, band))


def _meaning(q: Floats, band: int) -> str:
    off = q - np.round(q)
    if np.abs(off).max() < 1e-6:
        if band >= 3:
            return "The atoms within each cell would rather sit elsewhere: the structure is not a minimum."
        return "A shift of the whole crystal costs no energy: this is the error of the forces, not physics."
    if np.abs(off).max() < NEAR:
        return (
            "A long wave: the crystal gives way to a shear or stretch (see its elastic constants), or the supercell "
            "is too small."
        )
    repeats = repeats_of(off)
    exact = all(abs(part * n - round(part * n)) < 1e-6 for part, n in zip(off, repeats, strict=True))
    cells = " × ".join(map(str, repeats))
    if exact and lcm(*repeats) <= MOST_CELLS:
        return f"The crystal would rather take a pattern that repeats after {cells} cells."
    return "The crystal would rather take a pattern that repeats after many cells, or the supercell is too small."
