"""Structures from files: what ASE reads is read, and rubbish, damage and what could run code are refused in words."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickle

import hypothesis.strategies as st
import numpy as np
import pytest
from ase.build import bulk
from ase.constraints import FixAtoms
from ase.io import write
from hypothesis import HealthCheck, given, settings

from mlip_lab.core.errors import InputError
from mlip_lab.data import structure_files
from mlip_lab.data.build import crystal, rattle
from mlip_lab.data.structure_files import read_structure, read_structure_bytes


def written(atoms, form):
    stream = io.BytesIO() if form in ("traj", "cif") else io.StringIO()
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


COLUMNS = {"tags:S:1": "x", "masses:S:1": "x", "momenta:R:1": "1.5", "momenta:S:3": "x x x", "tags:R:2": "1.5 2.5"}
COLUMNS |= {"initial_magmoms:S:1": "x", "momenta:L:3": "T T T", "masses:R:1": "nan"}


@pytest.mark.parametrize("column", COLUMNS)
def test_columns_that_hold_no_numbers_of_atoms_are_refused(column):
    rows = "".join(f"Si 0 0 {z} {COLUMNS[column]}\n" for z in (0.0, 2.3))
    with pytest.raises(InputError, match="structure: "):
        read_structure_bytes("a.xyz", f"2\nProperties=species:S:1:pos:R:3:{column}\n{rows}".encode())


def test_elements_and_constraints_that_cannot_be_are_refused():
    odd = crystal()
    odd.numbers[3] = 200
    with pytest.raises(InputError, match="no element"):
        read_structure_bytes("a.traj", written(odd, "traj"))
    fixed = crystal()
    fixed.set_constraint(FixAtoms([50]))
    with pytest.raises(InputError, match="atom 50 is constrained, but there are only 8"):
        read_structure_bytes("a.traj", written(fixed, "traj"))


@pytest.mark.parametrize(
    "name", ["..", ".", "", "a/..", "/", "../../a.xyz", "あ" * 80, "𠀀" * 80, "a\0.xyz", "C:\\a.xyz", ".xyz"]
)
def test_no_name_leads_out_of_the_folder_that_it_is_read_in(name):
    assert len(read_structure_bytes(name, written(crystal(), "extxyz"))) == 8


@pytest.mark.parametrize(("suffix", "pack"), [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress)])
def test_packed_files_are_read_and_damage_in_them_is_said(suffix, pack):
    whole = pack(written(bulk("Si"), "extxyz"))
    assert len(read_structure_bytes(f"a.xyz.{suffix}", whole)) == 2
    assert len(read_structure_bytes(f"a.xyz.{suffix}.gz", gzip.compress(whole))) == 2
    for at in range(0, len(whole), 3):
        flipped = whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :]
        for damaged in (whole[:at], flipped):
            try:
                found = read_structure_bytes(f"a.xyz.{suffix}", damaged)
            except InputError as error:
                assert len(str(error)) > 20
            else:  # a time stamp, say
                assert len(found) == 2


def test_a_file_that_is_not_there():
    for wrong in (None, 3.5):
        with pytest.raises(InputError, match="cannot read"):
            read_structure(wrong)
    for no_file in ("/", "/dev/null"):
        with pytest.raises(InputError, match="expected a file"):
            read_structure(no_file)
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


WHOLE = {name: written(rattle(crystal(), seed=1), form) for name, form in (
    ("a.xyz", "extxyz"), ("a.cif", "cif"), ("a.traj", "traj"), ("POSCAR", "vasp"), ("a.json", "json"),
)}  # fmt: skip


@settings(max_examples=150)
@given(name=st.sampled_from(sorted(WHOLE)), data=st.data())
def test_a_damaged_file_gives_a_structure_or_is_refused_in_words(name, data):
    content = bytearray(WHOLE[name])
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    damaged = bytes(content[: data.draw(st.one_of(st.none(), st.integers(0, len(content))))])
    try:
        found = read_structure_bytes(name, damaged)
    except InputError as error:
        assert len(str(error)) > 20
    else:
        assert np.isfinite(found.positions).all() and np.isfinite(found.get_masses()).all()
