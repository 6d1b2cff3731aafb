"""A trajectory file is whole at every moment."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read

from mlip_lab.core.errors import CalculationError, InputError
from mlip_lab.core.h5md import GRAIN, read_h5md
from mlip_lab.core.units import FEMTOSECOND
from mlip_lab.dynamics.trajectory import FORMATS, TrajectoryFile

NAMES = [f"run{suffix}" for suffix in FORMATS]
H5MD = (".h5", ".h5md")


def frames(count: int) -> list[Atoms]:
    made = []
    for i in range(count):
        atoms = bulk("Si", cubic=True)
        atoms.rattle(0.1, seed=i)
        atoms.set_momenta(np.random.default_rng(i).normal(size=(8, 3)))
        atoms.info["md_step"], atoms.info["time_fs"] = 10 * i, 20.0 * i
        atoms.calc = SinglePointCalculator(atoms, energy=-i / 3.0, forces=atoms.positions / 7.0)
        made.append(atoms)
    return made


@pytest.mark.parametrize("name", [name for name in NAMES if not name.endswith(H5MD)])
def test_frames_come_back(tmp_path: Path, name: str) -> None:
    file = TrajectoryFile(tmp_path / "new" / name)
    written = frames(4)
    for frame in written:
        file.add(frame)
    file.close()
    assert file.n_written == 4
    digits = 1e-15 if name.endswith("traj") else 1e-8  # extended XYZ has eight decimals
    for a, b in zip(written, read(file.path, ":"), strict=True):
        np.testing.assert_allclose(a.positions, b.positions, rtol=0.0, atol=digits)
        np.testing.assert_allclose(a.get_momenta(), b.get_momenta(), rtol=0.0, atol=digits)
        np.testing.assert_allclose(a.get_forces(), b.get_forces(), rtol=0.0, atol=digits)
        assert b.get_potential_energy() == pytest.approx(a.get_potential_energy(), abs=1e-8)
        assert b.info["md_step"] == a.info["md_step"]


def test_frames_come_back_from_h5md(tmp_path: Path) -> None:
    file, written = TrajectoryFile(tmp_path / "run.h5"), frames(4)
    for frame in written:
        file.add(frame)
    file.close()
    found = read_h5md(file.path)
    assert found.steps.tolist() == [0, 10, 20, 30] and found.times.tolist() == [0.0, 20.0, 40.0, 60.0]
    velocities = np.array([frame.get_velocities() for frame in written]) * FEMTOSECOND
    for name, expected in (
        ("positions", np.array([frame.positions for frame in written])),
        ("velocities", velocities),
        ("forces", np.array([frame.get_forces() for frame in written])),
    ):
        np.testing.assert_allclose(getattr(found, name), expected, rtol=0.0, atol=0.5 * GRAIN[name])
    np.testing.assert_array_equal(found.energies, [frame.get_potential_energy() for frame in written])
    np.testing.assert_array_equal(found.cells, [frame.cell.array for frame in written])
    assert found.symbols == ("Si",) * 8 and found.pbc.all() and (found.masses == written[0].get_masses()).all()


def test_a_batch_that_was_cut_does_not_hide_the_ones_before(tmp_path: Path) -> None:
    def content(count: int, name: str) -> bytes:
        file = TrajectoryFile(tmp_path / name)
        for frame in frames(count):
            file.add(frame)  # the first frame is flushed at once, the rest is the second batch
        file.close()
        return file.path.read_bytes()

    before, after = content(1, "a.extxyz"), content(3, "b.extxyz")
    assert after.startswith(before) and after[len(before) : len(before) + 1] == b" "
    pending = b"\n" + after[len(before) + 1 :]  # how the second batch is written until it is complete
    path = tmp_path / "cut.extxyz"
    for cut in [*range(0, len(pending), 41), len(pending)]:
        path.write_bytes(before + pending[:cut])
        assert len(read(path, ":")) == 1
        assert read(path).info["md_step"] == 0
    path.write_bytes(after)
    assert len(read(path, ":")) == 3


KILLED = """
import sys
from ase.build import bulk
from ase.calculators.emt import EMT
from mlip_lab.dynamics import trajectory
from mlip_lab.dynamics.md import md

trajectory.FLUSH_EVERY = 0.0
md(bulk("Cu", cubic=True), EMT(), steps=10**6, initial_temperature=300.0, sample_every=1, trajectory=sys.argv[1])
"""


@pytest.mark.parametrize("name", ["run.extxyz", "run.traj"])
def test_a_kill_leaves_a_readable_file(tmp_path: Path, name: str) -> None:
    chance = random.Random(3)
    for attempt in range(2):
        path = tmp_path / str(attempt) / name
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(path)], env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
        try:
            deadline = time.monotonic() + 120.0
            while not (path.exists() and path.stat().st_size > 20_000):
                assert process.poll() is None and time.monotonic() < deadline
                time.sleep(0.01)
            time.sleep(chance.uniform(0.0, 0.2))
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
        whole = read(path, ":")
        assert len(whole) > 5
        assert [frame.info["md_step"] for frame in whole] == list(range(len(whole)))
        assert all(np.isfinite(frame.get_potential_energy()) for frame in whole)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_overwritten(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("precious")
    with pytest.raises(InputError, match="exists and is not overwritten"):
        TrajectoryFile(path)
    assert path.read_text() == "precious"


def test_a_folder_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="choose another"):
        TrajectoryFile(tmp_path / "file" / "run.traj")


@pytest.mark.parametrize("name", ["run", "run.pdb", "run.extxyz.gz"])
def test_unknown_formats_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="expected a name ending in"):
        TrajectoryFile(tmp_path / name)
    assert not any(tmp_path.iterdir())


def test_a_full_disk_is_told_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = TrajectoryFile(tmp_path / "run.extxyz")
    first, second = frames(2)
    file.add(first)

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    file.add(second)
    with pytest.raises(CalculationError, match=r"No space left on device\. The first 1 frames are there"):
        file.close()
    assert len(read(file.path, ":")) == 1


def test_a_file_without_frames_is_removed(tmp_path: Path) -> None:
    TrajectoryFile(tmp_path / "run.traj").close()
    assert not any(tmp_path.iterdir())
