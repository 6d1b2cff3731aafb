"""Trajectory files that are whole at every moment, whenever the process is killed."""

from __future__ import annotations

import io
import os
import time
from pathlib import Path
from typing import Protocol

from ase import Atoms
from ase.io.extxyz import write_xyz
from ase.io.trajectory import TrajectoryWriter

from mlip_lab.core.errors import CalculationError, InputError

FLUSH_EVERY = 1.0  # s; what a kill costs at most


class _Format(Protocol):
    def append(self, frames: list[Atoms]) -> None: ...

    def close(self) -> None: ...


class _Extxyz:
    """Extended XYZ.

    A batch of frames is first written behind a blank line, where readers take the file to end. Once it is on disk, one
    byte turns the blank line into the head of the first frame.
    """

    def __init__(self, path: Path) -> None:
        self._file = open(path, "x+b", buffering=0)

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


class _Traj:
    """ASE's own binary format, which counts a frame only when it is complete, and keeps all digits."""

    def __init__(self, path: Path) -> None:
        open(path, "xb").close()
        self._writer = TrajectoryWriter(str(path), "w")

    def append(self, frames: list[Atoms]) -> None:
        for frame in frames:
            self._writer.write(frame)

    def close(self) -> None:
        self._writer.close()


FORMATS: dict[str, type[_Extxyz] | type[_Traj]] = {".extxyz": _Extxyz, ".xyz": _Extxyz, ".traj": _Traj}


class TrajectoryFile:
    """Frames on their way to a new .extxyz, .xyz or .traj file; a kill loses no more than the last second."""

    def __init__(self, path: str | Path) -> None:
        """Create the file.

        Args:
            path: Where to write; must not exist.

        Raises:
            InputError: If the file exists, its folder cannot be written, or its format is not known.
        """
        self.path = Path(path)
        if self.path.suffix not in FORMATS:
            raise InputError(f"trajectory: expected a name ending in {', '.join(FORMATS)}; got {str(path)!r}.")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._format: _Format = FORMATS[self.path.suffix](self.path)
        except FileExistsError as error:
            raise InputError(
                f"trajectory: {path} exists and is not overwritten; remove it or choose another name. "
                "To go on from it, read its last frame with ase.io.read and write to a new file."
            ) from error
        except OSError as error:
            raise InputError(f"trajectory: cannot write {path}: {error}; choose another folder.") from error
        self.n_written = 0
        self._waiting: list[Atoms] = []
        self._flushed = time.monotonic()

    def add(self, frame: Atoms) -> None:
        """Take a frame and write it within about a second."""
        self._waiting.append(frame)
        if time.monotonic() - self._flushed > FLUSH_EVERY or self.n_written == 0:
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
