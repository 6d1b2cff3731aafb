"""Symmetry as the other properties use it: rotations of the crystal in its own axes."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from scipy.spatial.transform import Rotation

from mlip_lab.core.errors import InputError
from mlip_lab.properties.symmetry import conventional_lattice, crystal_system, point_group, space_group, standard_axes

TILT = Rotation.from_euler("xyz", [20, 30, 40], degrees=True).as_matrix()


def tilted(atoms: Atoms) -> Atoms:
    atoms.set_cell(atoms.cell.array @ TILT.T, scale_atoms=True)
    return atoms


@pytest.mark.parametrize(
    ("atoms", "group", "system", "order"),
    [
        (bulk("Si"), "Fd-3m (227)", "cubic", 48),
        (bulk("Si", cubic=True), "Fd-3m (227)", "cubic", 48),
        (bulk("NaCl", "zincblende", a=5.0), "F-43m (216)", "cubic", 24),
        (bulk("Ti", "hcp", a=2.9, c=4.7), "P6_3/mmc (194)", "hexagonal", 24),
        (bulk("Sn", "bct", a=5.0, c=3.0), "I4_1/amd (141)", "tetragonal", 16),
    ],
)
def test_groups_of_known_crystals(atoms: Atoms, group: str, system: str, order: int) -> None:
    assert (space_group(tilted(atoms)), crystal_system(atoms)) == (group, system)
    rotations = point_group(atoms)
    assert rotations.shape == (order, 3, 3)
    np.testing.assert_allclose(rotations @ rotations.transpose(0, 2, 1), np.tile(np.eye(3), (order, 1, 1)), atol=1e-12)
    # a group: closed, so that the mean over it is its own image
    for rotation in rotations:
        products = rotation @ rotations
        assert all(np.abs(rotations - product).max(axis=(1, 2)).min() < 1e-9 for product in products)
    # every one maps the lattice onto itself
    mapped = atoms.cell.array @ rotations.transpose(0, 2, 1) @ np.linalg.inv(atoms.cell.array)
    np.testing.assert_allclose(mapped, np.round(mapped), atol=1e-9)


def test_standard_axes_turn_a_tilted_cube_back() -> None:
    atoms = tilted(bulk("Cu", cubic=True))
    back = standard_axes(atoms) @ TILT
    # up to a symmetry of the cube, which permutes axes and changes their signs
    np.testing.assert_allclose(np.sort(np.abs(back), axis=1), [[0, 0, 1]] * 3, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(conventional_lattice(tilted(bulk("Cu"))), axis=1), 3.61, atol=1e-9)


def test_magnetic_order_counts() -> None:
    atoms = bulk("Fe", cubic=True)
    assert space_group(atoms) == "Im-3m (229)"
    atoms.set_initial_magnetic_moments([2.2, -2.2])
    assert space_group(atoms) == "Pm-3m (221)"


def test_two_atoms_on_one_place_are_refused() -> None:
    with pytest.raises(InputError, match="Do two atoms share a place"):
        space_group(Atoms("Cu2", [[0, 0, 0], [0, 0, 0]], cell=[3] * 3, pbc=True))
