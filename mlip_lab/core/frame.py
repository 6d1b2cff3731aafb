"""One labelled structure as plain arrays: what the reader gives and what a potential is trained on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Frame:
    """A structure with the labels it has; a label that is missing is None.

    Attributes:
        numbers: Atomic numbers, int64 (n_atoms,).
        positions: Positions in Å, (n_atoms, 3).
        cell: Cell vectors as rows in Å, (3, 3); zero where not periodic.
        pbc: Periodic directions, bool (3,).
        energy: Total energy in eV.
        forces: Forces in eV/Å, (n_atoms, 3).
        stress: Stress in eV/Å³, (3, 3), tension positive.
        kind: Kind of structure ("Surface", "AIMD", ...), "" if not known.
        source: Where it was read from.
    """

    numbers: NDArray[np.int64]
    positions: NDArray[np.float64]
    cell: NDArray[np.float64]
    pbc: NDArray[np.bool_]
    energy: float | None = None
    forces: NDArray[np.float64] | None = None
    stress: NDArray[np.float64] | None = None
    kind: str = ""
    source: str = ""

    @property
    def volume(self) -> float:
        """Cell volume in Å³; zero unless the frame is periodic in three directions."""
        return float(abs(np.linalg.det(self.cell))) if bool(self.pbc.all()) else 0.0
