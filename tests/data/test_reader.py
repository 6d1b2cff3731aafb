"""The reader: labels are found under any of their names, judged by physics, and refused in words."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write
from ase.neighborlist import neighbor_list
from ase.stress import full_3x3_to_voigt_6_stress
from ase.units import Bohr, GPa, Hartree, kcal, kJ, mol

from mlip_lab.core.errors import DataError, InputError
from mlip_lab.data.distances import nearest_neighbors
from mlip_lab.data.reader import frames_hash, inspect, read_frames

from .frames import copper, water


def verdict(report, about):
    return next(judgement.verdict for judgement in report.judgements if judgement.about == about)


def test_labels_are_read_unchanged_and_found_to_belong_together():
    data = read_frames(copper())
    assert len(data) == 40
    assert data.elements == ("Cu",)
    for frame, atoms in zip(data.frames, copper(), strict=True):
        assert frame.energy == atoms.info["REF_energy"]
        np.testing.assert_array_equal(frame.forces, atoms.arrays["REF_forces"])
        np.testing.assert_allclose(frame.stress, atoms.info["REF_stress"], rtol=0, atol=1e-15)
    report = data.report
    assert report.kinds == {"rattled": 20, "strained": 20}
    assert {(found.quantity, found.name, found.frames) for found in report.labels} == {
        ("energy", "REF_energy", 40),
        ("forces", "REF_forces", 40),
        ("stress", "REF_stress", 40),
    }
    assert report.forces_trusted and report.hydrostatic_stress_trusted and report.shear_stress_trusted
    assert report.force_consistency is not None
    # rattled by 0.05 Å: the cubic terms that the trapezoid leaves are a few per cent of the work
    assert abs(report.force_consistency.slope - 1.0) < 0.05
    assert {judgement.verdict for judgement in report.judgements} == {"good"}


def test_virial_becomes_stress_with_the_sign_that_physics_confirms():
    frames = copper(stress="")
    for atoms, reference in zip(frames, copper(), strict=True):
        atoms.info["dft_virial"] = -reference.get_volume() * reference.info["REF_stress"].ravel()
    data = read_frames(frames)
    for frame, reference in zip(data.frames, copper(), strict=True):
        np.testing.assert_allclose(frame.stress, reference.info["REF_stress"], rtol=0, atol=1e-14)
    assert data.report.hydrostatic_stress_trusted and data.report.shear_stress_trusted
    assert any("stress = -dft_virial/V (40 frames)" in note for note in data.report.notes)


def test_virial_of_the_other_sign_is_told_and_not_trusted():
    frames = copper(stress="")
    for atoms, reference in zip(frames, copper(), strict=True):
        atoms.info["virials"] = reference.get_volume() * reference.info["REF_stress"]
    report = read_frames(frames).report
    assert report.hydrostatic_stress_trusted is False and report.shear_stress_trusted is False
    assert "other sign" in str(report)


@pytest.mark.parametrize(("unit", "value"), [("GPa", GPa), ("kbar", 0.1 * GPa), ("Hartree/Bohr³", Hartree / Bohr**3)])
def test_stress_in_another_unit_is_named_and_not_trusted(unit, value):
    report = read_frames(copper(stress_factor=1.0 / value)).report
    assert report.hydrostatic_stress_trusted is False and report.shear_stress_trusted is False
    assert unit in str(report)


@pytest.mark.parametrize("bias", [-2.4, 1.5])
def test_biased_pressure_is_measured_and_its_shear_still_trusted(bias):
    report = read_frames(copper(pressure=-bias * GPa)).report
    assert report.hydrostatic_stress_trusted is False
    assert report.shear_stress_trusted is True
    assert report.stress_consistency is not None and report.stress_consistency.hydrostatic is not None
    # what the trapezoid leaves: an elastic constant's derivative (some 1000 GPa) times strain² (4e-4 in norm) over 12,
    # and the correlation of the offset with the slope
    assert report.stress_consistency.hydrostatic.offset == pytest.approx(bias, abs=0.25)


@pytest.mark.parametrize(
    ("energy", "forces", "words"),
    [
        (1 / Hartree, Bohr / Hartree, "Hartree and forces in Hartree/Bohr"),
        (1.0, Bohr / Hartree, "eV and forces in Hartree/Bohr"),
        (1.0, -1.0, "gradients"),
        (1 / 4, 1.0, "energies per atom"),
        (mol / kcal, 1.0, "kcal/mol and forces in eV/Å"),
        (1.0, mol / kJ, "eV and forces in kJ/mol/Å"),
    ],
)
def test_forces_that_are_not_the_slope_of_the_energies_are_refused(energy, forces, words):
    frames = copper(energy_factor=energy, forces_factor=forces)
    with pytest.raises(DataError, match=words):
        read_frames(frames)
    assert inspect(frames).forces_trusted is False


def test_energies_of_molecules_tell_their_unit_by_the_free_atoms():
    hartree = [-76.40 + 0.01 * i for i in range(4)]  # water, all electrons
    assert "all-electron" in str(read_frames(water([e * Hartree for e in hartree])).report)
    with pytest.raises(DataError, match="look like Hartree"):
        read_frames(water(hartree))
    with pytest.raises(DataError, match="look like kcal/mol"):
        read_frames(water([e * Hartree * mol / kcal for e in hartree]))


def test_energies_per_atom_are_refused():
    frames = []
    for size in (1, 2, 3):
        for stretch in (0.98, 1.0, 1.02):
            atoms = bulk("Cu", a=3.6 * stretch).repeat((size, 1, 1))
            atoms.info["energy"] = -3.5 + 20 * (stretch - 1.0) ** 2
            frames.append(atoms)
    with pytest.raises(DataError, match="per atom"):
        read_frames(frames)


def test_positions_in_bohr_or_nm_are_noticed():
    frames = copper(forces="", stress="")
    for atoms in frames:
        atoms.set_cell(atoms.cell[:] / Bohr, scale_atoms=True)
    assert verdict(inspect(frames), "distances in Å") == "bad"
    for atoms in frames:
        atoms.set_cell(atoms.cell[:] * Bohr / 10, scale_atoms=True)
    with pytest.raises(DataError, match=r"0\.3 Å.*nm"):
        read_frames(frames)


def test_precedence_is_ref_then_dft_then_bare_and_what_was_passed_over_is_told():
    frames = copper()
    for atoms in frames:
        atoms.info["energy"] = atoms.info["REF_energy"] + 0.5
        atoms.info["DFT_energy"] = atoms.info["REF_energy"] + 0.25
        atoms.info["mace_energy"] = 0.0
    report = read_frames(frames).report
    assert [found.name for found in report.labels if found.quantity == "energy"] == ["REF_energy"]
    text = " ".join(report.notes)
    assert "REF_energy taken for energy on 40 frames that also carry DFT_energy: they differ by up to 0.25 eV" in text
    assert "also carry energy: they differ by up to 0.5 eV" in text
    assert "not used: mace_energy" in text


def test_missing_labels_on_some_frames_are_told_and_not_refused():
    frames = copper()
    for atoms in frames[::4]:
        del atoms.info["REF_stress"]
    del frames[3].arrays["REF_forces"]
    frames.append(bulk("Cu"))
    data = read_frames(frames)
    assert len(data) == 40
    assert data.report.missing == {"energy": 0, "forces": 1, "stress": 10}
    assert data.report.unlabelled == 1
    assert data.frames[0].stress is None and data.frames[3].forces is None
    assert any("No stress on 10 of 40 frames (rattled 10)" in note for note in data.report.notes)


def test_stress_of_zero_is_taken_as_missing_and_stress_of_a_slab_as_meaningless():
    frames = copper()
    frames[0].info["REF_stress"] = np.zeros(6)
    frames[1].pbc = (True, True, False)
    data = read_frames(frames)
    assert data.frames[0].stress is None and data.frames[1].stress is None
    np.testing.assert_array_equal(data.frames[1].cell[2], 0.0)
    assert any("zero taken as missing (1 frames)" in note for note in data.report.notes)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda a: a.info.update(REF_energy=np.nan), "REF_energy: NaN"),
        (lambda a: a.info.update(REF_energy="low"), "REF_energy: expected one number in eV, got 'low'"),
        (lambda a: a.info.update(REF_energy=[1.0, 2.0]), "REF_energy: expected one number"),
        (lambda a: a.info.update(REF_energy=1e300), "REF_energy: 1e.300 is no such quantity"),
        (lambda a: a.arrays.update(REF_forces=np.full((4, 3), np.inf)), "REF_forces: infinity"),
        (lambda a: a.arrays.update(REF_forces=np.ones((4, 2))), "REF_forces: expected .4, 3. numbers"),
        (lambda a: a.info.update(REF_stress=np.ones(5)), "REF_stress: expected shape"),
        (lambda a: a.positions.__setitem__(0, np.nan), "NaN or infinity among positions"),
        (lambda a: a.positions.__setitem__(0, a.positions[1] + 0.1), "atoms . and . are 0.173 Å apart"),
        (lambda a: a.set_positions(a.positions + a.cell[0]), None),
        (lambda a: a.positions.__setitem__(0, a.positions[1] + a.cell[2] * 1.01), "Å apart"),
        (lambda a: a.set_cell(np.zeros((3, 3))), "zero volume"),
        (lambda a: a.set_cell([[3, 0, 0], [3, 0, 0], [0, 0, 3]]), "zero volume"),
        (lambda a: a.numbers.__setitem__(0, 0), "without a known element"),
    ],
)
def test_a_frame_that_cannot_be_right_is_refused_by_its_number(spoil, words):
    frames = copper()
    spoil(frames[17])
    if words is None:
        read_frames(frames)
        return
    with pytest.raises(DataError, match=f"frame 17: .*{words}"):
        read_frames(frames)
    assert not inspect(frames).usable


def test_data_without_energies_are_refused_and_the_names_seen_are_listed():
    frames = copper(energy="mace_energy")
    with pytest.raises(DataError, match=r"no energy on any of the 40 frames.*carry: mace_energy"):
        read_frames(frames)
    with pytest.raises(DataError, match="no energy on any of the 1 frames"):
        read_frames(bulk("Cu"))


def test_forces_that_are_zero_everywhere_are_refused():
    with pytest.raises(DataError, match="all forces are zero on all 40 frames"):
        read_frames(copper(forces_factor=0.0))


def test_energies_on_two_scales_are_told():
    frames = copper(forces="", stress="")
    for atoms in frames[:10]:
        atoms.info["REF_energy"] -= 4 * 1000.0
        atoms.info["config_type"] = "other code"
    report = read_frames(frames).report
    assert verdict(report, "per-atom energies") == "bad"
    assert any("other code" in note for note in report.notes)


def test_duplicates_and_outliers_are_named():
    frames = copper()
    frames.append(frames[5].copy())
    frames[8].info["REF_energy"] += 8.0
    report = read_frames(frames).report
    assert report.duplicates == (("#5", "#40"),)
    assert [source for source, _ in report.outliers] == ["#8"]


def test_results_of_a_calculator_that_belong_to_other_positions_are_refused():
    atoms = bulk("Cu").repeat(2)
    atoms.calc = EMT()
    energy = atoms.get_potential_energy()
    assert read_frames(atoms).frames[0].energy == energy
    atoms.rattle(0.1)
    with pytest.raises(DataError, match="results for other positions"):
        read_frames([atoms])


def written(path: Path) -> Path:
    """Copper with labels where ASE itself keeps them."""
    frames = copper()
    for atoms in frames:
        atoms.calc = SinglePointCalculator(
            atoms,
            energy=atoms.info.pop("REF_energy"),
            forces=atoms.arrays.pop("REF_forces"),
            stress=full_3x3_to_voigt_6_stress(atoms.info.pop("REF_stress")),
        )
    write(path, frames)
    return path


@pytest.mark.parametrize("name", ["cu.xyz", "cu.extxyz", "cu.xyz.gz", "cu.traj", "cu.db", "c@u.json"])
def test_formats_that_ase_reads_give_the_same_frames(name, tmp_path):
    data = read_frames(written(tmp_path / name))
    assert data.report.hydrostatic_stress_trusted and data.report.forces_trusted
    reference = read_frames(copper())
    for frame, other in zip(data.frames, reference.frames, strict=True):
        # extended XYZ carries eight decimals
        np.testing.assert_allclose(frame.positions, other.positions, rtol=0, atol=1e-7)
        np.testing.assert_allclose(frame.forces, other.forces, rtol=0, atol=1e-7)
        np.testing.assert_allclose(frame.stress, other.stress, rtol=0, atol=1e-7)
        assert frame.energy == pytest.approx(other.energy, abs=1e-7)
    assert data.frames[3].source == f"{tmp_path / name}#3"


VASPRUN = """<?xml version="1.0" encoding="ISO-8859-1"?>
<modeling>
 <generator><i name="version" type="string">6.4.1</i></generator>
 <kpoints><varray name="kpointlist"><v>0 0 0</v></varray><varray name="weights"><v>1</v></varray></kpoints>
 <atominfo><atoms>2</atoms><array name="atoms"><set>
  <rc><c>Si</c><c>1</c></rc><rc><c>Si</c><c>1</c></rc></set></array></atominfo>
 <structure name="initialpos"><crystal><varray name="basis"><v>0 2.7 2.7</v><v>2.7 0 2.7</v><v>2.7 2.7 0</v></varray>
  </crystal><varray name="positions"><v>0 0 0</v><v>0.25 0.25 0.26</v></varray></structure>
 <calculation>
  <scstep><energy><i name="e_fr_energy">-10.9</i><i name="e_wo_entrp">-10.8</i><i name="e_0_energy">-10.85</i></energy>
  </scstep>
  <structure><crystal><varray name="basis"><v>0 2.7 2.7</v><v>2.7 0 2.7</v><v>2.7 2.7 0</v></varray></crystal>
   <varray name="positions"><v>0 0 0</v><v>0.25 0.25 0.26</v></varray></structure>
  <varray name="forces"><v>0.1 0.2 0.3</v><v>-0.1 -0.2 -0.3</v></varray>
  <varray name="stress"><v>10 1 2</v><v>1 20 3</v><v>2 3 30</v></varray>
  <energy><i name="e_fr_energy">-10.9</i><i name="e_wo_entrp">-10.8</i><i name="e_0_energy">-10.85</i></energy>
 </calculation>
