"""Training by gradient: it learns, the same seed does the same, and labels may be missing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ase.build import bulk

from mlip_lab.core.errors import Cancelled, DataError, FileFormatError, InputError
from mlip_lab.core.frame import Frame
from mlip_lab.model import finishing, network, torch_running, training
from mlip_lab.model.config import PotentialConfig, preset
from mlip_lab.model.features import RADIAL_DECAY, even_mixing, smooth_mixing
from mlip_lab.model.linear import ENERGY_WEIGHT, STRESS_WEIGHT, Rows
from mlip_lab.model.potential import Potential, ensemble
from mlip_lab.model.samples import Samples
from mlip_lab.model.structures import complete
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
    frames, calls = tiny_frames(12), []
    potential, history = fit(frames, progress=lambda done, total, **errors: calls.append((done, total, errors)))
    live = [call for call in calls if call[2]]
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
    """A progress callback that stops the work after some epochs, and notes the first that ended."""

    def __init__(self, epochs: int) -> None:
        self.epochs, self.first = epochs, 0

    def __call__(self, done: int, total: int, /, **live: Any) -> None:
        self.first = self.first or (done if live else 0)
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


def test_a_stop_is_asked_for_in_every_batch_and_keeps_every_finished_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 1e9)  # only a stop writes one
    frames, calls = tiny_frames(23), []
    whole, _ = fit(frames, progress=lambda done, total, **live: calls.append((done, bool(live))))
    batches, validation = 6, 1  # of 22 frames to learn from, 4 a batch, and one that is left out
    assert calls.count((3, False)) == batches + validation and calls.count((3, True)) == 1
    asked = 0

    def stop(done: int, total: int, /, **live: Any) -> None:
        nonlocal asked
        asked += done == 3 and not live
        if asked == 4:
            raise Cancelled("in the fourth batch of the fourth epoch")

    with pytest.raises(Cancelled):
        fit(frames, folder=tmp_path, identity="a", progress=stop)
    rest = Stop(100)
    resumed, _ = fit(frames, folder=tmp_path, identity="a", progress=rest)
    assert rest.first == 4 and equal(whole, resumed)


def test_a_stop_is_asked_for_before_and_after_the_epochs() -> None:
    frames, seen = tiny_frames(9), []
    fit(frames, progress=lambda done, total, **live: seen.append(done))
    assert seen.index(1) >= len(frames)  # while the structures are prepared
    assert seen.count(8) >= len(frames)  # while the exact linear solution competes


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


def test_streamed_densities_give_the_same_weights() -> None:
    frames = tiny_frames(9, gold=2)
    kept, streamed = (fit(frames, streamed=streamed)[0] for streamed in (False, True))
    assert equal(kept, streamed)


def test_streamed_samples_are_not_kept() -> None:
    frames = tiny_frames(3)
    config = complete(tiny_config("neural"), frames)
    kept, streamed = Samples(frames, config), Samples(frames, config, streamed=True)
    assert kept[1] is kept[1] and len(kept) == len(list(streamed)) == 3
    assert streamed[1] is not streamed[1] and torch.equal(streamed[1].a, kept[1].a)


def test_what_a_thousand_atoms_take_in_memory_is_what_the_documentation_says() -> None:
    atoms = bulk("Si", cubic=True).repeat(3)
    frame = Frame(atoms.numbers.astype(np.int64), atoms.positions, atoms.cell.array, atoms.pbc)
    config = complete(preset("default"), [frame])
    per_thousand = Samples([frame], config)[0].n_bytes / len(frame.numbers) * 1e-3  # MB
    assert 2.5 < per_thousand < 3.5


def misfit(potential: Potential, weights: dict[str, Any], frames: list[Frame]) -> float:
    """What the exact solution minimises, apart from the ridge: weighted squares of energies, forces and stress."""
    trial, total = Potential(potential.config, (weights,)), 0.0
    for f in frames:
        found, n = trial.evaluate(f.numbers, f.positions, f.cell, f.pbc), len(f.numbers)
        total += (ENERGY_WEIGHT * (found.energy - f.energy) / n) ** 2 + float(np.sum((found.forces - f.forces) ** 2))
        strain = (found.virial - f.volume * f.stress)[np.triu_indices(3)] / n
        total += float(np.sum((STRESS_WEIGHT * strain) ** 2))
    return total


@pytest.mark.parametrize("gold", [0, 2])
def test_what_is_linear_is_at_its_optimum_at_the_end(gold: int) -> None:
    """Along random directions the misfit is a parabola whose lowest point is where the weights are."""
    frames, rng = tiny_frames(12, gold=gold), np.random.default_rng(0)
    potential, _ = fit(frames)
    w = potential.members[0]
    for _ in range(5):
        step = rng.normal(size=w["linear"].shape) * np.abs(w["linear"]).mean()
        down, here, up = (misfit(potential, {**w, "linear": w["linear"] + x * step}, frames) for x in (-1.0, 0.0, 1.0))
        lowest = 0.5 * (down - up) / (down + up - 2.0 * here)
        assert abs(lowest) < 0.02  # of the step; zero but for the ridge


@pytest.mark.parametrize("numbers", [(14,), (3, 13, 14)])
def test_radial_channels_cover_all_radial_functions(numbers: tuple[int, ...]) -> None:
    """Channels of one length, and no combination of radial functions that all of them all but leave out."""
    n = len(numbers)
    table = ((1.0,) * n,) * n
    config = PotentialConfig(numbers=numbers, r0=table, inner=table, outer=table, n_channels=10 * n)
    decay = np.tile(np.exp(-RADIAL_DECAY * np.arange(config.n_radial)), n)[:, None]
    for seed in range(3):
        mixing = even_mixing(config, smooth_mixing(config, np.random.default_rng(seed)))
        np.testing.assert_allclose(np.linalg.norm(mixing, axis=2), 1.0, rtol=1e-14)
        sizes = np.linalg.svd(mixing / decay, compute_uv=False)
        # as many channels as functions; where all of them are random, the least is some hundredth of the largest
        assert (sizes[..., -1] > 0.2 * sizes[..., 0]).all()


def test_weights_are_learned_along_the_principal_axes_of_the_invariants() -> None:
    config = complete(tiny_config("neural"), frames := tiny_frames(6, gold=2))
    one_network = network.Network(config, smooth_mixing(config, np.random.default_rng(0)), np.random.default_rng(1))
    samples = Samples(frames, config)
    training._start(one_network, samples, frames)
    for z in range(config.n_species):
        with torch.no_grad():
            b = torch.cat([one_network.invariants(one.a[:, one.structure.species == z], z) for one in samples]).numpy()
        x = (b - b.mean(axis=0)) / (b.std(axis=0) + 1e-9)
        # the mean is of numbers of order ten, added up in parts
        np.testing.assert_allclose(one_network.mean[z], b.mean(axis=0), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(one_network.scale[z], b.std(axis=0) + 1e-9, rtol=1e-9)
        axes = one_network.axes[z].numpy()
        np.testing.assert_allclose(axes.T @ axes, np.eye(len(axes)), atol=1e-12)
        found = (x @ axes).T @ (x @ axes) / len(x)
        np.testing.assert_allclose(found, np.diag(np.diag(found)), atol=1e-9 * len(axes))


def test_given_channels_are_kept_to_the_last_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that members of an ensemble share them; all else is learned. The linear readout keeps its own."""
    frames = tiny_frames(9)
    config = complete(tiny_config("neural"), frames)
    channels = smooth_mixing(config, np.random.default_rng(7)) / 3.0
    monkeypatch.setattr(training, "finished", lambda network, trained, *_: trained)
    (one, other), (free, _) = (fit(frames, seed=seed, channels=channels)[0] for seed in (0, 1)), fit(frames)
    for potential in (one, other):
        np.testing.assert_array_equal(potential.members[0]["mixing"], channels)
    assert not np.array_equal(one.members[0]["w1"], other.members[0]["w1"])
    assert not np.allclose(free.members[0]["mixing"], channels, rtol=0.1)
    assert ensemble([one, other]).runner().module.__name__.count("shared_channels") == 1
    assert ensemble([one, free]).runner().module.__name__.count("own_channels") == 1


