"""Phonons against lattice sums, phonopy called directly, elastic constants and the equation of motion."""

from __future__ import annotations

import time
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from phonopy import Phonopy
from phonopy.structure.atoms import PhonopyAtoms

import mlip_lab
from mlip_lab.core.errors import CalculationError, Cancelled, InputError
from mlip_lab.panels.phonons import PHONONS
from mlip_lab.plots.phonons import distance
from mlip_lab.plots.style import description
from mlip_lab.properties.elastic import elastic
from mlip_lab.properties.phonons import phonons, supercell_convergence
from mlip_lab.properties.relax import relax
from mlip_lab.properties.vibrational import STILL
from mlip_lab.workflows.phonon_reference import reference_frequencies

THZ = np.sqrt(units._e / units._amu) * 1e10 / (2 * np.pi) * 1e-12  # of √(eV/Å²/amu)
EPSILON, SIGMA, CUTOFF = 0.4, 2.3, 5.9  # the cutoff lies between shells of the crystal


def lennard_jones() -> LennardJones:
    return LennardJones(sigma=SIGMA, epsilon=EPSILON, rc=CUTOFF)


def relaxed(atoms: Atoms, calculator: Any, force: float = 1e-7) -> Atoms:
    return relax(atoms, calculator, force=force, symmetry=True).atoms