</modeling>
"""


def test_a_folder_of_vasp_runs_is_searched_through(tmp_path):
    for run in ("a", "b/c"):
        (tmp_path / run).mkdir(parents=True)
        (tmp_path / run / "vasprun.xml").write_text(VASPRUN)
    (tmp_path / "notes.md").write_text("# not a structure\n")
    write(tmp_path / "start.cif", bulk("Si"))
    data = read_frames(tmp_path)
    assert len(data) == 2
    frame = data.frames[0]
    np.testing.assert_allclose(frame.forces, [[0.1, 0.2, 0.3], [-0.1, -0.2, -0.3]])
    # VASP's kbar are compression positive
    np.testing.assert_allclose(frame.stress, -0.1 * GPa * np.array([[10, 1, 2], [1, 20, 3], [2, 3, 30]]), rtol=1e-9)
    assert data.report.unlabelled == 1
    assert [Path(name).name for name in data.report.not_read] == ["notes.md"]
    assert any("free_energy" in note for note in data.report.notes)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t[: len(t) // 2 - 40].rsplit("\n", 1)[0] + "\n", "cut off"),
        (lambda t: t.replace("\n4\n", "\n\n4\n", 1), "blank line"),
        (lambda t: t.replace("\n4\n", "\n4000000000000\n", 1), "frame 1 .*cut off"),
        (lambda t: t.replace("\n4\n", "\nfour\n", 1), "should say how many atoms"),
        (lambda t: t.replace("\n4\n", "\n3\n", 1), "line 12 should say how many atoms frame 2 has"),
        (lambda t: t.replace("Cu  ", "Xx  ", 1), "frame 0 .*could not be read"),
        (lambda t: "2\n\nCu 0 0 0 1 2 3\nCu 0 0 2 1 2 3\n", "columns beyond x y z"),
        (lambda t: "", "No structures"),
    ],
)
def test_damaged_xyz_files_are_refused_by_frame_and_line(change, words, tmp_path):
    path = written(tmp_path / "cu.xyz")
    path.write_text(change(path.read_text()))
    with pytest.raises(DataError, match=words):
        read_frames(path)


@pytest.mark.parametrize("source", [[], None, 3, [None], "nowhere.xyz", "", ["nowhere"], "a\0b", {"a": 1}, "-"])
def test_what_is_no_source_is_refused(source):
    with pytest.raises(InputError, match="source"):
        read_frames(source)


def test_the_hash_knows_the_arrays_and_nothing_else(tmp_path):
    frames = copper()
    first = read_frames(frames)
    for atoms in frames:
        atoms.info["config_type"] = "other"
    assert read_frames(frames).hash == first.hash
    assert frames_hash(first.frames[:-1]) != first.hash
    frames[0].info["REF_energy"] += 1e-9
    assert read_frames(frames).hash != first.hash


def test_the_report_is_json_and_fits_a_terminal():
    for report in (inspect(copper()), inspect(bulk("Cu")), inspect(water([-2000.0, -2001.0]))):
        assert json.loads(json.dumps(report.to_dict(), allow_nan=False))["n_frames"] == report.n_frames
        assert max(len(line) for line in str(report).splitlines()) <= 100


def test_nearest_neighbors_are_those_of_ase(rng):
    for trial in range(60):
        pbc = rng.random(3) < 0.6
        cell = rng.normal(size=(3, 3)) * 4
        if trial % 3 == 0:
            cell[1] += 3 * cell[0]
        if abs(np.linalg.det(cell)) < 30:
            continue
        atoms = Atoms("H5", rng.normal(size=(5, 3)) * 5, cell=np.where(pbc[:, None], cell, 0), pbc=pbc)
        i, d = neighbor_list("id", atoms, 3.0)
        expected = np.array([min(d[i == k], default=np.inf) for k in range(5)])
        distance, index = nearest_neighbors(atoms.positions, atoms.cell[:], pbc, 3.0)
        near = np.isfinite(expected)
        np.testing.assert_allclose(distance[near], expected[near], rtol=1e-9)
        assert (index[near] < 5).all()


def test_three_hundred_frames_take_less_than_a_second(tmp_path):
    path = tmp_path / "many.xyz"
    write(path, [atoms.repeat(2) for atoms in copper(forces="", stress="")] * 8)
    start = time.process_time()
    assert len(inspect(path).duplicates) == 40
    assert time.process_time() - start < 1.0


def test_shared_folders_are_readable(shared_data):
    for folder in ("acac", "agpd", "mlearn", "nbmotaw"):
        for file in sorted((shared_data / folder).glob("*.xyz")):
            if file.name == "train.xyz" or file.name.startswith("test_MD"):
                continue  # thousands of frames: seconds
            report = inspect(file)
            assert report.usable, file
            assert report.forces_trusted is not False, file
            assert report.outliers == () or len(report.outliers) < 3


def test_copper_of_mlearn_has_a_biased_pressure_and_sound_shear(shared_data):
    for name in ("Cu_train.xyz", "Cu_test.xyz"):
        report = inspect(shared_data / "mlearn" / name)
        assert report.hydrostatic_stress_trusted is False
        assert report.shear_stress_trusted is True
        assert report.stress_consistency is not None and report.stress_consistency.hydrostatic is not None
        # measured apart by a fit of E(V): about -2.4 GPa
        assert report.stress_consistency.hydrostatic.offset == pytest.approx(-2.4, abs=0.2)
        assert "not to be trained on" in str(report)


def test_silicon_of_mlearn_is_sound_and_its_surfaces_carry_no_stress(shared_data):
    data = read_frames(shared_data / "mlearn" / "Si_train.xyz")
    assert data.report.forces_trusted and data.report.hydrostatic_stress_trusted and data.report.shear_stress_trusted
    assert data.report.missing == {"energy": 0, "forces": 0, "stress": 12}
    assert all(frame.stress is None for frame in data.frames if frame.kind == "Surface")


def test_molecules_without_a_periodic_cell_are_judged_by_their_free_atoms(shared_data):
    data = read_frames([shared_data / "acac" / name for name in ("isolated_atoms.xyz", "train_300K.xyz")])
    assert data.elements == ("H", "C", "O")
    assert data.report.volume_per_atom is None
    assert not data.frames[0].pbc.any() and not data.frames[5].cell.any()
    assert verdict(data.report, "unit of energy") == "good"
    assert verdict(data.report, "per-atom energies") == "good"
    assert any("Isolated atoms" in note for note in data.report.notes)


def test_mixing_energies_are_called_relative(shared_data):
    report = inspect(shared_data / "agpd")
    assert report.missing["forces"] == report.n_frames == 625
    assert any("relative" in note for note in report.notes)
    assert report.composition == {"Pd": (0.0, 1.0), "Ag": (0.0, 1.0)}


def test_262_frames_of_copper_are_read_and_judged_within_five_seconds(shared_data):
    start = time.process_time()
    inspect(shared_data / "mlearn" / "Cu_train.xyz")
    assert time.process_time() - start < 5.0
