"""H5MD files follow the specification, hold what was put in, and are whole at every moment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from mlip_lab.core.errors import FileFormatError
from mlip_lab.core.h5md import ENERGY, GRAIN, PLACES, Frames, H5MDFile, read_h5md


def frames(start: int, end: int, n_atoms: int = 5) -> Frames:
    """Frames that are functions of their numbers alone."""
    each = [np.random.default_rng(k) for k in range(start, end)]
    shape = (n_atoms, 3)
    numbers = np.arange(start, end)
    return Frames(
        symbols=("Si", "O", "Si", "H", "O")[:n_atoms] if n_atoms <= 5 else ("Si",) * n_atoms,
        masses=np.linspace(1.0, 28.0, n_atoms),
        pbc=np.array([True, True, False]),
        steps=10 * numbers,
        times=5.0 * numbers,
        positions=np.array([10.0 * r.normal(size=shape) for r in each]).reshape(-1, *shape),
        cells=np.array([np.diag([5.0, 6.0, 7.0]) + 0.1 * k for k in numbers]).reshape(-1, 3, 3),
        velocities=np.array([0.01 * r.normal(size=shape) for r in each]).reshape(-1, *shape),
        forces=np.array([r.normal(size=shape) for r in each]).reshape(-1, *shape),
        energies=-numbers / 3.0,
    )


def same(found: Frames, expected: Frames) -> None:
    assert found.symbols == expected.symbols
    for name in ("masses", "pbc", "steps", "times", "cells", "energies"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    for name in ("positions", "velocities", "forces"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=0.0, atol=0.5 * GRAIN[name])


def opened(path: Path, resume: bool = False) -> H5MDFile:
    return H5MDFile(path, resume=resume, version="1.2")


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    file = opened(path)
    for start, end in ((0, 1), (1, 40), (40, 41)):
        file.append(frames(start, end))
    same(read_h5md(path), frames(0, 41))  # while it is being written
    file.close()
    same(read_h5md(path), frames(0, 41))
    same(read_h5md(path, most=2), frames(0, 2))
    file = opened(path, resume=True)
    assert file.n_there == 41
    file.append(frames(41, 45))
    file.close()
    same(read_h5md(path), frames(0, 45))
    with pytest.raises(FileExistsError):
        opened(path)


def test_the_layout_is_that_of_the_specification(tmp_path: Path) -> None:
    file = opened(tmp_path / "run.h5")
    file.append(frames(0, 3))
    file.close()
    with h5py.File(tmp_path / "run.h5", "r") as content:
        about = content["h5md"]
        assert about.attrs["version"].tolist() == [1, 1] and about["modules/units"].attrs["version"].tolist() == [1, 0]
        assert (about["creator"].attrs["name"], about["creator"].attrs["version"]) == ("mlip_lab", "1.2")
        assert "name" in about["author"].attrs
        atoms = content["particles/atoms"]
        box = atoms["box"]
        assert box.attrs["dimension"] == 3 and list(box.attrs["boundary"]) == ["periodic", "periodic", "none"]
        assert box["edges/value"].shape == (3, 3, 3) and atoms["mass"].attrs["unit"] == "u"
        names = {number: name for name, number in h5py.check_enum_dtype(atoms["species"].dtype).items()}
        assert [names[k] for k in atoms["species"][...]] == ["Si", "O", "Si", "H", "O"]
        for place, (_, unit, _) in PLACES.items():
            group = content[place]
            assert group["value"].attrs["unit"] == unit and group["time"].attrs["unit"] == "fs"
            assert len(group["value"]) == len(group["step"]) == len(group["time"]) == 3
            assert group["step"] == content[f"{ENERGY}/step"]  # shared by a hard link
            assert group["value"].compression == "gzip" and group["value"].maxshape[0] is None


def test_frames_take_less_than_half_the_room(tmp_path: Path) -> None:
    file, n_atoms, count = opened(tmp_path / "run.h5"), 64, 400
    for start in range(0, count, 25):
        file.append(frames(start, start + 25, n_atoms))
    file.close()
    assert (tmp_path / "run.h5").stat().st_size < 0.6 * count * n_atoms * 9 * 8


def test_files_of_other_programs_are_read_by_their_units(tmp_path: Path) -> None:
    path = tmp_path / "other.h5"
    positions = np.random.default_rng(0).normal(size=(4, 2, 3))
    with h5py.File(path, "w") as file:
        file.create_group("h5md").attrs["version"] = [1, 1]
        file.create_group("h5md/creator").attrs["name"] = "another"
        kind = h5py.enum_dtype({"Cu": 7, "O": 3}, basetype="i")
        group = file.create_group("particles/all")
        group.create_dataset("species", data=[3, 7], dtype=kind)
        group.create_group("box").attrs["boundary"] = ["periodic"] * 3
        group["box/edges"] = [1.0, 2.0, 3.0]
        group["position/value"], group["position/time"] = positions, np.arange(4) * 0.5
        group["position/step"] = np.arange(4) * 100
        group["position/value"].attrs["unit"] = group["box/edges"].attrs["unit"] = "nm"
        group["position/time"].attrs["unit"] = "ps"
    found = read_h5md(path)
    np.testing.assert_allclose(found.positions, 10.0 * positions, rtol=1e-15)
    assert found.symbols == ("O", "Cu") and found.times.tolist() == [0.0, 500.0, 1000.0, 1500.0]
    assert (found.cells == np.diag([10.0, 20.0, 30.0])).all() and found.velocities is None
    with h5py.File(path, "r+") as file:
        del file["particles/all/position/value"].attrs["unit"]
    with pytest.raises(FileFormatError, match="expected a unit, one of Angstrom"):
        read_h5md(path)
    with h5py.File(path, "w") as file:
        file["x"] = 1.0
    with pytest.raises(FileFormatError, match="not of the kind H5MD"):
        read_h5md(path)
    path.write_text("no HDF5")
    for call in (lambda: read_h5md(path), lambda: opened(path, resume=True)):
        with pytest.raises(FileFormatError, match="cannot be read as H5MD"):
            call()
    assert path.read_text() == "no HDF5"


KILLED = """
import sys
from pathlib import Path
from mlip_lab.core.h5md import H5MDFile
from tests.core.test_h5md import frames
file = H5MDFile(Path(sys.argv[1]), resume=True, version="1.2")
at = file.n_there
while True:
    file.append(frames(at, at + 3))
    at += 3
    print(at, flush=True)
"""


def test_a_killed_writer_loses_no_frame_that_it_reported(tmp_path: Path) -> None:
    path, chance, before = tmp_path / "run.h5", np.random.default_rng(5), 0
    for _ in range(4):
        process: Any = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, text=True,
            cwd=Path(__file__).resolve().parents[2],
        )  # fmt: skip
        first = int(process.stdout.readline())
        assert first == before + 3  # it went on where it was
        time.sleep(chance.uniform(0.0, 0.3))
        os.kill(process.pid, signal.SIGKILL)
        reported = [first, *(int(line) for line in process.stdout.read().splitlines())]
        process.wait()
        process.stdout.close()
        found = read_h5md(path)
        before = len(found.times)
        assert reported[-1] <= before <= reported[-1] + 3
        same(found, frames(0, before))
    file = opened(path, resume=True)
    assert file.n_there == before
    file.append(frames(before, before + 1))
    file.close()
    same(read_h5md(path), frames(0, before + 1))
    with h5py.File(path, "r"):
        pass  # any program opens it now
