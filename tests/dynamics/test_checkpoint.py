"""A run that was stopped or killed goes on to the very state it would have had."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.io import read

from mlip_lab.core.errors import Cancelled, FileFormatError, InputError
from mlip_lab.core.h5md import read_h5md
from mlip_lab.dynamics import run as run_module
from mlip_lab.dynamics.md import SCHEMES, md
from mlip_lab.properties.trajectories import trajectory_of

ROOT = Path(__file__).resolve().parents[2]
RUNS: dict[str, dict[str, Any]] = {
    "nve": {"initial_temperature": 120.0},
    **{name: {"ensemble": name, "temperature": 60.0} for name in SCHEMES if name != "nve"},
}


def same(one: Any, other: Any) -> bool:
    names = ("potential_energy", "kinetic_energy", "heat", "force_square", "positions", "species_temperatures")
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names) and np.array_equal(
        one.atoms.get_momenta(), other.atoms.get_momenta()
    )


@pytest.mark.parametrize("ensemble", RUNS)
def test_a_stopped_run_goes_on_to_the_same_last_bit(
    argon: Atoms, fast: Any, ensemble: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module, "REPORT_EVERY", 0.0)
    how = {"steps": 180, "time_step": 4.0, **RUNS[ensemble]}
    whole = md(argon, fast, trajectory=tmp_path / "whole.traj", **how)
    file = {"checkpoint": tmp_path / "run.npz", "trajectory": tmp_path / "run.traj"}
    for end in (0, 7, 60, 111):

        def stop(done: int, total: int, /, *, end: int = end, **live: Any) -> None:
            if done >= end:
                raise Cancelled

        part = md(argon, fast, progress=stop, **file, **how)
        assert part.stopped and len(part.times) == end + 1
    found = md(argon, fast, **file, **how)
    assert same(found, whole)
    assert same(md(argon, fast, **file, **how), whole)  # what is done is not done again
    frames, expected = read(file["trajectory"], ":"), read(tmp_path / "whole.traj", ":")
    assert [f.info["md_step"] for f in frames] == list(range(0, 181, 10))
    assert all(np.array_equal(a.positions, b.positions) for a, b in zip(frames, expected, strict=True))


def test_another_run_is_not_gone_on_with(argon: Atoms, fast: Any, tmp_path: Path) -> None:
    file = tmp_path / "run.npz"
    md(argon, fast, steps=10, checkpoint=file, initial_temperature=50.0)
    with pytest.raises(InputError, match="belongs to another run, with another seed, steps"):
        md(argon, fast, steps=20, checkpoint=file, initial_temperature=50.0, seed=1)
    moved = argon.copy()
    moved.positions[0, 0] += 1e-9
    with pytest.raises(InputError, match="with another structure"):
        md(moved, fast, steps=10, checkpoint=file, initial_temperature=50.0)
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(FileFormatError, match=r"cannot be read.*Remove it to begin again"):
        md(argon, fast, steps=10, checkpoint=file, initial_temperature=50.0)


def test_a_trajectory_that_does_not_belong_to_it_is_refused(argon: Atoms, fast: Any, tmp_path: Path) -> None:
    how: dict[str, Any] = {"steps": 40, "initial_temperature": 50.0, "checkpoint": tmp_path / "run.npz"}
    path = tmp_path / "run.extxyz"
    path.write_text("mine")
    with pytest.raises(InputError, match="exists, but not the checkpoint"):
        md(argon, fast, trajectory=path, **how)
    path.unlink()
    md(argon, fast, trajectory=path, **how)
    path.unlink()
    with pytest.raises(InputError, match="holds 0 of the 5 frames before the checkpoint"):
        md(argon, fast, trajectory=path, **how)


# One process that is killed and begun again without loading everything anew: it forks before it runs.
KILLED = """
import os, random, signal, sys, time
from pathlib import Path
from ase.build import bulk
from mlip_lab.dynamics import run, trajectory
from mlip_lab.dynamics.md import SCHEMES, md
from mlip_lab.properties.trajectories import trajectory_of
from tests.dynamics.conftest import ToyCalculator, argon_from

module, folder, name = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
force = ToyCalculator(argon_from(module), fast=True)
run.SAVE_EVERY, run.SAVE_SHARE, run.REPORT_EVERY, trajectory.FLUSH_EVERY = 0.02, 1e3, 0.005, 0.01
atoms = bulk("Ar", cubic=True, a=5.3) * 2
how = dict(steps=40000, time_step=4.0, ensemble="langevin", temperature=60.0, sample_every=100)
md(atoms, force, trajectory=folder / f"first-{name}", **{**how, "steps": 5})  # loads all that it takes
random.seed(4)
checkpoint = folder / "run.npz"
stamp = lambda: checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
kills = 0
while kills < 10:
    before = stamp()
    child = os.fork()
    if child == 0:
        md(atoms, force, trajectory=folder / name, checkpoint=checkpoint, **how)
        os._exit(0)
    while kills % 2 and stamp() == before:  # every other one lives to save something, however busy the machine
        time.sleep(0.001)
    time.sleep(random.uniform(0.02, 0.12))
    os.kill(child, signal.SIGKILL)
    killed = os.WIFSIGNALED(os.waitpid(child, 0)[1])
    assert killed, "the run was over before the tenth kill"
    kills += 1
print(kills)
"""


@pytest.mark.parametrize("name", ["run.extxyz", "run.h5"])
def test_a_run_killed_ten_times_ends_in_the_same_state(
    argon: Atoms, toy: Any, fast: Any, tmp_path: Path, name: str
) -> None:
    md(argon, fast, steps=5, initial_temperature=10.0)  # compiled, so that the processes below find it
    command = [sys.executable, "-c", KILLED, str(toy.module.__file__), str(tmp_path), name]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=250)
    assert done.returncode == 0 and done.stdout.split() == ["10"], done.stderr
    how: dict[str, Any] = {
        "steps": 40000, "time_step": 4.0, "ensemble": "langevin", "temperature": 60.0, "sample_every": 100
    }  # fmt: skip
    path, other = tmp_path / name, tmp_path / f"whole{Path(name).suffix}"
    before = len(trajectory_of(path))
    assert 0 < before < 401
    broken = md(argon, fast, trajectory=path, checkpoint=tmp_path / "run.npz", **how)
    whole = md(argon, fast, trajectory=other, **how)
    assert same(broken, whole)
    if name.endswith(".h5"):
        found, expected = read_h5md(path), read_h5md(other)
        for part in ("steps", "times", "positions", "cells", "velocities", "forces", "energies"):
            assert np.array_equal(getattr(found, part), getattr(expected, part))  # every frame once
        return
    lines = [[line.strip() for line in file.read_text().splitlines()] for file in (path, other)]
    assert lines[0] == lines[1]  # every frame once
