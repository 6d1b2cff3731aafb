"""Frames come in as they are, from wherever they come, or are refused in words."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import write
from ase.units import fs

from mlip_lab.core.errors import InputError
from mlip_lab.core.h5md import Frames, H5MDFile
from mlip_lab.properties.trajectories import obstacle, trajectory_of


def walk(rng: np.random.Generator, n: int = 30) -> list[Atoms]:
    frames = []
    atoms = Atoms("SiO2", rng.uniform(size=(3, 3)), cell=[[4, 0, 0], [1, 5, 0], [0, -1, 6]], pbc=True)
    for step in range(n):
        atoms.positions += 0.4 * rng.normal(size=(3, 3)) + 0.3
        atoms.set_momenta(rng.normal(size=(3, 3)))
        atoms.info["time_fs"] = 2.0 * step
        frames.append(atoms.copy())
    return frames


@pytest.mark.parametrize("name", ["run.traj", "run.extxyz", "run.xyz"])
def test_files_hold_the_frames(rng: np.random.Generator, tmp_path: Path, name: str) -> None:
    frames = walk(rng)
    write(tmp_path / name, frames, format="traj" if name.endswith("traj") else "extxyz")
    found = trajectory_of(tmp_path / name)
    assert np.allclose(found.positions, [a.positions for a in frames], atol=1e-7)
    assert np.allclose(found.velocities, [a.get_velocities() * fs for a in frames], atol=1e-8)
    assert np.allclose(found.times, 2.0 * np.arange(30)) and found.species[0] == ("O", "Si")
    later = found.later(0.5)
    assert len(later) == 15 and later.times[0] == 30.0 and np.array_equal(later.cells, found.cells[15:])


def test_h5md_holds_the_frames_and_says_when_they_were(rng: np.random.Generator, tmp_path: Path) -> None:
    frames, path = walk(rng), tmp_path / "run.h5"
    file = H5MDFile(path, resume=False, version="0")
    file.append(
        Frames(
            symbols=("Si", "O", "O"),
            masses=frames[0].get_masses(),
            pbc=frames[0].pbc,
            steps=np.arange(30),
            times=2.0 * np.arange(30),
            positions=np.array([a.positions for a in frames]),
            cells=np.array([a.cell.array for a in frames]),
            velocities=np.array([a.get_velocities() for a in frames]) * fs,
            forces=np.zeros((30, 3, 3)),
            energies=np.zeros(30),
        )
    )
    assert obstacle(path, density=True, interval=None) == ""  # it is looked at while it grows
    file.close()
    found, expected = trajectory_of(path), trajectory_of(frames)
    np.testing.assert_allclose(found.positions, expected.positions, rtol=0.0, atol=4e-6)
    np.testing.assert_allclose(found.velocities, expected.velocities, rtol=0.0, atol=2e-9)
    assert (found.cells == expected.cells).all() and (found.times == expected.times).all()
    assert found.species[0] == ("O", "Si") and found.atoms.pbc.all()
    assert (found.atoms.get_masses() == frames[0].get_masses()).all()


def test_wrapped_frames_are_unwrapped_and_others_left_alone(rng: np.random.Generator) -> None:
    frames = walk(rng)
    path = np.array([a.positions for a in frames])
    assert trajectory_of(frames).unwrapped() is not None
    assert np.array_equal(trajectory_of(frames).unwrapped(), path)  # they leave the cell
    wrapped = [a.copy() for a in frames]
    for a in wrapped:
        a.wrap()
    found = trajectory_of(wrapped).unwrapped()
    assert np.allclose(found - found[0], path - path[0], atol=1e-9)


def test_a_run_is_frames_too() -> None:
    atoms = bulk("Cu")
    run = SimpleNamespace(atoms=atoms, positions=np.zeros((5, 1, 3)), sample_times=np.arange(5.0))
    found = trajectory_of(run)
    assert len(found) == 5 and np.array_equal(found.cells[3], atoms.cell.array)
    assert trajectory_of(found) is found


def test_what_is_no_trajectory_is_refused(tmp_path: Path, rng: np.random.Generator) -> None:
    (tmp_path / "run.pkl").write_bytes(b"")
    for name in ("broken.traj", "broken.h5"):
        (tmp_path / name).write_bytes(b"no frames")
    for source, words in (
        (tmp_path / "run.pkl", "ending in"),
        (tmp_path / "none.traj", "there is no file .* In its folder there are: broken.h5, broken.traj"),
        (tmp_path / "broken.traj", "cannot be read"),
        (tmp_path / "broken.h5", "trajectory: .* cannot be read as H5MD"),
        ([], "at least one frame"),
        ([bulk("Cu"), bulk("Au")], "frame 1 has others"),
        (7, "got int"),
    ):
        with pytest.raises(InputError, match=words):
            trajectory_of(source)
