"""First momenta have the temperature they are asked for, in the degrees of freedom they have."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.constraints import FixAtoms

from mlip_lab.core.units import BOLTZMANN, FEMTOSECOND
from mlip_lab.dynamics.momenta import degrees_of_freedom, draw_momenta, inverse_masses
from mlip_lab.kernels.integrators import kinetic_energy


def test_constants_are_those_of_ase() -> None:
    from ase import units

    assert (BOLTZMANN, FEMTOSECOND) == (units.kB, units.fs)


@pytest.mark.parametrize("fix_center", [True, False])
def test_exact_temperature_is_exact(fix_center: bool) -> None:
    inverse = 1.0 / np.array([1.0, 20.0, 300.0])
    momenta = draw_momenta(inverse, 500.0, fix_center=fix_center, exact=True, seed=1)
    freedom = degrees_of_freedom(inverse, fix_center)
    assert freedom == (6 if fix_center else 9)
    assert kinetic_energy(momenta, inverse) == pytest.approx(0.5 * freedom * BOLTZMANN * 500.0, rel=1e-13)


def test_drawn_temperature_scatters_about_the_one_asked_for() -> None:
    inverse = 1.0 / np.array([1.0, 20.0, 0.0001, 300.0])
    inverse[2] = 0.0
    draws = [
        kinetic_energy(draw_momenta(inverse, 300.0, fix_center=False, exact=False, seed=s), inverse)
        for s in range(2000)
    ]
    k_t = BOLTZMANN * 300.0  # mean f kT/2, variance f (kT)²/2, with f = 9
    assert abs(np.mean(draws) - 4.5 * k_t) < 4.0 * k_t * np.sqrt(4.5 / 2000)
    assert np.var(draws) == pytest.approx(4.5 * k_t**2, rel=0.15)  # the variance of a variance: 4 x 4 %


def test_zero_temperature_is_rest() -> None:
    assert (draw_momenta(np.ones(3), 0.0, fix_center=True, exact=True, seed=0) == 0.0).all()


def test_seed_and_step_choose_the_draw() -> None:
    def draw(seed: int, step: int) -> float:
        return float(draw_momenta(np.ones(2), 10.0, fix_center=True, exact=False, seed=seed, step=step)[0, 0])

    assert draw(1, 0) == draw(1, 0)
    assert len({draw(1, 0), draw(2, 0), draw(1, 5)}) == 3


def test_held_atoms_have_no_inverse_mass() -> None:
    atoms = Atoms("CO2", constraint=FixAtoms(mask=[True, False, False]))
    np.testing.assert_allclose(inverse_masses(atoms), [0.0, 1 / 15.999, 1 / 15.999])
