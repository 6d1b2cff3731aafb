"""train(): from a file to a saved potential with its errors."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.io import write

import mlip_lab
from mlip_lab.core.errors import Cancelled, DataError, InputError
from mlip_lab.model import training
from mlip_lab.model.config import PRESETS
from mlip_lab.plots.training import learning_curve
from tests.tiny import CONFIG, tiny_atoms

RMS = {"energy_rmse_mev_per_atom", "forces_rmse_ev_per_ang", "stress_rmse_gpa"}
EPOCHS = 5


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with frames of copper to train and to test on, and some of an alloy."""
    monkeypatch.setitem(PRESETS, "small", CONFIG)
    monkeypatch.setattr(training, "EPOCHS", (EPOCHS, EPOCHS))
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)
    write(tmp_path / "train.xyz", tiny_atoms(14))
    write(tmp_path / "test.xyz", tiny_atoms(4, seed=1))
    write(tmp_path / "alloy.xyz", tiny_atoms(4, gold=1, seed=2))
    return tmp_path


@pytest.mark.parametrize("readout", ["linear", "kernel", "neural"])
def test_each_readout_end_to_end(data: Path, readout: str) -> None:
    out, seen = data / "deep" / "potential", []
    result = mlip_lab.train(
        data / "train.xyz",
        test=data / "test.xyz",
        preset="small",
        readout=readout,
        out=out,
        progress=lambda done, total, **live: seen.append((done, total)),
    )
    report = result.report
    assert set(report["test"]) == set(report["train"]) == RMS
    assert report["n_parameters"] == result.potential.n_parameters > 0 and report["train_seconds"] > 0
    wanted = {"preset": "small", "readout": readout, "seed": 0, "members": 1, "elements": ["Cu"], "frames": 14}
    assert wanted.items() <= report.items()
    assert report["data_sha256"] == mlip_lab.read_frames(data / "train.xyz").hash
    counts = [done for done, _ in seen]
    assert seen[-1][0] == seen[-1][1] and counts == sorted(counts)
    # the report is that of the predictions, and these are what the saved potential says
    assert len(result.predictions) == 4 and len(result.train_predictions) == 14
    errors = [prediction.forces - prediction.frame.forces for prediction in result.predictions]
    assert report["test"]["forces_rmse_ev_per_ang"] == pytest.approx(np.sqrt(np.mean(np.square(errors))))
    stress = [prediction.stress - prediction.frame.stress for prediction in result.predictions]
    upper = np.array(stress)[(slice(None), *np.triu_indices(3))]
    assert report["test"]["stress_rmse_gpa"] == pytest.approx(np.sqrt(np.mean(upper**2)) * 160.21766208)
    again = mlip_lab.load(out)
    assert again.report == report
    frame = result.predictions[0].frame
    answer = again.evaluate(frame.numbers, frame.positions, frame.cell, frame.pbc)
    assert answer.energy == result.predictions[0].energy
    assert sorted(path.name for path in out.iterdir()) == ["config.json", "report.json", "weights.safetensors"]


def test_another_body_order_than_that_of_the_preset(data: Path) -> None:
    fewer = mlip_lab.train(data / "train.xyz", preset="small", readout="linear", body_order=2).potential
    assert fewer.config.body_order == 2 < PRESETS["small"].body_order
    with pytest.raises(InputError, match=r"body_order: expected .* 5"):
        mlip_lab.train(data / "train.xyz", preset="small", body_order=6)


def test_the_history_draws_a_learning_curve(data: Path) -> None:
    history = mlip_lab.train(data / "train.xyz", preset="small").history
    assert history["epoch"] == list(range(1, EPOCHS + 1))
    assert {len(values) for values in history.values()} == {EPOCHS}
    assert {f"{part}_{name}" for part in ("train", "validation") for name in RMS if "stress" not in name} < set(history)
    drawn = sum(len(axes.lines) for axes in learning_curve(history).axes)
    assert drawn >= 4
    assert mlip_lab.train(data / "train.xyz", preset="small", readout="linear").history == {}


@pytest.mark.parametrize("readout", ["linear", "neural"])
def test_an_ensemble(data: Path, readout: str) -> None:
    out, seen = data / "p", []
    result = mlip_lab.train(
        data / "train.xyz",
        preset="small",
        readout=readout,
        members=2,
        out=out,
        progress=lambda done, total, **live: seen.append((done, total)),
    )
    assert len(result.potential.members) == len(mlip_lab.load(out).members) == 2 and result.report["test"] is None
    shared = np.array_equal(*(member["mixing"] for member in result.potential.members))
    assert shared == (readout == "neural" and all(member["w2"].any() for member in result.potential.members))
    assert not np.array_equal(*(member["linear"] for member in result.potential.members))
    assert result.predictions == result.train_predictions and len(result.predictions) == 14
    assert seen[-1][0] == seen[-1][1] and len({total for _, total in seen}) == 1
    # nothing that only an interrupted training needs is left
    assert sorted(path.name for path in out.iterdir()) == ["config.json", "report.json", "weights.safetensors"]


