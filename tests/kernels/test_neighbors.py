"""The pair list equals other people's lists pair for pair, and obeys the symmetries of its definition."""

from __future__ import annotations

import itertools

import numba
import numpy as np
import pytest
from ase.neighborlist import primitive_neighbor_list
from hypothesis import given, settings
from hypothesis import strategies as st

from mlip_lab.core.errors import InputError
from mlip_lab.kernels.neighbors import build_pairs, check_geometry, needs_rebuild, pair_vectors

pytestmark = pytest.mark.interpreted
INTERPRETED = bool(numba.config.DISABLE_JIT)
SEEDS = range(4 if INTERPRETED else 40)
PBC = list(itertools.product([False, True], repeat=3))


def pairs(positions, cell, pbc, cutoff):
    """The list as sorted rows i, j, Sx, Sy, Sz."""
    first, neighbor, shift = build_pairs(positions, cell, np.array(pbc), cutoff)
    assert first[0] == 0 and first[-1] == len(neighbor) == len(shift)
    return ordered(np.repeat(np.arange(len(positions)), np.diff(first)), neighbor, shift)


def ordered(i, j, shift):
    rows = np.column_stack([i, j, shift]).astype(np.int64)
    return rows[np.lexsort(rows.T)]


def ase_pairs(positions, cell, pbc, cutoff):
    return ordered(*primitive_neighbor_list("ijS", pbc, cell, positions, cutoff))


def random_case(seed):
    """A cell of one of many kinds, with atoms partly outside it, and a cutoff from small to 3 cell lengths."""
    rng = np.random.default_rng(seed)
    cell = rng.normal(size=(3, 3))
    while abs(np.linalg.det(cell)) < 0.15 * np.prod(np.linalg.norm(cell, axis=1)):
        cell = rng.normal(size=(3, 3))
    if seed % 3 == 1:  # strong skew: several other vectors added to each
        cell = (np.eye(3) + np.tril(rng.integers(-3, 4, (3, 3)), -1)) @ (np.eye(3) + 0.2 * cell)
    if seed % 2 == (np.linalg.det(cell) > 0):  # both hands
        cell = cell[::-1]
    height = 1.0 / np.linalg.norm(np.linalg.inv(cell), axis=0).max()
    cell = np.ascontiguousarray(cell * rng.uniform(2.0, 6.0) / height)
    pbc = PBC[seed % 8]
    n = int(rng.integers(1, 5 if INTERPRETED else 12))
    positions = rng.uniform(0.0, 1.0, (n, 3)) @ cell
    if seed % 5 != 0:  # translations of single atoms: physics may not care, the list must say so in the shifts
        positions += rng.integers(-20, 21, (n, 3)) * np.array(pbc) @ cell + rng.normal(size=(n, 3))
    cutoff = float(rng.choice([1.0, 2.5, 5.0] if INTERPRETED else [1.0, 2.5, 5.0, 9.0]))
    return positions, cell, pbc, cutoff


@pytest.mark.parametrize("seed", SEEDS)
def test_equal_to_ase_on_random_cells(seed):
    case = random_case(seed)
    np.testing.assert_array_equal(pairs(*case), ase_pairs(*case))


@pytest.mark.parametrize("seed", SEEDS)
def test_equal_to_matscipy_on_random_cells(seed):
    neighbours = pytest.importorskip("matscipy.neighbours", reason="matscipy is the second witness, not a requirement")
    positions, cell, pbc, cutoff = random_case(1000 + seed)
    found = neighbours.neighbour_list("ijS", cutoff=cutoff, positions=positions, cell=cell, pbc=np.array(pbc))
    np.testing.assert_array_equal(pairs(positions, cell, pbc, cutoff), ordered(*found))


@pytest.mark.parametrize("pbc", PBC)
def test_rows_of_free_directions_may_be_zero_or_anything(pbc):
    rng = np.random.default_rng(3)
    cell = np.array([[4.0, 0.5, 0.0], [-1.0, 5.0, 0.3], [0.2, 1.1, 6.0]])
    positions = rng.uniform(-2.0, 8.0, (6, 3))
    free = ~np.array(pbc)
    expected = pairs(positions, cell, pbc, 4.5)
    for replacement in (0.0, 1e-3, 7.0):
        other = cell.copy()
        other[free] = replacement
        np.testing.assert_array_equal(pairs(positions, other, pbc, 4.5), expected)
    # ASE is asked with the full cell: it misses pairs itself where rows of a skewed cell are zero
    np.testing.assert_array_equal(expected, ase_pairs(positions, cell, pbc, 4.5))
    assert not expected[:, 2:][:, free].any()


