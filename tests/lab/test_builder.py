"""The drawers build, upload and add; tested without a browser, on the widgets' Python side."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.build import bulk
from ase.io import write

from mlip_lab.calculators import catalogue as module
from mlip_lab.data.build import crystal, rattle
from mlip_lab.lab.builder import TITLES, Adder, Builder
from mlip_lab.lab.store import LabStore, fresh_store
from mlip_lab.model.files import load


@pytest.fixture
def store() -> LabStore:
    return fresh_store()


@pytest.fixture
def chosen() -> list[str]:
    return []


@pytest.fixture
def builder(store: LabStore, chosen: list[str]) -> Builder:
    return Builder(store, chosen.append)


@pytest.fixture
def adder(store: LabStore) -> Adder:
    return Adder(store)


def fill(drawer: Any, **texts: Any) -> None:
    for name, text in texts.items():
        drawer.rows[name].input.value = text


CASES = {
    "crystal": ({"prototype": "rocksalt", "elements": "Na Cl", "lattice_constant": "5.64"}, "Cl4Na4"),
    "molecule": ({"name": "CH4"}, "CH4"),
    "supercell": ({"atoms": "Si diamond, 8 atoms", "a": "1", "b": "1", "c": "3"}, "Si24"),
    "vacancy": ({"atoms": "Si diamond, 8 atoms", "index": "3"}, "Si7"),
    "substitute": ({"atoms": "Si diamond, 8 atoms", "element": "Ge", "count": "2"}, "Ge2Si6"),
    "strain": ({"atoms": "Si diamond, 8 atoms", "xy": "0,02"}, "Si8"),  # a decimal comma
    "rattle": ({"atoms": "Si diamond, 8 atoms", "displacement": "0.1"}, "Si8"),
    "slab": ({"atoms": "Si diamond, 8 atoms", "k": "1", "layers": "2", "periodic": True}, "Si16"),
}


@pytest.mark.parametrize("name", TITLES)
def test_each_operation_puts_a_structure_on_the_shelf(
    name: str, builder: Builder, store: LabStore, chosen: list[str]
) -> None:
    texts, formula = CASES[name]
    before = set(store.structures)
    builder.kind.value = TITLES[name]
    fill(builder, **texts)
    assert not builder.button.disabled
    builder.button.click()
    (new,) = set(store.structures) - before
    entry = store.structures[new]
    assert chosen == [new] and f"{new} is on the list." in builder.said.value
    assert entry.atoms.get_chemical_formula() == formula in new
    names: dict[str, Any] = {}
    exec("\n".join([*entry.code.imports, *entry.code.setup, f"made = {entry.code.expression}"]), names)
    assert names["made"] == entry.atoms


def test_what_was_typed_is_what_is_built(builder: Builder, store: LabStore) -> None:
    builder.kind.value = TITLES["strain"]
    fill(builder, **CASES["strain"][0])
    builder.button.click()
    cell = list(store.structures.values())[-1].atoms.cell.array / 5.43
    assert cell[0] == pytest.approx([1.0, 0.01, 0.0], abs=1e-15), "engineering shear is twice the tensor's component"


def test_building_twice_gives_two_names(builder: Builder, store: LabStore) -> None:
    builder.button.click()
    builder.button.click()
    assert list(store.structures)[-2:] == ["crystal, Si8, 8 atoms", "crystal, Si8, 8 atoms (2)"]


def test_nonsense_disables_the_button_with_words(builder: Builder) -> None:
    fill(builder, lattice_constant="wide")
    assert builder.button.disabled and "expected a number in Å" in builder.said.value
    fill(builder, lattice_constant="0.2")
    assert builder.button.disabled and "at least 1" in builder.said.value
    fill(builder, lattice_constant="")
    assert not builder.button.disabled and builder.said.value == ""
    fill(builder, elements="")
    assert builder.button.disabled and "fill this in" in builder.said.value


def test_what_only_the_builder_can_know_is_said_when_it_is_pressed(builder: Builder, store: LabStore) -> None:
    before = dict(store.structures)
    fill(builder, elements="Unobtainium <b>")
    builder.button.click()
    assert "expected one symbol" in builder.said.value and "mlip-bad-text" in builder.said.value
    assert "<b>" not in builder.said.value, "what was typed is escaped"
    builder.kind.value = TITLES["vacancy"]
    fill(builder, index="64")
    builder.button.click()
    assert "from 0 to 63" in builder.said.value
    assert dict(store.structures) == before


def test_new_structures_can_be_chosen_at_once(builder: Builder, store: LabStore) -> None:
    builder.kind.value = TITLES["vacancy"]
    builder.button.click()
    built = list(store.structures)[-1]
    assert built in [value for _, value in builder.rows["atoms"].input.options]
    store.remove(built)
    assert built not in [value for _, value in builder.rows["atoms"].input.options]


def test_without_a_structure_there_is_none_to_change() -> None:
    builder = Builder(LabStore(), lambda name: None)
    builder.kind.value = TITLES["rattle"]
    assert builder.button.disabled and "choose a structure" in builder.said.value
    builder.kind.value = TITLES["crystal"]
    builder.button.click()
    builder.kind.value = TITLES["rattle"]
    assert not builder.button.disabled


def upload(builder: Builder, *files: tuple[str, bytes]) -> None:
    whole = {"type": "", "size": 0, "last_modified": datetime(2026, 1, 1, tzinfo=UTC)}
    builder.upload.set_trait("value", tuple({"name": n, "content": memoryview(c), **whole} for n, c in files))


def test_uploads_of_many_kinds(builder: Builder, store: LabStore, chosen: list[str]) -> None:
    atoms = rattle(crystal(), seed=2)
    stream, text = io.BytesIO(), io.StringIO()
    write(stream, atoms, format="traj")
    write(text, atoms, format="vasp")
    upload(builder, ("mine.traj", stream.getvalue()), ("POSCAR", text.getvalue().encode()))
    assert chosen == ["mine.traj, 8 atoms", "POSCAR, 8 atoms"] == list(store.structures)[-2:]
    entry = store.structures["mine.traj, 8 atoms"]
    np.testing.assert_array_equal(entry.atoms.positions, atoms.positions)
    assert entry.code.expression.startswith("Atoms("), "nothing else makes it, so all its numbers are printed"
    assert "POSCAR, 8 atoms is on the list." in builder.said.value


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("evil.py", b"raise SystemExit", "can run code"),
        ("evil.pkl", b"\x80\x04.", "can run code"),
        ("half.traj", b"- of UlmASE-Traj", "could not be read"),
        ("<script>.xyz", b"5\n\nSi 0 0 0\n", "which are not there"),
        ("", b"", "ASE knows no such format"),
    ],
)
def test_an_upload_that_is_no_structure_is_refused_in_words(
    name: str, content: bytes, words: str, builder: Builder, store: LabStore
) -> None:
    before = dict(store.structures)
    upload(builder, (name, content))
    assert words in builder.said.value and "mlip-bad-text" in builder.said.value
    assert "<script>" not in builder.said.value
    assert dict(store.structures) == before


def test_a_calculator_is_added_with_its_options(adder: Adder, store: LabStore) -> None:
    adder.kind.value = "Lennard-Jones"
    fill(adder, epsilon="0.02")
    adder.button.click()
    entry = list(store.potentials.values())[-1]
    assert entry.name == "Lennard-Jones (2)" and "Lennard-Jones (2) is on the list." in adder.said.value
    assert entry.source["options"]["epsilon"] == 0.02
    argon = bulk("Ar", cubic=True)
    names: dict[str, Any] = {}
    exec("\n".join([*entry.code.imports, f"made = {entry.code.expression}"]), names)
    assert names["made"].get_potential_energy(argon) == entry.calculator.get_potential_energy(argon) != 0.0
    fill(adder, epsilon="-1")
    assert adder.button.disabled and "above 0" in adder.said.value


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    monkeypatch.setattr(module.shutil, "which", lambda name: None)


@pytest.mark.usefixtures("nothing_installed")
@pytest.mark.parametrize("name", ["MACE", "CHGNet", "SevenNet", "xTB", "GPAW", "Quantum ESPRESSO", "PySCF"])
def test_what_is_absent_says_what_to_install_and_cannot_be_added(name: str, adder: Adder, store: LabStore) -> None:
    adder.kind.value = name
    assert adder.button.disabled and name in adder.said.value and "install" in adder.said.value
    for row in adder.rows.values():  # typing does not make it appear
        if hasattr(row.input, "placeholder"):
            row.input.value = "300"
    store.remove("EMT")  # nor does a change of the shelf
    assert adder.button.disabled and "install" in adder.said.value
    adder.kind.value = "EMT"
    assert not adder.button.disabled and adder.said.value == ""


def test_a_trained_potential_is_added_from_its_folder(adder: Adder, store: LabStore, tmp_path: Path) -> None:
    load("si").save(tmp_path / "trained")
    adder.kind.value = "A folder"
    assert adder.button.disabled and "fill this in" in adder.said.value
    fill(adder, folder=str(tmp_path / "nowhere"))
    adder.button.click()
    assert "expected the folder of a trained potential" in adder.said.value
    fill(adder, folder=str(tmp_path / "trained"))
    adder.button.click()
    assert "trained is on the list." in adder.said.value
    silicon = crystal()
    energy = store.potentials["trained"].calculator.get_potential_energy(silicon)
    assert energy == store.potentials["si (packaged)"].calculator.get_potential_energy(silicon)
    (tmp_path / "trained" / "weights.safetensors").write_bytes(b"rubbish")
    adder.button.click()
    assert "truncated or edited" in adder.said.value and "trained (2)" not in store.potentials


def test_a_file_of_weights_that_is_not_there(adder: Adder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: object())
    adder.kind.value = "MACE"
    fill(adder, model="nowhere.model")
    adder.button.click()
    assert "Nothing is downloaded from here" in adder.said.value
