"""Orderings are counted as in the literature, are no two the same, and carry the names that they have."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import spglib
from ase import Atoms
from ase.build import make_supercell

from mlip_lab.core.errors import InputError
from mlip_lab.data.orderings import candidates, ordering_key, orderings, prototypes, random_ordering

SPACE_GROUPS = {
    "L1_0 AuCu": (123, 2),
    "L1_1 AuCu": (166, 2),
    "L1_2 AuCu3": (221, 4),
    "MoPt2 AuCu2": (71, 3),
    "D0_22 AuCu3": (139, 4),
    "D0_23 AuCu3": (139, 8),
    "D1_a AuCu4": (87, 5),
    "B2 AuCu": (221, 2),
    "B11 AuCu": (129, 4),
    "B32 AuCu": (227, 4),
    "D0_3 AuCu3": (225, 4),
    "C11_b AuCu2": (139, 3),
    "Al2Li3 Au2Cu3": (166, 5),
}


def group(atoms: Atoms) -> int:
    cell = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
    return int(spglib.get_symmetry_dataset(cell, symprec=1e-4).number)


@pytest.mark.parametrize("lattice", ["fcc", "bcc"])
def test_as_many_as_hart_and_forcade_count(lattice: str) -> None:
    # Their table II has 2, 3, 12 with the two species exchangeable; told apart, structures that are not their own
    # exchange count twice: 2 of the 2-atom and 5 of the 4-atom ones are their own.
    assert [len(orderings("Au Cu", lattice, sites)) for sites in (1, 2, 3, 4, 5)] == [0, 2, 6, 19, 28]


def test_no_two_are_the_same_and_cells_are_primitive() -> None:
    for lattice, sites in (("fcc", 4), ("bcc", 4)):
        found = orderings("Au Cu", lattice, sites)
        assert len({atoms.info["ordering"] for atoms in found}) == len({a.info["name"] for a in found}) == len(found)
        for atoms in found:
            cell = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
            assert len(spglib.find_primitive(cell, symprec=1e-4)[2]) == sites
    # Distances between unlike and like atoms tell all 4-atom structures apart but for pairs with equal shells.
    prints = {_distances(atoms) for atoms in orderings("Au Cu", "fcc", 4)}
    assert len(prints) == 19


def _distances(atoms: Atoms) -> tuple[tuple[float, ...], ...]:
    from ase.neighborlist import neighbor_list

    first, second, far = neighbor_list("ijd", atoms, 8.0)
    heavy = atoms.numbers == 79
    kinds = [(heavy[first] & heavy[second]), ~heavy[first] & ~heavy[second]]
    return tuple(tuple(np.unique(np.round(far[kind], 3), return_counts=True)[1].tolist()) for kind in kinds)


def test_prototypes_have_their_space_groups() -> None:
    found = {atoms.info["name"]: atoms for atoms in prototypes("Au Cu", volumes={"Au": 17.0, "Cu": 12.0})}
    assert {name: (group(found[name]), len(found[name])) for name in SPACE_GROUPS} == SPACE_GROUPS
    assert {"fcc Au", "bcc Au", "hcp Au", "fcc Cu", "bcc Cu", "hcp Cu", "L1_2 Au3Cu"} <= set(found)
    for atoms in found.values():
        expected = sum({"Au": 17.0, "Cu": 12.0}[symbol] for symbol in atoms.get_chemical_symbols())
        assert atoms.cell.volume == pytest.approx(expected, rel=1e-12)
    heusler = {atoms.info["name"]: atoms for atoms in prototypes("Al Cu Mn")}
    assert sum(name.startswith("L2_1") for name in heusler) == 3  # one for each species on the doubled site
    assert group(heusler["L2_1 AlCu2Mn"]) == 225


def test_named_orderings_are_the_prototypes() -> None:
    names = {atoms.info["name"] for lattice in ("fcc", "bcc") for atoms in orderings("Au Cu", lattice, 4)}
    assert {"L1_2 AuCu3", "L1_2 Au3Cu", "D0_22 AuCu3", "B32 AuCu", "B11 AuCu", "D0_3 AuCu3"} <= names
    both = candidates("Au Cu")
    assert len(both) == len({atoms.info["name"] for atoms in both}) == 66
    assert len({atoms.info["ordering"] for atoms in both if "ordering" in atoms.info}) == 60
    assert [len(a) for a in both] == sorted(len(a) for a in both)


def test_a_turned_and_shifted_cell_has_the_same_key() -> None:
    rng = np.random.default_rng(3)
    matrix = np.array([[1, 0, 0], [0, 2, 0], [1, 1, 3]])
    colours = list(rng.integers(2, size=6))
    key = ordering_key("fcc", matrix, colours)
    shifted = [colours[k] for k in (3, 4, 5, 0, 1, 2)]  # by half the second vector
    assert ordering_key("fcc", matrix, shifted) == key
    other = [1 - c for c in colours]
    assert ordering_key("fcc", matrix, other) != key or sum(colours) == 3


def test_three_species_and_random_ones() -> None:
    three = orderings("Al Cu Mn", "bcc", 3)
    assert three and all(len(set(atoms.numbers)) == 3 for atoms in three)
    rng = np.random.default_rng(0)
    for sites in (5, 8):
        atoms = random_ordering(rng, ("Al", "Li"), "bcc", sites, {"Al": 16.0, "Li": 19.0})
        cell = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
        assert len(atoms) == len(spglib.find_primitive(cell, symprec=1e-4)[2]) == sites
    again = random_ordering(np.random.default_rng(7), ("Al", "Li"), "fcc", 6, {"Al": 16.0, "Li": 19.0})
    assert again == random_ordering(np.random.default_rng(7), ("Al", "Li"), "fcc", 6, {"Al": 16.0, "Li": 19.0})


def test_sites_are_lattice_sites() -> None:
    for atoms in itertools.islice(orderings("Al Li", "fcc", 4, volumes={"Al": 16.0, "Li": 16.0}), 5):
        distances = make_supercell(atoms, 3 * np.eye(3)).get_all_distances(mic=True)
        assert np.isclose(distances[distances > 0.1].min(), (64.0) ** (1 / 3) / np.sqrt(2))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: orderings("Al Al", "fcc", 2), "different chemical elements"),
        (lambda: orderings("Al Xx", "fcc", 2), "different chemical elements"),
        (lambda: orderings("Al Li", "hcp", 2), "expected fcc or bcc"),
        (lambda: orderings("Al Li", "fcc", 9), "from 1 to 8"),
        (lambda: candidates("Al Li", volumes={"Al": 16.0}), "expected one for Li"),
    ],
)
def test_what_cannot_be_is_refused(call: object, words: str) -> None:
    with pytest.raises(InputError, match=words):
        call()  # type: ignore[operator]
