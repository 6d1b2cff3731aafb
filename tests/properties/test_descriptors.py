"""Invariants do not see rotation, translation and exchange of like atoms, and do see everything else."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule

from mlip_lab.core.errors import InputError
from mlip_lab.kernels import couplings
from mlip_lab.properties.descriptors import BODY_ORDER, LMAX, descriptors, moved

ETHANOL = molecule("CH3CH2OH")
HYDROGENS = (7, 8)


@pytest.mark.parametrize("change", [{"turn": 77.0}, {"shift": 2.5}, {"exchange": HYDROGENS}], ids=str)
def test_invariants_of_the_same_matter_are_the_same(change: dict) -> None:
    other = moved(ETHANOL, **change)
    assert np.abs(other.positions - ETHANOL.positions).max() > 0.5
    # invariants are sums of a few hundred products: 1e-12 is a thousand roundings
    assert descriptors(ETHANOL).change(descriptors(other), 0) < 1e-12


def test_every_atom_of_a_rotated_crystal_keeps_its_invariants(rng: np.random.Generator) -> None:
    crystal = bulk("Si").repeat(2)
    crystal.positions += 0.1 * rng.normal(size=(8 * 2, 3))
    now, then = descriptors(moved(crystal, turn=41.0, shift=1.0)), descriptors(crystal)
    assert np.allclose(now.values, then.values, rtol=0, atol=1e-11 * np.abs(then.values).max())


def test_exchanged_atoms_exchange_their_invariants() -> None:
    now, then = descriptors(moved(ETHANOL, exchange=HYDROGENS)).values, descriptors(ETHANOL).values
    assert np.allclose(now[[7, 8]], then[[8, 7]], rtol=0, atol=1e-12)


def test_a_longer_bond_is_seen() -> None:
    longer = ETHANOL.copy()
    longer.set_distance(0, 1, 1.03 * ETHANOL.get_distance(0, 1), fix=0)
    assert descriptors(ETHANOL).change(descriptors(longer), 0) > 1e-4


def test_body_order_two_is_a_sum_over_neighbours() -> None:
    # A_00 of a trimer's middle is the sum of what each end gives alone (Y_00 is constant)
    def middle(*ends: float) -> np.ndarray:
        return descriptors(Atoms(f"H{len(ends) + 1}", [(0, 0, 0), *((x, 0, 0) for x in ends)])).values[0, 0]

    assert np.allclose(middle(0.9, -1.3), middle(0.9) + middle(-1.3), rtol=1e-13)


def test_there_is_a_column_for_each_species_and_radial_function() -> None:
    found = descriptors(ETHANOL, n_radial=5).values
    assert found.shape == (9, len(couplings.invariants(LMAX, BODY_ORDER)), 3 * 5)


def test_what_is_not_usable_is_refused() -> None:
    with pytest.raises(InputError, match="at least one atom"):
        descriptors(Atoms())
    with pytest.raises(InputError, match="cutoff"):
        descriptors(ETHANOL, cutoff=0.0)
    with pytest.raises(InputError, match="of one element, got C, H"):
        moved(ETHANOL, exchange=(0, 8))
