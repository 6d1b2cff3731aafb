"""The packaged malonaldehyde set: labels that can be physics, flagged frames near the saddle, a certified saddle."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.io import read

import mlip_lab.data.malonaldehyde_frames as frames_of
from mlip_lab.data.label import load_settings, settings_hash
from mlip_lab.data.malonaldehyde_reference import SYMBOLS, mirrored, proton_coordinate, vibrations

FOLDER = Path(frames_of.__file__).parent / "sets" / "malonaldehyde"


@pytest.fixture(scope="module")
def sets() -> dict[str, list[Atoms]]:
    if not (FOLDER / "train.xyz.gz").is_file():
        pytest.skip("the labels are not all there")
    return {name: read(FOLDER / f"{name}.xyz.gz", ":") for name in ("train", "test")}


@pytest.fixture(scope="module")
def reference() -> dict:
    return json.loads((FOLDER / "reference.json").read_text())


def test_counts_and_kinds(sets: dict[str, list[Atoms]]) -> None:
    assert sum(map(len, sets.values())) >= 500
    for which, frames in enumerate(sets.values()):
        kinds = [a.info["config_type"] for a in frames]
        assert {kind: kinds.count(kind) for kind in frames_of.PLAN} == {
            kind: counts[which] for kind, counts in frames_of.PLAN.items()
        }
    places = [a.get_all_distances().round(6).tobytes() for frames in sets.values() for a in frames]
    assert len(set(places)) == len(places), "no frame is there twice, turned, moved or in both files"


def test_labels_are_whole_and_consistent(sets: dict[str, list[Atoms]], reference: dict) -> None:
    lowest = reference["values"]["energy_minimum"]["value"]
    for atoms in sets["train"] + sets["test"]:
        forces = atoms.get_forces()
        assert forces.shape == (9, 3) and np.isfinite(forces).all() and not atoms.pbc.any()
        # The grid moves with the atoms, which the forces leave out: 2.4 meV/Å was seen on one rattled frame.
        assert np.abs(forces.sum(axis=0)).max() < 0.02
        # Nothing lies below the minimum but by the noise of the grid, 0.1 meV; 21 modes at 800 K hold 0.7 eV
        # on average, and the open forms lie higher.
        assert -0.001 < atoms.get_potential_energy() - lowest < 4.0


def test_frames_near_the_saddle_are_flagged(sets: dict[str, list[Atoms]]) -> None:
    for frames in sets.values():
        near = [a for a in frames if a.info["near_saddle"]]
        assert 0.15 * len(frames) < len(near) < 0.5 * len(frames)
        for atoms in frames:
            assert bool(atoms.info["near_saddle"]) == (abs(proton_coordinate(atoms)) < frames_of.NEAR_SADDLE)


def test_provenance(sets: dict[str, list[Atoms]], reference: dict) -> None:
    keys = ("code", "version", "settings_sha256", "xc", "basis", "grid_level")
    facts = {tuple(str(a.info[key]) for key in keys) for a in sets["train"] + sets["test"]}
    assert len(facts) == 1
    assert facts.pop()[2] == reference["settings"]["settings_sha256"]


def test_settings_file_is_the_one_used(reference: dict) -> None:
    pytest.importorskip("pyscf")
    assert settings_hash(load_settings(FOLDER / "pyscf.toml")) == reference["settings"]["settings_sha256"]


def test_stationary_points_follow_from_their_hessians(reference: dict) -> None:
    masses = Atoms(SYMBOLS).get_masses()
    for name, imaginary in (("minimum", 0), ("saddle", 1)):
        record = reference["structures"][name]
        hessian, positions = np.array(record["hessian"]), np.array(record["positions"])
        wavenumbers, _ = vibrations(masses, hessian, positions)
        assert (wavenumbers < 0).sum() == imaginary
        # The Hessian is stored to 1e-6 eV/Å², far below a wavenumber's hundredth.
        assert np.allclose(wavenumbers, record["wavenumbers"], atol=0.05)
    saddle = Atoms(SYMBOLS, reference["structures"]["saddle"]["positions"])
    # Symmetrised forces keep the mirror to rounding.
    assert np.abs(mirrored(saddle).positions - saddle.positions).max() < 1e-8
    assert abs(proton_coordinate(saddle)) < 1e-8
    values = reference["values"]
    # Wide intervals: a proton transfer over a low barrier, not another reaction or a wrong unit.
    assert 80 < values["barrier"]["value"] < 180
    assert 900 < values["imaginary_wavenumber"]["value"] < 1400
    energies = [reference["structures"][n]["energy"] for n in ("minimum", "saddle")]
    assert 1000 * (energies[1] - energies[0]) == pytest.approx(values["barrier"]["value"], abs=1e-9)


def test_vibrations_of_a_known_molecule() -> None:
    # Three equal springs k between three equal masses m: ω² = 3k/m once and 3k/2m twice.
    places = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.5, np.sqrt(0.75), 0.0]])
    hessian = np.zeros((9, 9))
    for i, j in ((0, 1), (0, 2), (1, 2)):
        line = np.zeros((3, 3))
        line[i], line[j] = places[i] - places[j], places[j] - places[i]
        hessian += np.outer(line, line)
    wavenumbers, modes = vibrations(np.ones(3), hessian, places)
    # One sqrt(eV/Å²/amu) is 521.47 1/cm.
    assert wavenumbers == pytest.approx(521.47 * np.sqrt([1.5, 1.5, 3.0]), rel=1e-5)
    assert modes.T @ modes == pytest.approx(np.eye(3))


def test_displaced_frames_have_the_energy_of_their_temperature(reference: dict) -> None:
    valley = frames_of._Valley(reference["structures"]["minimum"])
    hessian = np.array(reference["structures"]["minimum"]["hessian"])
    rng = np.random.default_rng(0)
    energies = []
    for _ in range(2000):
        move = (valley.displaced(rng, 300.0).positions - valley.atoms.positions).ravel()
        energies.append(0.5 * move @ hessian @ move)
    # Equipartition: 21 modes of k_BT/2; χ² with 21 degrees of freedom has σ/mean = sqrt(2/21), /sqrt(2000) = 0.7 %.
    assert np.mean(energies) == pytest.approx(21 * 0.5 * 8.617333e-5 * 300.0, rel=0.03)


@pytest.mark.filterwarnings("ignore:The implementation of `fixcm=True`:FutureWarning")
def test_frames_are_those_of_the_seed(sets: dict[str, list[Atoms]], reference: dict) -> None:
    for which, frames in enumerate(sets.values()):
        stream = np.random.SeedSequence(frames_of.SEED).spawn(2)[which].spawn(len(frames_of.PLAN))[3]
        rng = np.random.default_rng(stream)
        low = frames_of._Valley(reference["structures"]["minimum"]).atoms
        drawn = [frames_of._rattled(rng, low) for _ in range(frames_of.PLAN["rattled"][which])]
        drawn = [mirrored(a) if rng.uniform() < 0.5 else a for a in drawn]
        shipped = [a.positions for a in frames if a.info["config_type"] == "rattled"]
        assert shipped
        for positions in shipped:
            assert min(np.abs(atoms.positions - positions).max() for atoms in drawn) < 1e-7
