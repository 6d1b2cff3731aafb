"""A Lab saved to a folder comes back to the last bit, survives kills and damage, and never executes what it reads."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from ase import Atoms
from ase.constraints import FixAtoms, FixedPlane, FixInternals, Hookean
from hypothesis import HealthCheck, given, settings

from mlip_lab.calculators.catalogue import by_name
from mlip_lab.core.errors import FileFormatError, InputError, MlipError
from mlip_lab.lab.folder import open_folder, save
from mlip_lab.lab.store import LabStore, catalogue_entry, fresh_store, from_catalogue, from_folder
from mlip_lab.model.files import load
from mlip_lab.panels.base.record import Number, Record, Verdict
from mlip_lab.panels.base.shelf import PotentialEntry, Snippet, StructureEntry

RECORD = Record(
    capability="elastic",
    values={"atoms": "everything", "strain": 0.005, "relax": True, "seed": None},
    picture=b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
    alt="C11 is 160 GPa.",
    verdicts=(Verdict("good", "Born-stable.", "3 minors"), Verdict("warning", "Few points.")),
    numbers=(Number("C11", 160.123456789012345, "GPa", 0.1, 165.0, "DFT"), Number("steps", float("nan"))),
    code="import mlip_lab\n",
    data={"strain": [0.1, float("inf")], "nested": {"x": [[1.0]]}},
    state="stopped",
)


def everything() -> Atoms:
    """A structure with all that a structure may carry."""
    rng = np.random.default_rng(0)
    atoms = Atoms("CuAuSiO", rng.normal(size=(4, 3)) * 5, cell=rng.normal(size=(3, 3)), pbc=(True, False, True))
    atoms.positions[0] = [-0.0, 1e-300, np.pi]
    atoms.set_momenta(rng.normal(size=(4, 3)))
    atoms.set_tags([1, 2, 3, 4])
    atoms.set_masses([1.5, 2.5, 3.5, 4.5])
    atoms.set_initial_magnetic_moments(rng.normal(size=4))
    atoms.set_initial_charges(rng.normal(size=4))
    atoms.set_constraint([FixAtoms([0, 2]), FixedPlane([1], (0, 0, 1)), Hookean(0, 3, 5.0, 1.7)])
    return atoms


def full_store(tmp_path: Path) -> LabStore:
    store = fresh_store()
    store.add_structure(StructureEntry("everything", everything(), Snippet("a()", ("import a",), ("b = 1",))))
    load("si").save(tmp_path / "trained")
    store.add_potential(from_folder(tmp_path / "trained", "mine"))
    store.add_potential(from_catalogue(by_name("Lennard-Jones"), epsilon=0.0123456789012345))
    store.records = {"elastic": RECORD}
    return store


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def same_bits(one, other) -> bool:
    return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()


def test_round_trip_is_exact(tmp_path):
    store = full_store(tmp_path)
    assert save(store, tmp_path / "lab") == ""
    again, words = open_folder(tmp_path / "lab")
    assert words == ""
    assert list(again.structures) == list(store.structures)
    assert list(again.potentials) == list(store.potentials)
    for name, entry in store.structures.items():
        found = again.structures[name]
        assert found.code == entry.code
        assert found.atoms.arrays.keys() == entry.atoms.arrays.keys()
        for key, array in entry.atoms.arrays.items():
            assert same_bits(found.atoms.arrays[key], array), (name, key)
        assert same_bits(found.atoms.cell.array, entry.atoms.cell.array)
        assert found.atoms.pbc.tolist() == entry.atoms.pbc.tolist()
        assert repr(found.atoms.constraints) == repr(entry.atoms.constraints)
    mine = again.potentials["mine"].calculator.potential
    for name, array in store.potentials["mine"].calculator.potential.members[0].items():
        assert same_bits(mine.members[0][name], array)
    assert again.potentials["Lennard-Jones (2)"].source["options"] == {"epsilon": 0.0123456789012345}
    assert again.potentials["si (packaged)"].source == {"kind": "packaged", "name": "si"}
    assert repr(again.records["elastic"]) == repr(RECORD)


def test_the_folder_stands_alone(tmp_path):
    save(full_store(tmp_path), tmp_path / "lab")
    shutil.rmtree(tmp_path / "trained")
    (tmp_path / "lab").rename(tmp_path / "moved")
    store, words = open_folder(tmp_path / "moved")
    assert words == ""
    copied = store.potentials["mine"]
    assert str(tmp_path / "moved") in copied.code.expression
    save(store, tmp_path / "second")
    shutil.rmtree(tmp_path / "moved")
    assert save(store, tmp_path / "third") == ""  # what is loaded needs no folder any more
    assert content(tmp_path / "second") == content(tmp_path / "third")


def test_saving_again_writes_only_what_has_changed_and_leaves_no_rest(tmp_path):
    store, lab = full_store(tmp_path), tmp_path / "lab"
    save(store, lab)
    before = {path: path.stat().st_mtime_ns for path in lab.rglob("*") if path.is_file()}
    save(store, lab)
    save(open_folder(lab)[0], lab)
    assert {path: path.stat().st_mtime_ns for path in lab.rglob("*") if path.is_file()} == before
    (lab / "notes.txt").write_text("mine")
    (lab / "potentials" / "other").mkdir()
    store.remove("everything")
    store.remove("mine")
    store.records = {}
    save(store, lab)
    now = {path for path in lab.rglob("*") if path.is_file()}
    assert now < {*before, lab / "notes.txt"} and (lab / "potentials" / "other").is_dir()
    assert not list(lab.glob("records/*"))
    fresh = tmp_path / "fresh"
    save(store, fresh)
    (lab / "notes.txt").unlink()
    assert content(lab) == content(fresh)


def test_what_cannot_be_saved_is_said_and_the_rest_is_saved(tmp_path):
    store = full_store(tmp_path)
    store.add_potential(PotentialEntry("by hand", Snippet("x"), object, {"kind": "object"}))
    bent = Atoms("H2", [[0, 0, 0], [0, 0, 0.8]], constraint=FixInternals(bonds=[(0.8, [0, 1])]))
    bent.constraints[0].todict = lambda: {"name": object()}
    store.add_structure(StructureEntry("bent", bent, Snippet("x")))
    store.records = {**store.records, "odd": replace(RECORD, capability="odd", data={"x": object()})}
    words = save(store, tmp_path / "lab")
    assert "by hand cannot be saved: it was made in Python" in words
    assert "bent was saved without its constraints" in words
    assert "odd cannot be saved" in words
    again, said = open_folder(tmp_path / "lab")
    assert said == "" and "bent" in again.structures and list(again.records) == ["elastic"]


def test_a_potential_of_ours_that_was_made_by_hand_is_saved(tmp_path):
    store = LabStore()
    store.add_potential(PotentialEntry("by hand", Snippet("x"), load("si").calculator, {"kind": "object"}))
    assert save(store, tmp_path / "lab") == ""
    assert open_folder(tmp_path / "lab")[0].potentials["by hand"].calculator.potential.elements == (14,)


def test_a_folder_with_other_things_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(InputError, match="holds other files"):
        save(LabStore(), tmp_path)
    with pytest.raises(InputError, match="cannot write"):
        save(LabStore(), tmp_path / "thesis.tex")
    assert content(tmp_path) == {"thesis.tex": b"x"}


def test_no_lab_and_a_newer_lab_are_refused_in_words(tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(FileFormatError, match="no Lab that could be opened"):
            open_folder(folder)
    save(LabStore(), tmp_path / "lab")
    index = json.loads((tmp_path / "lab" / "lab.json").read_text())
    (tmp_path / "lab" / "lab.json").write_text(json.dumps({**index, "format": 2}))
    with pytest.raises(FileFormatError, match="saved in format 2, this version reads 1"):
        open_folder(tmp_path / "lab")


def damaged(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("change", [damaged, Path.unlink])
@pytest.mark.parametrize("kind", ["structures", "potentials", "records"])
def test_a_damaged_or_missing_part_is_said_and_the_rest_opens(kind, change, tmp_path):
    store = full_store(tmp_path)
    save(store, tmp_path / "lab")
    victim = min((tmp_path / "lab" / kind).glob("*.json"))
    change(victim)
    again, words = open_folder(tmp_path / "lab")
    assert "left out" in words
    lost = {k: len(getattr(store, k)) - len(getattr(again, k)) for k in ("structures", "potentials", "records")}
    assert lost == {**dict.fromkeys(lost, 0), kind: 1}


@pytest.mark.parametrize("file", ["config.json", "weights.safetensors", "report.json"])
def test_an_edited_potential_is_refused_by_name_and_healed_by_saving_again(file, tmp_path):
    store = full_store(tmp_path)
    save(store, tmp_path / "lab")
    whole = content(tmp_path / "lab")
    damaged(next((tmp_path / "lab" / "potentials").glob(f"*/{file}")))
    again, words = open_folder(tmp_path / "lab")
    assert words.startswith("mine was left out") and "mine" not in again.potentials
    save(store, tmp_path / "lab")
    assert content(tmp_path / "lab") == whole


@pytest.mark.parametrize("damage", ["{", "", "[]", "[" * 100_000, '{"format": true}', None])
def test_a_damaged_index_is_made_again_from_the_parts(damage, tmp_path):
    store = full_store(tmp_path)
    save(store, tmp_path / "lab")
    index = tmp_path / "lab" / "lab.json"
    index.unlink() if damage is None else index.write_text(damage)
    again, words = open_folder(tmp_path / "lab")
    assert "lab.json is missing or damaged" in words
    assert set(again.structures) == set(store.structures)
    assert set(again.potentials) == set(store.potentials)


def test_what_is_not_installed_here_is_kept_and_comes_back(tmp_path, monkeypatch):
    monkeypatch.setattr("mlip_lab.calculators.catalogue.find_spec", lambda name: None)
    store = LabStore()
    store.add_potential(catalogue_entry(by_name("xTB"), {"method": "GFN1-xTB"}))
    save(store, tmp_path / "lab")
    again, words = open_folder(tmp_path / "lab")
    assert words == "" and "not installed" in again.potentials["xTB"].refuses(everything())


@pytest.mark.parametrize("place", ["lab/evil.model", "evil.model"])
def test_weights_that_came_with_the_folder_are_not_taken(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = LabStore()
    path = place if place == "evil.model" else str(tmp_path / place)
    store.add_potential(catalogue_entry(by_name("MACE"), {"model": path}))
    save(store, tmp_path / "lab")
    again, words = open_folder(tmp_path / "lab")
    assert not again.potentials and "could run code" in words


def test_an_edited_lab_reads_nothing_outside_its_folder(tmp_path):
    save(full_store(tmp_path), tmp_path / "other")
    secret = next((tmp_path / "other" / "structures").glob("*.json"))
    trained = next((tmp_path / "other" / "potentials").glob("*/config.json")).parent
    lab = tmp_path / "lab"
    save(LabStore(), lab)

    def part(kind: str, **content) -> str:
        """A part whose name is the hash of its content, as whoever edits a Lab could make it."""
        data = json.dumps({"format": 1, "name": "x", **content}).encode()
        name = f"{kind}/{hashlib.sha256(data).hexdigest()[:32]}.json"
        (lab / kind).mkdir(exist_ok=True)
        (lab / name).write_bytes(data)
        return name

    picture = next((tmp_path / "other" / "records").glob("*.png"))
    record = {"capability": "x", "values": {}, "alt": "", "verdicts": [], "numbers": []}
    index = {
        "structures": [f"../other/structures/{secret.name}", str(secret), f"structures/../../other/{secret.name}"],
        "potentials": [
            part("potentials", source={"kind": "folder", "path": path})
            for path in (f"../other/potentials/{trained.name}", str(trained), f"potentials/../../other/{trained.name}")
        ],
        "records": [
            part("records", record={**record, "picture": path})
            for path in (f"../other/records/{picture.name}", str(picture), f"records/../../other/{picture.name}")
        ],
    }
    (lab / "lab.json").write_text(json.dumps({"format": 1, "version": "", **index}))
    store, words = open_folder(lab)
    assert summary(store) == ([], [], {})
    assert words.count("was left out") >= 6


KILLED = """
import os, shutil, sys
from pathlib import Path
from mlip_lab.lab.folder import open_folder, save
home = Path(sys.argv[1])
store, _ = open_folder(home / "new")
for potential in store.potentials.values():
    potential.calculator
