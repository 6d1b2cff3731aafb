"""Panels that look at a trajectory file: what they ask for, what they say, and code that gives the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.io import write

from mlip_lab.dynamics.md import md
from mlip_lab.panels.atomic_structure import ATOMIC_STRUCTURE
from mlip_lab.panels.base.model import PanelModel
from mlip_lab.panels.base.shelf import Shelf
from mlip_lab.panels.base.view import saved_html
from mlip_lab.panels.diffusion import DIFFUSION
from mlip_lab.panels.same_structure import SAME_STRUCTURE
from mlip_lab.panels.velocity_spectrum import VELOCITY_SPECTRUM
from mlip_lab.properties.trajectories import trajectory_of


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Atoms that swing about the sites of copper and remember where they were."""
    folder, rng = tmp_path_factory.mktemp("runs"), np.random.default_rng(1)
    sites = bulk("Cu", cubic=True)
    paths = [folder / f"run{number}.traj" for number in range(2)]
    for path in paths:
        move, frames = np.zeros((4, 3)), []
        for _ in range(400):
            move = 0.6 * move + 0.08 * rng.normal(size=(4, 3))
            frames.append(sites.copy())
            frames[-1].positions += move
        write(path, frames)
    return paths


def filled(capability: Any, **values: Any) -> PanelModel:
    return PanelModel(capability, Shelf(), values)


@pytest.mark.parametrize("capability", [ATOMIC_STRUCTURE, SAME_STRUCTURE, DIFFUSION, VELOCITY_SPECTRUM])
def test_a_file_is_shown_and_code_gives_the_same(capability: Any, files: list[Path]) -> None:
    values: dict[str, Any] = {"trajectory": files[0], "interval": 20.0}
    if capability is SAME_STRUCTURE:
        values = {"first": files[0], "second": files[1]}
    model = filled(capability, **{name: v for name, v in values.items() if name in {f.name for f in capability.fields}})
    model.run()
    assert model.wait(60) and model.state == "done", model.words
    html = saved_html(model)
    assert "data:image/png;base64" in html and model.alt and model.verdicts and model.record.data
    scope: dict[str, Any] = {}
    exec(model.code, scope)
    for mine, other in zip(capability.numbers(scope["result"]), model.numbers, strict=True):
        assert np.isclose(mine.value, other.value)


def test_a_compressed_trajectory_of_a_run_is_shown_and_says_when_its_frames_were(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    run = md(
        bulk("Cu", cubic=True), EMT(), steps=600, time_step=2.0, sample_every=2, initial_temperature=300.0,
        trajectory=path,
    )  # fmt: skip
    for capability, more in ((ATOMIC_STRUCTURE, {}), (VELOCITY_SPECTRUM, {"resolution": 3.0})):
        model = filled(capability, trajectory=path, **more)
        assert model.reason == ""
        model.run()
        assert model.wait(60) and model.state == "done", model.words
    np.testing.assert_allclose(trajectory_of(path).times, run.sample_times, rtol=1e-12)


def test_what_is_missing_is_asked_for_in_words(files: list[Path], tmp_path: Path) -> None:
    model = filled(ATOMIC_STRUCTURE)
    assert "Trajectory file: fill this in" in model.reason
    for capability, values, words in (
        (ATOMIC_STRUCTURE, {"trajectory": tmp_path / "none.traj"}, "there is no file"),
        (DIFFUSION, {"trajectory": files[0]}, "Give the time between two frames in fs"),
        (SAME_STRUCTURE, {"first": files[0], "second": tmp_path / "none.traj"}, "second: there is no file"),
    ):
        model = filled(capability, **values)
        assert words in model.reason
