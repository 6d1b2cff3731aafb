"""The chain: formula, matrix and numbers are one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlip_lab.core.errors import InputError
from mlip_lab.core.units import FEMTOSECOND
from mlip_lab.properties.chain import Chain, chain_of, hessian_row, ring_frequencies, wave_vectors

springs = st.builds(
    Chain,
    nearest=st.floats(-5, 20),
    next_nearest=st.floats(-5, 5),
    three_body=st.floats(-5, 5),
    spacing=st.floats(1.5, 4),
    mass=st.floats(1, 200),
)


@given(chain=springs, count=st.integers(6, 13))
def test_formula_is_the_spectrum_of_the_ring(chain: Chain, count: int) -> None:
    """All eigenvalues of the whole matrix, made by differentiating the energy, against the formula."""
    ring = chain.ring(count)
    hessian = np.empty((count, count))
    for i in range(count):
        column = []
        for sign in (1, -1):
            moved = ring.copy()
            moved.positions[i, 0] += sign * 0.01
            moved.calc = chain.calculator()
            column.append(moved.get_forces()[:, 0])
        hessian[i] = (column[1] - column[0]) / 0.02
    fitting = 2 * np.pi * np.arange(count) / (count * chain.spacing)
    squares = np.linalg.eigvalsh((hessian + hessian.T) / 2 / chain.mass)
    thz = np.sign(squares) * np.sqrt(np.abs(squares)) * 1000 * FEMTOSECOND / (2 * np.pi)
    # roots of rounding: 1e-14 of the largest spring under the root
    np.testing.assert_allclose(np.sort(chain.frequencies(fitting)), thz, atol=2e-5)
    half = fitting[: count // 2 + 1]
    row = hessian_row(ring, chain.calculator())
    np.testing.assert_allclose(
        ring_frequencies(row, chain.mass, chain.spacing, half), chain.frequencies(half), atol=2e-5
    )


@given(chain=springs)
def test_forces_are_the_gradient_of_the_energy(chain: Chain) -> None:
    ring = chain.ring(7)
    ring.positions[:, 0] += np.random.default_rng(1).normal(size=7) * 0.1
    ring.calc = chain.calculator()
    forces = ring.get_forces()
    for atom in (0, 3, 6):
        energies = []
        for sign in (1, -1):
            moved = ring.copy()
            moved.positions[atom, 0] += sign * 1e-3
            moved.calc = chain.calculator()
            energies.append(moved.get_potential_energy())
        assert forces[atom, 0] == pytest.approx((energies[1] - energies[0]) / 2e-3, abs=1e-9 * 1e2)
    assert abs(forces.sum()) < 1e-10


def test_limits_of_textbooks() -> None:
    plain = Chain(nearest=5.0, mass=28.0, spacing=2.5)
    ks = wave_vectors(2.5)
    # ω = 2 √(k/m) |sin ka/2|
    expected = 2 * np.sqrt(5.0 / 28.0) * np.sin(ks * 2.5 / 2) * 1000 * FEMTOSECOND / (2 * np.pi)
    np.testing.assert_allclose(plain.frequencies(ks), expected, atol=1e-7)
    # the three-body term is the same as k₁ + 4 k₃ and k₂ − k₃: pairs can mimic it only by seeing further
    three = Chain(nearest=5.0, three_body=0.7).frequencies(ks)
    np.testing.assert_allclose(three, Chain(nearest=5.0 + 4 * 0.7, next_nearest=-0.7).frequencies(ks), atol=1e-7)
    # sound: slope at Γ in THz Å is 0.1 km/s; the three-body term leaves it alone
    for chain in (plain, Chain(three_body=2.0), Chain(next_nearest=1.0)):
        small = 1e-4
        slope = 2 * np.pi * chain.frequencies(np.array([small]))[0] / small
        assert 0.1 * slope == pytest.approx(chain.sound(), rel=1e-6)
    assert Chain(three_body=2.0).sound() == plain.sound()
    with pytest.raises(InputError, match="gives way"):
        Chain(nearest=1.0, next_nearest=-1.0).sound()


def test_values_are_checked() -> None:
    assert chain_of(nearest=3.0) == Chain(nearest=3.0)
    with pytest.raises(InputError, match="nearest: expected a number in eV/Å²"):
        chain_of(nearest=1000.0)
    with pytest.raises(InputError, match="count: expected a whole number from 5"):
        Chain().ring(4)
