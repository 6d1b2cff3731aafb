"""Symmetry functions are what their formulas say, and their derivatives are derivatives."""

from __future__ import annotations

import itertools
import math

import numba
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mlip_lab.core.errors import InputError
from mlip_lab.kernels.neighbors import build_pairs, pair_vectors
from mlip_lab.kernels.symmetry_functions import (
    SymmetryFunctions,
    default_symmetry_functions,
    descriptors,
    descriptors_jvp,
    descriptors_vjp,
)

pytestmark = pytest.mark.interpreted
INTERPRETED = bool(numba.config.DISABLE_JIT)
CUTOFF = 4.0
ALL, NONE = np.ones(3, dtype=bool), np.zeros(3, dtype=bool)


def some_functions(n_species):
    """Few functions, but every case: shared and own η, ζ = 1, whole, broken and large, λ = ±1 and between."""
    g2 = np.array([[0.5, 0.0], [2.0, 1.7], [0.0, 0.0]])
    g4 = np.array([[0.02, 1.0, 1.0], [0.02, 2.5, -1.0], [0.3, 4.0, 0.4], [0.02, 70.0, -1.0]])
    g5 = np.array([[0.02, 1.0, -1.0], [0.1, 3.0, 1.0], [0.3, 1.3, 1.0]])
    return SymmetryFunctions(CUTOFF, n_species, g2, g4, g5)


def structure(kind, n_species):
    """Positions, cell, pbc, species: a molecule, a crystal, or a crystal with a cell smaller than the cutoff."""
    rng = np.random.default_rng(5)
    positions = np.array([[0.0, 0.0, 0.0], [1.9, 0.3, -0.2], [0.4, 2.1, 0.5], [-0.7, 0.9, 1.8], [2.2, 2.4, 0.9]])
    positions += rng.normal(scale=0.1, size=positions.shape)
    cell = {"molecule": np.zeros((3, 3)), "crystal": np.array([[5.0, 0, 0], [0.7, 5.2, 0], [-0.4, 0.5, 4.9]])}
    if kind == "small":
        return positions[:2], np.array([[2.9, 0, 0], [0.6, 3.1, 0], [0.2, -0.4, 3.3]]), ALL, np.arange(2) % n_species
    return positions, cell[kind], NONE if kind == "molecule" else ALL, np.arange(5) % n_species


CASES = [("molecule", 1), ("molecule", 4), ("crystal", 2), ("small", 1), ("small", 2)]


def listed(positions, cell, pbc, skin=0.0):
    first, neighbor, shift = build_pairs(positions, cell, pbc, CUTOFF + skin)
    return first, neighbor, pair_vectors(positions, cell, first, neighbor, shift)


def evaluate(functions, positions, cell, pbc, species):
    return descriptors(species, *listed(positions, cell, pbc), *functions.parameters)


def formula(functions, positions, cell, pbc, species):
    """The sums of the module's first lines, written down once more without any cleverness."""
    first, neighbor, vectors = listed(positions, cell, pbc)
    cut = lambda r: (1.0 - (r / CUTOFF) ** 2) ** 3 if r < CUTOFF else 0.0  # noqa: E731
    rows = []
    for i in range(len(positions)):
        here = [(species[neighbor[p]], vectors[p]) for p in range(first[i], first[i + 1])]
        row = []
        for z in range(functions.n_species):
            distances = [np.linalg.norm(v) for s, v in here if s == z]
            row += [sum(math.exp(-eta * (r - rs) ** 2) * cut(r) for r in distances) for eta, rs in functions.g2]
        for pair in itertools.combinations_with_replacement(range(functions.n_species), 2):
            both = [(v, w) for (s, v), (t, w) in itertools.combinations(here, 2) if tuple(sorted((s, t))) == pair]
            for closed, table in ((True, functions.g4), (False, functions.g5)):
                for eta, zeta, lam in table:
                    total = 0.0
                    for v, w in both:
                        a, b, c = np.linalg.norm(v), np.linalg.norm(w), np.linalg.norm(v - w)
                        term = (1.0 + lam * (v @ w) / (a * b)) ** zeta * cut(a) * cut(b)
                        term *= math.exp(-eta * (a * a + b * b))
                        total += 2.0 ** (1.0 - zeta) * term * (math.exp(-eta * c * c) * cut(c) if closed else 1.0)
                    row.append(total)
        rows.append(row)
    return np.array(rows)


