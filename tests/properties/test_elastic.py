"""Elastic constants: exact relations, published values, and the trap of the internal coordinate."""

from __future__ import annotations

import time
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones

import mlip_lab
from mlip_lab.core.errors import CalculationError, InputError
from mlip_lab.core.units import GPA
from mlip_lab.data.packaged import reference
from mlip_lab.properties.elastic import elastic
from mlip_lab.properties.elastic_tensor import VOIGT, cubic_constants
from mlip_lab.properties.equation_of_state import equation_of_state
from mlip_lab.properties.relax import relax


def relaxed(atoms: Atoms, calculator: Any) -> Atoms:
    return relax(atoms, calculator, force=1e-6).atoms


def test_copper_is_cubic_and_its_bulk_modulus_is_that_of_the_equation_of_state() -> None:
    atoms = relaxed(bulk("Cu"), EMT())
    result = elastic(atoms, EMT(), strain=1e-3)
    c11, c12, c44 = cubic_constants(result.relaxed)
    form = np.zeros((6, 6))
    form[:3, :3] = c12
    np.fill_diagonal(form, [c11] * 3 + [c44] * 3)
    # central differences err by strain² times a third derivative of the stress, some 10 C: 1e-5 C
    np.testing.assert_allclose(result.relaxed, form, atol=1e-5 * c11)
    assert result.system == "cubic" and list(result.independent.values()) == pytest.approx([c11, c12, c44], rel=1e-9)
    # B is the curvature of E(V). Its error in the fit: the residual r over the well's depth ½ B (ΔV)²/V, per point
    curve = equation_of_state(bulk("Cu", a=atoms.cell.cellpar()[0] * 2**0.5), EMT(), volume_range=0.03)
    depth = 0.5 * curve.bulk_modulus * GPA * curve.volume * 0.03**2
    assert (c11 + 2 * c12) / 3 == pytest.approx(curve.bulk_modulus, rel=10 * curve.residual / depth + 1e-4)
    assert result.averages.bulk == pytest.approx((c11 + 2 * c12) / 3, rel=1e-5)
    assert result.stable


def test_one_atom_per_cell_has_no_internal_coordinate() -> None:
    result = elastic(relaxed(bulk("Cu"), EMT()), EMT())
    assert np.array_equal(result.relaxed, result.clamped)
    assert elastic(relaxed(bulk("Cu"), EMT()), EMT(), relax=False).relaxed is None


