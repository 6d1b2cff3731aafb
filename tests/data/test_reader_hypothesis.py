"""The reader under chance: any name, unit or shape is found or refused in words; rubbish never crashes it."""

from __future__ import annotations

import io
import string
import warnings

import hypothesis.strategies as st
import numpy as np
import pytest
from ase import Atoms
from ase.io import write
from ase.units import Bohr, Hartree, Rydberg, kcal, kJ, mol
from hypothesis import HealthCheck, given, settings

from mlip_lab.core.errors import DataError, MlipError
from mlip_lab.data.labels import NAMES, find_labels
from mlip_lab.data.reader import inspect, read_frames

from .frames import copper

FEW = settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
MANY = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])

prefixes = st.sampled_from(["", "REF_", "ref_", "dft_", "DFT_", "Dft-"])
shapes = st.sampled_from(["3x3", "9", "6"])


def shaped(stress: np.ndarray, shape: str) -> np.ndarray:
    if shape == "6":
        return stress[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
    return stress if shape == "3x3" else stress.ravel()


@FEW
@given(
    energy=st.tuples(prefixes, st.sampled_from(NAMES["energy"])).map("".join),
    forces=st.tuples(prefixes, st.sampled_from(NAMES["forces"])).map("".join),
    stress=st.tuples(prefixes, st.sampled_from(NAMES["stress"])).map("".join),
    shape=shapes,
    through_file=st.booleans(),
)
def test_any_choice_of_names_gives_the_same_frames(energy, forces, stress, shape, through_file, tmp_path):
    reference = read_frames(copper()).frames
    frames = copper(energy, forces, stress="")
    for atoms, frame in zip(frames, reference, strict=True):
        virial = stress.lower().endswith(("virial", "virials"))
        atoms.info[stress] = shaped(frame.stress * (-frame.volume if virial else 1.0), shape)
    source = frames
    if through_file:
        source = tmp_path / "named.xyz"
        text = io.StringIO()
        if energy in ("energy", "free_energy") or forces == "forces" or stress == "stress":
            for atoms in frames:  # these names belong to a calculator in ASE, which will not write them from info
                for name in (energy, stress):
                    atoms.info[f"REF_{name}" if name in ("energy", "free_energy", "stress") else name] = atoms.info.pop(
                        name
                    )
                if forces == "forces":
                    atoms.arrays["REF_forces"] = atoms.arrays.pop("forces")
        write(text, frames, format="extxyz")
        source.write_text(text.getvalue())
    data = read_frames(source)
    for frame, other in zip(data.frames, reference, strict=True):
        assert frame.energy == pytest.approx(other.energy, abs=1e-7)
        np.testing.assert_allclose(frame.forces, other.forces, rtol=0, atol=1e-7)
        np.testing.assert_allclose(frame.stress, other.stress, rtol=0, atol=1e-7)


@FEW
@given(
    energy=st.sampled_from([1.0, Hartree, Rydberg, kcal / mol, kJ / mol]),
    forces=st.sampled_from([1.0, Hartree / Bohr, Rydberg / Bohr, kcal / mol, kJ / mol]),
    sign=st.sampled_from([1, -1]),
)
def test_any_mixture_of_units_is_accepted_only_if_it_is_ev(energy, forces, sign):
    frames = copper(energy_factor=1.0 / energy, forces_factor=sign / forces)
    report = inspect(frames)
    # Hartree beside Rydberg/Bohr differ by 6 % only, which the slope cannot tell: the stiffness must
    consistent = sign == 1 and abs(forces / energy - 1.0) < 0.1
    assert (report.forces_trusted is True) == consistent
    if consistent and energy != 1.0:
        # one factor for both cannot be told from energy differences; the stiffness of copper, 5 eV/Å², tells
        unit = next(judgement for judgement in report.judgements if judgement.about == "unit of energy")
        assert unit.verdict == "bad"
    if not consistent:
        assert report.notes or report.problems
        assert report.force_consistency is not None
        # at 0.05 Å of rattling the trapezoid is good to a few per cent
        assert report.force_consistency.slope == pytest.approx(sign * forces / energy, rel=0.1)


SUFFIXES = [".xyz", ".extxyz", ".xyz.gz", ".traj", ".db", ".json", ".cif", ".xml", ".vasp", ".in", ".log", ".nc", ""]
lines = st.lists(
    st.one_of(
        st.text(alphabet=string.printable, max_size=30),
        st.integers(-3, 10**14).map(str),
        st.just('Lattice="3 0 0 0 3 0 0 0 3" Properties=species:S:1:pos:R:3:forces:R:3 energy=-1'),
        st.just("Cu 0 0 0 1 2 3"),
        st.just("energy=T stress=abc"),
    ),
    max_size=12,
).map(lambda parts: "\n".join(parts).encode())


def refused_in_words(path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ASE's readers warn about rubbish before they fail
        try:
            read_frames(path)
        except MlipError as error:
            assert len(str(error)) > 20


@MANY
@given(content=st.binary(max_size=300), suffix=st.sampled_from(SUFFIXES))
def test_rubbish_bytes_are_refused_in_words(content, suffix, tmp_path):
    path = tmp_path / f"rubbish{suffix}"
    path.write_bytes(content)
    refused_in_words(path)
    refused_in_words(tmp_path)
    path.unlink()


@MANY
@given(content=lines, suffix=st.sampled_from([".xyz", ".extxyz", ""]))
def test_rubbish_lines_are_refused_in_words(content, suffix, tmp_path):
    path = tmp_path / f"rubbish{suffix}"
    path.write_bytes(content)
    refused_in_words(path)
    path.unlink()


@MANY
@given(data=st.data())
def test_damaged_bytes_are_read_or_refused_in_words(data, tmp_path):
    path = tmp_path / "cu.xyz"
    text = io.StringIO()
    write(text, copper()[:3], format="extxyz")
    content = bytearray(text.getvalue().encode())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(content))
    refused_in_words(path)


numbers = st.floats(allow_nan=True, allow_infinity=True, width=64)
shape = st.lists(st.integers(0, 4), max_size=3).map(tuple)
values = st.one_of(
    st.none(),
    st.booleans(),
    st.text(max_size=5),
    numbers,
    st.lists(numbers, max_size=10),
    st.builds(np.full, shape, numbers),
    st.just([[1.0], [1.0, 2.0]]),
    st.just(1j),
    st.just({"a": 1}),
)


@MANY
@given(name=st.sampled_from(["REF_energy", "REF_forces", "REF_stress", "dft_virial"]), value=values)
def test_a_label_is_a_finite_number_of_the_right_shape_or_is_refused(name, value):
    atoms = Atoms("Cu2", [[0, 0, 0], [1.5, 1.8, 2.0]], cell=[4, 4, 4], pbc=True)
    atoms.info[name] = value
    try:
        labels = find_labels(atoms)
    except DataError as error:
        assert name in str(error)
        return
    for found, expected in ((labels.energy, ()), (labels.forces, (2, 3)), (labels.stress, (3, 3))):
        assert found is None or (np.shape(found) == expected and np.isfinite(found).all())


@FEW
@given(
    place=st.sampled_from(["positions", "cell", "energy", "forces", "stress"]),
    bad=st.sampled_from([np.nan, np.inf, -np.inf, 1e200]),
    index=st.integers(0, 39),
)
def test_one_number_that_is_none_is_found_wherever_it_is(place, bad, index):
    frames = copper()
    atoms = frames[index]
    if place == "positions":
        atoms.positions[2, 1] = bad
    elif place == "cell":
        atoms.cell[1, 1] = bad
    elif place == "energy":
        atoms.info["REF_energy"] = bad
    else:
        target = atoms.arrays["REF_forces"] if place == "forces" else atoms.info["REF_stress"]
        target[0, 2] = bad
    with pytest.raises(DataError, match=f"frame {index}:"):
        read_frames(frames)
