"""A product finds its atoms again: renamed, moved through the boundary, turned."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from ase.constraints import FixAtoms

from mlip_lab.core.errors import InputError
from mlip_lab.properties.mapping import map_product


def alloy() -> Atoms:
    atoms = bulk("W", cubic=True).repeat(3)
    atoms.symbols[::3] = "Ta"
    return atoms


@pytest.mark.parametrize("skewed", [False, True])
def test_permuted_atoms_across_boundaries(skewed: bool, rng: np.random.Generator) -> None:
    reactant = alloy()
    if skewed:
        shear = np.eye(3) + np.array([[0, 0.3, 0.1], [0, 0, 0.2], [0, 0, 0]])
        reactant.set_cell(reactant.cell.array @ shear, scale_atoms=True)
    moved = reactant.positions + rng.uniform(-0.3, 0.3, (len(reactant), 3))
    shuffle = rng.permutation(len(reactant))
    product = reactant[shuffle]
    product.positions = moved[shuffle] + rng.integers(-2, 3, (len(reactant), 3)) @ reactant.cell.array
    found = map_product(reactant, product)
    assert np.array_equal(shuffle[found.order], np.arange(len(reactant)))
    assert np.allclose(found.atoms.positions, moved, atol=1e-9)
    assert np.array_equal(found.atoms.numbers, reactant.numbers)
    assert np.allclose(found.moves, np.linalg.norm(moved - reactant.positions, axis=1))
    assert np.array_equal(product.numbers, reactant.numbers[shuffle]), "what was given stays"


def test_two_crystals_with_an_atom_missing_differ_by_one_hop() -> None:
    crystal = bulk("W", cubic=True).repeat(3)
    neighbour = int(np.argsort(crystal.get_distances(0, range(54), mic=True))[1])
    reactant, product = crystal.copy(), crystal.copy()
    del reactant[0], product[neighbour]
    found = map_product(reactant, product)
    assert np.count_nonzero(found.moves > 1e-6) == 1
    assert found.moves.max() == pytest.approx(crystal.get_distance(0, neighbour, mic=True))


def test_like_atoms_only_change_places() -> None:
    pair = Atoms("WTa", [[0, 0, 0], [0, 0, 2.5]], cell=[9, 9, 9], pbc=True)
    exchanged = Atoms("TaW", [[0, 0, 0], [0, 0, 2.5]], cell=[9, 9, 9], pbc=True)
    found = map_product(pair, exchanged)
    assert list(found.order) == [1, 0] and np.allclose(found.moves, 2.5)


def test_a_molecule_may_be_turned_and_moved(rng: np.random.Generator) -> None:
    reactant = molecule("CH3CH2OH")
    turned = reactant.copy()
    turned.rotate(40, (1, 2, 3))
    turned.translate([3.0, -1.0, 2.0])
    shuffle = rng.permutation(len(turned))
    found = map_product(reactant, turned[shuffle])
    assert found.moves.max() < 1e-6
    # hydrogens of one group may stand for each other; elements may not
    assert np.array_equal(turned.numbers[shuffle][found.order], reactant.numbers)


def test_ends_that_do_not_belong_together_are_refused() -> None:
    reactant = alloy()
    with pytest.raises(InputError, match="product: expected the atoms of the reactant, Ta18W36; got Ta17W36"):
        map_product(reactant, reactant[1:])
    wider = reactant.copy()
    wider.set_cell(reactant.cell * 1.01)
    with pytest.raises(InputError, match=r"one that differs by 0\.0948 Å"):
        map_product(reactant, wider)
    open_cell = reactant.copy()
    open_cell.pbc = (True, True, False)
    with pytest.raises(InputError, match="expected periodic directions"):
        map_product(reactant, open_cell)
    lost = reactant.copy()
    lost.positions[3] = np.nan
    with pytest.raises(InputError, match="product: expected finite positions"):
        map_product(reactant, lost)
    slab = fcc111("Cu", (2, 2, 2), vacuum=5.0)
    slab.set_constraint(FixAtoms([0, 1, 2, 3]))
    pushed = slab.copy()
    pushed.set_constraint()
    pushed.positions[1, 0] += 0.1
    with pytest.raises(InputError, match=r"atom 1 is fixed in the reactant but lies 0\.100 Å away"):
        map_product(slab, pushed)