def close(one, two, relative):
    """Equal relative to the largest number, as rounding of a sum goes with its largest term."""
    np.testing.assert_allclose(one, two, rtol=0.0, atol=relative * np.abs(two).max())


def test_dimer_by_hand():
    r = 2.0
    g = evaluate(some_functions(2), np.array([[0.0, 0, 0], [0, r, 0]]), np.zeros((3, 3)), NONE, np.array([0, 1]))
    cut = (1.0 - 0.25) ** 3  # 27/64
    radial = [math.exp(-0.5 * 4.0) * cut, math.exp(-2.0 * 0.3**2) * cut, cut]
    expected = np.zeros((2, 6 + 3 * 7))  # no pair of neighbours, so no angles
    expected[0, 3:6] = expected[1, 0:3] = radial  # each sees one neighbour of the other species
    np.testing.assert_allclose(g, expected, rtol=1e-14)


def test_equilateral_trimer_by_hand():
    r = 2.0
    positions = r * np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.5, math.sqrt(0.75), 0.0]])
    functions = some_functions(3)
    g = evaluate(functions, positions, np.zeros((3, 3)), NONE, np.array([0, 1, 2]))
    cut = 27.0 / 64.0
    g4 = [2 ** (1 - z) * (1 + 0.5 * lam) ** z * math.exp(-3 * eta * r * r) * cut**3 for eta, z, lam in functions.g4]
    g5 = [2 ** (1 - z) * (1 + 0.5 * lam) ** z * math.exp(-2 * eta * r * r) * cut**2 for eta, z, lam in functions.g5]
    angular = np.zeros((3, 6, 7))  # pairs 00 01 02 11 12 22
    angular[0, 4] = angular[1, 2] = angular[2, 1] = g4 + g5
    np.testing.assert_allclose(g[:, 9:], angular.reshape(3, 42), rtol=1e-12, atol=1e-300)


