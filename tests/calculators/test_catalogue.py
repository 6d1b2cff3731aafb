"""The catalogue: what is there can be used, what is not says what it needs, and looking imports nothing."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule

from mlip_lab.calculators import catalogue as module
from mlip_lab.calculators.catalogue import by_name, catalogue, unknown_elements
from mlip_lab.core.errors import InputError

NAMES = ("EMT", "Lennard-Jones", "MACE", "CHGNet", "SevenNet", "xTB", "GPAW", "Quantum ESPRESSO", "PySCF")


def test_the_catalogue_and_its_names():
    assert tuple(item.name for item in catalogue()) == NAMES
    assert all(by_name(name).name == name for name in NAMES)
    with pytest.raises(InputError, match="expected one of EMT"):
        by_name("Tersoff")


def test_what_is_absent_says_what_it_needs(monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    monkeypatch.setattr(module.shutil, "which", lambda name: None)
    for item in catalogue():
        if item.name in ("EMT", "Lennard-Jones"):
            assert item.available and item.needs == ""
        else:
            assert not item.available
            assert item.name in item.needs and ("install" in item.needs)


def test_looking_at_the_catalogue_imports_none_of_it():
    code = (
        "import sys; from mlip_lab.calculators.catalogue import catalogue; [item.needs for item in catalogue()]; "
        "heavy = {'torch', 'mace', 'chgnet', 'sevenn', 'tblite', 'gpaw', 'pyscf', 'numba'} & set(sys.modules); "
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_lennard_jones_pair_has_its_minimum_where_the_formula_says():
    # the cutoff function is one up to 0.66 of the cutoff, so the pair is exact there
    depth, sigma = 0.02, 3.0
    pair = Atoms("Ar2", [[0, 0, 0], [0, 0, 2 ** (1 / 6) * sigma]])
    pair.calc = by_name("Lennard-Jones").make(epsilon=depth, sigma=sigma, cutoff=9.0)
    assert pair.get_potential_energy() == pytest.approx(-depth, abs=1e-12)
    np.testing.assert_allclose(pair.get_forces(), 0.0, atol=1e-12)


def test_emt_knows_the_elements_that_it_is_said_to_know():
    from ase.calculators.emt import parameters

    assert set(by_name("EMT").elements) == set(parameters)
    copper = bulk("Cu", cubic=True)
    copper.calc = by_name("EMT").make()
    assert abs(copper.get_potential_energy()) < 0.1 * len(copper)  # zero is the metal of the fit, near this lattice


def test_options_out_of_range_are_refused():
    with pytest.raises(InputError, match="epsilon"):
        by_name("Lennard-Jones").make(epsilon=-1.0)
    with pytest.raises(InputError, match="model: expected the path of a file"):
        by_name("MACE").make(model="nowhere.model")
    with pytest.raises(InputError, match="method: expected one of"):
        by_name("xTB").make(method="GFN9")
    with pytest.raises(InputError, match="pseudopotentials: expected"):
        by_name("Quantum ESPRESSO").make(pseudopotentials="nothing.UPF")
    with pytest.raises(InputError, match="pseudopotentials: expected the path"):
        by_name("Quantum ESPRESSO").make(pseudopotentials="Si.UPF", folder="nowhere")


def test_refusals_name_what_is_known_and_what_is_there():
    silicon, water = bulk("Si"), molecule("H2O")
    assert by_name("EMT").refuses(bulk("Cu")) == ""
    assert "Cu" in by_name("EMT").refuses(silicon) and "holds Si" in by_name("EMT").refuses(silicon)
    assert "alike" in by_name("Lennard-Jones").refuses(bulk("NaCl", "rocksalt", a=5.6))
    assert "periodic in three" in by_name("CHGNet").refuses(water)
    assert "molecules" in by_name("PySCF").refuses(silicon)
    assert by_name("PySCF").refuses(water) == ""
    espresso = by_name("Quantum ESPRESSO")
    assert espresso.refuses(silicon, pseudopotentials="Si.pbe.UPF O_pbe.UPF") == ""
    assert "holds Si" in espresso.refuses(silicon, pseudopotentials="O_pbe.UPF")
    assert "H to Rn" in by_name("xTB").refuses(bulk("U", "fcc", a=5.0))


def test_a_trained_potential_refuses_elements_it_has_not_learned():
    assert unknown_elements("mine", (14,), bulk("Si")) == ""
    assert unknown_elements("mine", (6, 14), bulk("Cu")) == (
        "mine has learned C, Si; this structure holds Cu. Choose another potential."
    )


@pytest.mark.skipif(find_spec("tblite") is None, reason="tblite is not installed")
def test_xtb_gives_the_documented_energy_of_water():
    water = molecule("H2O")
    water.calc = by_name("xTB").make()
    assert water.get_potential_energy() == pytest.approx(-137.96777594361677, abs=1e-4)  # eV; tblite's manual


needs_pyscf = pytest.mark.skipif(find_spec("pyscf") is None, reason="PySCF is not installed: pip install pyscf")
SMALL = {"basis": "sto-3g", "xc": "lda,vwn"}


@needs_pyscf
def test_pyscf_forces_are_minus_the_gradient_and_add_up_to_zero():
    water = molecule("H2O")
    water.calc = by_name("PySCF").make(**SMALL)
    forces = water.get_forces()
    np.testing.assert_allclose(forces.sum(axis=0), 0.0, atol=1e-8)  # energy does not change when all atoms move alike
    energies = []
    for step in (0.004, -0.004):
        moved = water.copy()
        moved.positions[1, 2] += step
        moved.calc = by_name("PySCF").make(**SMALL)
        energies.append(moved.get_potential_energy())
    # energies are converged to 1e-9 Hartree, 3e-6 eV/Å here; the third derivative is below 100 eV/Å³, 3e-4 eV/Å
    assert forces[1, 2] == pytest.approx(-(energies[0] - energies[1]) / 0.008, abs=5e-4)


@needs_pyscf
@pytest.mark.parametrize("wrong", [{"xc": "nonsense"}, {"xc": ""}, {"xc": "lda,,,"}, {"basis": " "}])
def test_pyscf_refuses_theories_that_it_does_not_know(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        by_name("PySCF").make(**{**SMALL, **wrong})


@needs_pyscf
def test_pyscf_refuses_structures_that_it_cannot_do():
    for atoms, options, words in (
        (bulk("Si"), SMALL, "for molecules"),
        (molecule("OH"), SMALL, "odd number of electrons"),
        (molecule("H2O"), {**SMALL, "basis": "nonsense"}, "basis: PySCF has no 'nonsense'"),
        (Atoms("UO", [[0, 0, 0], [0, 0, 2]]), {**SMALL, "basis": "cc-pvdz"}, "basis: PySCF has no 'cc-pvdz'"),
    ):
        atoms.calc = by_name("PySCF").make(**options)
        with pytest.raises(InputError, match=words):
            atoms.get_potential_energy()
