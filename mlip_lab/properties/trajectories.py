"""Moving atoms as plain arrays, from a run, a list of frames or a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import numpy as np
from ase import Atoms
from ase.io import iread
from numpy.typing import NDArray

from mlip_lab.core.checks import as_floats
from mlip_lab.core.errors import FileFormatError, InputError
from mlip_lab.core.h5md import read_h5md
from mlip_lab.core.quantities import Quantity
from mlip_lab.core.units import FEMTOSECOND

Floats = NDArray[np.float64]
FORMATS = {".extxyz": "extxyz", ".xyz": "extxyz", ".traj": "traj", ".h5": "h5md", ".h5md": "h5md"}
TIME_KEY = "time_fs"  # in atoms.info, where a frame's file says when it was


class Run(Protocol):
    """What `md` gives back."""

    @property
    def atoms(self) -> Atoms:
        """Last state."""

    @property
    def positions(self) -> Floats:
        """Sampled positions in Å, (n_frames, n_atoms, 3)."""

    @property
    def sample_times(self) -> Floats:
        """When these were taken, fs."""


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Frames of the same atoms.

    Attributes:
        atoms: The first frame, without calculator.
        positions: Å, (n_frames, n_atoms, 3).
        cells: Cell vectors of each frame as rows in Å, (n_frames, 3, 3).
        times: fs, (n_frames,); None if not known.
        velocities: Å/fs, (n_frames, n_atoms, 3); None if not known.
    """

    atoms: Atoms
    positions: Floats
    cells: Floats
    times: Floats | None = None
    velocities: Floats | None = None

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.positions)

    @property
    def species(self) -> tuple[tuple[str, ...], NDArray[np.int64]]:
        """Chemical symbols that occur, sorted, and the place of each atom's among them."""
        names, of_atom = np.unique(self.atoms.get_chemical_symbols(), return_inverse=True)
        return tuple(map(str, names)), np.asarray(of_atom, dtype=np.int64)

    def later(self, discard: float) -> Trajectory:
        """Without the given part at the start."""
        return self[int(discard * len(self)) :]

    def __getitem__(self, frames: slice) -> Trajectory:
        """Some of the frames."""
        times = None if self.times is None else self.times[frames]
        velocities = None if self.velocities is None else self.velocities[frames]
        return replace(
            self, positions=self.positions[frames], cells=self.cells[frames], times=times, velocities=velocities
        )

    def unwrapped(self) -> Floats:
        """Positions that move without jumps, Å, (n_frames, n_atoms, 3).

        Where all frames lie inside their cell they are taken as wrapped into it, and every step is the shortest one;
        else they are returned as they are.
        """
        pbc = self.atoms.pbc
        if len(self) < 2 or not pbc.any():
            return self.positions
        fractions = self.positions @ np.linalg.inv(_completed(self.cells, pbc))
        inside = (fractions[..., pbc] > -1e-6) & (fractions[..., pbc] < 1 + 1e-6)
        if not inside.all():
            return self.positions
        steps = np.diff(fractions, axis=0)
        steps[..., pbc] -= np.rint(steps[..., pbc])
        path = np.concatenate([fractions[:1], fractions[:1] + np.cumsum(steps, axis=0)])
        return np.asarray(path @ _completed(self.cells, pbc))


if TYPE_CHECKING:
    Frames = str | Path | Atoms | Sequence[Atoms] | Run | Trajectory
else:
    Frames = str | Path  # what a form can hold

Discard = Annotated[float, Quantity("", low=0.0, high=0.95)]
Interval = Annotated[float, Quantity("fs", low=0.0, high=1e6, open_low=True)]


def trajectory_of(source: Any, *, name: str = "trajectory") -> Trajectory:
    """Frames as arrays.

    Args:
        source: A .extxyz, .xyz, .traj or .h5 (H5MD) file, frames as ase.Atoms, one frame, the result of `md` or
            of `pimd`, whose beads are frames without a time, or a Trajectory.
        name: What the user calls this input.

    Raises:
        InputError: If it is none of these, holds no frames, or frames of different atoms.
    """
    if isinstance(source, Trajectory):
        return source
    if isinstance(source, str | Path):
        return _loaded(Path(source), name)
    if isinstance(source, Atoms):
        return _joined([source], name)
    if isinstance(getattr(source, "atoms", None), Atoms) and hasattr(source, "beads"):
        # the beads of a moment one after another, each a frame: averages over them are those of quantum mechanics
        return of_positions(source.atoms, source.positions.reshape(-1, len(source.atoms), 3), name=name)
    if isinstance(getattr(source, "atoms", None), Atoms) and hasattr(source, "sample_times"):
        run = of_positions(source.atoms, source.positions, times=np.asarray(source.sample_times), name=name)
        cells = getattr(source, "cells", None)  # None where the cell did not change
        return run if cells is None else replace(run, cells=np.asarray(cells))
    if isinstance(source, Sequence) and all(isinstance(frame, Atoms) for frame in source):
        return _joined(list(source), name)
    raise InputError(
        f"{name}: expected a file ({', '.join(FORMATS)}), a list of ase.Atoms or what md gives back, "
        f"got {type(source).__name__}."
    )


