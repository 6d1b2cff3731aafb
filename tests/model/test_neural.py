"""Training by gradient: it learns, the same seed does the same, and labels may be missing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlip_lab.core.errors import Cancelled, DataError, FileFormatError, InputError
from mlip_lab.core.frame import Frame
from mlip_lab.model import training
from mlip_lab.model.training import CHECKPOINT, fit_neural
from tests.tiny import tiny_config, tiny_frames


@pytest.fixture(autouse=True)
def few_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "EPOCHS", (8, 8))
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)


def fit(frames: list[Frame], seed: int = 0, **options: Any) -> Any:
    return fit_neural(tiny_config("neural"), frames, seed=seed, **options)


def equal(first: Any, second: Any) -> bool:
    return all(np.array_equal(first.members[0][name], second.members[0][name]) for name in first.members[0])


def test_the_same_seed_gives_the_same_weights() -> None:
    frames = tiny_frames(9, gold=2)
    (one, history), (again, _), (other, _) = (fit(frames, seed) for seed in (1, 1, 2))
    assert equal(one, again) and not equal(one, other)
    assert len(history.train_energy) == len(history.validation_forces) == 8


def test_the_network_learns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "EPOCHS", (60, 60))
    frames, live = tiny_frames(12), []
    potential, history = fit(frames, progress=lambda done, total, **errors: live.append((done, total, errors)))
    # from where it starts, no forces at all, to well below: nothing finer is claimed of a minute network
    assert history.train_forces[-1] < 0.5 * history.train_forces[0]
    assert history.train_energy[-1] < history.train_energy[0]
    assert [one[:2] for one in live] == [(epoch, 60) for epoch in range(1, 61)]
    assert live[-1][2]["train_forces"] == history.train_forces[-1]
    answers = [potential.evaluate(f.numbers, f.positions, f.cell, f.pbc).forces for f in frames]
    error = np.sqrt(np.mean([(a - f.forces) ** 2 for a, f in zip(answers, frames, strict=True)]))
    assert error < 0.5 * history.train_forces[0]


@pytest.mark.parametrize("kept", ["energy", "forces", "stress", "mixed"])
def test_labels_may_be_missing(kept: str) -> None:
    names = ("energy", "forces", "stress")
    frames = [
        replace(frame, **{name: None for name in names if name != (names[index % 3] if kept == "mixed" else kept)})
        for index, frame in enumerate(tiny_frames(9))
    ]
    potential, history = fit(frames)
    assert all(np.isfinite(array).all() for array in potential.members[0].values())
    assert np.isfinite(history.train_energy).all() and np.isfinite(history.train_forces).all()


@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_handful_of_frames_is_enough_to_run(count: int) -> None:
    potential, _ = fit(tiny_frames(count))
    assert np.isfinite(potential.members[0]["w1"]).all()


def test_nothing_to_learn_from_is_refused() -> None:
    far = Frame(np.array([29, 29]), np.array([[0.0, 0, 0], [9, 0, 0]]), np.zeros((3, 3)), np.zeros(3, bool), energy=1.0)
    with pytest.raises(DataError, match="Raise the cutoff"):
        fit([far])


class Stop:
    """A progress callback that stops the work after some epochs."""

    def __init__(self, epochs: int) -> None:
        self.epochs, self.first = epochs, 0

    def __call__(self, done: int, total: int, /, **live: Any) -> None:
        self.first = self.first or done
        if done >= self.epochs:
            raise Cancelled("enough")


def test_a_cancelled_training_goes_on_and_ends_in_the_same_weights(tmp_path: Path) -> None:
    frames = tiny_frames(9)
    whole, history = fit(frames)
    for epochs in (3, 6):
        with pytest.raises(Cancelled):
            fit(frames, folder=tmp_path, identity="a", progress=Stop(epochs))
        assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT]
    rest = Stop(100)
    resumed, continued = fit(frames, folder=tmp_path, identity="a", progress=rest)
    assert rest.first == 7 and equal(whole, resumed) and continued == history


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    with pytest.raises(Cancelled):
        fit(tiny_frames(9), folder=tmp_path, identity="a", progress=Stop(2))
    return tmp_path / CHECKPOINT


def test_the_checkpoint_of_another_training_is_refused(checkpoint: Path) -> None:
    with pytest.raises(InputError, match="belongs to another training"):
        fit(tiny_frames(9), folder=checkpoint.parent, identity="b")
    assert checkpoint.exists()


@pytest.mark.parametrize("damage", ["empty", "cut", "header", "other", "arrays"])
def test_a_damaged_checkpoint_is_refused(checkpoint: Path, damage: str) -> None:
    content = checkpoint.read_bytes()
    size = 8 + int.from_bytes(content[:8], "little")
    checkpoint.write_bytes(
        {
            "empty": b"",
            "cut": content[: len(content) // 2],
            "header": content[:100] + b"#" * 50 + content[150:],
            "other": b"not safetensors at all",
            "arrays": content[:size].replace(b"network.w1", b"network.x1") + content[size:],
        }[damage]
    )
    with pytest.raises(FileFormatError, match="damaged"):
        fit(tiny_frames(9), folder=checkpoint.parent, identity="a")
