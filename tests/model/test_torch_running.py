"""The running path in tensor operations: the numbers of the fused kernel, on the device that was asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from ase import Atoms

from mlip_lab.core.errors import InputError
from mlip_lab.kernels.neighbors import build_pairs
from mlip_lab.model import torch_running
from mlip_lab.model.bridge import invariants
from mlip_lab.model.potential import Potential
from mlip_lab.model.torch_running import OnDevice, blocks_of
from mlip_lab.testing import check_calculator
from tests.model.test_potential import crystal, molecule
from tests.potentials import random_config, random_potential

READOUTS = ("linear", "kernel", "neural")


def trained(n_species: int, readout: str, members: int) -> Potential:
    potentials = [random_potential(n_species, readout, seed=seed) for seed in range(members)]
    return Potential(potentials[0].config, tuple(one.members[0] for one in potentials))


def devices() -> list[Any]:
    gone = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")
    return ["cpu", pytest.param("cuda", marks=gone)]


@pytest.mark.parametrize("device", devices())
@pytest.mark.parametrize("structure", [crystal, molecule])
@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("n_species", [1, 2, 4])
@pytest.mark.parametrize("readout", READOUTS)
def test_it_agrees_with_the_kernel(rng, readout, n_species, members, structure, device, monkeypatch) -> None:
    monkeypatch.setattr(torch_running, "ATOMS", 2)  # several blocks, one of them partial
    potential = trained(n_species, readout, members)
    numbers, positions, cell, pbc = structure(n_species, rng)
    pairs = build_pairs(positions, cell, pbc, potential.config.cutoff + 0.5)
    given = potential.config.species_of(numbers), positions, cell, pairs
    kernel, tensors = potential.runner().evaluate(*given), potential.runner(device=device).evaluate(*given)
    for name in ("energies", "forces", "virial", "closest"):
        np.testing.assert_allclose(getattr(tensors, name), getattr(kernel, name), atol=1e-10, err_msg=name)
    if members == 1:
        assert tensors.energy_spread is None and tensors.forces_spread is None
    else:
        assert tensors.energy_spread == pytest.approx(kernel.energy_spread, abs=1e-10)
        # the kernel sums up deviations from the mean in single precision, over tens of neighbours: 6e-8 each
        np.testing.assert_allclose(tensors.forces_spread, kernel.forces_spread, rtol=2e-6)


@pytest.mark.parametrize("skin", [0.0, 1.0])
def test_atoms_without_neighbours(skin: float) -> None:
    potential, apart = random_potential(1, "neural"), np.array([[0.0, 0.0, 0.0], [3.6, 0.0, 0.0]])
    pairs = build_pairs(apart, np.zeros((3, 3)), np.zeros(3, bool), 3.5 + skin)
    given = np.zeros(2, np.int64), apart, np.zeros((3, 3)), pairs
    kernel, tensors = potential.runner().evaluate(*given), potential.runner(device="cpu").evaluate(*given)
    np.testing.assert_allclose(tensors.energies, kernel.energies, atol=1e-12)
    assert not tensors.forces.any() and tensors.closest == pytest.approx(kernel.closest)


@pytest.mark.parametrize("device", devices())
def test_it_is_a_potential(rng, device: str) -> None:
    potential = random_potential(2, "neural")
    numbers, positions, cell, pbc = crystal(2, rng)
    atoms = Atoms(numbers=numbers, positions=positions, cell=cell, pbc=pbc)
    assert potential.calculator(device=device).compiled is None
    # the list of all errors is printed if one exceeds 1e-6, what finite differences in float64 can tell
    check_calculator(lambda: potential.calculator(device=device), atoms, picklable=True)


def test_single_precision_rounds_and_no_more(rng) -> None:
    potential = random_potential(2, "neural")
    numbers, positions, cell, pbc = crystal(2, rng)
    pairs = build_pairs(positions, cell, pbc, potential.config.cutoff)
    given = potential.config.species_of(numbers), positions, cell, pairs
    double = potential.runner(device="cpu").evaluate(*given)
    single = potential.runner(device="cpu", precision="float32").evaluate(*given)
    scale = np.abs(double.forces).max()
    np.testing.assert_allclose(single.forces, double.forces, atol=1e-5 * scale)
    assert np.abs(single.forces - double.forces).max() > 1e-9 * scale


@pytest.mark.parametrize("readout", READOUTS)
def test_every_tensor_is_made_on_the_device(rng, readout: str) -> None:
    """The meta device has shapes and no numbers, and refuses to meet tensors of another one."""
    potential = trained(2, readout, 2)
    numbers, positions, cell, pbc = crystal(2, rng)
    first, neighbor, shift = build_pairs(positions, cell, pbc, potential.config.cutoff)
    species = potential.config.species_of(numbers)
    runner = potential.runner(device="meta")
    assert isinstance(runner, OnDevice)
    blocks = list(blocks_of(species, np.diff(first), 2, 2))
    given = torch_running.Pairs(*(runner.put(x) for x in (species, positions, cell, first, neighbor, shift)))
    found = runner.sums(given, blocks)
    assert [tuple(x.shape) for x in found] == [(2, 6), (2, 6, 3), (2, 3, 3), ()]
    assert all(x.device.type == "meta" for x in found)


def test_invariants_and_their_derivatives_are_those_of_the_kernels(rng) -> None:
    """Twice differentiated, as training on forces does."""
    config = random_config(1, "linear")
    a = torch.from_numpy(rng.normal(size=((config.lmax + 1) ** 2, 5))).requires_grad_()
    found = []
    for b in (invariants(a, config), torch_running.invariants(a, config)):
        (slope,) = torch.autograd.grad((b**2).sum(), a, create_graph=True)
        (curvature,) = torch.autograd.grad((slope**2).sum(), a)
        found.append((b.detach(), slope.detach(), curvature))
    for kernel, tensors in zip(*found, strict=True):
        torch.testing.assert_close(tensors, kernel, atol=1e-10, rtol=1e-10)
    assert invariants(a.to("meta"), config).device.type == "meta"


@pytest.mark.parametrize("device", ["nowhere", "cuda:99", 7.5])
def test_a_device_that_is_not_there_is_refused(device: Any) -> None:
    with pytest.raises(InputError, match="device"):
        random_potential(1, "linear").runner(device=device)