def of_positions(atoms: Atoms, positions: Any, *, times: Floats | None = None, name: str = "positions") -> Trajectory:
    """Frames in one cell."""
    found = as_floats(name, positions, (None, len(atoms), 3))
    if len(found) == 0:
        raise InputError(f"{name}: expected at least one frame, got none.")
    return Trajectory(_bare(atoms), found, np.tile(atoms.cell.array, (len(found), 1, 1)), times)


def needs_density(trajectory: Trajectory, name: str = "trajectory") -> None:
    """Refuse atoms that have no density, because some direction is not periodic."""
    volumes = np.abs(np.linalg.det(trajectory.cells))
    if len(trajectory.atoms) == 0 or not trajectory.atoms.pbc.all() or not (volumes > 0).all():
        raise InputError(
            f"{name}: a density needs atoms in a cell that is periodic in three directions. Choose a crystal or liquid."
        )


def obstacle(path: str | Path, *, name: str = "trajectory", density: bool = False, interval: Any = 1.0) -> str:
    """Why a file cannot be used, in words, by a look at its first frame; "" if nothing speaks against it.

    Args:
        path: The file.
        name: What the user calls this input.
        density: Whether it has to be periodic in three directions.
        interval: Time between frames, if it is given; None if the file has to say it.
    """
    try:
        path = Path(path)
        state = path.stat() if path.is_file() else None
        stamp = None if state is None else (state.st_mtime_ns, state.st_size)
        first = _first(path, name, stamp)
        if density:
            needs_density(first, name)
    except InputError as error:
        return str(error)
    if interval is None and first.times is None:
        return "Give the time between two frames in fs; this file does not say it."
    return ""


@lru_cache(maxsize=16)
def _first(path: Path, name: str, _: Any) -> Trajectory:
    return _loaded(path, name, most=1)


def _loaded(path: Path, name: str, most: int | None = None) -> Trajectory:
    """Frames of a file, from the first to at most so many."""
    _check_file(path, name)
    if FORMATS[path.suffix] != "h5md":
        return _joined(list(islice(_frames(path, name), most)), name)
    try:
        found = read_h5md(path, most=most)
    except FileFormatError as error:
        raise InputError(f"{name}: {error}") from error
    if len(found.times) == 0:
        raise InputError(f"{name}: expected at least one frame with atoms, got none.")
    masses = found.masses if np.isfinite(found.masses).all() else None
    atoms = Atoms(found.symbols, found.positions[0], masses=masses, cell=found.cells[0], pbc=found.pbc)
    positions = as_floats(name, found.positions, (None, len(atoms), 3))
    return Trajectory(
        atoms, positions, as_floats(f"cells of {name}", found.cells, (None, 3, 3)), found.times, found.velocities
    )


def _check_file(path: Path, name: str) -> None:
    if path.suffix not in FORMATS:
        raise InputError(f"{name}: expected a file ending in {', '.join(FORMATS)}; got {str(path)!r}.")
    if not path.is_file():
        here = sorted(p.name for p in path.parent.glob("*") if p.suffix in FORMATS) if path.parent.is_dir() else []
        there = f"In its folder there are: {', '.join(here[:8])}." if here else "Molecular dynamics writes one."
        raise InputError(f"{name}: there is no file {path}. {there}")


def _frames(path: Path, name: str) -> Iterator[Atoms]:
    try:
        yield from iread(path, index=":", format=FORMATS[path.suffix], do_not_split_by_at_sign=True)
    except Exception as error:  # ASE's readers raise anything on a damaged file
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise InputError(f"{name}: {path} cannot be read ({reason}). Is the file whole?") from error


def _joined(frames: list[Atoms], name: str) -> Trajectory:
    if not frames or len(frames[0]) == 0:
        raise InputError(f"{name}: expected at least one frame with atoms, got none.")
    first = frames[0]
    for number, frame in enumerate(frames):
        if not np.array_equal(frame.numbers, first.numbers) or not np.array_equal(frame.pbc, first.pbc):
            raise InputError(f"{name}: expected the same atoms in every frame, but frame {number} has others.")
    times = [frame.info.get(TIME_KEY) for frame in frames]
    known = None if any(time is None for time in times) else as_floats(TIME_KEY, times, (None,))
    moving = all(frame.has("momenta") for frame in frames)
    return Trajectory(
        _bare(first),
        as_floats(name, [frame.positions for frame in frames], (None, len(first), 3)),
        as_floats(f"cells of {name}", [frame.cell.array for frame in frames], (None, 3, 3)),
        known,
        np.array([frame.get_velocities() for frame in frames]) * FEMTOSECOND if moving else None,
    )


def _bare(atoms: Atoms) -> Atoms:
    copy: Atoms = atoms.copy()
    copy.calc = None
    return copy


def _completed(cells: Floats, pbc: NDArray[np.bool_]) -> Floats:
    """Cells whose missing vectors are replaced by unit vectors that make them invertible."""
    full = cells.copy()
    for cell in full:
        missing = ~pbc & (np.linalg.norm(cell, axis=1) == 0)
        if missing.any():
            cell[missing] = np.linalg.svd(cell[~missing])[2][-missing.sum() :] if (~missing).any() else np.eye(3)
    return full
