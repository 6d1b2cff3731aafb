"""The structure builder: crystals are those of the textbooks, and what is no structure is refused in words."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from ase import Atoms
from ase.build import fcc111
from ase.collections import g2
from ase.constraints import FixAtoms, FixInternals
from ase.data import chemical_symbols
from ase.neighborlist import neighbor_list
from hypothesis import given, settings

from mlip_lab.core.errors import InputError
from mlip_lab.data import build
from mlip_lab.data.build import (
    crystal,
    molecule,
    rattle,
    slab,
    strain,
    substitute,
    supercell,
    vacancy,
)

CLOSE = {"rtol": 0, "atol": 1e-12}  # Å; rounding of a few products of numbers about 10

# neighbours of the first atom in units of a, and how many of which element, from the textbook
SHELLS = {
    ("sc", "Po"): (1.0, {"Po": 6}),
    ("bcc", "Fe"): (np.sqrt(3) / 2, {"Fe": 8}),
    ("fcc", "Cu"): (np.sqrt(0.5), {"Cu": 12}),
    ("hcp", "Mg"): (1.0, {"Mg": 12}),
    ("diamond", "Si"): (np.sqrt(3) / 4, {"Si": 4}),
    ("rocksalt", "NaCl"): (0.5, {"Cl": 6}),
    ("zincblende", "Ga As"): (np.sqrt(3) / 4, {"As": 4}),
    ("wurtzite", "GaN"): (np.sqrt(3 / 8), {"N": 4}),
    ("cesiumchloride", "NiAl"): (np.sqrt(3) / 2, {"Al": 8}),
    ("fluorite", "CaF2"): (np.sqrt(3) / 4, {"F": 8}),
    ("fluorite", "Ca F"): (np.sqrt(3) / 4, {"F": 8}),
    ("fluorite", "Li2O"): (np.sqrt(3) / 4, {"Li": 8}),
    ("perovskite", "Sr Ti O"): (np.sqrt(0.5), {"O": 12}),
    ("perovskite", "SrTiO3"): (np.sqrt(0.5), {"O": 12}),
    ("L1_0", "Au Cu"): (np.sqrt(0.5), {"Au": 4, "Cu": 8}),
    ("L1_2", "Au Cu"): (np.sqrt(0.5), {"Cu": 12}),
    ("L1_2", "Cu3Au"): (np.sqrt(0.5), {"Cu": 12}),
}


def neighbours(atoms: Atoms) -> tuple[float, dict[str, int]]:
    big = atoms.repeat(3)
    middle = 13 * len(atoms)  # the first atom of the middle cell
    distances = big.get_distances(middle, np.arange(len(big)), mic=True)
    distances[middle] = np.inf
    near = np.flatnonzero(distances < distances.min() + 1e-6)
    symbols = [big[int(i)].symbol for i in near]
    return float(distances.min()), {symbol: symbols.count(symbol) for symbol in set(symbols)}


@pytest.mark.parametrize(("prototype", "elements"), SHELLS)
@pytest.mark.parametrize("cubic", [True, False])
def test_first_shell_of_every_prototype_is_the_textbook_s(prototype, elements, cubic):
    atoms = crystal(prototype, elements, 4.2, c_over_a=np.sqrt(8 / 3) if prototype == "hcp" else None, cubic=cubic)
    distance, shell = neighbours(atoms)
    reach, expected = SHELLS[prototype, elements]
    assert distance == pytest.approx(4.2 * reach, abs=1e-10)
    assert shell == expected


def test_every_prototype_is_tested():
    assert {prototype for prototype, _ in SHELLS} == set(build.Prototype.__args__)


def test_an_element_in_its_own_structure_takes_the_measured_cell():
    assert crystal("diamond", "Si").cell.lengths() == pytest.approx([5.43] * 3)
    zinc = crystal("hcp", "Zn")  # far from the ideal ratio of 1.633
    assert zinc.cell.lengths()[2] / zinc.cell.lengths()[0] == pytest.approx(1.856)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("diamond", "Cu"), "lattice_constant: none is known for Cu as diamond"),
        (("rocksalt", "NaCl"), "lattice_constant: none is known for Na Cl"),
        (("rocksalt", "Na"), "elements: expected 2 symbols"),
        (("diamond", "Xx"), "elements: expected one symbol"),
        (("diamond", ""), "elements: expected one symbol"),
        (("diamond", 14), "elements"),
        (("L1_2", "CuAu2"), "elements: L1_2 has places as 1 to 3"),
        (("cube", "Si"), "prototype: expected one of"),
        (("diamond", "Si", 0.1), "lattice_constant: expected a number in Å"),
        (("diamond", "Si", np.nan), "lattice_constant"),
        (("fluorite", "Ca!F2", 5.5), "elements: fluorite has places as 1 to 2"),
        (("diamond", "C" + "1" * 5000, 3.6), "elements"),
        (("diamond", None), "elements"),
        ((["diamond"], "Si"), "prototype: expected one of"),
    ],
)
def test_a_crystal_that_is_none_is_refused_in_words(arguments, words):
    with pytest.raises(InputError, match=words):
        crystal(*arguments)


ANYTHING = st.one_of(st.none(), st.booleans(), st.integers(-10, 10), st.floats(), st.text(max_size=6))
KNOWN = st.sampled_from([elements for _, elements in SHELLS])


@given(
    prototype=st.sampled_from(build.Prototype.__args__),
    elements=st.one_of(KNOWN, st.lists(st.sampled_from(chemical_symbols), max_size=4).map("".join), ANYTHING),
    a=st.one_of(st.floats(0.5, 60.0), ANYTHING),
    ratio=st.one_of(st.none(), st.floats(0.05, 12.0), ANYTHING),
    cubic=st.one_of(st.booleans(), ANYTHING),
)
def test_any_arguments_make_a_whole_crystal_or_are_refused_in_words(prototype, elements, a, ratio, cubic):
    try:
        atoms = crystal(prototype, elements, a, c_over_a=ratio, cubic=cubic)
    except InputError as error:
        assert len(str(error)) > 20
        return
    sites = build.SITES.get(prototype, (1,))
    counts = sorted(np.unique(atoms.numbers, return_counts=True)[1])
    if len(counts) == len(sites):  # each kind of place has its own element
        assert counts == [len(atoms) // sum(sites) * places for places in sorted(sites)]
    assert atoms.pbc.all() and np.isfinite(atoms.positions).all()
    if a is not None and cubic and prototype not in build.STRETCHED:
        assert atoms.cell.lengths() == pytest.approx([a] * 3) and atoms.cell.angles() == pytest.approx([90] * 3)


@given(st.lists(st.one_of(st.floats(-0.5, 0.5), ANYTHING), min_size=6, max_size=6))
def test_any_strain_is_applied_or_refused_in_words(voigt):
    try:
        strained = strain(crystal(), **dict(zip(("xx", "yy", "zz", "yz", "xz", "xy"), voigt, strict=True)))
    except InputError as error:
        assert len(str(error)) > 20
        return
    assert all(-0.3 <= value <= 0.3 for value in voigt)
    assert 0.1 < strained.get_volume() / 5.43**3 < 1.3**3 + 1e-9


def test_engineering_shear_is_twice_the_component_of_the_tensor():
    sheared = strain(crystal("sc", "Po", 3.0), xy=0.02)
    np.testing.assert_allclose(sheared.cell.array / 3.0, [[1, 0.01, 0], [0.01, 1, 0], [0, 0, 1]], rtol=0, atol=1e-15)


def test_a_switch_is_true_or_false():
    with pytest.raises(InputError, match="cubic: expected True or False, got 'no'"):
        crystal(cubic="no")
    with pytest.raises(InputError, match="periodic: expected True or False, got 1"):
        slab(crystal(), periodic=1)


def test_a_ratio_of_axes_is_refused_where_there_is_none():
    with pytest.raises(InputError, match="diamond is a cube"):
        crystal("diamond", "Si", c_over_a=1.1)


def test_supercell_keeps_the_density_and_constraints():
    cell = crystal("fcc", "Cu")
    cell.set_constraint(FixAtoms([0]))
    big = supercell(cell, a=2, b=1, c=3)
    assert len(big) == 24
    assert big.get_volume() == pytest.approx(6 * cell.get_volume())
    assert len(big.constraints[0].index) == 6


def test_supercell_refuses_what_it_cannot_repeat():
    with pytest.raises(InputError, match="no cell vector a"):
        supercell(molecule("H2O"))
    with pytest.raises(InputError, match="too many"):
        supercell(crystal(), a=100, b=100, c=100)
    with pytest.raises(InputError, match="whole number"):
        supercell(crystal(), a=2.5)
    bent = crystal()
    bent.set_constraint(FixInternals(bonds=[(1.0, [0, 1])]))
    with pytest.raises(InputError, match="constraints cannot go along"):
        supercell(bent)


def test_vacancy_takes_out_the_atom_named_and_moves_no_other():
    cell = rattle(crystal(), seed=1)
    cell.set_constraint(FixAtoms([5]))
    holed = vacancy(cell, index=2)
    np.testing.assert_array_equal(holed.positions, np.delete(cell.positions, 2, axis=0))
    assert holed.constraints[0].index.tolist() == [4]
    with pytest.raises(InputError, match="index: expected a whole number from 0 to 7"):
        vacancy(cell, index=8)
    with pytest.raises(InputError, match="nothing is left"):
        vacancy(Atoms("Si"))


def test_substitute_by_index_and_by_count():
    cell = crystal()
    assert substitute(cell, element="Ge", index=3).symbols[3] == "Ge"
    mixed = substitute(cell, element="Ge", count=4, seed=7)
    assert (mixed.numbers == 32).sum() == 4
    assert (mixed.numbers == substitute(cell, element="Ge", count=4, seed=7).numbers).all()
    assert (mixed.numbers != substitute(cell, element="Ge", count=4, seed=8).numbers).any()
    assert (substitute(mixed, element="Ge", count=4).numbers == 32).all()
    for wrong in ({"count": 9}, {"index": 8}, {"index": 0, "count": 1}, {"element": "Q"}, {"element": "Si Ge"}):
        with pytest.raises(InputError):
            substitute(cell, **{"element": "Ge", **wrong})


def test_a_substitute_has_the_mass_of_its_element():
    cell = crystal()
    cell.set_masses([30.0] * 8)
    assert substitute(cell, element="C", index=0).get_masses()[:2] == pytest.approx([12.011, 30.0])


@given(st.tuples(*[st.floats(-0.1, 0.1)] * 6))
@settings(max_examples=30)
def test_strain_deforms_cell_and_atoms_alike(voigt):
    slab111 = fcc111("Cu", (2, 2, 2), vacuum=5.0)  # not periodic along z, but strained there all the same
    names = ("xx", "yy", "zz", "yz", "xz", "xy")
    for atoms in (crystal(), slab111):
        strained = strain(atoms, **dict(zip(names, voigt, strict=True)))
        xx, yy, zz, yz, xz, xy = voigt
        deformation = np.eye(3) + np.array([[xx, xy / 2, xz / 2], [xy / 2, yy, yz / 2], [xz / 2, yz / 2, zz]])
        np.testing.assert_allclose(strained.positions, atoms.positions @ deformation, **CLOSE)
        np.testing.assert_allclose(strained.cell.array, atoms.cell.array @ deformation, **CLOSE)


def test_rattle_displaces_by_the_standard_deviation_and_repeats_with_its_seed():
    cell = supercell(crystal(), a=5, b=5, c=5)
    moves = rattle(cell, displacement=0.1, seed=3).positions - cell.positions
    # 3000 normal deviates: their standard deviation is good to 0.1/√6000 = 0.0013; four of these
    assert moves.std() == pytest.approx(0.1, abs=0.0052)
    np.testing.assert_array_equal(rattle(cell, displacement=0.1, seed=3).positions - cell.positions, moves)
    with pytest.raises(InputError, match="apart, nearer than"):
        rattle(cell, displacement=2.0)


def test_every_molecule_of_the_set_can_be_built():
    for name in g2.names:
        assert len(molecule(name)) >= 1
    with pytest.raises(InputError, match="no molecule 3"):
        molecule(3)


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        (rattle, {"seed": 0.5}),
        (rattle, {"seed": None}),  # chance that cannot be had again
        (substitute, {"count": 1, "seed": None}),
        (rattle, {"displacement": None}),
        (slab, {"vacuum": None}),
        (slab, {"layers": None}),
        (vacancy, {"index": None}),
        (supercell, {"c": None}),
    ],
)
def test_a_number_that_is_missing_or_broken_is_refused_by_its_name(change, wrong):
    with pytest.raises(InputError, match=f"^{list(wrong)[-1]}: expected"):
        change(crystal(), **wrong)


def test_molecules_of_the_set_and_no_others():
    assert molecule("C6H6").get_chemical_formula() == "C6H6"
    assert molecule("H2O", vacuum=4.0).cell.rank == 3
    with pytest.raises(InputError, match=r"no molecule 'H2o' in the G2 set.*H2O"):
        molecule("H2o")


@pytest.mark.parametrize(
    ("indices", "per_area"),
    [((1, 0, 0), 2.0), ((1, 1, 0), np.sqrt(2.0)), ((1, 1, 1), 4 / np.sqrt(3.0)), ((2, 2, 2), 4 / np.sqrt(3.0))],
)
def test_slab_has_the_face_asked_for(indices, per_area):
    h, k, l = indices
    cell = crystal("fcc", "Cu", 3.6)
    cut = slab(cell, h=h, k=k, l=l, layers=4, vacuum=8.0)
    assert cut.pbc.tolist() == [True, True, False]
    area = np.linalg.norm(np.cross(cut.cell[0], cut.cell[1])) / 3.6**2
    heights = np.unique(cut.positions[:, 2].round(6))
    assert len(cut) / len(heights) / area == pytest.approx(per_area)  # atoms of one plane on an area a²
    assert cut.positions[:, 2].min() == pytest.approx(8.0)
    assert cut.cell[2, 2] - cut.positions[:, 2].max() == pytest.approx(8.0)
    assert slab(cell, periodic=True).pbc.all()


def missing_bonds(atoms: Atoms, reach: float) -> tuple[int, int]:
    """How many of four neighbours each are missing in the lower half and in the upper half."""
    missing = 4 - np.bincount(neighbor_list("i", atoms, reach), minlength=len(atoms))
    lower = atoms.positions[:, 2] < atoms.positions[:, 2].mean()
    return int(missing[lower].sum()), int(missing[~lower].sum())


# bonds that each face breaks on an area a²; (111) is cut between its far planes, where it breaks a third of what it
# would between the near ones
@pytest.mark.parametrize(
    ("face", "broken"), [((1, 0, 0), 4.0), ((1, 1, 0), 2 * np.sqrt(2.0)), ((1, 1, 1), 4 / np.sqrt(3.0))]
)
@pytest.mark.parametrize("elements", ["Si", "Ga As"])
def test_a_crystal_breaks_where_the_fewest_bonds_cross_a_plane(face, broken, elements):
    h, k, l = face
    cell = crystal("diamond" if elements == "Si" else "zincblende", elements, 5.5)
    cut = slab(cell, h=h, k=k, l=l, layers=3)
    area = np.linalg.norm(np.cross(cut.cell[0], cut.cell[1])) / 5.5**2
    below, above = missing_bonds(cut, 2.6)
    assert below == above, "both faces are equal"
    assert below / area == pytest.approx(broken)


@settings(max_examples=40)
@given(face=st.tuples(*[st.integers(-3, 3)] * 3).filter(any), shift=st.floats(0, 1), layers=st.integers(1, 4))
def test_any_slab_is_the_crystal_with_vacuum_on_both_sides(face, shift, layers):
    h, k, l = face
    cell = crystal("diamond", "Si", 5.43)
    cell.positions += shift * np.array([1.0, 2.0, 3.0])  # where its origin lies does not matter
    cut = slab(cell, h=h, k=k, l=l, layers=layers, vacuum=7.0)
    assert len(cut) == 8 * layers
    height = cut.positions[:, 2]
    assert height.min() == pytest.approx(7.0) and cut.cell[2, 2] - height.max() == pytest.approx(7.0)
    first, bonds = neighbor_list("id", cut, 2.7)
    np.testing.assert_allclose(bonds, 5.43 * np.sqrt(3) / 4, rtol=0, atol=1e-8)
    assert np.bincount(first).max() <= 4


def test_slab_refuses_what_is_no_crystal():
    with pytest.raises(InputError, match="periodic in three directions"):
        slab(molecule("H2O"))
    with pytest.raises(InputError, match="must not be zero"):
        slab(crystal(), h=0)


def test_what_is_built_from_stays_as_it_is():
    cell = crystal()
    before = cell.copy()
    for change in (supercell, vacancy, substitute, strain, rattle, slab):
        change(cell)
        assert cell == before


@pytest.mark.parametrize("wrong", [None, "Si", Atoms(), 3])
@pytest.mark.parametrize("change", [supercell, vacancy, substitute, strain, rattle, slab])
def test_what_is_no_structure_is_refused(change, wrong):
    with pytest.raises(InputError, match="atoms: expected an"):
        change(wrong)
