"""Counted pairs are all pairs there are, at every radius and in every cell."""

from __future__ import annotations

import numpy as np
import pytest
from numba import config

from mlip_lab.kernels.neighbors import build_pairs, pair_vectors
from mlip_lab.kernels.pair_counts import count_angles, count_pairs, density_waves

pytestmark = pytest.mark.interpreted

PERIODIC = np.ones(3, dtype=np.bool_)
N = 8 if config.DISABLE_JIT else 40


def random_cell(rng: np.random.Generator, size: float) -> np.ndarray:
    return size * (np.eye(3) + 0.3 * rng.uniform(-1, 1, size=(3, 3)))


def by_list(positions, cell, pbc, species, n_species, radius, bins):
    """The same by a list of pairs."""
    first, neighbor, shift = build_pairs(positions, cell, pbc, radius)
    lengths = np.linalg.norm(pair_vectors(positions, cell, first, neighbor, shift), axis=1)
    center = np.repeat(np.arange(len(positions)), np.diff(first))
    counts = np.zeros((n_species, n_species, bins), dtype=int)
    place = np.minimum(bins - 1, (lengths * (bins / radius)).astype(int))
    np.add.at(counts, (species[center], species[neighbor], place), 1)
    return counts


@pytest.mark.parametrize("radius", [1.5, 4.0, 9.0])  # a fifth of the cell, half of it, more than all of it
@pytest.mark.parametrize("pbc", [(True, True, True), (True, False, True), (False, False, False)])
def test_counts_are_those_of_the_list(rng: np.random.Generator, radius: float, pbc: tuple[bool, ...]) -> None:
    cell, periodic = random_cell(rng, 8.0), np.array(pbc)
    positions = rng.uniform(-1.5, 2.5, size=(N, 3)) @ cell  # in and out of the cell
    species = rng.integers(0, 3, N)
    found = count_pairs(positions, cell, periodic, species, 3, radius, 20)
    assert np.array_equal(found, by_list(positions, cell, periodic, species, 3, radius, 20))
    assert np.array_equal(found, found.transpose(1, 0, 2))
    assert found.sum() > 0 or N < 40  # few atoms may have no pair so near


def test_images_of_an_atom_are_its_neighbours_and_it_itself_is_not() -> None:
    one = np.full((1, 3), 0.3)
    found = count_pairs(one, 2.1 * np.eye(3), PERIODIC, np.zeros(1, dtype=np.int64), 1, 3.0, 6)[0, 0]
    assert found.tolist() == [0, 0, 0, 0, 6, 12]  # at 2.1 Å and at 2.97 Å


def test_two_atoms_at_one_place_are_a_pair() -> None:
    found = count_pairs(np.zeros((2, 3)), 9.0 * np.eye(3), PERIODIC, np.array([0, 1]), 2, 2.0, 4)
    assert found[0, 1].tolist() == found[1, 0].tolist() == [1, 0, 0, 0]
    assert found[0, 0].sum() == found[1, 1].sum() == 0


def test_angles_of_a_tetrahedron() -> None:
    bonds = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1], [0, 0, 2], [0, 0, -1]], dtype=float)
    found = count_angles(bonds, np.array([0, 4, 6]), 180)
    assert np.flatnonzero(found).tolist() == [109, 179]  # acos(−1/3) = 109.47°; a straight line
    assert found[[109, 179]].tolist() == [6, 1]


def test_waves_of_a_lattice_add_up_or_cancel(rng: np.random.Generator) -> None:
    corners = np.stack(np.meshgrid(*[np.arange(2) / 2] * 3), axis=-1).reshape(-1, 3)
    assert np.allclose(density_waves(corners, np.array([[2, 0, 0], [2, 4, -2], [1, 0, 0], [2, 1, 0]])), [8, 8, 0, 0])
    atoms, waves = rng.uniform(-1, 2, size=(N, 3)), np.array([[1, -2, 3], [0, 0, 5], [-4, 1, 0]])
    expected = np.abs(np.exp(2j * np.pi * atoms @ waves.T).sum(axis=0)) ** 2 / N
    assert np.allclose(density_waves(atoms, waves), expected, rtol=1e-10)