def test_straight_trimer_by_hand():
    # cos θ = -1 in the middle: λ = 1 gives nothing there, λ = -1 gives 2^{1-ζ} 2^ζ = 2, at the ends the reverse
    positions = np.array([[-1.0, 0, 0], [0.0, 0, 0], [1.0, 0, 0]])
    table = np.array([[0.0, 3.0, 1.0], [0.0, 3.0, -1.0]])
    functions = SymmetryFunctions(CUTOFF, 1, np.empty((0, 2)), np.empty((0, 3)), table)
    g = evaluate(functions, positions, np.zeros((3, 3)), NONE, np.zeros(3, dtype=np.int64))
    near, far = (15 / 16) ** 3, (12 / 16) ** 3
    expected = 2.0 * np.array([[near * far, 0.0], [0.0, near * near], [near * far, 0.0]])
    np.testing.assert_allclose(g, expected, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize(("kind", "n_species"), CASES)
def test_equal_to_the_formula(kind, n_species):
    case, functions = structure(kind, n_species), some_functions(n_species)
    g = evaluate(functions, *case)
    assert g.shape == (len(case[0]), functions.n_features)
    close(g, formula(functions, *case), 1e-13)


@pytest.mark.parametrize(("kind", "n_species"), CASES if not INTERPRETED else CASES[1::3])
def test_every_derivative_equals_finite_differences(kind, n_species):
    positions, cell, pbc, species = structure(kind, n_species)
    functions = some_functions(n_species)
    now = listed(positions, cell, pbc)
    # Five-point differences: truncation h⁴ G⁽⁵⁾/30 and rounding 1e-16 G/h are both below 1e-11 here at h = 3e-4, and a
    # neighbour that crosses the cutoff within the stencil, where the third derivative jumps, adds up to h² G''' = 1e-8.
    h = 3e-4
    for row, column in itertools.product(range(len(positions) + 3), range(3)):
        move, strain = np.zeros_like(positions), np.zeros((3, 3))
        if row < len(positions):
            move[row, column] = 1.0
        else:
            strain[row - len(positions), column] = 1.0

        def at(t, move=move, strain=strain):
            bent = np.eye(3) + t * strain
            return evaluate(functions, (positions @ bent.T) + t * move, cell @ bent.T, pbc, species)

        slope = (8.0 * (at(h) - at(-h)) - (at(2.0 * h) - at(-2.0 * h))) / (12.0 * h)
        found = descriptors_jvp(species, *now, *functions.parameters, move, strain)
        scale = max(float(np.abs(slope).max()), 1e-2)  # a rotation-like strain changes nothing
        np.testing.assert_allclose(found, slope, rtol=0.0, atol=1e-7 * scale)


@pytest.mark.parametrize(("kind", "n_species"), CASES)
def test_j_and_its_transpose_are_adjoint(kind, n_species, rng):
    positions, cell, pbc, species = structure(kind, n_species)
    functions = some_functions(n_species)
    now = listed(positions, cell, pbc)
    move, strain = rng.normal(size=positions.shape), rng.normal(size=(3, 3))
    dg = rng.normal(size=(len(positions), functions.n_features))
    forces, virial = descriptors_vjp(species, *now, *functions.parameters, dg)
    change = descriptors_jvp(species, *now, *functions.parameters, move, strain)
    # some thousand terms of either sign, each rounded at 1e-16 of its size
    scale = float(np.abs(dg * change).sum() + np.abs(forces * move).sum() + np.abs(virial * strain).sum())
    assert abs((dg * change).sum() - ((virial * strain).sum() - (forces * move).sum())) < 1e-13 * scale
    # no net force, and no torque: the virial of anything that rotation leaves alone is symmetric
    np.testing.assert_allclose(forces.sum(axis=0), 0.0, atol=1e-12 * np.abs(forces).max())
    close(virial, virial.T, 1e-12)


@pytest.mark.parametrize(("kind", "n_species"), CASES)
def test_invariant_to_rotation_translation_inversion_and_permutation(kind, n_species, rng):
    positions, cell, pbc, species = structure(kind, n_species)
    functions = some_functions(n_species)
    g = evaluate(functions, positions, cell, pbc, species)
    turn = Rotation.random(random_state=3).as_matrix()
    close(evaluate(functions, positions @ turn.T, cell @ turn.T, pbc, species), g, 1e-10)
    close(evaluate(functions, -positions, -cell, pbc, species), g, 1e-10)
    close(evaluate(functions, positions + rng.normal(size=3), cell, pbc, species), g, 1e-10)
    order = rng.permutation(len(positions))
    close(evaluate(functions, positions[order], cell, pbc, species[order]), g[order], 1e-10)


def test_a_supercell_repeats_its_cell():
    positions, cell, pbc, species = structure("small", 2)
    functions = some_functions(2)
    g = evaluate(functions, positions, cell, pbc, species)
    double = np.concatenate([positions, positions + cell[1]])
    wide = cell * np.array([[1.0], [2.0], [1.0]])
    close(evaluate(functions, double, wide, pbc, np.tile(species, 2)), np.tile(g, (2, 1)), 1e-12)


def test_pairs_of_a_skin_count_nothing():
    positions, cell, pbc, species = structure("crystal", 2)
    functions = some_functions(2)
    lists = [listed(positions, cell, pbc, skin) for skin in (0.0, 0.8)]
    assert len(lists[1][1]) > len(lists[0][1])
    near, far = (descriptors(species, *one, *functions.parameters) for one in lists)
    close(near, far, 1e-14)
    dg = np.ones_like(near)
    for a, b in zip(*(descriptors_vjp(species, *one, *functions.parameters, dg) for one in lists), strict=True):
        close(a, b, 1e-13)


def test_value_slope_and_curvature_vanish_at_the_cutoff():
    functions = some_functions(1)
    species, strain = np.zeros(3, dtype=np.int64), np.zeros((3, 3))
    move = np.array([[0.0, 0, 0], [0, 0, 0], [1.0, 0, 0]])  # atom 2 leaves the reach of atom 0, then of nobody
    values, slopes = [], []
    for gap in (1e-3, 1e-4):
        positions = np.array([[0.0, 0, 0], [1.5, 0.5, 0], [CUTOFF - gap, 0, 0]])
        without = evaluate(functions, positions[:2], strain, NONE, species[:2])[0]
        values.append(np.abs(evaluate(functions, positions, strain, NONE, species)[0] - without).max())
        now = listed(positions, strain, NONE)
        slopes.append(np.abs(descriptors_jvp(species, *now, *functions.parameters, move, strain)[0]).max())
    # (1 - (r/r_c)²)³ goes with gap³ and its slope with gap², so value, slope and curvature are all continuous
    assert values[1] / values[0] == pytest.approx(1e-3, rel=0.01)
    assert slopes[1] / slopes[0] == pytest.approx(1e-2, rel=0.01)


@pytest.mark.parametrize("n_species", [1, 2, 5])
def test_the_default_set(n_species):
    functions = default_symmetry_functions(CUTOFF, n_species)
    assert functions.n_features == 9 * n_species + 16 * n_species * (n_species + 1) // 2
    case = structure("molecule", n_species)
    g = evaluate(functions, *case)
    close(g, formula(functions, *case), 1e-13)


def test_the_default_set_tells_apart_what_it_should():
    # the features of neighbouring shells must not be multiples of each other, or a fit could not use them
    functions = default_symmetry_functions(5.0, 1)
    species = np.zeros(2, dtype=np.int64)
    rows = []
    for r in np.linspace(1.0, 4.9, 14):
        dimer = np.array([[0.0, 0, 0], [r, 0, 0]])
        first, neighbor, shift = build_pairs(dimer, np.zeros((3, 3)), NONE, 5.0)
        vectors = pair_vectors(dimer, np.zeros((3, 3)), first, neighbor, shift)
        rows.append(descriptors(species, first, neighbor, vectors, *functions.parameters)[0, :9])
    assert np.linalg.matrix_rank(np.array(rows), tol=1e-3) >= 8


def test_empty_and_lonely():
    functions = default_symmetry_functions(CUTOFF, 2)
    for n in (0, 1):
        case = (np.zeros((n, 3)), np.zeros((3, 3)), NONE, np.zeros(n, dtype=np.int64))
        np.testing.assert_array_equal(evaluate(functions, *case), np.zeros((n, functions.n_features)))


def test_atoms_at_one_place_are_refused():
    functions = default_symmetry_functions(CUTOFF, 1)
    with pytest.raises(InputError, match="same place"):
        evaluate(functions, np.zeros((2, 3)), np.zeros((3, 3)), NONE, np.zeros(2, dtype=np.int64))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cutoff": 0.0}, "cutoff"),
        ({"cutoff": np.nan}, "cutoff.*NaN"),
        ({"n_species": 0}, "n_species"),
        ({"n_species": 1.5}, "n_species"),
        ({"g2": [[1.0, 2.0, 3.0]]}, "g2.*shape"),
        ({"g2": [[-1.0, 2.0]]}, "g2.*η"),
        ({"g4": [[0.1, 0.5, 1.0]]}, "g4.*ζ"),
        ({"g5": [[0.1, 2.0, -1.5]]}, "g5.*λ"),
        ({"g2": np.empty((0, 2)), "g4": np.empty((0, 3)), "g5": np.empty((0, 3))}, "at least one"),
    ],
)
def test_bad_parameters_are_refused_in_words(change, words):
    good = {"cutoff": 4.0, "n_species": 1, "g2": [[1.0, 0.0]], "g4": [[0.1, 1.0, 1.0]], "g5": np.empty((0, 3))}
    SymmetryFunctions(**good)
    with pytest.raises(InputError, match=words):
        SymmetryFunctions(**{**good, **change})
    with pytest.raises(InputError):
        default_symmetry_functions(-1.0, 1)
