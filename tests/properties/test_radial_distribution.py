"""g(r) counts what is there: shells of a crystal, one for an even spread; bands hold what they say."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.geometry.rdf import get_rdf

from mlip_lab.core.errors import InputError
from mlip_lab.properties.radial_distribution import radial_distribution


def test_shells_of_diamond() -> None:
    found = radial_distribution(bulk("Si", a=5.43), radius=5.0, bins=200)
    full = np.flatnonzero(found.values)
    edges = 5.43 * np.array([3**0.5 / 4, 2**-0.5, 11**0.5 / 4])
    assert np.allclose(found.distances[full], edges, atol=5.0 / 200)
    assert np.allclose(found.neighbors[full], [4, 16, 28])
    width = 5.0 / 200
    density = 8 / 5.43**3
    shell = 4 / 3 * np.pi * ((found.distances[full] + width / 2) ** 3 - (found.distances[full] - width / 2) ** 3)
    assert np.allclose(found.values[full], np.array([4, 12, 12]) / (density * shell))


def test_cell_size_and_place_do_not_matter() -> None:
    small = radial_distribution(bulk("Cu"), radius=8.0)
    large = bulk("Cu", cubic=True).repeat(2)
    large.positions += 17.3
    assert np.allclose(small.values, radial_distribution(large, radius=8.0).values)


def test_ideal_gas_is_one_up_to_and_beyond_half_the_box(rng: np.random.Generator) -> None:
    gas = Atoms("H200", cell=[[9, 0, 0], [3, 8, 0], [-2, 1, 10]], pbc=True)
    frames = rng.uniform(size=(60, 200, 3)) @ gas.cell.array
    inner = 0.5 * gas.cell.volume / np.linalg.norm(np.cross(gas.cell[0], gas.cell[1]))
    found = radial_distribution(gas, frames, radius=7.5, bins=30)
    assert inner < 5.1  # the sphere that fits has a smaller radius; the bins reach to half as much again
    expected = 200 * 199 / 2 * 60 * 4 / 3 * np.pi * np.diff(np.linspace(0, 7.5, 31) ** 3) / gas.cell.volume
    # 199/200: an atom is no neighbour of itself. No lattice vector is shorter than 7.5 Å. Counts scatter as √n; beyond
    # half the box some pairs are counted at two images, which adds to that. 4.5 σ for thirty bins
    assert (np.abs(found.values - 199 / 200) < 4.5 * np.sqrt(2 / expected)).all()
    assert found.inefficiency < 1.3


@pytest.mark.parametrize("seed", range(4))
def test_random_triclinic_cells_give_what_ase_gives(seed: int) -> None:
    rng = np.random.default_rng(seed)
    cell = 11.0 * (np.eye(3) + 0.25 * rng.uniform(-1, 1, size=(3, 3)))
    atoms = Atoms("Si40O60", positions=rng.uniform(size=(100, 3)) @ cell, cell=cell, pbc=True)
    radius = 0.49 * min(1 / np.linalg.norm(np.linalg.inv(cell), axis=0))
    found = radial_distribution(atoms, radius=radius, bins=60)
    assert np.allclose(found.values, get_rdf(atoms, radius, 60)[0], rtol=1e-9)
    assert found.pairs == ("O–O", "O–Si", "Si–Si")
    for values, elements in zip(found.partial, [(8, 8), (8, 14), (14, 14)], strict=True):
        assert np.allclose(values, get_rdf(atoms, radius, 60, elements=elements)[0], rtol=1e-9)


def test_freud_counts_the_same(rng: np.random.Generator) -> None:
    freud = pytest.importorskip("freud", reason="freud is not installed")
    cell = np.array([[12.0, 0, 0], [4.0, 11.0, 0], [-3.0, 2.0, 13.0]])
    positions = rng.uniform(size=(300, 3)) @ cell
    box = freud.box.Box.from_matrix(cell.T)
    theirs = freud.density.RDF(bins=50, r_max=4.5).compute((box, box.wrap(positions)))
    ours = radial_distribution(Atoms("H300", positions, cell=cell, pbc=True), radius=4.5, bins=50)
    # freud computes in single precision: a pair within 1e-6 Å of an end of a bin may fall to its other side
    assert np.abs(theirs.bin_counts - ours.counted.counts[0, 0]).sum() <= 4
    assert theirs.bin_counts.sum() > 8000


def test_cells_may_change_from_frame_to_frame() -> None:
    frames = [bulk("Cu", a=a, cubic=True) for a in (3.5, 3.7)]
    found = radial_distribution(frames, radius=6.0, bins=100)
    alone = [radial_distribution(frame, radius=6.0, bins=100) for frame in frames]
    assert np.allclose(found.neighbors, (alone[0].neighbors + alone[1].neighbors) / 2)
    # Σ counts / Σ expected, so denser frames weigh more
    density = np.array([1 / 3.5**3, 1 / 3.7**3])
    assert np.allclose(found.values, (density[0] * alone[0].values + density[1] * alone[1].values) / density.sum())


def test_bands_hold_the_truth_as_often_as_they_say() -> None:
    """A chain of atoms on springs of known mean, whose motion is remembered over several frames."""
    rng = np.random.default_rng(3)
    sites = bulk("Cu", cubic=True, a=3.6).repeat(2)
    decay, n, runs = np.exp(-1 / 4), 400, 60
    inside, total = 0, 0
    every = []
    for _ in range(runs):
        moves = rng.normal(size=(n, 32, 3))
        for t in range(1, n):
            moves[t] = decay * moves[t - 1] + np.sqrt(1 - decay**2) * moves[t]
        every.append(radial_distribution(sites, sites.positions + 0.15 * moves, radius=4.0, bins=16))
    truth = sum(one.values for one in every) / runs
    for one in every:
        assert one.inefficiency == pytest.approx(4, abs=2.5)  # x² forgets twice as fast as x: (1 + c²)/(1 − c²)
        sharp = truth > 0.05  # where there are pairs at all
        inside += int(((one.band[0] <= truth) & (truth <= one.band[1]))[sharp].sum())
        total += int(sharp.sum())
    # 95 % less what the bootstrap of some 20 blocks and the scatter of the mean of 60 runs take away
    assert 0.90 < inside / total < 0.98


def test_too_few_frames_have_no_band() -> None:
    assert radial_distribution([bulk("Cu")] * 3).band is None


def test_bad_input_is_refused_in_words() -> None:
    with pytest.raises(InputError, match="periodic in three directions"):
        radial_distribution(molecule("N2"))
    with pytest.raises(InputError, match="positions: expected shape"):
        radial_distribution(bulk("Cu"), np.zeros((4, 3, 3)))
    with pytest.raises(InputError, match="at least one frame"):
        radial_distribution(bulk("Cu"), np.zeros((0, 1, 3)))
    with pytest.raises(InputError, match="radius: expected"):
        radial_distribution(bulk("Cu"), radius=0.0)
    with pytest.raises(InputError, match="atoms: expected a file"):
        radial_distribution(3)
