"""Frames made ready for learning: what is taken from the data, and the repulsion that is known before."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mlip_lab.core.errors import DataError, InputError
from mlip_lab.core.frame import Frame
from mlip_lab.model.structures import complete, prepare
from tests.potentials import random_config
from tests.tiny import tiny_config, tiny_frames


def row(numbers: list[int], places: list[float]) -> Frame:
    """Atoms on a line, open in all directions."""
    positions = np.array([[x, 0.0, 0.0] for x in places])
    return Frame(np.array(numbers), positions, np.zeros((3, 3)), np.zeros(3, bool))


def test_distances_are_taken_from_the_data() -> None:
    config = complete(tiny_config("linear"), [row([14, 8, 14], [0.0, 1.6, 3.5]), row([8, 8], [0.0, 1.2])])
    assert config.numbers == (8, 14)
    # O–O 1.2; Si–O: 1.6 seen from the oxygen, 1.6 and 1.9 from the silicons; Si–Si 3.5
    np.testing.assert_allclose(config.r0, [[1.2, 1.6], [1.6, 3.5]])
    np.testing.assert_allclose(config.outer, 0.9 * np.array([[1.2, 1.6], [1.6, 3.5]]))
    assert (np.array(config.inner) < np.array(config.outer)).all() and (np.array(config.inner) > 0).all()
    assert np.array_equal(config.r0, np.transpose(config.r0))


def test_pairs_that_never_meet_get_what_is_typical() -> None:
    config = complete(tiny_config("linear"), [row([8, 8], [0.0, 1.2]), row([14, 14], [0.0, 2.4])])
    np.testing.assert_allclose(config.r0, [[1.2, 1.8], [1.8, 2.4]])
    np.testing.assert_allclose(config.outer, 0.9 * np.array([[1.2, 1.2], [1.2, 2.4]]))


def test_a_cutoff_below_every_distance_is_refused() -> None:
    with pytest.raises(DataError, match=r"closer than 4.0 Å. Raise the cutoff"):
        complete(tiny_config("linear"), [row([8, 8], [0.0, 4.5])])


def test_the_repulsion_does_not_act_within_the_data() -> None:
    frames = tiny_frames(6, gold=2)
    config = complete(tiny_config("linear"), frames)
    for frame in frames:
        structure = prepare(frame, config)
        assert structure.energy == 0.0 and not structure.forces.any() and not structure.virial.any()


def test_the_repulsion_is_one_energy_with_its_derivatives() -> None:
    config = random_config(2, "linear")  # acts below 1.5 Å
    frame = Frame(
        np.array([8, 14, 8]),
        np.array([[0.0, 0.0, 0.0], [1.1, 0.3, 0.0], [0.2, 0.9, 0.8]]),
        np.diag([3.0, 3.1, 3.2]),
        np.ones(3, bool),
    )
    structure = prepare(frame, config)
    assert structure.energy > 1 and not prepare(frame, replace(config, repulsion=False)).energy

    def energy(moves: np.ndarray, strain: np.ndarray) -> float:
        turn = np.eye(3) + strain
        return prepare(
            replace(frame, positions=(frame.positions + moves) @ turn.T, cell=frame.cell @ turn.T), config
        ).energy

    h, zero = 1e-4, np.zeros((3, 3))
    for i in range(3):
        for x in range(3):
            step = np.zeros((3, 3))
            step[i, x] = h
            # central differences: h² times a third derivative of up to 1e5 of the slope
            slope = (energy(step, zero) - energy(-step, zero)) / (2 * h)
            assert abs(slope + structure.forces[i, x]) < 1e-5 * np.abs(structure.forces).max()
            slope = (energy(zero, step) - energy(zero, -step)) / (2 * h)
            assert abs(slope - structure.virial[i, x]) < 1e-5 * np.abs(structure.virial).max()


def test_unknown_elements_are_refused() -> None:
    with pytest.raises(InputError, match="knows the atomic numbers"):
        prepare(row([79, 79], [0.0, 2.0]), random_config(2, "linear"))
