"""The fused kernel: derivatives, symmetry, the cutoff, and agreement with the learning path."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from mlip_lab.core.errors import FileFormatError, InputError
from mlip_lab.core.frame import Frame
from mlip_lab.kernels.neighbors import build_pairs
from mlip_lab.model.features import columns, design
from mlip_lab.model.network import Network
from mlip_lab.model.potential import Potential, ensemble
from mlip_lab.model.samples import sample
from mlip_lab.model.structures import prepare
from tests.potentials import NUMBERS, random_potential

READOUTS = ("linear", "kernel", "neural")


def crystal(n_species, rng):
    """Six atoms in a skewed cell smaller than the cutoff of 3.5 Å; nearest distances reach into the repulsion."""
    cell = np.array([[3.2, 0.3, 0.0], [0.2, 3.4, 0.4], [0.1, 0.0, 3.3]])
    fractions = np.array([[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5], [0.3, 0.2, 0.25], [0.8, 0.7, 0.75]])
    numbers = np.array(NUMBERS)[np.arange(6) % n_species]
    return numbers, fractions @ cell + 0.05 * rng.normal(size=(6, 3)), cell, np.ones(3, bool)


def molecule(n_species, rng):
    numbers = np.array(NUMBERS)[np.arange(5) % n_species]
    positions = np.array([[0, 0, 0], [1.4, 0, 0], [0, 1.6, 0.2], [0.3, -0.2, 1.9], [2.0, 1.8, 0.4]])
    return numbers, positions + 0.05 * rng.normal(size=(5, 3)), np.zeros((3, 3)), np.zeros(3, bool)


def difference(energy, h=5e-4):
    """Fourth-order central difference: truncation h⁴ and rounding 1e-16/h both stay under 1e-9 of the slope."""
    return (8 * (energy(h) - energy(-h)) - (energy(2 * h) - energy(-2 * h))) / (12 * h)


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("n_species", [1, 2, 4])
@pytest.mark.parametrize("structure", [crystal, molecule])
def test_forces_and_stress_are_derivatives(rng, readout, n_species, structure):
    potential = random_potential(n_species, readout)
    numbers, positions, cell, pbc = structure(n_species, rng)
    found = potential.evaluate(numbers, positions, cell, pbc)
    for i, x in [(0, 0), (1, 2), (3, 1), (4, 0)]:

        def moved(t, i=i, x=x):
            p = positions.copy()
            p[i, x] += t
            return potential.evaluate(numbers, p, cell, pbc).energy

        assert abs(found.forces[i, x] + difference(moved)) < 1e-6 * np.abs(found.forces).max()
    for x, y in [(0, 0), (1, 2), (2, 0)]:

        def strained(t, x=x, y=y):
            f = np.eye(3)
            f[x, y] += t
            return potential.evaluate(numbers, positions @ f.T, cell @ f.T, pbc).energy

        assert abs(found.virial[x, y] - difference(strained)) < 1e-6 * np.abs(found.virial).max()


@pytest.mark.parametrize("readout", READOUTS)
def test_invariance(rng, readout):
    potential = random_potential(2, readout)
    numbers, positions, cell, pbc = crystal(2, rng)
    before = potential.evaluate(numbers, positions, cell, pbc)
    turn = Rotation.random(random_state=1).as_matrix()
    turned = potential.evaluate(numbers, positions @ turn.T, cell @ turn.T, pbc)
    assert abs(turned.energy - before.energy) < 1e-10
    np.testing.assert_allclose(turned.forces, before.forces @ turn.T, atol=1e-10)
    assert (
        abs(potential.evaluate(numbers, positions + np.array([3.1, -7.0, 0.4]), cell, pbc).energy - before.energy)
        < 1e-10
    )
    order = rng.permutation(6)
    assert abs(potential.evaluate(numbers[order], positions[order], cell, pbc).energy - before.energy) < 1e-10
    assert abs(potential.evaluate(numbers, -positions, -cell, pbc).energy - before.energy) < 1e-10
    doubled = potential.evaluate(
        np.tile(numbers, 2), np.concatenate([positions, positions + cell[0]]), cell * [[2], [1], [1]], pbc
    )
    assert abs(doubled.energy - 2 * before.energy) < 1e-10


@pytest.mark.parametrize("n_species", [1, 2])
def test_learning_and_running_path_agree_neural(rng, n_species):
    potential = random_potential(n_species, "neural")
    numbers, positions, cell, pbc = crystal(n_species, rng)
    config, weights = potential.config, potential.members[0]
    structure = prepare(Frame(numbers, positions, cell, pbc), config)
    network = Network(config, np.asarray(weights["mixing"]), rng)
    with torch.no_grad():
        for name in ("e0", "pair", "linear", "w1", "b1", "w2"):
            getattr(network, name).copy_(torch.from_numpy(weights[name]))
    energies, forces, virials = network([sample(structure, config)])
    found = potential.evaluate(numbers, positions, cell, pbc)
    assert abs(energies.item() + structure.energy - found.energy) < 1e-10
    np.testing.assert_allclose(forces.detach().numpy() + structure.forces, found.forces, atol=1e-10)
    np.testing.assert_allclose(virials[0].detach().numpy() + structure.virial, found.virial, atol=1e-10)


@pytest.mark.parametrize("n_species", [1, 4])
def test_learning_and_running_path_agree_linear(rng, n_species):
    potential = random_potential(n_species, "linear")
    numbers, positions, cell, pbc = crystal(n_species, rng)
    config, w = potential.config, potential.members[0]
    structure = prepare(Frame(numbers, positions, cell, pbc), config)
    energy, forces, virial = columns(structure, config, *design(structure, config, np.asarray(w["mixing"])))
    weights = np.concatenate([w["e0"], np.concatenate([w["pair"], w["linear"]], axis=1).reshape(-1)])
    found = potential.evaluate(numbers, positions, cell, pbc)
    assert abs(energy @ weights + structure.energy - found.energy) < 1e-10
    np.testing.assert_allclose(forces @ weights + structure.forces, found.forces, atol=1e-10)
    np.testing.assert_allclose(virial @ weights + structure.virial, found.virial, atol=1e-10)


@pytest.mark.parametrize("readout", READOUTS)
def test_a_neighbour_crosses_the_cutoff_smoothly(readout):
    """Energy, force and its slope are continuous: near r_c they go as d³, d² and d."""
    potential = random_potential(1, readout)
    numbers = np.array([NUMBERS[0]] * 3)

    def at(r):
        positions = np.array([[0.0, 0.0, 0.0], [1.8, 0.0, 0.0], [0.0, r, 0.0]])
        found = potential.evaluate(numbers, positions, np.zeros((3, 3)), np.zeros(3, bool))
        return found.energy, found.forces[2, 1]

    cutoff = potential.config.cutoff
    far, slopes = at(cutoff + 0.1), []
    for d in (1e-2, 1e-3):
        near = at(cutoff - d)
        slopes.append(abs(near[1] - far[1]) / d)
        assert abs(near[0] - far[0]) < 100 * d**3
        assert abs(near[1] - far[1]) < 1000 * d**2
    assert slopes[1] < 0.2 * slopes[0]


def test_pairs_of_the_skin_do_not_matter(rng):
    potential = random_potential(2, "neural")
    numbers, positions, cell, pbc = crystal(2, rng)
    compiled, results = potential.compiled(), []
    for reach in (0.0, 1.0):
        pairs = build_pairs(positions, cell, pbc, compiled.cutoff + reach)
        energies, forces, virial = np.empty(6), np.empty((6, 3)), np.empty((3, 3))
        species = compiled.species_of(numbers)
        compiled.module.evaluate(compiled.theta, species, positions, cell, *pairs, energies, forces, virial)
        results.append(forces)
    np.testing.assert_allclose(results[0], results[1], atol=1e-12)


def test_gradient_of_a_loss_on_all_labels(rng):
    """Second derivatives through the bridge: torch's gradient equals differences for weights and radial mixing."""
    potential = random_potential(2, "neural")
    numbers, positions, cell, pbc = crystal(2, rng)
    config = potential.config
    one = sample(prepare(Frame(numbers, positions, cell, pbc), config), config)
    network = Network(config, np.asarray(potential.members[0]["mixing"]), rng)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.from_numpy(rng.normal(size=tuple(parameter.shape))))
    parts = [torch.from_numpy(rng.normal(size=shape)) for shape in ((1,), (6, 3), (1, 3, 3))]

    def loss():
        return sum((found * part).sum() for found, part in zip(network([one]), parts, strict=True))

    loss().backward()
    for name, parameter in network.named_parameters():
        direction = torch.from_numpy(rng.normal(size=tuple(parameter.shape)))
        wanted = float((parameter.grad * direction).sum())

        def moved(t, parameter=parameter, direction=direction):
            with torch.no_grad():
                parameter.add_(t * direction)
            value = float(loss().detach())
            with torch.no_grad():
                parameter.sub_(t * direction)
            return value

        assert difference(moved, 1e-3) == pytest.approx(wanted, rel=1e-5, abs=1e-6), name


def test_wrong_weights_and_unknown_elements_are_refused(rng):
    potential = random_potential(1, "linear")
    weights = dict(potential.members[0])
    with pytest.raises(FileFormatError, match="edited or is damaged"):
        Potential(potential.config, ({**weights, "e0": np.zeros(2)},))
    with pytest.raises(FileFormatError, match="NaN"):
        Potential(potential.config, ({**weights, "e0": np.array([np.nan])},))
    with pytest.raises(InputError, match=r"knows the atomic numbers \[8\], got \[14\]"):
        potential.evaluate(np.array([14]), np.zeros((1, 3)), np.zeros((3, 3)), np.zeros(3, bool))
    with pytest.raises(InputError, match="at least two"):
        ensemble([potential])
