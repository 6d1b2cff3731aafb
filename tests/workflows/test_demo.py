"""The demo's comparisons hold for a potential whose properties are published."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ase.build import bulk

from mlip_lab.workflows import demo
from mlip_lab.workflows.demo import Comparison, reference_value


def test_published_properties_come_out(demo_result: Any) -> None:
    found = {c.name: c for c in demo_result.comparisons}
    # Stillinger–Weber silicon: E. R. Cowley, DOI 10.1103/PhysRevLett.60.2379; a from F. H. Stillinger & T. A. Weber.
    # The strain of 0.5 % and the range of ±6 % in volume leave errors of about a tenth of a per cent.
    for name in ("lattice_constant", "bulk_modulus", "C11", "C12", "C44"):
        assert abs(found[name].deviation_percent) < 0.3, name
    # 4 of 4 bonds of ε = 2.1683 eV broken, less half of that for the atom put back into the bulk: 2 ε
    assert found["vacancy_formation_energy_unrelaxed"].value == pytest.approx(2 * 2.1683, rel=1e-3)
    # 2 bonds broken for each surface atom of (111) is 1 of its 4: γ = ε / (2A) with one atom on √3/4 a² of area
    area = 3**0.5 / 4 * found["lattice_constant"].value ** 2
    assert found["surface_111_unrelaxed"].value == pytest.approx(2.1683 / (2 * area) * 16.0218, rel=1e-3)
    assert found["surface_111_unrelaxed"].reference is None
    assert found["beta_tin_minus_diamond"].value > 0


def test_optical_frequency_is_that_of_the_curvature(silicon_calculator: Any) -> None:
    atoms = bulk("Si", a=5.431)
    atoms.calc = silicon_calculator
    step = 0.01
    energies = []
    for x in (-step, 0, step):
        moved = atoms.copy()
        moved.calc = silicon_calculator
        moved.positions[0, 0] += x
        energies.append(moved.get_potential_energy())
    curvature = (energies[0] - 2 * energies[1] + energies[2]) / step**2  # eV/Å²
    joule, kilogram = 1.602176634e-19, 1.66053907e-27
    hertz = np.sqrt(2 * curvature * joule * 1e20 / (28.085 * kilogram)) / (2 * np.pi)
    # the step leaves a relative error of some step² / bond² = 1e-5
    assert demo._optical_frequency(atoms, silicon_calculator) == pytest.approx(hertz * 1e-12, rel=1e-3)


def test_motion_keeps_its_energy(demo_result: Any) -> None:
    motion = demo_result.motion
    assert len(motion.run.times) == 101
    assert motion.structure.distances[np.argmax(motion.structure.values)] == pytest.approx(2.35, abs=0.15)
    assert motion.temperature_error > 0


def test_deviation_is_signed_and_needs_a_reference() -> None:
    assert Comparison("x", "GPa", 90.0, 100.0).deviation_percent == -10.0
    assert Comparison("x", "eV", -4.0, -5.0).deviation_percent == 20.0
    assert Comparison("x", "GPa", 90.0, None).deviation_percent is None
    assert Comparison("x", "GPa", 90.0, None).to_dict() == {
        "name": "x",
        "unit": "GPa",
        "value": 90.0,
        "reference": None,
        "deviation_percent": None,
    }


def test_reference_values_with_and_without_a_unit() -> None:
    values = {"a": {"value": 1.5, "unit": "Å"}, "b": 2}
    assert reference_value(values, "a") == 1.5
    assert reference_value(values, "b") == 2.0
    assert reference_value(values, "c") is None
