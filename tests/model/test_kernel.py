"""The kernel readout: it learns what a linear one cannot, and knows how far it is off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mlip_lab.core.frame import Frame
from mlip_lab.data.reader import read_frames
from mlip_lab.model.exact import fit_exact, predict_uncertain
from mlip_lab.model.potential import Potential
from tests.tiny import tiny_config, tiny_frames


def scores(potential: Potential, frames: Sequence[Frame]) -> np.ndarray:
    """Error over predicted standard deviation of every force component."""
    found = [predict_uncertain(potential, frame) for frame in frames]
    return np.concatenate(
        [((one.forces - frame.forces) / one.forces_std).ravel() for one, frame in zip(found, frames, strict=True)]
    )


def force_error(potential: Potential, frames: Sequence[Frame]) -> float:
    answers = [potential.evaluate(f.numbers, f.positions, f.cell, f.pbc).forces for f in frames]
    return float(np.sqrt(np.mean([(a - f.forces) ** 2 for a, f in zip(answers, frames, strict=True)])))


def labelled(frames: Sequence[Frame], potential: Potential) -> list[Frame]:
    found = []
    for frame in frames:
        answer = potential.evaluate(frame.numbers, frame.positions, frame.cell, frame.pbc)
        stress = answer.virial / frame.volume
        found.append(replace(frame, energy=answer.energy, forces=answer.forces, stress=stress))
    return found


@pytest.mark.parametrize("readout", ["linear", "kernel"])
def test_variances_are_calibrated(readout: str) -> None:
    """68 % of the errors on fresh frames lie within one standard deviation, up to 10 points.

    Twelve frames of 120 calibrate and 60 judge; by chance alone the share would be uncertain by 4 and 2 points.
    """
    potential = fit_exact(tiny_config(readout), tiny_frames(120, gold=1), seed=0)
    share = np.mean(np.abs(scores(potential, tiny_frames(60, gold=1, seed=1))) < 1)
    assert 0.58 < share < 0.78


@pytest.mark.parametrize("readout", ["linear", "kernel"])
def test_energies_are_as_far_off_as_said(readout: str) -> None:
    potential = fit_exact(tiny_config(readout), tiny_frames(120, gold=1), seed=0)
    fresh = tiny_frames(60, gold=1, seed=1)
    found = [predict_uncertain(potential, frame) for frame in fresh]
    score = np.array([(one.energy - f.energy / 4) / one.energy_std for one, f in zip(found, fresh, strict=True)])
    # 60 energies, calibrated on a dozen: within a factor of two of the truth, which is what a mean of so few can say
    assert 0.5 < np.sqrt(np.mean(score**2)) < 2.0


def test_variances_are_calibrated_on_dft_silicon(shared_data: Path) -> None:
    folder = shared_data / "mlearn"
    if not folder.is_dir():
        pytest.skip("the mlearn sets are not among the development data")
    train = read_frames(folder / "Si_train.xyz").frames[::2]
    test = read_frames(folder / "Si_test.xyz").frames
    potential = fit_exact(replace(tiny_config("kernel"), cutoff=5.0, n_points=60), train, seed=0)
    assert 0.58 < np.mean(np.abs(scores(potential, test)) < 1) < 0.78


def test_the_kernel_learns_what_is_not_linear(rng: np.random.Generator) -> None:
    """A random sum of kernels and nothing else: the same process finds it again, a linear readout cannot."""
    frames, fresh = tiny_frames(60), tiny_frames(12, seed=1)
    seen = fit_exact(tiny_config("kernel"), frames, seed=0)
    weights = dict(seen.members[0])
    weights |= {name: np.zeros_like(weights[name]) for name in ("linear", "pair")}
    truth = Potential(seen.config, ({**weights, "alpha": rng.normal(size=weights["alpha"].shape)},))
    train, test = labelled(frames, truth), labelled(fresh, truth)
    size = np.std([frame.forces for frame in test])
    # a ridge of 1e-12 on kernels that are all but dependent leaves far less than this
    assert force_error(fit_exact(tiny_config("kernel"), train, seed=0), test) < 1e-4 * size
    assert force_error(fit_exact(tiny_config("linear"), train, seed=0), test) > 0.1 * size


def test_more_points_than_environments_and_one_frame_only() -> None:
    config = replace(tiny_config("kernel"), n_points=20, n_components=100)
    # Four atoms a frame. A dozen numbers of one frame do not settle the ridge, and interpolating and smoothing have
    # nearly the same evidence: it may smooth, but must know more than that forces are zero.
    for count, share in ((1, 1.0), (2, 0.2)):
        frames = tiny_frames(count)
        potential = fit_exact(config, frames, seed=0)
        assert force_error(potential, frames) < share * np.std([frame.forces for frame in frames])


def test_the_same_seed_gives_the_same_weights() -> None:
    frames = tiny_frames(8, gold=2)
    one, again, other = (fit_exact(tiny_config("kernel"), frames, seed=seed).members[0] for seed in (1, 1, 2))
    assert all(np.array_equal(one[name], again[name]) for name in one)
    assert not np.array_equal(one["mixing"], other["mixing"])


@pytest.mark.parametrize(("readout", "before", "after"), [("linear", 1, 2), ("kernel", 2, 8)])
def test_a_stop_is_asked_for_all_along(readout: str, before: int, after: int) -> None:
    """For each frame that is prepared (and looked at for the kernel), and for each of two solutions' decompositions."""
    frames, seen = tiny_frames(10), []
    fit_exact(tiny_config(readout), frames, seed=0, progress=lambda done, total, **live: seen.append(done))
    assert seen.count(0) == before * len(frames)
    assert seen.count(len(frames)) == 1 + after and seen[-1] == len(frames) + 1
