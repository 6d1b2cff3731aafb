"""A learning curve ends where a training on all frames ends, and falls on the way."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mlip_lab.core.errors import Cancelled, DataError, InputError
from mlip_lab.data.reader import Dataset, read_frames
from mlip_lab.workflows.learning_curve import learning_curve
from mlip_lab.workflows.train import train
from tests.tiny import tiny_atoms


@pytest.fixture(scope="module")
def data() -> tuple[Dataset, Dataset]:
    return read_frames(tiny_atoms(24, seed=1)), read_frames(tiny_atoms(8, seed=2))


@pytest.fixture(scope="module")
def curve(data: tuple[Dataset, Dataset]) -> Any:
    return learning_curve(*data, repeats=3, seed=5)


@pytest.mark.parametrize("repeat", [0, 2])
def test_the_last_point_is_a_training_on_all_frames(data: tuple[Dataset, Dataset], curve: Any, repeat: int) -> None:
    report = train(data[0], test=data[1], preset="small", readout="linear", seed=5 + repeat).report["test"]
    # The same equations summed up in another order; the smallest ridge, 1e-12, lets that show in the sixth digit
    assert curve.energy[-1, repeat] == pytest.approx(report["energy_rmse_mev_per_atom"], rel=1e-3)
    assert curve.forces[-1, repeat] == pytest.approx(report["forces_rmse_ev_per_ang"], rel=1e-3)


def test_sizes_are_halves_and_more_frames_help(curve: Any) -> None:
    assert list(curve.frames) == [6, 12, 24]
    assert curve.energy.shape == curve.forces.shape == (3, 3)
    assert np.all(np.diff(curve.forces.mean(axis=1)) < 0)
    assert curve.exponent() < 0
    # each repeat draws frames and radial functions anew, so that not even the last points are alike
    assert all(len(np.unique(point)) == 3 for point in curve.forces)


def test_same_seed_same_curve(data: tuple[Dataset, Dataset], curve: Any) -> None:
    assert np.array_equal(learning_curve(*data, repeats=3, seed=5).forces, curve.forces)


def test_labels_of_frames_left_out_are_not_used(data: tuple[Dataset, Dataset], curve: Any) -> None:
    order = np.random.default_rng([5, 1]).permutation(24)
    frames = list(data[0].frames)
    last = order[-1]
    frames[last] = replace(frames[last], energy=frames[last].energy + 100.0, forces=None)
    spoiled = learning_curve(replace(data[0], frames=tuple(frames)), data[1], repeats=1, seed=5)
    assert np.array_equal(spoiled.forces[:-1, 0], curve.forces[:-1, 0])
    assert spoiled.energy[-1, 0] > 2 * curve.energy[-1, 0]


def test_progress_counts_frames_and_may_stop(data: tuple[Dataset, Dataset]) -> None:
    seen: list[tuple[int, int]] = []

    def note(done: int, total: int, /, **_: Any) -> None:
        seen.append((done, total))
        if done == 30:
            raise Cancelled("Stopped.")

    with pytest.raises(Cancelled):
        learning_curve(*data, repeats=1, progress=note)
    assert seen == [(k, 32) for k in range(1, 31)]


def test_what_is_not_usable_is_refused(data: tuple[Dataset, Dataset]) -> None:
    with pytest.raises(InputError, match="data: expected what read_frames"):
        learning_curve(list(data[0].frames), data[1])  # type: ignore[arg-type]
    with pytest.raises(DataError, match="at least 10 frames for a curve, got 8"):
        learning_curve(data[1], data[0])
    bare = replace(data[1], frames=tuple(replace(frame, forces=None) for frame in data[1].frames))
    with pytest.raises(DataError, match="energies and forces"):
        learning_curve(data[0], bare, repeats=1)
