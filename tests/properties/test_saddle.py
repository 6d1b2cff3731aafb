"""Saddle points, normal modes and rates of landscapes that are known on paper."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import fcc111, molecule
from ase.calculators.calculator import Calculator
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms, FixBondLength, FixCartesian
from scipy.optimize import root

from mlip_lab.core.errors import CalculationError, Cancelled, InputError
from mlip_lab.core.units import BOLTZMANN
from mlip_lab.properties.normal_modes import TERAHERTZ, NormalModes, normal_modes
from mlip_lab.properties.rates import HarmonicRate, harmonic_rate
from mlip_lab.properties.reaction_path import reaction_path
from mlip_lab.properties.relax import relax
from mlip_lab.properties.saddle import bofill, find_saddle

# Müller and Brown, DOI 10.1007/BF00547608
MB = np.array(
    [
        [-200.0, -1.0, 0.0, -10.0, 1.0, 0.0],
        [-100.0, -1.0, 0.0, -10.0, 0.0, 0.5],
        [-170.0, -6.5, 11.0, -6.5, -0.5, 1.5],
        [15.0, 0.7, 0.6, 0.7, -1.0, 1.0],
    ]
).T


def muller_brown(x: float, y: float) -> tuple[float, np.ndarray]:
    height, a, b, c, x0, y0 = MB
    dx, dy = x - x0, y - y0
    terms = height * np.exp(a * dx**2 + b * dx * dy + c * dy**2)
    return float(terms.sum()), np.array([terms @ (2 * a * dx + b * dy), terms @ (b * dx + 2 * c * dy)])


class Field(Calculator):
    """A function of the place of one atom: energy and gradient."""

    implemented_properties = ("energy", "forces")

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def calculate(self, atoms: Any = None, properties: Any = None, system_changes: Any = None) -> None:
        super().calculate(atoms, properties, system_changes)
        energy, gradient = self.function(*atoms.positions[0])
        self.results = {"energy": energy, "forces": -gradient[None]}


def in_the_plane(x: float, y: float) -> Atoms:
    return Atoms("H", [[x, y, 0.0]], constraint=FixCartesian([0], mask=(False, False, True)))


def plane(scale: float) -> Field:
    def function(x: float, y: float, z: float) -> tuple[float, np.ndarray]:
        energy, gradient = muller_brown(x, y)
        return scale * energy, scale * np.append(gradient, 0.0)

    return Field(function)


@pytest.mark.parametrize(
    ("start", "end", "top"),
    [
        ((-0.558, 1.442), (-0.05, 0.467), (-0.822, 0.624)),
        ((-0.558, 1.442), (0.623, 0.028), (-0.822, 0.624)),  # over both passes: the higher one
    ],
)
def test_muller_brown_saddle_to_a_millionth(start: Any, end: Any, top: Any) -> None:
    exact = root(lambda r: muller_brown(*r)[1], top, tol=1e-13).x
    found = reaction_path(in_the_plane(*start), in_the_plane(*end), plane(0.01), images=9, force=0.02, end_force=1e-7)
    assert found.converged and found.saddle.certified and not found.doubts
    assert np.abs(found.saddle.atoms.positions[0, :2] - exact).max() < 1e-6
    lowest = root(lambda r: muller_brown(*r)[1], start, tol=1e-13).x
    known = 0.01 * (muller_brown(*exact)[0] - muller_brown(*lowest)[0])
    assert found.barrier == pytest.approx(known, abs=1e-9)
    # the spline through nine images and their slopes, on a barrier of 1 eV that bends twice
    assert found.top[1] == pytest.approx(known, abs=0.01)
    assert len(found.saddle.modes.frequencies) == 2 and len(found.saddle.modes.imaginary) == 1
    # the whole way leads through the valley between the two passes
    between = [0.01 * (muller_brown(-0.05, 0.467)[0] - muller_brown(*lowest)[0])] if end == (0.623, 0.028) else []
    assert [energy for _, energy in found.valleys] == pytest.approx(between, abs=0.01)


DEPTH, WIDTH, SOFT, HARD = 0.3, 0.7, 2.0, 5.0  # eV, Å, eV/Å²


def double_well(x: float, y: float, z: float) -> tuple[float, np.ndarray]:
    """Minima at x = ±WIDTH, saddle at zero; a spring along y that is SOFT at the minima and HARD at the saddle."""
    share = (x / WIDTH) ** 2
    spring = SOFT * share + HARD * (1 - share)
    energy = DEPTH * (share - 1) ** 2 + 0.5 * spring * y**2 + 0.5 * z**2
    along = 4 * DEPTH * (share - 1) * x / WIDTH**2 + (SOFT - HARD) * x / WIDTH**2 * y**2
    return energy, np.array([along, spring * y, z])


def test_rate_over_a_known_saddle_follows_arrhenius() -> None:
    # in a cell: a molecule in free space could be moved, and the two ends would be one
    ends = (Atoms("Cu", [[side * WIDTH, 0.02, -0.01]], cell=[9.0, 9.0, 9.0], pbc=True) for side in (-1, 1))
    path = reaction_path(*ends, Field(double_well), images=5, end_force=1e-7, displacement=1e-3)
    mass = Atoms("Cu").get_masses()[0]
    exact = TERAHERTZ * np.sqrt(8 * DEPTH / WIDTH**2 / mass) * np.sqrt(SOFT / HARD)
    rate = path.rate()
    # central differences of 1e-3 Å err by the fourth derivative: 24 · 0.3 / 0.7⁴ · 1e-6 / 6 of 4.9 eV/Å², 1e-6
    assert rate.prefactor == pytest.approx(exact, rel=2e-6)
    assert rate.barrier == pytest.approx(DEPTH, abs=1e-10)
    imaginary = TERAHERTZ * np.sqrt(4 * DEPTH / WIDTH**2 / mass)
    assert path.saddle.modes.imaginary == pytest.approx([-imaginary], rel=2e-6)
    kelvin = np.array([300.0, 600.0, 1200.0])
    slope, intercept = np.polyfit(1 / kelvin, np.log(rate.at(kelvin)), 1)
    assert -slope * BOLTZMANN == pytest.approx(DEPTH, rel=1e-9)
    assert np.exp(intercept) == pytest.approx(1e12 * rate.prefactor, rel=1e-9)
    back = path.rate(reverse=True)
    assert back.prefactor == pytest.approx(rate.prefactor, rel=1e-6)


def test_rates_refuse_what_is_no_minimum_or_no_saddle() -> None:
    def modes(*frequencies: float) -> NormalModes:
        return NormalModes(np.array(frequencies), np.zeros((0, 1, 3)), np.zeros((0, 0)), np.ones((1, 3), dtype=bool))

    assert harmonic_rate(modes(1.0, 2.0), modes(-1.0, 4.0), 0.5) == HarmonicRate(pytest.approx(0.5), 0.5)
    with pytest.raises(CalculationError, match="is no minimum: 1 of its modes descend"):
        harmonic_rate(modes(-1.0, 2.0), modes(-1.0, 4.0), 0.5)
    with pytest.raises(CalculationError, match="has one imaginary mode, this has 2"):
        harmonic_rate(modes(1.0, 2.0), modes(-2.0, -1.0), 0.5)
    with pytest.raises(CalculationError, match="2 modes and the saddle 1"):
        harmonic_rate(modes(1.0, 2.0), modes(-2.0), 0.5)
    with pytest.raises(CalculationError, match="costs no energy"):
        harmonic_rate(modes(0.0, 2.0), modes(-2.0, 1.0), 0.5)
    with pytest.raises(InputError, match="above 0"):
        HarmonicRate(1.0, 0.1).at([0.0, 300.0])


def test_modes_of_molecules_leave_out_shifts_and_turns() -> None:
    for name, count in (("H2O", 3), ("N2", 1), ("CH4", 9)):
        found = relax(molecule(name), EMT(), cell=False, force=1e-4).atoms
        result = normal_modes(found, EMT())
        assert len(result.frequencies) == count
        masses = found.get_masses()
        for mode in result.modes:
            assert np.sum(masses[:, None] * mode**2) == pytest.approx(1.0)
            assert np.abs(masses @ mode).max() < 1e-9  # its centre of mass rests
    nitrogen = relax(molecule("N2"), EMT(), cell=False, force=1e-4).atoms
    bond = nitrogen.get_distance(0, 1)
    energies = []
    for stretch in (-0.01, 0.0, 0.01):
        stretched = nitrogen.copy()
        stretched.set_distance(0, 1, bond + stretch)
        stretched.calc = EMT()
        energies.append(stretched.get_potential_energy())
    spring = (energies[0] - 2 * energies[1] + energies[2]) / 0.01**2
    reduced = nitrogen.get_masses()[0] / 2
    # both by differences of 0.01 Å; energies see half the fourth derivative that forces see
    assert normal_modes(nitrogen, EMT()).frequencies[0] == pytest.approx(
        TERAHERTZ * np.sqrt(spring / reduced), rel=5e-3
    )


def test_fixed_atoms_make_a_partial_hessian() -> None:
    slab = fcc111("Cu", (2, 2, 3), vacuum=6.0)
    slab.set_constraint(FixAtoms([i for i in range(12) if slab[i].tag > 1]))
    slab = relax(slab, EMT(), cell=False, force=1e-4).atoms
    some = normal_modes(slab, EMT())
    assert some.hessian.shape == (12, 12) and len(some.frequencies) == 12 and not len(some.imaginary)
    slab.set_constraint()
    everything = normal_modes(slab, EMT())
    assert len(everything.frequencies) == 36 - 3
    where = np.flatnonzero(some.movable.ravel())
    assert np.allclose(everything.hessian[np.ix_(where, where)], some.hessian, atol=1e-10)


def test_bofill_makes_the_hessian_do_what_was_seen(rng: np.random.Generator) -> None:
    hessian, move, change = rng.normal(size=(5, 5)), rng.normal(size=5), rng.normal(size=5)
    hessian = hessian + hessian.T
    better = hessian + bofill(hessian, move, change)
    assert np.allclose(better @ move, change) and np.allclose(better, better.T)
    assert not bofill(hessian, move, hessian @ move).any()


def test_saddle_is_found_from_a_tenth_of_an_angstrom_off_and_not_from_nowhere() -> None:
    near = in_the_plane(-0.75, 0.55)
    found = find_saddle(near, plane(0.01), force=1e-8)
    exact = root(lambda r: muller_brown(*r)[1], (-0.822, 0.624), tol=1e-13).x
    assert np.abs(found.atoms.positions[0, :2] - exact).max() < 1e-7
    assert found.certified and found.steps < 10 and near.positions[0, 0] == -0.75
    with pytest.raises(CalculationError, match="No saddle point was found in 2 steps"):
        find_saddle(near, plane(0.01), force=1e-8, steps=2)
    with pytest.raises(Cancelled):
        find_saddle(near, plane(0.01), progress=_stop)


def _stop(done: int, total: int, /, **live: Any) -> None:
    raise Cancelled("enough")


def test_only_constraints_that_are_understood() -> None:
    water = molecule("H2O")
    water.set_constraint(FixBondLength(0, 1))
    with pytest.raises(InputError, match="FixAtoms and FixCartesian, got FixBondLength"):
        normal_modes(water, EMT())
    water.set_constraint(FixAtoms([0, 1, 2]))
    with pytest.raises(InputError, match="all are fixed"):
        normal_modes(water, EMT())
