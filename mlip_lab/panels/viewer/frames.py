"""What a viewer shows: one structure or many frames of it, cut to what can be drawn, and a number for each atom."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.geometry import wrap_positions
from numpy.typing import ArrayLike, NDArray

from mlip_lab.core.checks import as_floats
from mlip_lab.core.errors import InputError
from mlip_lab.plots.structure import bonded_pairs, color_limits, per_atom

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MOST_ATOMS = 20_000
STRETCHED = 1.5  # a bond is taken as broken at this many times its first length


class Frames:
    """Frames of one structure: the same atoms, with positions and a cell each.

    Attributes:
        atoms: All atoms; the positions are those of the first frame.
        kept: Indices of the atoms that are drawn.
        bonds: Pairs among the drawn atoms, by their place in `kept`; emptied when one of them breaks.
        scheme: What the colours mean.
        unit: Unit of the numbers behind the colours.
    """

    def __init__(self, atoms: Atoms, positions: ArrayLike | None, cells: ArrayLike | None, *, wrap: bool) -> None:
        """Take frames as they are.

        Args:
            atoms: The structure.
            positions: (n_frames, n_atoms, 3) in Å; None for the structure as it is.
            cells: (n_frames, 3, 3) in Å; None for that of the structure.
            wrap: Fold atoms into the cell when they are drawn.

        Raises:
            InputError: If shapes do not fit, numbers are not finite, or there is no frame.
        """
        if not isinstance(atoms, Atoms):
            raise InputError(f"atoms: expected a structure (ase.Atoms), got {type(atoms).__name__}.")
        count = len(atoms)
        given = atoms.positions[None].copy() if positions is None else positions
        self.positions: list[Floats] = list(as_floats("positions", given, (None, count, 3)))
        if not self.positions:
            raise InputError("positions: expected at least one frame, got none.")
        shape = (len(self.positions), 3, 3)
        boxes = np.broadcast_to(atoms.cell.array, shape) if cells is None else cells
        self.cells: list[Floats] = list(as_floats("cells", boxes, shape))
        self.atoms = Atoms(numbers=atoms.numbers, positions=self.positions[0], cell=self.cells[0], pbc=atoms.pbc)
        self.scheme, self.unit = "element", ""
        self._wrap = wrap
        self._values: Floats | None = None  # (n_frames, n_atoms), or (1, n_atoms) for all frames; None to work them out
        self._range: tuple[float, float] | None = None
        self._fixed: tuple[float, float] | None = None
        self.kept = middle_slice(self.positions[0])
        first = self.drawn(0)
        self.bonds = bonded_pairs(first.numbers, first.positions)
        self._lengths = _lengths(first.positions, self.bonds)

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.positions)

    def at(self, index: int) -> Atoms:
        """All atoms of a frame, folded into the cell if that was asked for."""
        positions, cell = self.positions[index], self.cells[index]
        frame = Atoms(numbers=self.atoms.numbers, positions=positions, cell=cell, pbc=self.atoms.pbc)
        if self._wrap and frame.pbc.any():
            frame.positions = wrap_positions(positions, cell, frame.pbc)
        return frame

    def drawn(self, index: int) -> Atoms:
        """The atoms of a frame that are drawn."""
        frame = self.at(index)
        return frame if len(self.kept) == len(frame) else frame[self.kept]

    def put(self, positions: ArrayLike, cell: ArrayLike | None, index: int | None) -> None:
        """New coordinates in place of a frame, or one more frame where the index is None."""
        new = as_floats("positions", positions, (len(self.atoms), 3)).copy()
        last = len(self) - 1 if index is None else index
        box = self.cells[last] if cell is None else as_floats("cell", cell, (3, 3)).copy()
        if index is None:
            self.positions.append(new)
            self.cells.append(box)
        else:
            self.positions[index], self.cells[index] = new, box

    def bonds_hold(self, positions: Floats) -> bool:
        """Whether no bond has broken, in the coordinates of the drawn atoms."""
        return bool(np.all(_lengths(positions, self.bonds) < STRETCHED * self._lengths))

    def color_by(self, scheme: str, values: ArrayLike | None, unit: str, limits: tuple[float, float] | None) -> None:
        """Choose what the colours mean; see `Viewer.color_by`."""
        found = None if values is None else self._checked(scheme, np.asarray(values))
        if values is None and scheme != "displacement":
            per_atom(scheme, None, len(self.atoms))  # refuses what needs values
        if scheme != self.scheme or unit != self.unit:
            self._range = None
        self.scheme, self._values, self._fixed = scheme, found, limits
        self.unit = unit or ("Å" if scheme == "displacement" else "")
        for index in range(len(self)) if found is None else (0,):
            self._widen(found if found is not None else self._amounts(index))

    def amounts(self, index: int) -> Floats | None:
        """The numbers behind the colours of the drawn atoms; None where elements are shown."""
        found = self._amounts(index)
        if found is None:
            return None
        self._widen(found)
        return found[self.kept]

    @property
    def limits(self) -> tuple[float, float]:
        """Values at the two ends of the colours: they only widen, so that colours do not flicker."""
        if self._fixed is not None:
            return self._fixed
        return color_limits(self.scheme, None if self._range is None else np.array(self._range))

    @property
    def left_out(self) -> str:
        """What is not drawn, in words."""
        if len(self.kept) == len(self.atoms):
            return ""
        axis = int(np.argmax(np.ptp(self.atoms.positions, axis=0)))
        thickness = float(np.ptp(self.atoms.positions[self.kept, axis]))
        counts = f"{len(self.kept):,} of {len(self.atoms):,}".replace(",", " ")
        return f"{counts} atoms: a slice through the middle, {thickness:.1f} Å thick, across {'xyz'[axis]}."

    def _checked(self, scheme: str, values: NDArray[np.floating]) -> Floats:
        count = len(self.atoms)
        many = values.ndim == 3 or (values.ndim == 2 and values.shape != (count, 3))
        if many and len(values) != len(self):
            raise InputError(f"values: expected (n_atoms,) = ({count},) or one row a frame, got {values.shape}.")
        rows = [per_atom(scheme, row, count) for row in (values if many else values[None])]
        return np.array(rows)

    def _amounts(self, index: int) -> Floats | None:
        if self.scheme == "element":
            return None
        if self._values is None:
            return np.asarray(np.linalg.norm(self.positions[index] - self.atoms.positions, axis=1))
        return np.asarray(self._values[min(index, len(self._values) - 1)])

    def _widen(self, amounts: Floats | None) -> None:
        if amounts is None or amounts.size == 0:
            return
        low, high = float(amounts.min()), float(amounts.max())
        self._range = (low, high) if self._range is None else (min(low, self._range[0]), max(high, self._range[1]))


def elsewhere(old: Atoms, new: Atoms) -> bool:
    """Whether the camera has to be set anew: other atoms, or the same ones in quite another place."""
    if not np.array_equal(old.numbers, new.numbers) or len(old) == 0:
        return True
    size = max(float(np.ptp(old.positions, axis=0).max()), 1.0)
    moved = np.abs(old.positions.mean(axis=0) - new.positions.mean(axis=0)).max()
    return bool(max(moved, np.abs(old.cell.array - new.cell.array).max()) > 0.2 * size)


def middle_slice(positions: Floats) -> Ints:
    """Indices of all atoms, or of the 20 000 nearest to the middle plane across the longest side."""
    if len(positions) <= MOST_ATOMS:
        return np.arange(len(positions))
    along = positions[:, np.argmax(np.ptp(positions, axis=0))]
    away = np.abs(along - (along.min() + along.max()) / 2)
    return np.sort(np.argsort(away, kind="stable")[:MOST_ATOMS])


def _lengths(positions: Floats, pairs: Ints) -> Floats:
    return np.asarray(np.linalg.norm(positions[pairs[:, 0]] - positions[pairs[:, 1]], axis=1))