def test_lennard_jones_constants_are_its_lattice_sums() -> None:
    # C_ijkl = 1/(2V) Σ_R D²φ R_i R_j R_k R_l with D = (1/r) d/dr, Born's sum over neighbours of one atom
    epsilon, sigma, cutoff = 0.4, 2.3, 5.9  # the cutoff lies between shells, so that no bond begins or ends
    calculator = LennardJones(sigma=sigma, epsilon=epsilon, rc=cutoff)
    atoms = relaxed(bulk("Cu", a=3.6), calculator)
    steps = np.stack(np.meshgrid(*[np.arange(-5, 6)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    vectors = steps @ atoms.cell.array
    squares = (vectors**2).sum(axis=1)
    near = (squares > 0) & (squares < cutoff**2)
    vectors, squares = vectors[near], squares[near]
    assert np.abs(np.sqrt(squares) - cutoff).min() > 0.02 * cutoff
    ratio = sigma**6 / squares**3
    # φ = 4ε(s¹² − s⁶), Dφ = 4ε(−12 s¹² + 6 s⁶)/r², D²φ = 4ε(168 s¹² − 48 s⁶)/r⁴
    bend = 4 * epsilon * (168 * ratio**2 - 48 * ratio) / squares**2
    full = np.einsum("n,ni,nj,nk,nl->ijkl", bend, vectors, vectors, vectors, vectors) / (2 * atoms.cell.volume * GPA)
    sums = np.array([[full[i, j, k, m] for k, m in VOIGT] for i, j in VOIGT])
    result = elastic(atoms, calculator, strain=2e-3, route="both")
    # next-to-next order: strain⁴ = 2e-11 times a fifth derivative, some 1e5 C
    np.testing.assert_allclose(result.by_stress[0].constants, sums, atol=1e-6 * sums.max())
    # energies of 1 eV in steps of ½ C V (strain/3)² = 3e-6 eV, rounding 1e-15 eV: 1e-9, and the same order
    np.testing.assert_allclose(result.by_energy[0].constants, sums, atol=1e-6 * sums.max())
    assert result.disagreement < 1e-6
    assert result.tensor.nonlinearity > 10 * result.tensor.errors.max() / sums.max()


def test_cauchy_relation_of_a_pair_potential() -> None:
    # C12 = C44 without pressure where every atom is a centre of inversion and forces are central
    calculator = LennardJones(sigma=2.3, epsilon=0.4, rc=7.0, ro=5.0, smooth=True)
    result = elastic(relaxed(bulk("Cu", a=3.6), calculator), calculator, strain=1e-3)
    _, c12, c44 = cubic_constants(result.constants)
    # the pressure left is below 1e-6 eV / 11 Å³ = 1e-5 GPa of some 100 GPa
    assert c12 == pytest.approx(c44, rel=1e-6)


def test_stillinger_weber_silicon(silicon_calculator: Any) -> None:
    atoms = relaxed(bulk("Si"), silicon_calculator)
    result = elastic(atoms, silicon_calculator, strain=1e-3)
    c11, c12, c44 = cubic_constants(result.relaxed)
    # E. R. Cowley, DOI 10.1103/PhysRevLett.60.2379, to the digits given there
    assert (c11, c12, c44) == pytest.approx((151.4, 76.4, 56.4), abs=0.06)
    # its exact relation for diamond with nearest-neighbour bonds and angles, and relaxed ions
    assert (7 * c11 + 2 * c12) * c44 == pytest.approx(3 * (c11 + 2 * c12) * (c11 - c12), rel=1e-4)
    clamped = cubic_constants(result.clamped)
    assert clamped[:2] == pytest.approx((c11, c12), abs=1e-3)  # no internal coordinate moves under these strains
    assert clamped[2] == pytest.approx(energy_curvature(atoms, silicon_calculator, 3, 3), rel=1e-4)
    assert clamped[2] > 1.5 * c44


def test_routes_agree_with_relaxed_ions_and_at_large_strains(silicon_calculator: Any) -> None:
    atoms = relaxed(bulk("Si"), silicon_calculator)
    result = elastic(atoms, silicon_calculator, route="both", force=1e-6)
    assert len(result.by_energy) == len(result.by_stress) == 2
    assert result.disagreement < 1e-4
    assert elastic(atoms, silicon_calculator, route="both", strain=0.02, force=1e-6).disagreement < 0.005
    energies = elastic(atoms, silicon_calculator, route="energy", force=1e-6)
    assert energies.by_stress == () and energies.disagreement is None
    np.testing.assert_allclose(energies.relaxed, result.by_energy[1].constants, atol=1e-9)


def test_errors_cover_the_truth_and_large_strains_are_seen_to_bend(silicon_calculator: Any) -> None:
    atoms = relaxed(bulk("Si"), silicon_calculator)
    small = elastic(atoms, silicon_calculator, strain=1e-3, force=1e-7)
    large = elastic(atoms, silicon_calculator, strain=0.06, force=1e-7)
    assert small.tensor.nonlinearity < 1e-4 < 0.01 < large.tensor.nonlinearity
    # what the largest strain alone gives is as far off as is said, within a factor of two
    off = np.abs(large.constants - small.constants).max()
    assert off < large.tensor.nonlinearity * small.constants.max()
    assert off < 5 * large.errors.max()
    assert small.errors.max() < 1e-3


def test_shipped_silicon_is_within_8_percent_of_dft() -> None:
    calculator = mlip_lab.load("si").calculator()
    calculator.warm()
    known = reference("si")["values"]
    started, seen = time.process_time(), []
    result = elastic(
        bulk("Si"), calculator, route="both", relax_first=True, progress=lambda done, total, **_: seen.append(done)
    )
    assert time.process_time() - started < 10 and len(seen) == 127
    for name, value in result.independent.items():
        assert value == pytest.approx(known[name]["value"], rel=0.08)
    assert result.named(result.clamped)["C44"] == pytest.approx(known["C44_clamped"]["value"], rel=0.08)
    assert result.disagreement < 0.005 and result.stable


def energy_curvature(atoms: Atoms, calculator: Any, i: int, j: int) -> float:
    """∂²E/∂ε_i∂ε_j / V in GPa with clamped ions: the other route to the same constants."""

    def energy(a: float, b: float) -> float:
        deformation = np.eye(3)
        for index, size in ((i, a), (j, b)):
            row, column = VOIGT[index]
            deformation[row, column] += size / 2
            deformation[column, row] += size / 2
        strained = atoms.copy()
        strained.set_cell(atoms.cell.array @ deformation, scale_atoms=True)
        strained.calc = calculator
        return float(strained.get_potential_energy())

    h = 2e-3
    mixed = energy(h, h) - energy(h, -h) - energy(-h, h) + energy(-h, -h)
    return mixed / (4 * h * h) / float(atoms.cell.volume) / GPA


@pytest.mark.parametrize(("i", "j"), [(0, 0), (0, 1), (2, 2), (1, 2), (3, 3), (4, 4), (5, 5)])
def test_stress_route_equals_energy_route_for_a_low_symmetry(i: int, j: int) -> None:
    calculator = LennardJones(sigma=2.6, epsilon=0.4, rc=6.0, ro=5.0, smooth=True)
    atoms = relaxed(bulk("Ti", "hcp", a=2.9, c=4.7), calculator)
    result = elastic(atoms, calculator, strain=1e-3, relax=False)
    error = 1e-3 * result.clamped.max()  # both routes err by step² times some 100 C
    assert result.clamped[i, j] == pytest.approx(energy_curvature(atoms, calculator, i, j), abs=error)
    assert result.tensor.asymmetry < error


def test_constants_turn_with_the_crystal() -> None:
    cell = relaxed(bulk("Cu"), EMT())
    turned = cell.copy()
    turned.rotate(45, "z", rotate_cell=True)
    c11, c12, c44 = cubic_constants(elastic(cell, EMT()).constants)
    constants = elastic(turned, EMT()).constants
    # C'11 = (C11 + C12)/2 + C44 and C'66 = (C11 − C12)/2 after 45° about a cube axis
    assert constants[0, 0] == pytest.approx((c11 + c12) / 2 + c44, rel=1e-3)
    assert constants[5, 5] == pytest.approx((c11 - c12) / 2, rel=1e-3)
    with pytest.raises(CalculationError, match="Rotate the cell"):
        cubic_constants(constants)


def test_reuss_is_below_voigt() -> None:
    found = elastic(relaxed(bulk("Cu"), EMT()), EMT()).averages
    assert found.shear_reuss < found.shear < found.shear_voigt


def test_tensor_has_the_form_of_its_system() -> None:
    atoms = bulk("Ti", "hcp", a=2.6, c=4.2)
    atoms.symbols[:] = "Cu"
    result = elastic(atoms, EMT(), relax_first=True, force=1e-6)
    c = result.standard
    # transverse isotropy: C66 = (C11 − C12)/2 and what is zero is zero
    assert result.system == "hexagonal" and c[5, 5] == pytest.approx((c[0, 0] - c[0, 1]) / 2, rel=1e-9)
    np.testing.assert_allclose(c[:3, 3:], 0, atol=1e-9)
    assert result.errors.max() < 1e-3 * c.max()
    assert result.stable == all(condition.holds for condition in result.born)


def test_unstable_crystal_is_seen() -> None:
    # bcc is a saddle for a Lennard-Jones crystal: C11 < C12
    calculator = LennardJones(sigma=2.3, epsilon=0.4, rc=7.0, ro=5.0, smooth=True)
    result = elastic(relaxed(bulk("Fe", "bcc", a=2.9), calculator), calculator)
    assert not result.stable
    assert result.eigenvalues[0] < 0
    assert next((c.formula, c.holds) for c in result.born) == ("C11 − C12 > 0", False)
    with pytest.raises(CalculationError, match="not stable"):
        _ = result.averages
    with pytest.raises(CalculationError, match="not stable"):
        result.youngs_modulus(np.eye(3))


def test_processes_give_the_same_numbers() -> None:
    calculator = LennardJones(sigma=2.3, epsilon=0.4, rc=7.0, ro=5.0, smooth=True)
    atoms = relaxed(bulk("Cu", a=3.6), calculator)
    here = elastic(atoms, calculator)
    with ProcessPoolExecutor(1) as pool:
        assert np.array_equal(elastic(atoms, calculator, executor=pool).relaxed, here.relaxed)
        with pytest.raises(InputError, match="cannot be sent to another process"):
            elastic(relaxed(bulk("Cu"), EMT()), EMT(), executor=pool)  # EMT cannot be pickled once it was used


def test_progress_counts_strains() -> None:
    seen: list[tuple[int, int]] = []
    elastic(relaxed(bulk("Cu"), EMT()), EMT(), progress=lambda done, total, /, **live: seen.append((done, total)))
    assert seen == [(i, 36) for i in range(1, 37)]  # six strains, three amplitudes, two signs


def test_stressed_or_unrelaxed_crystal_is_refused() -> None:
    with pytest.raises(InputError, match=r"relaxed cell, got a stress of .* GPa"):
        elastic(bulk("Cu", a=3.7), EMT())
    moved = relaxed(bulk("Cu", cubic=True), EMT())
    moved.positions[0, 0] += 0.004
    with pytest.raises(InputError, match="relaxed ions, got a force"):
        elastic(moved, EMT())
    assert elastic(bulk("Cu", a=3.7), EMT(), relax_first=True).stable
    with pytest.raises(InputError, match="route: expected one of stress, energy, both"):
        elastic(bulk("Cu"), EMT(), route="force")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="amplitudes: expected a whole number from 3"):
        elastic(bulk("Cu"), EMT(), amplitudes=2)
    with pytest.raises(InputError, match=r"strain: expected a number above 0 and at most 0\.1"):
        elastic(bulk("Cu"), EMT(), strain=0.5)
    with pytest.raises(InputError, match="not periodic"):
        elastic(molecule("N2"), EMT())
