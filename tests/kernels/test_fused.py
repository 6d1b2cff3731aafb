"""The running path against the plain sum, also uncompiled and with every index checked.

Compiled, for more species and structures, its derivatives and symmetries are tested in tests/model/test_potential.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mlip_lab.kernels import couplings, straight
from mlip_lab.kernels.density import densities
from mlip_lab.kernels.neighbors import build_pairs, pair_vectors
from mlip_lab.kernels.zbl import zbl
from mlip_lab.model.potential import Potential
from mlip_lab.model.running import Evaluation
from tests.potentials import random_ensemble, random_potential

pytestmark = pytest.mark.interpreted
Floats = NDArray[np.float64]
READOUTS = ("linear", "kernel", "neural")
NUMBERS = np.array([8, 14, 8])
CELL = np.array([[3.1, 0.3, 0.0], [0.2, 3.3, 0.4], [0.1, 0.0, 3.2]])  # smaller than the cutoff of 3.5 Å
POSITIONS = np.array([[0.0, 0.1, 0.0], [1.3, 0.4, 0.2], [0.4, 1.5, 1.6]])  # two closer than the 1.5 Å of the repulsion


def run(potential: Potential, positions: Floats, cell: Floats, pbc: bool, skin: float = 0.0) -> Evaluation:
    """As the calculator does it: outputs full of rubbish before, a list that reaches further than the cutoff."""
    compiled, n = potential.compiled(), len(positions)
    pairs = build_pairs(positions, cell, np.full(3, pbc), compiled.cutoff + skin)
    energies, forces, virial = np.full(n, np.nan), np.full((n, 3), np.nan), np.full((3, 3), np.nan)
    species = compiled.species_of(NUMBERS[np.arange(n) % 3])
    compiled.module.evaluate(compiled.theta, species, positions, cell, *pairs, energies, forces, virial)
    return Evaluation(energies, forces, virial, 0.0)


def invariants_by_the_plain_sum(
    potential: Potential, species: NDArray[np.int64], pairs: Any, vectors: Floats
) -> tuple[Floats, Floats]:
    c, w = potential.config, potential.members[0]
    a, p = densities(species, pairs[0], pairs[1], vectors, np.array(c.r0), c.cutoff, c.n_radial, c.n_pair, c.lmax)
    degree = np.repeat(np.arange(c.lmax + 1), 2 * np.arange(c.lmax + 1) + 1)
    polynomials = couplings.invariants(c.lmax, c.body_order)
    b = [
        couplings.evaluate(polynomials, np.einsum("mk,mkc->mc", a[i], w["mixing"][z][degree])).ravel()
        for i, z in enumerate(species)
    ]
    return np.array(b), p


def readout_by_the_plain_sum(potential: Potential, z: int, b: Floats) -> float:
    w = {name: array[z] for name, array in potential.members[0].items()}
    energy = float(w["linear"] @ b)
    if potential.config.readout == "kernel":
        u = (b - w["mean"]) @ w["q"]
        energy += sum(a / (1 + 0.5 * np.sum((u - s) ** 2)) ** 2 for a, s in zip(w["alpha"], w["points"], strict=True))
    if potential.config.readout == "neural":
        x = b @ w["w1"] + w["b1"]
        energy += float(x / 2 * (1 + x / np.sqrt(1 + x * x)) @ w["w2"])
    return energy


def energies_by_the_plain_sum(potential: Potential, positions: Floats, cell: Floats, pbc: bool) -> Floats:
    c, w = potential.config, potential.members[0]
    pairs = build_pairs(positions, cell, np.full(3, pbc), c.cutoff)
    vectors = pair_vectors(positions, cell, *pairs)
    species = c.species_of(NUMBERS[np.arange(len(positions)) % 3])
    b, p = invariants_by_the_plain_sum(potential, species, pairs, vectors)
    energies = np.array(
        [w["e0"][z] + w["pair"][z] @ p[i] + readout_by_the_plain_sum(potential, z, b[i]) for i, z in enumerate(species)]
    )
    for i, y in enumerate(species):
        for q in range(pairs[0][i], pairs[0][i + 1]):
            z = species[pairs[1][q]]
            r = np.linalg.norm(vectors[q])
            energies[i] += 0.5 * zbl(r, c.numbers[y], c.numbers[z], c.inner[y][z], c.outer[y][z])[0]
    return energies


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("pbc", [True, False])
def test_energies_are_the_plain_sum(readout: str, pbc: bool) -> None:
    potential = random_potential(2, readout)
    cell = CELL if pbc else np.zeros((3, 3))
    wanted = energies_by_the_plain_sum(potential, POSITIONS, cell, pbc)
    found = run(potential, POSITIONS, cell, pbc).energies
    # sums of some thousand terms of order ten in another order
    np.testing.assert_allclose(found, wanted, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("members", [2, 6])
@pytest.mark.parametrize(
    ("readout", "shared", "precision"),
    [
        ("neural", False, "float64"),
        ("neural", True, "float64"),
        ("neural", True, "float32"),
        ("linear", True, "float64"),
        ("kernel", True, "float64"),
    ],
)
def test_an_ensemble_is_its_members(readout: str, members: int, shared: bool, precision: str) -> None:
    potential = random_ensemble(2, readout, members, shared=shared)
    pairs = build_pairs(POSITIONS, CELL, np.full(3, True), potential.config.cutoff)
    given = potential.config.species_of(NUMBERS[np.arange(len(POSITIONS)) % 3]), POSITIONS, CELL, pairs
    found = potential.runner(precision=precision).evaluate(*given)
    each = [potential.compiled(m, precision=precision).evaluate(*given) for m in range(members)]
    energies, forces = np.array([one.energies for one in each]), np.array([one.forces for one in each])
    # sums of some thousand terms in another order
    tolerance = {"float64": 1e-12, "float32": 2e-5}[precision] * max(1.0, float(np.abs(energies).max()))
    np.testing.assert_allclose(found.energies, energies.mean(axis=0), atol=tolerance)
    np.testing.assert_allclose(found.forces, forces.mean(axis=0), atol=tolerance)
    np.testing.assert_allclose(found.virial, np.mean([one.virial for one in each], axis=0), atol=10 * tolerance)
    assert found.energy_spread == pytest.approx(energies.sum(axis=1).std(ddof=1), abs=10 * tolerance)
    # deviations from the mean are summed up in single precision, over tens of neighbours: 6e-8 of the largest term each
    spread = np.sqrt(forces.var(axis=0, ddof=1).sum(axis=1))
    np.testing.assert_allclose(found.forces_spread, spread, rtol=2e-6, atol=tolerance + 1e-6 * spread.max())


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("pbc", [True, False])
def test_forces_and_virial_are_slopes(readout: str, pbc: bool, rng: np.random.Generator) -> None:
    """Along one random direction in positions and strain: fourth-order differences are good to 1e-9 at this step."""
    potential = random_potential(2, readout)
    cell, h = CELL if pbc else np.zeros((3, 3)), 5e-4
    found = run(potential, POSITIONS, cell, pbc)
    moves, strain = rng.normal(size=(3, 3)), rng.normal(size=(3, 3))

    def energy(t: float) -> float:
        turn = np.eye(3) + t * strain
        return run(potential, (POSITIONS + t * moves) @ turn.T, cell @ turn.T, pbc).energy

    slope = (8 * (energy(h) - energy(-h)) - (energy(2 * h) - energy(-2 * h))) / (12 * h)
    wanted = np.sum(found.virial * strain) - np.sum(found.forces * moves)
    assert abs(slope - wanted) < 1e-6 * (np.abs(found.virial * strain).sum() + np.abs(found.forces * moves).sum())
    scale = np.abs(found.forces).max()
    np.testing.assert_allclose(found.forces.sum(axis=0), 0, atol=1e-12 * scale)
    np.testing.assert_allclose(found.virial, found.virial.T, atol=1e-11 * np.abs(found.virial).max())


@pytest.mark.parametrize("readout", READOUTS)
def test_pairs_beyond_the_cutoff_change_nothing(readout: str) -> None:
    """The list of the calculator reaches further by its skin; the cutoff is applied to the distances of now."""
    potential = random_potential(2, readout)
    near, far = (run(potential, POSITIONS, CELL, True, skin) for skin in (0.0, 1.5))
    for name in ("energies", "forces", "virial"):
        scale = np.abs(getattr(near, name)).max()
        np.testing.assert_allclose(getattr(far, name), getattr(near, name), atol=1e-12 * scale)


def test_many_neighbours() -> None:
    """Radial functions are kept for a run of neighbours of one species; here there are many, one of them partial."""
    potential = random_potential(2, "neural", cutoff=7.5)
    most = np.diff(build_pairs(POSITIONS, CELL, np.full(3, True), 7.5)[0]).max()
    assert most > 16 * straight.RUN
    found = run(potential, POSITIONS, CELL, True)
    wanted = energies_by_the_plain_sum(potential, POSITIONS, CELL, True)
    np.testing.assert_allclose(found.energies, wanted, rtol=1e-10)
    np.testing.assert_allclose(found.forces.sum(axis=0), 0, atol=1e-11 * np.abs(found.forces).max())


def test_atoms_without_neighbours() -> None:
    """No pairs at all, and a list whose every pair is beyond the cutoff."""
    potential = random_potential(2, "neural")
    apart = np.array([[0.0, 0.0, 0.0], [3.6, 0.0, 0.0], [0.0, 3.6, 0.0]])
    for skin in (0.0, 1.0):
        found = run(potential, apart, np.zeros((3, 3)), False, skin)
        assert not found.forces.any() and not found.virial.any()
        np.testing.assert_allclose(found.energies, energies_by_the_plain_sum(potential, apart, np.zeros((3, 3)), False))
