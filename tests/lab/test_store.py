"""What a Lab begins with, and that everything in it is made again by its printed code."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk

from mlip_lab.calculators.catalogue import by_name
from mlip_lab.core.errors import FileFormatError, InputError
from mlip_lab.data.build import crystal, molecule, rattle, slab, strain, substitute, supercell, vacancy
from mlip_lab.lab.store import built, catalogue_entry, fresh_store, from_catalogue, from_folder
from mlip_lab.model.files import load, packaged_potentials


def made_by(snippet):
    """What a snippet makes in a new cell."""
    names: dict = {}
    exec("\n".join([*snippet.imports, *snippet.setup, f"made = {snippet.expression}"]), names)
    return names["made"]


def test_a_lab_begins_with_structures_and_potentials():
    store = fresh_store()
    assert list(store.structures) == ["Si diamond, 64 atoms", "Si diamond, 8 atoms", "Cu fcc, 32 atoms"]
    others = [f"{name} (packaged)" for name in packaged_potentials() if name != "si"]
    assert list(store.potentials) == ["si (packaged)", *others, "EMT", "Lennard-Jones"]
    assert store.records == {}
    for entry in store.structures.values():
        assert any(potential.refuses(entry.atoms) == "" for potential in store.potentials.values())
    assert "has learned Si" in store.potentials["si (packaged)"].refuses(bulk("Cu"))


def test_every_operation_is_made_again_exactly_by_its_code():
    cell = built(crystal, prototype="diamond", elements="Si", lattice_constant=5.431)
    chain = [cell, built(crystal, prototype="L1_2", elements="Cu3Au", lattice_constant=3.75)]
    chain += [built(crystal, prototype="hcp", elements="Mg"), built(molecule, name="CH4", vacuum=3.0)]
    big = built(supercell, among=cell, a=2, b=1, c=3)
    chain += [big, built(vacancy, among=big, index=5), built(substitute, among=big, element="Ge", count=3, seed=4)]
    chain += [built(strain, among=big, xx=0.01, yz=-0.0123), built(slab, among=cell, h=1, k=1, l=0, layers=3)]
    shaken = built(rattle, among=chain[-1], displacement=0.0321, seed=9)
    for entry in [*chain, shaken, built(vacancy, among=shaken, index=1)]:
        again = made_by(entry.code)
        assert again == entry.atoms
        np.testing.assert_array_equal(again.positions, entry.atoms.positions)
        np.testing.assert_array_equal(again.cell.array, entry.atoms.cell.array)


def test_calculators_are_made_again_by_their_code():
    pair = bulk("Ar", "fcc", a=5.3)
    entry = from_catalogue(by_name("Lennard-Jones"), epsilon=0.02, sigma=3.1)
    energies = [calc.get_potential_energy(pair) for calc in (entry.calculator, made_by(entry.code))]
    assert energies[0] == energies[1] != 0.0


def test_a_trained_potential_is_taken_from_its_folder(tmp_path):
    load("si").save(tmp_path / "mine")
    entry = from_folder(tmp_path / "mine")
    assert entry.name == "mine"
    assert entry.calculator.potential.elements == made_by(entry.code).potential.elements == (14,)
    assert "mine has learned Si" in entry.refuses(bulk("Cu"))
    with pytest.raises(InputError, match="expected the folder"):
        from_folder(tmp_path / "other")
    (tmp_path / "mine" / "report.json").write_text("{}")
    with pytest.raises(FileFormatError, match="truncated or edited"):
        from_folder(tmp_path / "mine")


def test_what_is_not_installed_cannot_be_added_and_refuses_in_words(monkeypatch):
    item = by_name("MACE")
    monkeypatch.setattr("mlip_lab.calculators.catalogue.find_spec", lambda name: None)
    with pytest.raises(InputError, match="MACE is not installed"):
        from_catalogue(item, model="a.model")
    assert "MACE is not installed" in catalogue_entry(item, {"model": "a.model"}).refuses(bulk("Si"))
