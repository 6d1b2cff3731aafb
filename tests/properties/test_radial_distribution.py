"""g(r) counts what is there: shells of a crystal, one for an even spread."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule

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


def test_ideal_gas_is_one_and_frames_are_averaged(rng: np.random.Generator) -> None:
    gas = Atoms("H200", cell=[12, 11, 13], pbc=True)
    frames = rng.uniform(size=(20, 200, 3)) * [12, 11, 13]
    found = radial_distribution(gas, frames, radius=5.5, bins=10)
    assert found.frames == 20
    expected = 200 * 199 / 2 * 20 * 4 / 3 * np.pi * np.diff(np.linspace(0, 5.5, 11) ** 3) / (12 * 11 * 13)
    # 199/200: an atom is no neighbour of itself. Counts scatter as √n; 4 σ for ten bins
    assert (np.abs(found.values - 199 / 200) < 4 / np.sqrt(expected)).all()


def test_bad_input_is_refused_in_words() -> None:
    with pytest.raises(InputError, match="periodic in three directions"):
        radial_distribution(molecule("N2"))
    with pytest.raises(InputError, match="positions: expected shape"):
        radial_distribution(bulk("Cu"), np.zeros((4, 3, 3)))
    with pytest.raises(InputError, match="at least one frame"):
        radial_distribution(bulk("Cu"), np.zeros((0, 1, 3)))
    with pytest.raises(InputError, match="radius: expected"):
        radial_distribution(bulk("Cu"), radius=0.0)
