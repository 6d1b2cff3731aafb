"""The structure builder: crystals are those of the textbooks, and what is no structure is refused in words."""

from __future__ import annotations

import bz2
import gzip
import io
import pickle

import hypothesis.strategies as st
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111
from ase.constraints import FixAtoms, FixInternals
from ase.io import write
from hypothesis import HealthCheck, given, settings

from mlip_lab.core.errors import InputError
from mlip_lab.data import build, structure_files
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
from mlip_lab.data.structure_files import read_structure, read_structure_bytes

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
    ],
)
def test_a_crystal_that_is_none_is_refused_in_words(arguments, words):
    with pytest.raises(InputError, match=words):
        crystal(*arguments)


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


def written(atoms, form):
    stream = io.BytesIO() if form == "traj" else io.StringIO()
    write(stream, atoms, format=form)
    content = stream.getvalue()
    return content if isinstance(content, bytes) else content.encode()


# digits that each format writes
@pytest.mark.parametrize(
    ("name", "form", "digits"),
    [
        ("a.xyz", "extxyz", 1e-8),
        ("a.extxyz", "extxyz", 1e-8),
        ("a.traj", "traj", 0.0),
        ("a.cif", "cif", 1e-5),
        ("POSCAR", "vasp", 1e-12),
        ("a.vasp", "vasp", 1e-12),
        ("a.json", "json", 0.0),
        ("a.xsf", "xsf", 1e-10),
        ("a.pwi", "espresso-in", 1e-9),
    ],
)
def test_files_of_many_formats_are_read(name, form, digits, tmp_path):
    atoms = rattle(crystal(), seed=5)
    extra = {"pseudopotentials": {"Si": "Si.UPF"}} if form == "espresso-in" else {}
    path = tmp_path / name
    write(path, atoms, format=form, **extra)
    found = read_structure(path)
    moved = found.positions - atoms.positions
    moved -= 5.43 * np.round(moved / 5.43)  # CIF folds atoms into the cell
    np.testing.assert_allclose(moved, 0.0, rtol=0, atol=digits)
    assert found.calc is None and not found.info
    packed = read_structure_bytes(f"{name}.gz", gzip.compress(path.read_bytes()))
    np.testing.assert_array_equal(packed.positions, found.positions)


def test_the_last_frame_is_taken():
    frames = [rattle(crystal(), seed=seed) for seed in range(3)]
    for form in ("extxyz", "traj"):
        found = read_structure_bytes(f"a.{form}", written(frames, form))
        np.testing.assert_allclose(found.positions, frames[-1].positions, rtol=0, atol=1e-8)


def test_momenta_and_constraints_come_along_and_labels_do_not():
    atoms = crystal()
    atoms.set_momenta(np.random.default_rng(0).normal(size=(8, 3)))
    atoms.set_constraint(FixAtoms([1, 2]))
    atoms.set_array("REF_forces", np.ones((8, 3)))
    found = read_structure_bytes("a.traj", written(atoms, "traj"))
    np.testing.assert_array_equal(found.get_momenta(), atoms.get_momenta())
    assert found.constraints[0].index.tolist() == [1, 2]
    assert "REF_forces" not in found.arrays


class Trap:
    def __reduce__(self):
        return (pytest.fail, ("code was run",))


@pytest.mark.parametrize("name", ["a.py", "a.pkl", "a.db", "a.traj", "a", "a.pkl.gz", "postgresql:__x"])
def test_what_could_run_code_is_refused(name):
    content = pickle.dumps(Trap())
    with pytest.raises(InputError):
        read_structure_bytes(name, gzip.compress(content) if name.endswith(".gz") else content)
    with pytest.raises(InputError):
        read_structure_bytes(name, b"raise SystemExit\n")


def test_too_large_a_file_is_refused_also_when_it_is_packed(monkeypatch, tmp_path):
    monkeypatch.setattr(structure_files, "MOST_BYTES", 1000)
    (tmp_path / "a.xyz").write_bytes(b" " * 1001)
    with pytest.raises(InputError, match="too large"):
        read_structure(tmp_path / "a.xyz")
    with pytest.raises(InputError, match="too large"):
        read_structure_bytes("a.xyz.bz2", bz2.compress(b" " * 1001))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no atoms|could not be read"),
        (b"999999999999\n\nSi 0 0 0\n", "which are not there"),
        (b"1\n\nSi nan 0 0\n", "NaN or infinity"),
        (b"2\n\nSi 0 0 0\nSi 0 0 0.1\n", "0.1 Å apart"),
        (b'1\npbc="T T T"\nSi 0 0 0\n', "no volume"),
        (b"1\n\nX 0 0 0\n", "no element"),
    ],
)
def test_what_is_no_structure_in_a_file_is_refused_in_words(content, words):
    with pytest.raises(InputError, match=words):
        read_structure_bytes("a.xyz", content)


def test_a_file_that_is_not_there():
    with pytest.raises(InputError, match="cannot read"):
        read_structure("nowhere.xyz")
    with pytest.raises(InputError, match="cannot read"):
        read_structure("a\0b")


NAMES = ["a.xyz", "a.traj", "a.cif", "a.json", "POSCAR", "OUTCAR", "a.xsf", "a.pdb", "a.gz", "a", "a.in", "a.gen", ""]


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(NAMES), rubbish=st.binary(max_size=200), form=st.sampled_from(["extxyz", "traj", "vasp", None])
)
def test_rubbish_is_read_or_refused_in_words(name, rubbish, form):
    content = rubbish if form is None else written(bulk("Si"), form)[:100] + rubbish
    try:
        assert len(read_structure_bytes(name, content)) > 0
    except InputError as error:
        assert len(str(error)) > 20
