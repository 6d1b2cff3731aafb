"""Labelling: labels equal the reference method, a kill loses none, and bad settings are refused in words."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.io import read, write

import mlip_lab.data.label as label
from mlip_lab.core.errors import CalculationError, Cancelled, InputError
from mlip_lab.data.label import EmtSettings, label_frames, load_settings
from mlip_lab.data.qe import BOHR, RYDBERG, EspressoSettings, kpoint_mesh, pw_input, read_pw_output

FILES = Path(__file__).parent / "files"
PSEUDO = Path("/usr/share/espresso/pseudo")
GOOD = """backend = "espresso"
command = "{command}"
pseudo_dir = "{folder}"
pseudopotentials = {{ Si = "Si.UPF" }}
ecutwfc = 24
kspacing = 0.3
"""


def copper(count: int, *, repeat: int = 1, seed: int = 0) -> list[Atoms]:
    frames = []
    for index in range(count):
        atoms = bulk("Cu", cubic=True, a=3.5 + 0.2 * index / count).repeat(repeat)
        atoms.rattle(0.05, seed=seed + index)
        atoms.info["config_type"] = f"kind {index % 3}"
        frames.append(atoms)
    return frames


@pytest.fixture
def espresso(tmp_path: Path) -> str:
    """Settings of a pw.x that does nothing, with a pseudopotential that is only a line."""
    program = tmp_path / "pw.x"
    program.write_text("#!/bin/sh\necho nothing\n")
    program.chmod(0o755)
    (tmp_path / "Si.UPF").write_text('<PP_HEADER z_valence="4.0"/>\n')
    return GOOD.format(command=program, folder=tmp_path)


def test_labels_are_those_of_the_method(tmp_path: Path) -> None:
    frames = copper(5)
    frames[2].info["energy"] = 123.0  # an older label must not survive
    frames[2].arrays["forces"] = np.ones((4, 3))
    report = label_frames(frames, EmtSettings(), tmp_path / "out.xyz")
    assert (report.frames, report.computed, report.reused, report.failed) == (5, 5, 0, ())
    for atoms, labelled in zip(frames, read(tmp_path / "out.xyz", ":"), strict=True):
        same = atoms.copy()
        same.info.clear()
        same.calc = EMT()
        # The text holds 8 decimals of positions and forces, and every digit of energy and stress.
        assert np.allclose(labelled.positions, atoms.positions, atol=5.1e-9)
        assert labelled.get_potential_energy() == pytest.approx(same.get_potential_energy(), abs=1e-12)
        assert np.allclose(labelled.get_forces(), same.get_forces(), rtol=0, atol=5.1e-9)
        assert np.allclose(labelled.get_stress(), same.get_stress(), rtol=0, atol=1e-14)
        assert labelled.info["config_type"] == atoms.info["config_type"]
        assert labelled.info["code"] == "ASE EMT" and len(labelled.info["settings_sha256"]) == 64


def test_executor_and_duplicates(tmp_path: Path) -> None:
    frames = copper(4)
    frames = [*frames, frames[1].copy()]
    seen: list[tuple[int, int]] = []
    with ThreadPoolExecutor(2) as executor:
        report = label_frames(
            frames,
            EmtSettings(),
            tmp_path / "a.xyz.gz",
            executor=executor,
            progress=lambda done, total, **_: seen.append((done, total)),
        )
    assert (report.computed, report.reused) == (4, 1)
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    label_frames(frames, EmtSettings(), tmp_path / "b.xyz.gz")
    assert (tmp_path / "a.xyz.gz").read_bytes() == (tmp_path / "b.xyz.gz").read_bytes()
    assert "5 of 5 frames labelled" in str(report)


def test_cancel_keeps_what_is_finished(tmp_path: Path) -> None:
    frames = copper(6)

    def stop(done: int, total: int, **live: object) -> None:
        if done == 3:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        label_frames(frames, EmtSettings(), tmp_path / "out.xyz", progress=stop)
    assert not (tmp_path / "out.xyz").exists()
    report = label_frames(frames, EmtSettings(), tmp_path / "out.xyz")
    assert (report.computed, report.reused) == (3, 3)


def test_two_kills_lose_no_finished_label(tmp_path: Path) -> None:
    # 32 atoms a frame and 120 frames take a second or more: time enough to strike between the first and the last label.
    write(tmp_path / "frames.xyz", copper(120, repeat=2), format="extxyz")
    out = tmp_path / "out.xyz"
    store = tmp_path / "out.xyz.labels"
    code = (
        "import sys; from mlip_lab.data.label import label_frames, EmtSettings;"
        f"print(label_frames(sys.argv[1], EmtSettings(), {str(out)!r}))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "frames.xyz")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}

    def finished() -> dict[str, tuple[int, int]]:
        return {p.name: (p.stat().st_ino, p.stat().st_mtime_ns) for p in store.glob("[!.]*.json")}

    before: dict[str, tuple[int, int]] = {}
    for _ in range(2):
        process = subprocess.Popen(command, env=environment)
        limit = time.monotonic() + 60.0
        while len(finished() if store.is_dir() else {}) < len(before) + 10 and time.monotonic() < limit:
            time.sleep(0.002)
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "the run ended before it could be killed"
        after = finished()
        assert len(before) + 10 <= len(after) < 120
        assert before.items() <= after.items(), "a finished label was lost or computed twice"
        assert not out.exists()
        before = after
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert f"{120 - len(before)} computed, {len(before)} reused" in done.stdout
    assert before.items() <= finished().items() and len(finished()) == 120
    assert len(read(out, ":")) == 120


def test_a_damaged_label_is_made_again(tmp_path: Path) -> None:
    frames = copper(2)
    label_frames(frames, EmtSettings(), tmp_path / "out.xyz")
    good = (tmp_path / "out.xyz").read_bytes()
    victim = next((tmp_path / "out.xyz.labels").glob("*.json"))
    victim.write_text(victim.read_text()[:50])
    report = label_frames(frames, EmtSettings(), tmp_path / "out.xyz")
    assert (report.computed, report.reused) == (1, 1)
    assert (tmp_path / "out.xyz").read_bytes() == good


def test_a_failed_frame_does_not_stop_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = copper(3)
    honest = EmtSettings.calculate

    def fails(self: EmtSettings, atoms: Atoms, scratch: Path) -> label.Labels:
        if np.allclose(atoms.positions, frames[1].positions):
            raise CalculationError("the density did not converge.")
        return honest(self, atoms, scratch)

    monkeypatch.setattr(EmtSettings, "calculate", fails)
    report = label_frames(frames, EmtSettings(), tmp_path / "out.xyz")
    assert report.failed == ((1, "the density did not converge."),)
    assert "Frame 1 left out: the density did not converge." in str(report)
    assert [a.info["config_type"] for a in read(tmp_path / "out.xyz", ":")] == ["kind 0", "kind 2"]
    with pytest.raises(CalculationError, match="Not one of 1 frames"):
        label_frames(frames[1:2], EmtSettings(), tmp_path / "none.xyz")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("ecutwfc = 24", "ecutwfc = 330"), "ecutwfc: expected 5 to 250 Ry, got 330"),
        (("ecutwfc = 24", 'ecutwfc = "24 Ry"'), "plain number in Ry"),
        (("ecutwfc = 24", "ecutwfc = nan"), "ecutwfc: expected 5 to 250 Ry"),
        (("ecutwfc = 24", "ecut = 24"), "unknown key 'ecut'"),
        (("ecutwfc = 24", ""), "ecutwfc is missing"),
        (("kspacing = 0.3", "kspacing = 4"), "1/Å"),
        (("kspacing = 0.3", "kspacing = true"), "plain number"),
        (("kspacing = 0.3", "kspacing = 0.3\nkshift = [1, 1]"), "three of 0 and 1"),
        (("kspacing = 0.3", 'kspacing = 0.3\nsmearing = "cold"'), "smearing: expected one of"),
        (("kspacing = 0.3", "kspacing = 0.3\nelectron_maxstep = 2.5"), "whole number"),
        (('Si = "Si.UPF"', 'Si = "none.UPF"'), "no file 'none.UPF' for Si"),
        (('Si = "Si.UPF"', 'Xx = "Si.UPF"'), "expected names of elements"),
        (('{ Si = "Si.UPF" }', '"Si.UPF"'), "expected a table"),
        (("pw.x", "not-there/pw.x"), "was not found. Install Quantum ESPRESSO"),
        (('backend = "espresso"', 'backend = "vasp"'), "backend: expected one of emt, espresso"),
        (('backend = "espresso"', ""), "names no backend"),
        (("ecutwfc = 24", "ecutwfc = = 24"), "not a TOML file"),
    ],
)
def test_bad_settings_are_refused_in_words(espresso: str, tmp_path: Path, change: tuple[str, str], words: str) -> None:
    assert change[0] in espresso
    path = tmp_path / "qe.toml"
    path.write_text(espresso)
    assert isinstance(load_settings(path), EspressoSettings)
    path.write_text(espresso.replace(*change))
    with pytest.raises(InputError) as caught:
        load_settings(path)
    assert words in str(caught.value)


def test_missing_settings_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read"):
        load_settings(tmp_path / "none.toml")


def test_bad_structures_are_refused_before_anything_is_computed(espresso: str, tmp_path: Path) -> None:
    (tmp_path / "qe.toml").write_text(espresso)
    silicon = load_settings(tmp_path / "qe.toml")
    good = bulk("Si")
    nan = bulk("Cu")
    nan.positions[0, 0] = np.nan
    cases: list[tuple[object, label.Settings, str]] = [
        ([], EmtSettings(), "at least one structure"),
        ([Atoms(cell=np.eye(3))], EmtSettings(), "frame 0 has no atoms"),
        ([bulk("Cu"), nan], EmtSettings(), "positions of frame 1: expected finite"),
        (["Cu"], EmtSettings(), "expected ASE Atoms, got str at 0"),
        ([bulk("Cu"), good], EmtSettings(), "Frame 1: structure: EMT knows"),
        ([Atoms("Cu")], EmtSettings(), "three cell vectors"),
        ([good, bulk("Ge")], silicon, "Frame 1: pseudopotentials: none given for Ge"),
        ([Atoms("Si", cell=np.eye(3) * 9)], silicon, "periodic in three directions"),
        (tmp_path / "none.xyz", EmtSettings(), "cannot read"),
    ]
    for frames, settings, words in cases:
        with pytest.raises(InputError) as caught:
            label_frames(frames, settings, tmp_path / "out.xyz")  # type: ignore[arg-type]
        assert words in str(caught.value)
    with pytest.raises(InputError, match="ending in"):
        label_frames(copper(1), EmtSettings(), tmp_path / "out.csv")
    assert not (tmp_path / "out.xyz.labels").exists()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="Choose another folder"):
        label_frames(copper(1), EmtSettings(), tmp_path / "file" / "out.xyz")


def test_key_follows_what_fixes_the_numbers(espresso: str, tmp_path: Path) -> None:
    path = tmp_path / "qe.toml"
    path.write_text(espresso)
    settings = load_settings(path)
    atoms = bulk("Si")
    key = label.label_key(atoms, settings)
    moved = atoms.copy()
    moved.positions[0, 0] += 1e-7
    assert label.label_key(moved, settings) != key
    path.write_text(espresso.replace("ecutwfc = 24", "ecutwfc = 25"))
    assert label.label_key(atoms, load_settings(path)) != key
    path.write_text(espresso + "timeout = 100\n")
    assert label.label_key(atoms, load_settings(path)) == key
    (tmp_path / "Si.UPF").write_text('<PP_HEADER z_valence="4.0"/> another\n')
    assert label.label_key(atoms, settings) != key


def test_a_program_that_gives_nothing_is_a_failure_in_words(espresso: str, tmp_path: Path) -> None:
    (tmp_path / "qe.toml").write_text(espresso)
    with pytest.raises(CalculationError, match="did not end with energy, forces and stress"):
        label_frames([bulk("Si")], tmp_path / "qe.toml", tmp_path / "out.xyz")


def test_input_of_pw(espresso: str, tmp_path: Path) -> None:
    (tmp_path / "qe.toml").write_text(espresso + "kshift = [1, 0, 0]\n")
    settings = load_settings(tmp_path / "qe.toml")
    assert isinstance(settings, EspressoSettings)
    text = pw_input(bulk("Si", cubic=True, a=5.47), settings)
    # |b| = 2π / 5.47 Å = 1.149 1/Å, and 1.149 / 0.3 is above 3; 8 atoms have 16 filled bands.
    assert "  4 4 4 1 0 0\n" in text and "nbnd = 20" in text and "ecutwfc = 24.0" in text
    assert kpoint_mesh(np.diag([5.0, 10.0, 30.0]), 0.3) == (5, 3, 1)


def test_reading_pw_output() -> None:
    labels = read_pw_output((FILES / "pw_si2.out").read_text(), 2)
    # From the file: "! total energy = -15.70440880 Ry"; force 1 x -0.02336598 Ry/bohr; pressure -16.46 kbar.
    assert labels.energy == pytest.approx(-15.70440880 * RYDBERG, abs=1e-10)
    assert labels.forces[0, 0] == pytest.approx(-0.02336598 * RYDBERG / BOHR)
    assert np.abs(labels.forces.sum(axis=0)).max() < 1e-9
    # A negative pressure is a tension, which is positive in ASE. 1 kbar is 1/1602.1766 eV/Å³; two decimals.
    assert np.trace(labels.stress) / 3.0 == pytest.approx(16.46 / 1602.1766, abs=0.01 / 1602.0)
    assert labels.stress[0, 1] == pytest.approx(-93.41 / 1602.1766, abs=0.01 / 1602.0)
    assert labels.version == "Quantum ESPRESSO pw.x 6.7MaX"


def test_pw_output_that_is_no_result() -> None:
    text = (FILES / "pw_si2.out").read_text()
    for bad in (text.replace("JOB DONE", ""), text.replace("force =", "nothing"), text[: len(text) // 2], ""):
        with pytest.raises(CalculationError, match="did not end with"):
            read_pw_output(bad, 2)
    with pytest.raises(CalculationError, match="did not end with"):
        read_pw_output(text, 3)
    failed = text.replace("convergence has been achieved in", "convergence NOT achieved after")
    with pytest.raises(CalculationError, match="did not converge"):
        read_pw_output(failed, 2)


def test_a_real_run(tmp_path: Path) -> None:
    if shutil.which("pw.x") is None or not (PSEUDO / "Si.pbe-rrkj.UPF").is_file():
        pytest.skip("Quantum ESPRESSO's pw.x with Si.pbe-rrkj.UPF is not installed")
    text = GOOD.format(command="pw.x", folder=PSEUDO).replace("Si.UPF", "Si.pbe-rrkj.UPF")
    text = text.replace("24", "12").replace("0.3", "1.0") + "kshift = [1, 0, 0]\n"
    (tmp_path / "qe.toml").write_text(text)
    atoms = bulk("Si", a=5.47)
    atoms.positions[0] += [0.05, -0.03, 0.08]
    label_frames([atoms], tmp_path / "qe.toml", tmp_path / "out.xyz")
    ours = read(tmp_path / "out.xyz")
    stored = read_pw_output((FILES / "pw_si2.out").read_text(), 2)
    # Two runs agree to the convergence of the density (1e-9 Ry an atom), another version of pw.x to its constants.
    assert ours.get_potential_energy() == pytest.approx(stored.energy, abs=1e-5)
    assert np.allclose(ours.get_forces(), stored.forces, atol=1e-3)
    assert np.allclose(ours.get_stress(voigt=False), stored.stress, atol=1e-5)
    assert ours.info["pseudo_Si"].startswith("Si.pbe-rrkj.UPF sha256:")
    assert not list((tmp_path / "out.xyz.labels").glob("run-*"))