def test_one_atom_cell_with_many_images():
    # fcc primitive cell, cutoff three lattice constants: shells counted by brute force over lattice points
    cell = 2.0 * np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]])
    cutoff = 6.1 if INTERPRETED else 12.1
    span = np.array(list(itertools.product(range(-8, 9), repeat=3)))
    length = np.linalg.norm(span @ cell, axis=1)
    expected = span[(length < cutoff) & (length > 0.0)]
    assert np.abs(expected).max() < 8  # the brute force saw everything
    found = pairs(np.array([[31.0, -7.0, 0.4]]), cell, (True, True, True), cutoff)
    np.testing.assert_array_equal(found[:, 2:], ordered(0 * expected[:, 0], 0 * expected[:, 0], expected)[:, 2:])


def test_a_pair_at_exactly_the_cutoff_is_left_out():
    # lengths here are whole numbers, so every vector is exact in binary
    positions, cell = np.zeros((1, 3)), 2.0 * np.eye(3)
    assert len(pairs(positions, cell, (True, True, True), 2.0)) == 0
    assert len(pairs(positions, cell, (True, True, True), np.nextafter(2.0, 3.0))) == 6
    dimer = np.array([[0.0, 0.0, 0.0], [3.0, 4.0, 0.0]])
    assert len(pairs(dimer, cell, (False, False, False), 5.0)) == 0
    assert len(pairs(dimer, cell, (False, False, False), 5.001)) == 2


@pytest.mark.parametrize("seed", SEEDS)
def test_vectors_are_short_and_every_pair_has_its_exact_reverse(seed):
    positions, cell, pbc, cutoff = random_case(500 + seed)
    first, neighbor, shift = build_pairs(positions, cell, np.array(pbc), cutoff)
    vectors = pair_vectors(positions, cell, first, neighbor, shift)
    i = np.repeat(np.arange(len(positions)), np.diff(first))
    np.testing.assert_allclose(vectors, positions[neighbor] + shift @ cell - positions[i], atol=1e-9, rtol=0)
    assert (np.sum(vectors**2, axis=1) < cutoff**2).all()
    here = {(a, b, *s): tuple(v) for a, b, s, v in zip(i, neighbor, shift.tolist(), vectors, strict=True)}
    assert len(here) == len(neighbor)  # no pair twice
    for (a, b, *s), v in here.items():
        assert here[(b, a, *(-x for x in s))] == tuple(-x for x in v)  # to the last bit


@pytest.mark.parametrize("seed", SEEDS)
def test_permuting_and_translating_atoms_changes_labels_only(seed):
    positions, cell, pbc, cutoff = random_case(2000 + seed)
    rng = np.random.default_rng(seed)
    expected = pairs(positions, cell, pbc, cutoff)
    order = rng.permutation(len(positions))
    there = pairs(positions[order], cell, pbc, cutoff)
    np.testing.assert_array_equal(ordered(order[there[:, 0]], order[there[:, 1]], there[:, 2:]), expected)
    # a rigid translation leaves the list as it is; whole lattice vectors added to single atoms move into the shifts
    np.testing.assert_array_equal(pairs(positions + rng.normal(size=3), cell, pbc, cutoff), expected)
    hop = rng.integers(-5, 6, positions.shape) * np.array(pbc)
    moved = pairs(positions + hop @ cell, cell, pbc, cutoff)
    moved[:, 2:] += hop[moved[:, 1]] - hop[moved[:, 0]]
    np.testing.assert_array_equal(ordered(moved[:, 0], moved[:, 1], moved[:, 2:]), expected)


def test_the_order_is_reproducible():
    case = random_case(7)
    first = build_pairs(case[0], case[1], np.array(case[2]), case[3])
    second = build_pairs(case[0], case[1], np.array(case[2]), case[3])
    for one, two in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, two)


def test_large_crystal_equal_to_ase():
    n = 3 if INTERPRETED else 12
    grid = np.array(list(itertools.product(range(n), repeat=3)), dtype=float) * 2.7
    positions = grid + np.random.default_rng(0).normal(scale=0.2, size=grid.shape)
    cell = 2.7 * n * np.array([[1.0, 0.0, 0.0], [0.3, 1.0, 0.0], [0.0, -0.2, 1.0]])
    case = (positions, cell, (True, True, False), 5.0)
    np.testing.assert_array_equal(pairs(*case), ase_pairs(*case))