@pytest.mark.parametrize(
    ("gains", "linear"),
    [((0.8, 1.0, 1.2), False), ((-1.0, 0.2, 1.0), True), ((-0.8, -1.0, -1.2), True), ((0.1,), False)],
)
def test_the_linear_readout_is_kept_unless_the_network_is_clearly_better(
    monkeypatch: pytest.MonkeyPatch, gains: tuple[float, ...], linear: bool
) -> None:
    """By more than a standard error: 1.0 with 0.12, not 0.07 with 0.58; a single frame has none."""
    losses = iter([np.array(gains), np.zeros(len(gains))])  # of the linear readout, then of the network
    monkeypatch.setattr(training._Trainer, "losses", lambda *_: next(losses))
    potential, _ = fit(tiny_frames(9))
    assert linear == (not potential.members[0]["w2"].any())


@pytest.mark.parametrize(("noise", "kept"), [(0.0, False), (3.0, True)], ids=["signal", "noise"])
def test_what_does_not_serve_frames_left_out_is_not_done(
    monkeypatch: pytest.MonkeyPatch, noise: float, kept: bool
) -> None:
    """Weights of noise in the equations are no answer; those of the frames are."""
    seen: list[Any] = []
    rng, residual_rows = np.random.default_rng(0), finishing.residual_rows

    def noisy(*arguments: Any) -> Rows:
        rows = residual_rows(*arguments)
        return Rows(rows.x, rows.y + noise * rng.normal(size=rows.y.shape), rows.weight, rows.kind)

    def chosen(*arguments: Any) -> Any:
        found = finished(*arguments)
        seen.append((arguments[1], found))
        return found

    finished = finishing.finished
    monkeypatch.setattr(finishing, "residual_rows", noisy)
    monkeypatch.setattr(finishing, "_linear", lambda network, *_: {k: v + 1 for k, v in network.state_dict().items()})
    monkeypatch.setattr(training, "finished", chosen)
    fit(tiny_frames(24))
    ((trained, found),) = seen
    assert all(torch.equal(trained[name], found[name]) for name in trained) == kept


def test_training_by_tensors_alone_gives_the_same_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a device without kernels computes: only the order of sums differs, and Adam makes 1e-16 to 1e-8 of it."""
    frames = tiny_frames(9, gold=2)
    by_kernels, _ = fit(frames)
    monkeypatch.setattr(network, "invariants", torch_running.invariants)
    by_tensors, _ = fit(frames)
    for name, weights in by_kernels.members[0].items():
        np.testing.assert_allclose(by_tensors.members[0][name], weights, rtol=1e-6, atol=1e-8)


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(InputError, match="device: expected one that torch can use"):
        fit(tiny_frames(5), device="abacus")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")
def test_training_on_a_device_learns_the_same(tmp_path: Path) -> None:
    """Whole or stopped and gone on with: sums in another order, so the weights are near those of the processor."""
    frames = tiny_frames(9, gold=2)
    here, _ = fit(frames)
    with pytest.raises(Cancelled):
        fit(frames, device="cuda", folder=tmp_path, identity="a", progress=Stop(3))
    there, _ = fit(frames, device="cuda", folder=tmp_path, identity="a")
    for name, weights in here.members[0].items():
        np.testing.assert_allclose(there.members[0][name], weights, rtol=1e-5, atol=1e-7)