def lattice_sum(atoms: Atoms, q: np.ndarray) -> np.ndarray:
    """Frequencies in THz of a Lennard-Jones crystal with one atom a cell: D(q) = Σ_R Φ(R) (1 − cos q·R) / m."""
    steps = np.stack(np.meshgrid(*[np.arange(-5, 6)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    vectors = steps @ atoms.cell.array
    r = np.linalg.norm(vectors, axis=1)
    near = (r > 0) & (r < CUTOFF)
    steps, vectors, r = steps[near], vectors[near], r[near]
    s6 = (SIGMA / r) ** 6
    slope = 4 * EPSILON * (-12 * s6**2 + 6 * s6) / r
    bend = 4 * EPSILON * (156 * s6**2 - 42 * s6) / r**2
    unit = vectors / r[:, None]
    along = np.einsum("ni,nj->nij", unit, unit)
    springs = (bend - slope / r)[:, None, None] * along + (slope / r)[:, None, None] * np.eye(3)
    wave = 1 - np.cos(2 * np.pi * steps @ q)
    squares = np.linalg.eigvalsh(np.einsum("n,nij->ij", wave, springs) / atoms.get_masses()[0])
    return np.asarray(np.sign(squares) * np.sqrt(np.abs(squares)) * THZ)


def test_lennard_jones_frequencies_are_its_lattice_sums() -> None:
    atoms = relaxed(bulk("Cu", a=3.6), lennard_jones())
    # faces two cutoffs apart, so that no pair is seen twice; steps of 1e-4 Å err by step² φ''''/φ'' ≈ 1e-7
    result = phonons(atoms, lennard_jones(), reach=2 * CUTOFF, displacement=1e-4, check_supercell=False)
    points = [*result.path.points.values(), *np.random.default_rng(1).uniform(-1, 1, (20, 3))]
    highest = result.frequencies.max()
    for q in points:
        np.testing.assert_allclose(result.at(q), lattice_sum(result.atoms, q), atol=1e-6 * highest)
    for place in (0, 7, 50, -1):
        exact = lattice_sum(result.atoms, result.path.qpoints[place])
        np.testing.assert_allclose(result.frequencies[place], exact, atol=1e-6 * highest)
    assert result.imaginary == () and result.vibrations is not None
    # three modes an atom; the trapezoid over 200 points errs where the density jumps
    assert np.trapezoid(result.dos, result.dos_frequencies) == pytest.approx(3, rel=0.02)


@pytest.fixture(scope="module")
def copper() -> Any:
    return phonons(relaxed(bulk("Cu"), EMT()), EMT(), reach=8.0)


def test_phonopy_called_directly_gives_the_same(copper: Any) -> None:
    cell = copper.atoms
    unit = PhonopyAtoms(symbols=["Cu"], cell=cell.cell.array, scaled_positions=[[0, 0, 0]], masses=cell.get_masses())
    direct = Phonopy(unit, np.diag(copper.supercell), primitive_matrix=np.eye(3))
    direct.generate_displacements(distance=copper.displacement)
    forces = []
    for moved in direct.supercells_with_displacements:
        atoms = Atoms(moved.symbols, cell=moved.cell, scaled_positions=moved.scaled_positions, pbc=True)
        atoms.calc = EMT()
        forces.append(atoms.get_forces())
    direct.forces = forces
    direct.produce_force_constants(show_drift=False)
    direct.symmetrize_force_constants(show_drift=False)
    direct.run_qpoints(copper.path.qpoints, with_group_velocities=True)
    # acoustic modes at Γ are roots of rounding
    assert np.abs(direct.qpoints.frequencies - copper.frequencies)[1:].max() < 1e-8
    np.testing.assert_allclose(0.1 * direct.qpoints.group_velocities[1:20], copper.velocities[1:20], atol=1e-6)
    direct.run_mesh(60.0)
    direct.run_thermal_properties(temperatures=[0.0, 300.0, 1000.0], cutoff_frequency=STILL)
    known, found = direct.thermal_properties, copper.vibrations
    places = [0, 30, 100]
    np.testing.assert_allclose(found.temperatures[places], [0, 300, 1000])
    # the same modes count in both; constants of nature are of different years, some 1e-6 apart
    np.testing.assert_allclose(found.heat_capacity[places], known.heat_capacity, rtol=1e-5)
    np.testing.assert_allclose(found.entropy[places], known.entropy, rtol=1e-5)
    np.testing.assert_allclose(found.free_energy[places] / (units.kJ / units.mol), known.free_energy, rtol=1e-5)


def test_sound_is_that_of_the_elastic_constants(copper: Any) -> None:
    constants = elastic(copper.atoms, EMT()).independent
    density = copper.atoms.get_masses()[0] / copper.atoms.cell.volume * units._amu * 1e30  # kg/m³
    speeds = np.linalg.norm(copper.velocities[1], axis=1)
    assert copper.path.labels[1][0] == "X"  # along a cube edge: C44 twice and C11
    expected = np.sqrt(1e9 * np.array([constants["C44"], constants["C44"], constants["C11"]]) / density) / 1000
    # what is left: (q a)² of the first point, and force constants cut off by the supercell
    np.testing.assert_allclose(speeds, expected, rtol=5e-3)


@pytest.mark.parametrize(("name", "band"), [("X", 0), ("X", 5), ("L", 3), ("Γ", 4), ("W", 2)])
def test_a_mode_obeys_the_equation_of_motion(silicon_calculator: Any, name: str, band: int) -> None:
    calculator = silicon_calculator
    # a supercell of four repeats holds these waves, so that its force constants are exact for them
    result = phonons(bulk("Si"), calculator, reach=12.0, relax_first=True, check_supercell=False, force=1e-7)
    q = result.named_point(name)
    frames = result.mode(q, band, amplitude=0.002, count=8)
    still = np.mean([frame.positions for frame in frames], axis=0)
    for frame in frames[:3]:
        moved = frame.copy()
        moved.calc = calculator
        u = frame.positions - still
        omega = result.at(q)[band] / THZ
        expected = -(omega**2) * frame.get_masses()[:, None] * u
        # anharmonic: u over a bond (1e-3) times a third derivative over a second, some 5 Å⁻¹ · Å
        np.testing.assert_allclose(moved.get_forces(), expected, atol=0.02 * np.abs(expected).max() + 1e-4)
    largest = max(np.linalg.norm(frame.positions - still, axis=1).max() for frame in frames)
    assert largest <= 0.002 + 1e-12 and len(frames[0]) >= 16


def test_any_cell_of_a_crystal_gives_its_phonons() -> None:
    cube = relaxed(bulk("Cu", cubic=True).repeat((1, 1, 2)), EMT())
    cube.set_masses([63.0] * 8)
    result = phonons(cube, EMT(), reach=7.0, check_supercell=False)
    assert len(result.atoms) == 1 and result.atoms.get_masses()[0] == 63.0
    one = result.atoms.copy()
    again = phonons(one, EMT(), reach=7.0, check_supercell=False)
    np.testing.assert_allclose(result.frequencies, again.frequencies, atol=1e-5)


def test_imaginary_modes_are_named_and_explained() -> None:
    calculator = LennardJones(sigma=2.3, epsilon=0.4, rc=7.0, ro=5.0, smooth=True)
    atoms = relaxed(bulk("Fe", "bcc", a=2.7), calculator, force=1e-5)
    result = phonons(atoms, calculator, reach=8.0, check_supercell=False)
    worst = result.imaginary[0]
    assert worst.frequency == min(mode.frequency for mode in result.imaginary) < -0.5
    assert result.vibrations is None
    np.testing.assert_allclose(result.at(worst.q)[worst.band], worst.frequency, atol=1e-6)
    # what the mode promises: moving along it lowers the energy
    energies = []
    for amplitude in (1e-6, 0.05):
        frame = result.mode(worst.q, worst.band, amplitude=amplitude, count=4)[0]
        frame.calc = calculator
        energies.append(frame.get_potential_energy() / len(frame))
    assert energies[1] < energies[0]
    assert "The crystal" in worst.meaning and worst.name


def test_a_larger_supercell_changes_less() -> None:
    result = supercell_convergence(relaxed(bulk("Cu"), EMT()), EMT(), longest=8.0)
    assert result.supercells[0] == (1, 1, 1) and len(result.changes) == len(result.supercells) - 1
    assert result.changes[-1] < result.changes[0] / 3
    assert result.reaches[-1] >= 8.0 > result.reaches[-2]


def test_smaller_supercell_is_the_one_of_the_check(copper: Any) -> None:
    other = phonons(copper.atoms, EMT(), reach=5.5, check_supercell=False)
    assert other.supercell == tuple(n - 1 for n in copper.supercell)
    change = np.sqrt(np.mean((other.frequencies - copper.frequencies) ** 2))
    assert copper.supercell_change == pytest.approx(change, rel=1e-6)


class Leaky(EMT):
    """Forces with a small error that depends on where the atoms are, so that they do not add up to zero."""

    def calculate(self, *args: Any, **options: Any) -> None:
        super().calculate(*args, **options)
        self.results["forces"][:, 0] += 1e-3 * (self.results["forces"][:, 0] > 1e-6)


def test_a_broken_sum_rule_is_seen_and_mended(copper: Any) -> None:
    assert copper.sum_rule < 1e-10
    result = phonons(copper.atoms, Leaky(), reach=5.5, check_supercell=False)
    assert result.sum_rule > 0.05
    assert np.abs(result.at([0, 0, 0])).max() < 1e-3


def test_shipped_silicon_beside_dft_in_time() -> None:
    calculator = mlip_lab.load("si").calculator()
    calculator.warm()
    seen: list[tuple[int, int]] = []
    started = time.process_time()
    result = phonons(bulk("Si"), calculator, relax_first=True, progress=lambda d, t, **_: seen.append((d, t)))
    assert time.process_time() - started < 10
    assert seen == [(1, 2), (2, 2)]  # diamond has one displacement; two supercells
    dft = reference_frequencies(result)
    assert dft is not None
    off = distance(result.frequencies, dft)
    assert off <= 0.25  # THz
    (said,) = [number for number in PHONONS.numbers(result) if "DFT" in number.name]
    assert said.value == off and f"{off:.2f} THz from DFT" in description(PHONONS.picture(result))
    assert result.imaginary == () and 23.5 < result.vibrations.heat_capacity[-1] < 24.95
    with pytest.raises(CalculationError, match="no point H; it has Γ"):
        result.named_point("H")


def test_processes_give_the_same_and_stop_is_heard() -> None:
    atoms = relaxed(bulk("Cu", a=3.6), lennard_jones())
    here = phonons(atoms, lennard_jones(), reach=6.0, check_supercell=False)
    with ProcessPoolExecutor(1) as pool:
        there = phonons(atoms, lennard_jones(), reach=6.0, check_supercell=False, executor=pool)
    assert np.array_equal(here.force_constants, there.force_constants)

    def stop(done: int, total: int, /, **_: Any) -> None:
        raise Cancelled("enough")

    with pytest.raises(Cancelled):
        phonons(atoms, lennard_jones(), reach=6.0, progress=stop)


def test_what_is_not_usable_is_refused_in_words() -> None:
    with pytest.raises(InputError, match=r"relaxed cell, got a stress of .* GPa.*relax_first=True"):
        phonons(bulk("Cu", a=3.7), EMT())
    with pytest.raises(InputError, match="reach: expected a number in Å"):
        phonons(bulk("Cu"), EMT(), reach=0.0)
    with pytest.raises(InputError, match="not periodic"):
        phonons(molecule("N2"), EMT())
    result = phonons(bulk("Cu"), EMT(), reach=4.0, relax_first=True, check_supercell=False)
    with pytest.raises(InputError, match="band: expected a whole number from 0 to 2"):
        result.mode([0, 0, 0], 3)
    with pytest.raises(InputError, match="q: expected shape"):
        result.at([0, 0])
