"""The alloy's candidates and frames are what they are said to be, and its hull is one."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.io import read

from mlip_lab.core.errors import InputError
from mlip_lab.data import alloy_reference
from mlip_lab.data.alloy_frames import CLOSEST, PLAN, alloy_frames, held_out, hull_candidates, labelling_order
from mlip_lab.data.gth import ALUMINIUM, write_upf
from mlip_lab.data.label import EmtSettings, load_settings, settings_hash
from mlip_lab.data.qe import EspressoSettings, pw_input
from mlip_lab.properties.convex_hull import hull_of
from mlip_lab.workflows.convex_hull import reference_hull


@pytest.fixture(scope="module")
def frames() -> tuple[list[Atoms], list[Atoms]]:
    return alloy_frames(3)


def test_candidates_are_many_and_no_two_the_same() -> None:
    found = hull_candidates()
    assert len({atoms.info["name"] for atoms in found}) == len(found) >= 60
    names = [atoms.info["name"] for atoms in found]
    assert set(names[:6]) == {f"{kind} {symbol}" for kind in ("fcc", "bcc", "hcp") for symbol in ("Al", "Li")}
    assert {"B32 AlLi", "L1_2 Al3Li", "Al2Li3 Al2Li3", "D0_3 AlLi3", "C11_b AlLi2"} <= set(names[:27])
    hidden = held_out(found)
    compounds = sum(len(set(atoms.numbers)) == 2 for atoms in found)
    assert len(hidden) == compounds // 3


def test_frames_keep_their_distance_and_their_plan(frames: tuple[list[Atoms], list[Atoms]]) -> None:
    hidden = held_out(hull_candidates())
    for which, made in enumerate(frames):
        kinds = [atoms.info["config_type"] for atoms in made]
        assert {kind: kinds.count(kind) for kind in PLAN} == {kind: counts[which] for kind, counts in PLAN.items()}
        for atoms in made:
            assert len(atoms) <= 16 and set(atoms.numbers) <= {3, 13} and atoms.info["ordering"] not in hidden
            far = atoms.repeat(2).get_all_distances(mic=True)
            assert far[far > 0].min() > CLOSEST
    again, _ = alloy_frames(3)
    assert all(one == other for one, other in zip(frames[0], again, strict=True))
    train, test = ({atoms.positions.tobytes() for atoms in made if len(atoms) > 1} for made in frames)
    assert not train & test
    ordered = labelling_order(*frames, 0)
    assert len(ordered) == len(frames[0]) + len(frames[1])
    assert {atoms.info["split"] for atoms in ordered[:30]} == {"train", "test"}
    assert len({atoms.info["config_type"] for atoms in ordered[:30]}) >= 3


def test_the_chain_below_a_binary_is_its_hull() -> None:
    rng = np.random.default_rng(5)
    for _ in range(20):
        phases: list[dict[str, Any]] = []
        for number, lithium in enumerate([0, 0, 4, 4, *rng.integers(1, 4, 12)]):
            symbols = ["Li"] * int(lithium) + ["Al"] * (4 - int(lithium))
            phases.append({"name": str(number), "symbols": symbols, "energy_ev": float(rng.normal(-16, 1))})
        found = alloy_reference.with_hull(phases)
        counts = [{s: p["symbols"].count(s) for s in set(p["symbols"])} for p in phases]
        hull = hull_of([p["name"] for p in phases], counts, [p["energy_ev"] for p in phases])
        assert [p["formation_energy_ev_per_atom"] for p in found] == pytest.approx(hull.formation.tolist(), abs=1e-9)
        assert [p["above_hull_ev_per_atom"] for p in found] == pytest.approx(hull.above.tolist(), abs=1e-8)


class Emt:
    """Stands in for pw.x: EMT knows no lithium, so aluminium is given with copper's numbers."""

    kspacing = 0.3

    def provenance(self) -> dict[str, str | float]:
        return {"code": "EMT"}

    def calculate(self, atoms: Atoms, scratch: Path, mesh: object = None) -> Any:
        work = atoms.copy()
        work.numbers[work.numbers == 3] = 29
        return EmtSettings().calculate(work, scratch)


def test_a_reference_that_was_stopped_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = {atoms.info["name"]: atoms for atoms in hull_candidates()}
    few = [chosen[name] for name in ("fcc Al", "fcc Li", "L1_2 Al3Li", "B2 AlLi", "L1_0 AlLi")]
    monkeypatch.setattr(alloy_reference, "hull_candidates", lambda: few)
    settings: Any = Emt()
    out = tmp_path / "reference.json"
    first = alloy_reference.alloy_reference(settings, tmp_path / "store", out, first=3)
    assert [phase["name"] for phase in first["phases"]] == ["fcc Al", "fcc Li", "L1_2 Al3Li"]
    monkeypatch.setattr(Emt, "calculate", _none)
    before = len(list((tmp_path / "store").glob("*.json")))
    assert alloy_reference.alloy_reference(settings, tmp_path / "store", out, first=3) == first
    monkeypatch.undo()
    monkeypatch.setattr(alloy_reference, "hull_candidates", lambda: few)
    whole = alloy_reference.alloy_reference(settings, tmp_path / "store", out)
    assert [phase["name"] for phase in whole["phases"]] == [atoms.info["name"] for atoms in few] and before
    for phase in whole["phases"]:
        atoms = Atoms(phase["symbols"], phase["positions_ang"], cell=phase["cell_ang"], pbc=True)
        atoms.numbers[atoms.numbers == 3] = 29
        atoms.calc = EMT()
        assert atoms.get_potential_energy() == pytest.approx(phase["energy_ev"], abs=1e-9)
        assert np.abs(atoms.get_stress()).max() * atoms.cell.volume / len(atoms) < 0.031
    frames = alloy_reference.relaxation_frames(settings, tmp_path / "store", out)
    assert {atoms.info["config_type"] for atoms in frames} == {"relaxation"}
    assert frames[0].info["ordering"] and np.isfinite(frames[-1].get_stress()).all()


