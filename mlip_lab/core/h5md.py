"""Trajectories as H5MD 1.1 (https://nongnu.org/h5md): HDF5 with compressed chunks that grows frame by frame.

Layout: `particles/atoms` holds `species` (an enumeration of symbols), `mass`, `box/edges`, `position`, `velocity` and
`force`, and `observables/potential_energy` the energy; each of the five that move as `value` with `step` and `time`,
which all share. Numbers are rounded to a power of two far below what matters (`GRAIN`), so that they compress to half.

A file that is being written is in the single-writer mode of HDF5, in which what is on disk is in order at every
moment: frames that were appended outlive a kill of the process, and are read while the run goes on. It is opened in
that mode at once, since a file whose writer was killed in the usual mode cannot be read. To go on after a kill, the
frames are moved to a new file that takes the place of the old one, since HDF5 refuses to write to that.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlip_lab.core.errors import FileFormatError
from mlip_lab.core.files import replacing

Floats = NDArray[np.float64]

ATOMS, ENERGY = "particles/atoms", "observables/potential_energy"
PLACES = {  # of what moves, its unit, and what it is rounded to
    f"{ATOMS}/position": ("positions", "Angstrom", 2.0**-17),
    f"{ATOMS}/velocity": ("velocities", "Angstrom fs-1", 2.0**-28),
    f"{ATOMS}/force": ("forces", "eV Angstrom-1", 2.0**-17),
    f"{ATOMS}/box/edges": ("cells", "Angstrom", None),
    ENERGY: ("energies", "eV", None),
}
MOVING = (f"{ENERGY}/step", f"{ENERGY}/time", *(f"{place}/value" for place in PLACES))
GRAIN = {name: grain for name, _, grain in PLACES.values()}
LENGTHS = {"Angstrom": 1.0, "angstrom": 1.0, "nm": 10.0, "pm": 0.01}
TIMES = {"fs": 1.0, "ps": 1e3, "ns": 1e6}
CHUNK_BYTES, CHUNK_FRAMES = 2**16, 16  # at most; a chunk that is not full is written anew, and its old place is lost
PIECE = 1000  # frames moved at a time


@dataclass(frozen=True)
class Frames:
    """Some frames of the same atoms.

    Attributes:
        symbols: Of each atom.
        masses: amu, (n_atoms,).
        pbc: Periodic directions, (3,).
        steps: Number of the step of each frame, (n_frames,).
        times: fs, (n_frames,).
        positions: Å, (n_frames, n_atoms, 3).
        cells: Cell vectors as rows in Å, (n_frames, 3, 3).
        velocities: Å/fs, (n_frames, n_atoms, 3); None if not known.
        forces: eV/Å, (n_frames, n_atoms, 3); None if not known.
        energies: Potential energies in eV, (n_frames,); None if not known.
    """

    symbols: tuple[str, ...]
    masses: Floats
    pbc: NDArray[np.bool_]
    steps: NDArray[np.int64]
    times: Floats
    positions: Floats
    cells: Floats
    velocities: Floats | None = None
    forces: Floats | None = None
    energies: Floats | None = None


class H5MDFile:
    """A file that frames are appended to.

    Attributes:
        n_there: Frames that it held when it was opened.
    """

    def __init__(self, path: Path, *, resume: bool, version: str) -> None:
        """Open a new file, or go on with one.

        Args:
            path: Where.
            resume: Whether it may be there; without it, the file must not exist.
            version: Of the program that writes.

        Raises:
            FileExistsError: If it exists and may not.
            FileFormatError: If it exists and cannot be read.
            OSError: If it cannot be written.
        """
        self._path, self._version, self.n_there = path, version, 0
        self._file: Any = None  # until the first frames say what atoms there are
        if not (resume and path.exists()):
            open(path, "xb").close()
        elif path.stat().st_size:
            if not _whole(path):
                _moved(path, version)
            self._file = _opened_to_append(path)
            self.n_there = len(self._file[f"{ENERGY}/step"])

    def append(self, frames: Frames) -> None:
        """Write frames; when this returns they are on disk.

        Raises:
            OSError: If the disk refuses.
        """
        if self._file is None:
            self._begin(frames)
        file, n = self._file, len(frames.times)
        step, time = file[f"{ENERGY}/step"], file[f"{ENERGY}/time"]
        end = len(step) + n
        for place, (name, _, _) in PLACES.items():
            _extend(file[f"{place}/value"], _rounded(name, getattr(frames, name)), end)
        _extend(time, frames.times, end)
        _extend(step, frames.steps, end)  # the last: a frame counts when its step is there
        file.flush()
        os.fsync(file.id.get_vfd_handle())

    def close(self) -> None:
        """Close the file; then any HDF5 program opens it."""
        if self._file is not None:
            self._file.close()

    def _begin(self, frames: Frames) -> None:
        """Put a file without frames in place."""
        import h5py

        with replacing(self._path) as temporary, h5py.File(temporary, "w", libver="latest") as file:
            _lay_out(file, frames, self._version)
        self._file = _opened_to_append(self._path)


def _opened_to_append(path: Path) -> Any:
    """A closed file in the single-writer mode; `h5py.File` would open it in the usual mode first."""
    import h5py

    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_libver_bounds(h5py.h5f.LIBVER_LATEST, h5py.h5f.LIBVER_LATEST)
    return h5py.File(h5py.h5f.open(os.fsencode(path), h5py.h5f.ACC_RDWR | h5py.h5f.ACC_SWMR_WRITE, access))


def _whole(path: Path) -> bool:
    """Whether a file was closed, and with as much of everything as it has frames."""
    import h5py

    with suppress(OSError, KeyError), h5py.File(path, "r") as file:
        end = len(file[f"{ENERGY}/step"])
        return all(len(file[name]) == end for name in MOVING)
    return False


def _moved(path: Path, version: str) -> None:
    """Write the whole frames of a file whose writer was killed to a new one in its place."""
    import h5py

    about = read_h5md(path, most=1)
    with h5py.File(path, "r", libver="latest", swmr=True) as old, replacing(path) as temporary:
        with h5py.File(temporary, "w", libver="latest") as new:
            _lay_out(new, about, version)
            end = len(old[f"{ENERGY}/step"])
            for name in MOVING:
                new[name].resize(end, axis=0)
                for start in range(0, end, PIECE):
                    new[name][start : start + PIECE] = old[name][start : min(start + PIECE, end)]


def _extend(dataset: Any, values: Any, end: int) -> None:
    dataset.resize(end, axis=0)
    dataset[end - len(values) :] = values


def _rounded(name: str, values: Floats) -> Floats:
    grain = GRAIN[name]
    return values if grain is None else np.asarray(np.rint(values / grain) * grain)


def _lay_out(file: Any, frames: Frames, version: str) -> None:
    """Groups, units and datasets without frames."""
    import h5py

    about = file.create_group("h5md")
    about.attrs["version"] = np.array([1, 1], dtype=np.int32)
    about.create_group("author").attrs["name"] = "unknown"
    about.create_group("creator").attrs.update({"name": "mlip_lab", "version": version})
    about.create_group("modules/units").attrs["version"] = np.array([1, 0], dtype=np.int32)
    atoms = file.create_group(ATOMS)
    names = sorted(set(frames.symbols))
    kind = h5py.enum_dtype({name: number for number, name in enumerate(names)}, basetype=np.int32)
    atoms.create_dataset("species", data=[names.index(symbol) for symbol in frames.symbols], dtype=kind)
    atoms.create_dataset("mass", data=frames.masses).attrs["unit"] = "u"
    box = atoms.create_group("box")
    box.attrs["dimension"] = np.int32(3)
    box.attrs.create("boundary", ["periodic" if axis else "none" for axis in frames.pbc], dtype=h5py.string_dtype())
    n = len(frames.symbols)
    many = max(1, min(CHUNK_FRAMES, CHUNK_BYTES // (24 * n)))
    shapes = {"energies": (), "cells": (3, 3)}
    first: Any = None
    for place, (name, unit, _) in PLACES.items():
        group, shape = file.create_group(place), shapes.get(name, (n, 3))
        value = group.create_dataset(
            "value", (0, *shape), np.float64, maxshape=(None, *shape), chunks=(many, *shape), compression="gzip",
            compression_opts=1, shuffle=True,
        )  # fmt: skip
        value.attrs["unit"] = unit
        if first is None:
            first = group
            group.create_dataset("step", (0,), np.int64, maxshape=(None,), chunks=(1024,))
            group.create_dataset("time", (0,), np.float64, maxshape=(None,), chunks=(1024,)).attrs["unit"] = "fs"
        else:
            group["step"], group["time"] = first["step"], first["time"]  # hard links: they share both


def read_h5md(path: Path, *, most: int | None = None) -> Frames:
    """Read the frames of a file, also of one that is being written or whose writer was killed.

    Args:
        path: Of this program or another; positions need a unit, and species names.
        most: Frames to read, from the first; None is all.

    Raises:
        FileFormatError: If it cannot be read.
    """
    import h5py

    try:
        with _opened(path) as file:
            if "h5md" not in file:
                raise FileFormatError(f"{path} is an HDF5 file, but not of the kind H5MD.")
            return _read(file, h5py, most)
    except (OSError, KeyError, ValueError, TypeError, IndexError) as error:
        raise FileFormatError(f"{path} cannot be read as H5MD ({error}). Is the file whole?") from error


def _opened(path: Path) -> Any:
    import h5py

    with suppress(OSError):
        return h5py.File(path, "r")
    return h5py.File(path, "r", libver="latest", swmr=True)


def _read(file: Any, h5py: Any, most: int | None) -> Frames:
    groups = list(file["particles"])
    if len(groups) != 1:
        raise FileFormatError(f"{file.filename}: expected one group of particles, got {len(groups)}.")
    atoms = file["particles"][groups[0]]
    codes = h5py.check_enum_dtype(atoms["species"].dtype)
    if codes is None:
        raise FileFormatError(f"{file.filename}: expected species with names of elements, got bare numbers.")
    names = {number: name for name, number in codes.items()}
    symbols = tuple(names[int(number)] for number in atoms["species"][...])
    position = atoms["position"]
    n = min(len(position["step"]), len(position["time"]), len(position["value"]))
    n = n if most is None else min(n, most)
    edges, boundary = atoms["box/edges"], atoms["box"].attrs["boundary"]
    moving = {"value"} <= set(edges) if isinstance(edges, h5py.Group) else False
    cells = _scaled(edges["value"], LENGTHS, n) if moving else _scaled(edges, LENGTHS, None)[None].repeat(n, axis=0)
    if cells.ndim == 2:  # lengths of a right-angled box
        cells = cells[:, :, None] * np.eye(3)
    ours = file["h5md/creator"].attrs.get("name") == "mlip_lab"
    more: Mapping[str, Floats] = {
        name: file[f"{place}/value"][:n] for place, (name, _, _) in PLACES.items() if ours and name not in
        ("positions", "cells")
    }  # fmt: skip
    return Frames(
        symbols=symbols,
        masses=atoms["mass"][...] if "mass" in atoms else np.full(len(symbols), np.nan),
        pbc=np.array([_text(end) == "periodic" for end in boundary]),
        steps=position["step"][:n].astype(np.int64),
        times=_scaled(position["time"], TIMES, n),
        positions=_scaled(position["value"], LENGTHS, n),
        cells=cells,
        **more,
    )


def _scaled(dataset: Any, units: Mapping[str, float], n: int | None) -> Floats:
    unit = _text(dataset.attrs.get("unit", ""))
    if unit not in units:
        raise FileFormatError(f"{dataset.name}: expected a unit, one of {', '.join(units)}; got {unit!r}.")
    values = dataset[...] if n is None else dataset[:n]
    return np.asarray(values, dtype=np.float64) * units[unit]


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
