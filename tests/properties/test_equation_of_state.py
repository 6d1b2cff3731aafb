"""The Birch–Murnaghan fit is exact on its own curve, and agrees with stress and elastic constants."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from hypothesis import given
from hypothesis import strategies as st

from mlip_lab.core.errors import CalculationError, InputError
from mlip_lab.core.units import GPA
from mlip_lab.properties.equation_of_state import equation_of_state
from mlip_lab.properties.volume_curves import CURVES, fit_birch_murnaghan, fit_curve


@given(
    form=st.sampled_from(["birch-murnaghan", "vinet"]),
    volume=st.floats(5, 50),
    energy=st.floats(-1000, 1000),
    bulk_modulus=st.floats(1, 500),
    derivative=st.floats(2, 7),
    centre=st.floats(0.97, 1.03),
)
def test_fit_returns_the_curve_it_is_given(
    form: Any, volume: float, energy: float, bulk_modulus: float, derivative: float, centre: float
) -> None:
    volumes = volume * np.linspace(centre - 0.06, centre + 0.06, 13)
    curve = CURVES[form](volumes, volume, energy, bulk_modulus, derivative)
    found = fit_curve(volumes, curve, form)
    # Rounding of the energies (1e-13 of up to 1000 eV) against the well's depth, ½ B V 0.06² ≥ 5e-5 eV
    rounding = 1e-13 * max(1, abs(energy)) / (0.5 * bulk_modulus * GPA * volume * 0.06**2)
    tolerance = 1e-9 + 1e4 * rounding
    assert found.parameters == pytest.approx((volume, energy, bulk_modulus, derivative), rel=tolerance)
    np.testing.assert_allclose(found.curve(volumes), curve, rtol=0, atol=1e-10 * max(1, abs(energy)))
    assert max(found.errors[2] / bulk_modulus, found.errors[3]) < 10 * tolerance


@pytest.mark.parametrize("form", ["birch-murnaghan", "vinet"])
def test_standard_errors_are_those_of_repeated_noise(form: Any) -> None:
    volumes, noise = 20 * np.linspace(0.94, 1.06, 13), 1e-5
    curve = CURVES[form](volumes, 20.0, -5.0, 100.0, 4.5)
    rng = np.random.default_rng(5)
    fits = [fit_curve(volumes, curve + noise * rng.normal(size=13), form) for _ in range(400)]
    scatter = np.std([fit.parameters for fit in fits], axis=0)
    stated = np.sqrt(np.mean([np.square(fit.errors) for fit in fits], axis=0))
    # a standard deviation from 400 draws is known to 1/√800 = 4 %; four times that
    np.testing.assert_allclose(stated, scatter, rtol=0.15)


def test_forms_agree_on_a_real_crystal_and_differ_by_their_form() -> None:
    result = equation_of_state(bulk("Cu"), EMT(), volume_range=0.03)
    other = result.fitted("vinet")
    # both are exact to third order in the strain, so V₀ and B₀ agree far better than the range, 3 %
    assert other.volume == pytest.approx(result.volume, rel=1e-4)
    assert other.bulk_modulus == pytest.approx(result.bulk_modulus, rel=3e-3)
    assert other.bulk_modulus != result.bulk_modulus
    assert result.fitted("birch-murnaghan") is result.fit
    chosen = equation_of_state(bulk("Cu"), EMT(), volume_range=0.03, form="vinet")
    assert chosen.fit.form == "vinet" and chosen.fit.parameters == other.parameters


@pytest.mark.parametrize("form", ["birch-murnaghan", "vinet"])
def test_pressure_is_minus_the_slope_and_bulk_modulus_its_slope(form: Any) -> None:
    volume, bulk_modulus, derivative = 20.0, 100.0, 4.5

    def pressure(v: float) -> float:
        h = 1e-3 * v
        below, above = CURVES[form](np.array([v - h, v + h]), volume, -5.0, bulk_modulus, derivative)
        return float(below - above) / (2 * h) / GPA

    def stiffness(v: float) -> float:
        return -v * (pressure(1.001 * v) - pressure(0.999 * v)) / (0.002 * v)

    # finite differences of step h: relative error of order h² = 1e-6 times the curve's higher derivatives (≲ 100)
    assert pressure(volume) == pytest.approx(0, abs=1e-4 * bulk_modulus)
    assert stiffness(volume) == pytest.approx(bulk_modulus, rel=1e-4)
    slope = (stiffness(1.01 * volume) - stiffness(0.99 * volume)) / (pressure(1.01 * volume) - pressure(0.99 * volume))
    assert slope == pytest.approx(derivative, rel=1e-2)


def test_copper_by_emt() -> None:
    result = equation_of_state(bulk("Cu"), EMT())
    at_minimum = bulk("Cu", a=result.lattice_constant)
    at_minimum.calc = EMT()
    pressure = -at_minimum.get_stress()[:3].mean() / GPA
    # The curve leaves a residual r over ±6 % of volume: the volume is off by about r / (B V 0.06) of itself
    doubt = 5 * result.residual / (result.bulk_modulus * GPA * result.volume * 0.06)
    assert abs(pressure) < doubt * result.bulk_modulus
    assert result.energy == pytest.approx(at_minimum.get_potential_energy(), abs=5 * result.residual)
    np.testing.assert_allclose(result.curve(result.volumes), result.energies, atol=4 * result.residual)
    assert result.curve(np.array([result.volume]))[0] == result.energy


def test_scan_moves_to_the_minimum() -> None:
    near = equation_of_state(bulk("Cu"), EMT())
    far = equation_of_state(bulk("Cu", a=3.8), EMT())  # 19 % too large in volume
    assert far.volume == pytest.approx(near.volume, rel=1e-3)
    assert far.volumes.min() < far.volume < far.volumes.max()


def test_cube_edge_of_every_cubic_cell() -> None:
    primitive = equation_of_state(bulk("Cu"), EMT(), points=5)
    cube = equation_of_state(bulk("Cu", cubic=True), EMT(), points=5, relax=False)
    assert primitive.lattice_constant == pytest.approx(cube.lattice_constant, rel=1e-9)
    tetragonal = bulk("Cu", cubic=True)
    tetragonal.set_cell(np.diag([3.6, 3.6, 3.7]), scale_atoms=True)
    assert equation_of_state(tetragonal, EMT(), points=5).lattice_constant is None


def test_relaxed_ions_lower_the_energy() -> None:
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.05, seed=3)
    clamped = equation_of_state(atoms, EMT(), points=5, relax=False)
    relaxed = equation_of_state(atoms, EMT(), points=5)
    assert relaxed.energy < clamped.energy - 1e-3
    perfect = equation_of_state(bulk("Cu"), EMT(), points=5)
    assert relaxed.energy == pytest.approx(perfect.energy, abs=1e-5)


def test_processes_give_the_same_numbers() -> None:
    here = equation_of_state(bulk("Cu"), EMT(), points=5)
    with ProcessPoolExecutor(1) as pool:
        there = equation_of_state(bulk("Cu"), EMT(), points=5, executor=pool)
    assert np.array_equal(here.energies, there.energies)


def test_no_minimum_is_an_error_in_words() -> None:
    volumes = np.linspace(10, 12, 9)
    with pytest.raises(CalculationError, match="no single minimum"):
        fit_birch_murnaghan(volumes, volumes**2)
    with pytest.raises(CalculationError, match="No minimum of the energy within"):
        equation_of_state(bulk("Cu", a=6.5), EMT(), points=5)


def test_bad_input_is_refused_in_words() -> None:
    with pytest.raises(InputError, match="points: expected a whole number from 5"):
        equation_of_state(bulk("Cu"), EMT(), points=4)
    with pytest.raises(InputError, match="form: expected one of birch-murnaghan, vinet"):
        equation_of_state(bulk("Cu"), EMT(), form="murnaghan")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="volume_range: expected a number"):
        equation_of_state(bulk("Cu"), EMT(), volume_range=-0.1)
    with pytest.raises(InputError, match="not periodic"):
        equation_of_state(molecule("N2"), EMT())
    with pytest.raises(InputError, match="at least one atom"):
        equation_of_state(Atoms(), EMT())