def test_frames_are_packaged_by_their_split(tmp_path: Path) -> None:
    labelled = [bulk("Al"), bulk("Li"), bulk("Al", "bcc", a=3.2)]
    for atoms, split in zip(labelled, ("test", "train", "train"), strict=True):
        atoms.calc = EMT() if split == "test" else None
        atoms.info |= {"split": split, "config_type": split}
    alloy_reference.package_frames([bulk("Al", "hcp", a=2.9)], labelled, tmp_path)
    train, test = (read(tmp_path / f"{name}.xyz.gz", ":") for name in ("train", "test"))
    assert [len(atoms) for atoms in train] == [2, 1, 1] and len(test) == 1
    assert "split" not in train[1].info and test[0].info["config_type"] == "test"


def _none(*_: object, **__: object) -> None:
    raise AssertionError("what was finished is computed again")


def test_symmetry_is_a_setting(tmp_path: Path) -> None:
    write_upf(ALUMINIUM, tmp_path)
    text = (
        f'backend = "espresso"\ncommand = "true"\npseudo_dir = "{tmp_path}"\necutwfc = 20.0\nkspacing = 0.3\n'
        'pseudopotentials = { Al = "Al.gth-lda-q3.upf" }\nsymmetry = true\nextra_bands = 0.0\n'
    )
    (tmp_path / "qe.toml").write_text(text)
    settings = load_settings(tmp_path / "qe.toml")
    assert isinstance(settings, EspressoSettings) and settings.symmetry
    assert "symmetry" in settings.provenance() and "symmetry" not in replace(settings, symmetry=False).provenance()
    written = pw_input(bulk("Al"), settings)
    assert "nosym = .false." in written and "nbnd = 6" in written  # three electrons: two bands, and four to spare
    assert "nosym = .true." in pw_input(bulk("Al"), replace(settings, symmetry=False))
    (tmp_path / "qe.toml").write_text(text.replace("= true", "= 1"))
    with pytest.raises(InputError, match="symmetry: expected true or false, got 1"):
        load_settings(tmp_path / "qe.toml")


FOLDER = Path(alloy_reference.__file__).parent / "sets" / "al_li"


@pytest.mark.skipif(not FOLDER.is_dir(), reason="this install has no Al-Li set")
def test_the_packaged_set_is_whole() -> None:
    settings = load_settings_in(FOLDER)
    train, test = (read(FOLDER / f"{name}.xyz.gz", ":") for name in ("train", "test"))
    hidden = held_out(hull_candidates())
    for atoms in [*train, *test]:
        forces, stress = atoms.get_forces(), atoms.get_stress()
        assert forces.shape == (len(atoms), 3) and np.isfinite(forces).all() and np.isfinite(stress).all()
        assert atoms.info["settings_sha256"] == settings_hash(settings)
        assert atoms.info["ordering"] not in hidden
        # Elements are at −57.1 (Al) and −7.25 eV (Li); a compound gains 0.25, a displaced frame loses 0.7 at most.
        share = np.mean(atoms.numbers == 3)
        above = atoms.get_potential_energy() / len(atoms) + 57.1 * (1 - share) + 7.25 * share
        assert -0.3 < above < 0.8
    assert not {a.positions.tobytes() for a in train if len(a) > 2} & {
        a.positions.tobytes() for a in test if len(a) > 2
    }


@pytest.mark.skipif(not FOLDER.is_dir(), reason="this install has no Al-Li set")
def test_the_packaged_hull_has_the_known_compounds() -> None:
    content = json.loads((FOLDER / "reference.json").read_text())
    hull = reference_hull("al_li").hull
    assert len(hull.names) >= 60 and content["settings"]["settings_sha256"] == settings_hash(load_settings_in(FOLDER))
    assert {hull.names[i] for i in hull.stable} == set(content["stable"])
    recorded = {phase["name"]: phase for phase in content["phases"]}
    for i, name in enumerate(hull.names):
        assert hull.formation[i] == pytest.approx(recorded[name]["formation_energy_ev_per_atom"], abs=1e-9)
        assert hull.above[i] == pytest.approx(recorded[name]["above_hull_ev_per_atom"], abs=1e-8)
    # Known from experiment: AlLi (B32), Al2Li3, and the metastable Al3Li (L1_2) that hardens aluminium.
    assert {"B32 AlLi", "Al2Li3 Al2Li3"} <= {hull.names[i] for i in hull.stable}
    assert hull.above[hull.index("L1_2 Al3Li")] < 0.01
    assert hull.names[hull.references[0]] == "fcc Al"


def load_settings_in(folder: Path) -> EspressoSettings:
    """The settings of a set, without asking whether pw.x is installed."""
    table = tomllib.loads((folder / "qe.toml").read_text())
    table |= {"pseudo_dir": str(folder), "kshift": tuple(table["kshift"])}
    del table["backend"]
    return EspressoSettings(**table)
