"""Thermodynamics of oscillators against closed formulas and against each other."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones

from mlip_lab.core.errors import CalculationError
from mlip_lab.core.units import BOLTZMANN, GPA
from mlip_lab.properties.relax import relax
from mlip_lab.properties.thermal_expansion import thermal_expansion
from mlip_lab.properties.vibrational import JOULE_PER_MOL, PLANCK, vibrations


def test_one_oscillator() -> None:
    temperatures = np.linspace(0, 2000, 401)
    frequency = 5.0
    found = vibrations(np.array([[frequency] * 3]), np.array([4.0]), 1, temperatures)
    quantum = PLANCK * frequency
    assert found.free_energy[0] == pytest.approx(1.5 * quantum)
    assert found.entropy[0] == found.heat_capacity[0] == 0
    x = quantum / (BOLTZMANN * temperatures[1:])
    np.testing.assert_allclose(
        found.free_energy[1:], 3 * BOLTZMANN * temperatures[1:] * np.log(2 * np.sinh(x / 2)), rtol=1e-10, atol=1e-14
    )
    einstein = 3 * BOLTZMANN * (x / 2 / np.sinh(x / 2)) ** 2 * JOULE_PER_MOL
    np.testing.assert_allclose(found.heat_capacity[1:], einstein, rtol=1e-9)
    # S = −dF/dT and C = T dS/dT, by differences of 5 K
    slope = -np.gradient(found.free_energy, temperatures) * JOULE_PER_MOL
    np.testing.assert_allclose(slope[20:-1], found.entropy[20:-1], rtol=2e-3)


def test_a_still_mode_counts_for_nothing_and_points_by_their_weight() -> None:
    two = vibrations(np.array([[0.0, 2.0, 3.0], [2.0, 2.0, 3.0]]), np.array([1.0, 3.0]), 1, np.array([300.0]))
    parts = [
        vibrations(np.array([[f]]), np.array([1.0]), 1, np.array([300.0])).heat_capacity[0] for f in (2.0, 2.0, 3.0)
    ]
    assert two.heat_capacity[0] == pytest.approx(0.75 * parts[0] + parts[1] + parts[2])


def test_expansion_is_that_of_maxwells_relation() -> None:
    # α B = (∂S/∂V)_T and S = −(∂F/∂T)_V: two ways through one F(V, T)
    result = thermal_expansion(bulk("Cu"), EMT(), relax_first=True, reach=5.0, mesh=20.0, highest_temperature=500.0)
    temperatures = np.linspace(0, 500, 101)
    entropy = -np.gradient(result.free_energies, temperatures, axis=0)
    assert result.stopped_at is None
    for k in (20, 60, 90):
        slope = np.polynomial.Polynomial.fit(result.volumes, entropy[k], 3).deriv()(result.volume[k])
        expected = 1e6 * slope / (result.bulk_modulus[k] * GPA)
        # the volume follows from a curve of Birch's form, the slope from a cubic: some per cent
        assert result.expansion[k] == pytest.approx(expected, rel=0.03)
    # metals: some 1e-5/K along a length, and vibrations swell the crystal and soften it
    assert 5 < result.expansion[60] / 3 < 40
    assert result.volume[0] > result.volumes[np.argmin(result.energies)]
    assert result.bulk_modulus[-1] < result.bulk_modulus[0]


def test_leaving_the_range_and_imaginary_modes_are_said() -> None:
    hot = {"relax_first": True, "reach": 4.0, "mesh": 15.0, "shrink": 0.01}
    result = thermal_expansion(bulk("Cu"), EMT(), swell=0.03, highest_temperature=3000.0, **hot)
    assert result.stopped_at is not None and result.temperatures[-1] < result.stopped_at <= 3000
    assert result.volume.max() <= result.volumes[-1]
    calculator = LennardJones(sigma=2.3, epsilon=0.4, rc=7.0, ro=5.0, smooth=True)
    bcc = relax(bulk("Fe", "bcc", a=2.7), calculator, symmetry=True, force=1e-4).atoms
    with pytest.raises(CalculationError, match="a mode is imaginary"):
        thermal_expansion(bcc, calculator, reach=4.0)