def dying(real):
    def call(*args, **options):
        global left
        left -= 1
        if left < 0:
            os._exit(9)
        return real(*args, **options)
    return call
moment, status = 0, 1
while status:
    lab = home / f"lab-{moment}"
    if (home / "old").exists():
        shutil.copytree(home / "old", lab)
    child = os.fork()
    if child == 0:
        left = moment
        for name in ("open", "replace", "unlink", "rmdir", "mkdir"):
            setattr(os, name, dying(getattr(os, name)))
        save(store, lab)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    moment += 3
"""


def summary(store: LabStore) -> tuple:
    records = {name: record.alt for name, record in store.records.items()}
    return (list(store.structures), list(store.potentials), records)


@pytest.mark.parametrize("already", [True, False])
def test_a_kill_at_any_moment_leaves_the_old_or_the_new_lab_whole(already, tmp_path):
    new = full_store(tmp_path)
    save(new, tmp_path / "new")
    old = full_store(tmp_path)
    old.remove("mine")
    old.remove("Si diamond, 8 atoms")
    old.records = {"elastic": replace(RECORD, alt="another", picture=b"another")}
    if already:
        save(old, tmp_path / "old")
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=True)
    labs = list(tmp_path.glob("lab-*"))
    assert len(labs) > 10  # a kill before every third step, and none at last
    seen = []
    for lab in labs:
        if already or (lab / "lab.json").exists():
            store, words = open_folder(lab)
            assert words == ""
            seen.append(summary(store))
        save(new, lab)  # and the next save leaves nothing of the broken one behind
        assert content(lab) == content(tmp_path / "new")
    assert all(one in (summary(old), summary(new)) for one in seen)
    assert summary(new) in seen and (summary(old) in seen) == already


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    home = tmp_path_factory.mktemp("saved")
    save(full_store(home), home / "lab")
    return home / "lab"


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_damage_opens_with_words_or_is_refused_in_words(data, saved, tmp_path):
    lab = tmp_path / "damaged"
    shutil.rmtree(lab, ignore_errors=True)
    shutil.copytree(saved, lab)
    files = sorted(path for path in lab.rglob("*") if path.is_file())
    for _ in range(data.draw(st.integers(1, 3))):
        victim = data.draw(st.sampled_from(files))
        whole = victim.read_bytes() if victim.exists() else b""
        kind = data.draw(st.sampled_from(["cut", "alter", "insert", "remove", "replace"]))
        at = data.draw(st.integers(0, max(len(whole) - 1, 0)))
        some = data.draw(st.binary(min_size=1, max_size=4))
        if kind == "remove":
            victim.unlink(missing_ok=True)
            continue
        changes = {"cut": whole[:at], "alter": whole[:at] + some + whole[at + len(some) :]}
        changes |= {"insert": whole[:at] + some + whole[at:], "replace": some}
        victim.write_bytes(changes[kind])
    harmed = content(lab) != content(saved)
    original, _ = open_folder(saved)
    try:
        store, words = open_folder(lab)
    except MlipError as error:
        assert len(str(error)) > 20
        return
    for name, entry in store.structures.items():
        assert entry.atoms == original.structures[name].atoms  # what opens is what was saved
    for name, record in store.records.items():
        assert repr(record) == repr(original.records[name])
    lost = summary(store) != summary(original)
    assert not lost or (harmed and words)
