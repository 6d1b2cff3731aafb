"""The algebra of elastic constants against closed formulas."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mlip_lab.properties.elastic_tensor import (
    averages,
    born_conditions,
    cubic_tensor,
    rotated,
    symmetrised,
    youngs_modulus,
    zener_anisotropy,
)

CUBE = Rotation.create_group("O").as_matrix()


def test_averages_of_an_isotropic_solid_are_its_moduli() -> None:
    lame, shear = 70.0, 30.0
    constants = cubic_tensor(lame + 2 * shear, lame, shear)
    found = averages(constants)
    assert found.bulk_voigt == pytest.approx(found.bulk_reuss) == pytest.approx(lame + 2 * shear / 3)
    assert found.shear_voigt == pytest.approx(found.shear_reuss) == pytest.approx(shear)
    assert found.young == pytest.approx(shear * (3 * lame + 2 * shear) / (lame + shear))
    assert found.poisson == pytest.approx(lame / (2 * (lame + shear)))
    directions = Rotation.random(20, rng=1).apply([0, 0, 1])
    np.testing.assert_allclose(youngs_modulus(constants, directions), found.young, rtol=1e-12)
    np.testing.assert_allclose(rotated(constants, Rotation.random(5, rng=2).as_matrix()), [constants] * 5, atol=1e-12)


def test_moduli_of_a_cubic_crystal() -> None:
    c11, c12, c44 = 165.7, 63.9, 79.6
    constants = cubic_tensor(c11, c12, c44)
    found = averages(constants)
    # J. F. Nye, Physical Properties of Crystals: K = (C11 + 2 C12)/3, G_V and G_R of a cubic crystal
    assert found.bulk_voigt == pytest.approx((c11 + 2 * c12) / 3)
    assert found.shear_voigt == pytest.approx((c11 - c12 + 3 * c44) / 5)
    assert found.shear_reuss == pytest.approx(5 * (c11 - c12) * c44 / (4 * c44 + 3 * (c11 - c12)))
    assert zener_anisotropy(c11, c12, c44) == pytest.approx(1.5639, abs=1e-4)
    # silicon: W. A. Brantley, DOI 10.1063/1.1661935 gives 130, 169 and 188 GPa along <100>, <110>, <111>
    directions = np.array([[1, 0, 0], [1, 1, 0], [1, 1, 1]]) / np.sqrt([[1], [2], [3]])
    np.testing.assert_allclose(youngs_modulus(constants, directions), [130, 169, 188], atol=0.5)


def test_rotation_is_that_of_stress_and_strain() -> None:
    rng = np.random.default_rng(4)
    tensor = rng.normal(size=(6, 6))
    tensor += tensor.T
    turn = Rotation.random(rng=3).as_matrix()
    strain = rng.normal(size=(3, 3))
    strain += strain.T

    def voigt(m: np.ndarray, shear: float) -> np.ndarray:
        return np.array([m[0, 0], m[1, 1], m[2, 2], shear * m[1, 2], shear * m[0, 2], shear * m[0, 1]])

    stress = tensor @ voigt(strain, 2)
    matrix = stress[[[0, 5, 4], [5, 1, 3], [4, 3, 2]]]
    there = rotated(tensor, turn) @ voigt(turn @ strain @ turn.T, 2)
    np.testing.assert_allclose(there, voigt(turn @ matrix @ turn.T, 1), atol=1e-12)
    np.testing.assert_allclose(rotated(rotated(tensor, turn), turn.T), tensor, atol=1e-12)


def test_mean_over_the_cube_group_has_three_constants() -> None:
    rng = np.random.default_rng(7)
    tensor = rng.normal(size=(6, 6))
    found = symmetrised(tensor + tensor.T, CUBE)
    np.testing.assert_allclose(found, cubic_tensor(found[0, 0], found[0, 1], found[3, 3]), atol=1e-12)
    np.testing.assert_allclose(symmetrised(found, CUBE), found, atol=1e-12)


def symmetric(system: str, rng: np.random.Generator) -> np.ndarray:
    """Random constants of a crystal system in its standard axes, some stable and some not."""
    axis = {"hexagonal": 6, "trigonal": 3, "tetragonal": 4}
    if system == "cubic":
        group = CUBE
    elif system == "orthorhombic":
        group = Rotation.create_group("D2").as_matrix()
    else:
        group = Rotation.create_group(f"C{axis[system]}").as_matrix()
    tensor = rng.normal(size=(6, 6))
    return symmetrised(tensor @ tensor.T * rng.uniform(0.2, 1) + rng.uniform(-2, 1) * np.eye(6), group)


@pytest.mark.parametrize("system", ["cubic", "hexagonal", "trigonal", "tetragonal", "orthorhombic", "triclinic"])
def test_born_conditions_are_those_of_positive_eigenvalues(system: str) -> None:
    rng = np.random.default_rng(11)
    seen = set()
    for _ in range(300):
        constants = symmetric("orthorhombic" if system == "triclinic" else system, rng)
        stable = bool(np.linalg.eigvalsh(constants)[0] > 0)
        seen.add(stable)
        assert all(c.holds for c in born_conditions(constants, system)) == stable
    assert seen == {True, False}