def test_the_same_seed_gives_the_same_potential(data: Path) -> None:
    one, again, other = (
        mlip_lab.train(data / "train.xyz", preset="small", seed=seed).potential.members[0] for seed in (4, 4, 5)
    )
    assert all(np.array_equal(one[name], again[name]) for name in one)
    assert not np.array_equal(one["mixing"], other["mixing"])


@pytest.mark.parametrize("members", [1, 2])
def test_a_stopped_training_keeps_its_checkpoint_and_goes_on(data: Path, members: int) -> None:
    def stop(done: int, total: int, /, **live: Any) -> None:
        if done == total - 2:
            raise Cancelled("stopped")

    options: dict[str, Any] = {"preset": "small", "members": members, "out": data / "p"}
    whole = mlip_lab.train(data / "train.xyz", **{**options, "out": None}).potential
    with pytest.raises(Cancelled):
        mlip_lab.train(data / "train.xyz", **options, progress=stop)
    (data / "p" / ".checkpoint-abc.safetensors").write_text("what a kill in the middle of writing leaves")
    seen: list[int] = []
    note = lambda done, total, **live: live and seen.append(done)  # noqa: E731
    resumed = mlip_lab.train(data / "train.xyz", **options, progress=note)
    assert seen == [members * EPOCHS - 1, members * EPOCHS]
    for one, other in zip(whole.members, resumed.potential.members, strict=True):
        assert all(np.array_equal(one[name], other[name]) for name in one)
    assert sorted(p.name for p in (data / "p").iterdir()) == ["config.json", "report.json", "weights.safetensors"]


def test_a_checkpoint_of_other_data_is_refused_and_kept(data: Path) -> None:
    def stop(done: int, total: int, /, **live: Any) -> None:
        if done == 1:
            raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        mlip_lab.train(data / "train.xyz", preset="small", out=data / "p", progress=stop)
    for source, seed in (("alloy.xyz", 0), ("train.xyz", 1)):
        with pytest.raises(InputError, match="another training"):
            mlip_lab.train(data / source, preset="small", seed=seed, out=data / "p")
    assert (data / "p" / training.CHECKPOINT).exists()


def test_frames_without_some_labels(data: Path) -> None:
    atoms = tiny_atoms(8)
    for one in atoms[::2]:
        del one.calc.results["stress"]
    result = mlip_lab.train(atoms, preset="small", readout="linear")
    assert result.report["train"]["stress_rmse_gpa"] is not None
    for one in atoms:
        one.calc.results.pop("stress", None)
    assert mlip_lab.train(atoms, preset="small", readout="linear").report["train"]["stress_rmse_gpa"] is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"preset": "huge"}, "preset: expected one of small, default, large"),
        ({"preset": None}, "preset: expected one of"),
        ({"readout": "tree"}, "readout: expected one of linear, kernel, neural"),
        ({"seed": -1}, "seed"),
        ({"seed": 0.5}, "seed"),
        ({"members": 0}, "members"),
        ({"members": True}, "members"),
    ],
    ids=str,
)
def test_bad_options_are_refused_before_anything_is_read(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        mlip_lab.train("no-such-file.xyz", **options)


def test_data_that_do_not_fit_are_refused_in_words(data: Path) -> None:
    with pytest.raises(DataError, match=r"\('Cu', 'Au'\) are not all among those trained, \('Cu',\)"):
        mlip_lab.train(data / "train.xyz", test=data / "alloy.xyz", preset="small")
    with pytest.raises(InputError, match=r"no-such-file"):
        mlip_lab.train(data / "no-such-file.xyz", preset="small")
    with pytest.raises(InputError, match="no-such-file"):
        mlip_lab.train(data / "train.xyz", test=data / "no-such-file.xyz", preset="small")


def test_a_folder_that_cannot_be_written_is_refused_before_training(data: Path) -> None:
    (data / "file").write_text("")
    for out in (data / "file", data / "file" / "deeper"):
        with pytest.raises(InputError, match="Choose another folder"):
            mlip_lab.train(data / "no-such-file.xyz", out=out)
    if os.geteuid() != 0:  # nothing is forbidden to root
        (data / "closed").mkdir(mode=0o500)
        with pytest.raises(InputError, match="Choose another folder"):
            mlip_lab.train(data / "no-such-file.xyz", out=data / "closed")
