"""Trajectory files that are whole at every moment, whenever the process is killed."""

from __future__ import annotations

import io
import os
import time
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from ase import Atoms
from ase.io.extxyz import write_xyz
from ase.io.trajectory import Trajectory, TrajectoryWriter
from ase.io.ulm import InvalidULMFileError

import mlip_lab
from mlip_lab.core.errors import CalculationError, InputError
from mlip_lab.core.h5md import Frames, H5MDFile
from mlip_lab.core.units import FEMTOSECOND

FLUSH_EVERY = 1.0  # s; what a kill costs at most
STEP_KEY = "md_step"  # in atoms.info: steps done so far, so that a continued run goes on with fresh noise
TIME_KEY = "time_fs"  # in atoms.info: when a frame was


class _Format(Protocol):
    n_there: int

    def append(self, frames: list[Atoms]) -> None: ...

    def close(self) -> None: ...


class _Extxyz:
    """Extended XYZ.

    A batch of frames is first written behind a blank line, where readers take the file to end. Once it is on disk, one
    byte turns the blank line into the head of the first frame.
    """

    def __init__(self, path: Path, resume: bool) -> None:
        there = resume and path.exists()
        self.n_there, end = _whole_frames(path) if there else (0, 0)
        self._file = open(path, "r+b" if there else "x+b", buffering=0)
        self._file.truncate(end)

    def append(self, frames: list[Atoms]) -> None:
        text = io.StringIO()
        write_xyz(text, frames)
        start = self._file.seek(0, os.SEEK_END)
        content = memoryview(b"\n" + text.getvalue().encode())
        while content:
            content = content[self._file.write(content) :]
        os.fsync(self._file.fileno())
        self._file.seek(start)
        self._file.write(b" ")
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


def _whole_frames(path: Path) -> tuple[int, int]:
    """How many frames readers see in an extended XYZ file, and where the last of them ends."""
    count, end = 0, 0
    with open(path, "rb") as file:
        while head := file.readline().strip():
            rest = [file.readline() for _ in range(int(head) + 1)]
            if not rest[-1].endswith(b"\n"):
                break
            count, end = count + 1, file.tell()
    return count, end


class _Traj:
    """ASE's own binary format, which counts a frame only when it is complete, and keeps all digits."""

    def __init__(self, path: Path, resume: bool) -> None:
        self.n_there = 0
        if resume and path.exists() and path.stat().st_size:
            try:
                with Trajectory(str(path)) as known:
                    self.n_there = len(known)
            except InvalidULMFileError:  # killed before the first frame was whole
                path.unlink()
        if self.n_there == 0:
            open(path, "ab" if resume else "xb").close()
        self._writer = TrajectoryWriter(str(path), "a" if self.n_there else "w")

    def append(self, frames: list[Atoms]) -> None:
        for frame in frames:
            self._writer.write(frame)

    def close(self) -> None:
        self._writer.close()


class _H5md:
    """H5MD, whose frames are in compressed chunks (see core/h5md.py)."""

    def __init__(self, path: Path, resume: bool) -> None:
        self._file = H5MDFile(path, resume=resume, version=mlip_lab.__version__)
        self.n_there = self._file.n_there

    def append(self, frames: list[Atoms]) -> None:
        first = frames[0]

        def each(part: Any) -> Any:
            return np.array([part(frame) for frame in frames])

        self._file.append(
            Frames(
                symbols=tuple(first.get_chemical_symbols()),
                masses=first.get_masses(),
                pbc=first.pbc,
                steps=each(lambda frame: frame.info[STEP_KEY]),
                times=each(lambda frame: frame.info[TIME_KEY]),
                positions=each(lambda frame: frame.positions),
                cells=each(lambda frame: frame.cell.array),
                velocities=each(Atoms.get_velocities) * FEMTOSECOND,
                forces=each(lambda frame: frame.get_forces(apply_constraint=False)),
                energies=each(Atoms.get_potential_energy),
            )
        )

    def close(self) -> None:
        self._file.close()


FORMATS: dict[str, type[_Extxyz] | type[_Traj] | type[_H5md]] = {
    ".extxyz": _Extxyz, ".xyz": _Extxyz, ".traj": _Traj, ".h5": _H5md, ".h5md": _H5md
}  # fmt: skip
SLOWLY = {".h5": 5.0, ".h5md": 5.0}  # times longer between two batches, which may both write the same chunk


class TrajectoryFile:
    """Frames on their way to a new file; a kill loses no more than the last second, the last five of H5MD."""

    def __init__(self, path: str | Path, *, resume: bool = False) -> None:
        """Create the file, or go on with it.

        Args:
            path: Where to write; must not exist, unless `resume`.
            resume: Whether to go on with a file that is there. The run that is taken up gives frames again from its
                checkpoint on: set `seen` to the number of those before. The ones that the file holds are not written
                twice.

        Raises:
            InputError: If the file exists, its folder cannot be written, or its format is not known.
        """
        self.path = Path(path)
        if self.path.suffix not in FORMATS:
            raise InputError(f"trajectory: expected a name ending in {', '.join(FORMATS)}; got {str(path)!r}.")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._format: _Format = FORMATS[self.path.suffix](self.path, resume)
        except FileExistsError as error:
            raise InputError(
                f"trajectory: {path} exists and is not overwritten; remove it or choose another name. "
                "To go on from it, start from its last frame and write to a new file."
            ) from error
        except OSError as error:
            raise InputError(f"trajectory: cannot write {path}: {error}; choose another folder.") from error
        self.n_written = self._format.n_there
        self.seen = 0  # frames of the run so far
        self._waiting: list[Atoms] = []
        self._flushed = time.monotonic()

    def add(self, frame: Atoms) -> None:
        """Take a frame and write it within about a second, unless the file holds it already."""
        self.seen += 1
        if self.seen <= self._format.n_there:
            return
        self._waiting.append(frame)
        every = FLUSH_EVERY * SLOWLY.get(self.path.suffix, 1.0)
        if time.monotonic() - self._flushed > every or self.n_written == 0:
            self.flush()

    def flush(self) -> None:
        """Bring every frame taken so far to disk.

        Raises:
            CalculationError: If the disk refuses, because it is full for example.
        """
        if self._waiting:
            try:
                self._format.append(self._waiting)
            except OSError as error:
                raise CalculationError(
                    f"trajectory: writing to {self.path} failed: {error}. The first {self.n_written} frames are there."
                ) from error
            self.n_written += len(self._waiting)
            self._waiting = []
        self._flushed = time.monotonic()

    def close(self) -> None:
        """Write what is left and close the file; a file that got no frame is removed."""
        try:
            self.flush()
        finally:
            self._format.close()
            if self.n_written == 0:
                self.path.unlink(missing_ok=True)