def test_a_sparse_box_does_not_ask_for_a_bin_per_empty_place():
    # 1e6 Å apart at a cutoff of 2 Å would be 1e18 bins; a dimer at each far corner must still be found
    corners = np.array(list(itertools.product([-1e6, 1e6], repeat=3)))
    positions = np.concatenate([corners, corners + np.array([0.0, 1.5, 0.0])])
    assert len(pairs(positions, np.zeros((3, 3)), (False, False, False), 2.0)) == 16
    assert len(pairs(positions, 3e6 * np.eye(3), (True, True, True), 2.0)) == 16


def test_empty_and_single():
    for n, pbc in itertools.product((0, 1), PBC):
        first, neighbor, shift = build_pairs(np.zeros((n, 3)), 9.0 * np.eye(3), np.array(pbc), 4.0)
        assert first.tolist() == [0] * (n + 1) and neighbor.shape == (0,) and shift.shape == (0, 3)


@settings(max_examples=5 if INTERPRETED else 60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    skin=st.floats(0.0, 1.0),
    step=st.floats(0.0, 0.7),
)
def test_a_list_with_skin_is_complete_until_rebuild_is_asked_for(seed, skin, step):
    positions, cell, pbc, cutoff = random_case(seed)
    rng = np.random.default_rng(seed)
    direction = rng.normal(size=positions.shape)
    direction /= np.linalg.norm(direction, axis=1)[:, None]
    moved = positions + step * rng.uniform(0.0, 1.0, (len(positions), 1)) * direction
    largest = np.linalg.norm(moved - positions, axis=1).max()
    if abs(largest - skin / 2) > 1e-12:
        assert needs_rebuild(moved, positions, skin) == (largest > skin / 2)
    if not needs_rebuild(moved, positions, skin):
        old = {tuple(row) for row in pairs(positions, cell, pbc, cutoff + skin).tolist()}
        assert {tuple(row) for row in pairs(moved, cell, pbc, cutoff).tolist()} <= old


def test_nan_asks_for_a_rebuild_which_refuses_it():
    positions = np.zeros((2, 3))
    positions[1] = 1.0, np.nan, 0.0
    assert needs_rebuild(positions, np.zeros((2, 3)), 10.0)
    with pytest.raises(InputError, match="NaN"):
        build_pairs(positions, np.eye(3), np.ones(3, dtype=bool), 1.0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"positions": [[0.0, 0.0]]}, "positions.*shape"),
        ({"positions": [[0.0, 0.0, np.nan]]}, "positions.*NaN"),
        ({"positions": [[0.0, 0.0, 2e7]]}, "positions.*wrap"),
        ({"positions": "here"}, "positions"),
        ({"cell": np.eye(2)}, "cell.*shape"),
        ({"cell": np.diag([1.0, 1.0, np.inf])}, "cell.*infinity"),
        ({"cell": np.diag([4.0, 4.0, 0.0])}, "cell.*volume.*pbc=False"),
        ({"cell": [[4.0, 0, 0], [0, 4.0, 0], [4.0, 4.0, 0]]}, "cell.*volume"),
        ({"cell": np.diag([1e-4, 1e-4, 1e-4])}, "cell.*images"),
        ({"cell": np.diag([1e-4, 0, 0]), "pbc": [True, False, False], "positions": [[9e6, 0, 0]]}, "cell.*away"),
        ({"cutoff": 0.0}, "cutoff.*positive"),
        ({"cutoff": -1.0}, "cutoff.*positive"),
        ({"cutoff": np.nan}, "cutoff.*NaN"),
        ({"cutoff": "5 Å"}, "cutoff"),
        ({"pbc": [1, 1, 1]}, "pbc"),
        ({"pbc": [True, True]}, "pbc"),
    ],
)
def test_bad_geometry_is_refused_in_words(change, words):
    good = {"positions": np.zeros((1, 3)), "cell": 4.0 * np.eye(3), "pbc": True, "cutoff": 5.0}
    check_geometry(**good)
    with pytest.raises(InputError, match=words):
        check_geometry(**{**good, **change})


def test_checked_geometry_is_what_build_pairs_takes():
    checked = check_geometry([[0, 0, 0]], [[3, 0, 0], [0, 3, 0], [0, 0, 0]], [True, True, False], 4)
    first, neighbor, _ = build_pairs(*checked)
    assert first.tolist() == [0, 4] and neighbor.tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("cell", "cutoff"),
    [(np.zeros((3, 3)), 3.0), (np.full((3, 3), np.nan), 3.0), (np.eye(3), 0.0), (np.eye(3), np.nan),
     (1e-6 * np.eye(3), 10.0), (1e-150 * np.eye(3), 10.0)],
)  # fmt: skip
def test_the_kernel_itself_refuses_what_it_cannot_search(cell, cutoff):
    with pytest.raises(InputError):
        build_pairs(np.zeros((1, 3)), cell, np.ones(3, dtype=bool), cutoff)
