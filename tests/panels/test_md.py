"""The panel of molecular dynamics: stopped and continued, a run is the run it would have been."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from ase.io import read

from mlip_lab.core.errors import Cancelled
from mlip_lab.panels.base.model import PanelModel
from mlip_lab.panels.md import MD, _resume
from tests.panels.toy import shelf


@pytest.fixture(scope="module")
def model() -> PanelModel:
    model = PanelModel(MD, shelf(), {"steps": 60})
    model.run()
    assert model.wait(60) and model.state == "done", model.words
    return model


def test_a_run_continued_at_any_step_is_the_unbroken_run(model: PanelModel, monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib import import_module

    monkeypatch.setattr(import_module("mlip_lab.dynamics.run"), "REPORT_EVERY", 0.0)
    arguments: dict[str, Any] = {**model.values, "atoms": shelf().structures["copper"].atoms}
    arguments["calculator"] = shelf().potentials["EMT"].calculator
    for end in (0, 7, 10, 59):

        def stop(done: int, total: int, /, *, end: int = end, **live: Any) -> None:
            if done >= end:
                raise Cancelled("enough")

        partial = MD.function(**arguments, progress=stop)
        seen: list[tuple[int, int]] = []

        def note(done: int, total: int, /, *, seen: list[tuple[int, int]] = seen, **live: Any) -> None:
            seen.append((done, total))
            assert len(live["so_far"]().times) == done + 1

        whole = _resume(partial, arguments, note)
        assert not whole.stopped and seen[-1] == (60, 60)
        assert np.array_equal(whole.sample_times, model.result.sample_times)
        # New lists of neighbours change the order of sums, and so the last digits.
        np.testing.assert_allclose(whole.positions, model.result.positions, atol=1e-9)
        np.testing.assert_allclose(whole.conserved_energy, model.result.conserved_energy, atol=1e-9)


def test_fields_follow_the_ensemble(model: PanelModel) -> None:
    form = PanelModel(MD, shelf())
    assert "temperature" not in form.shown and "friction" not in form.shown
    form.set("initial_temperature", "")
    assert form.reason == "The atoms are at rest: give an initial temperature in K."
    form.set("ensemble", "langevin")
    assert {"temperature", "friction"} <= set(form.shown) and form.reason == ""
    form.set("temperature", "")
    assert form.reason == "Give the temperature of the bath in K."
    form.set("temperature", "300")
    form.set("ensemble", "nose-hoover")
    assert "bath_time" in form.shown and not {"friction", "pressure"} & set(form.shown)
    form.set("ensemble", "npt")
    assert {"bath_time", "pressure", "barostat_time"} <= set(form.shown) and form.reason == ""


def test_a_ramp_goes_on_where_it_was_stopped(model: PanelModel, monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib import import_module

    monkeypatch.setattr(import_module("mlip_lab.dynamics.run"), "REPORT_EVERY", 0.0)
    arguments: dict[str, Any] = {**model.values, "atoms": shelf().structures["copper"].atoms}
    arguments |= {"calculator": shelf().potentials["EMT"].calculator, "ensemble": "bussi", "temperature": 100.0}
    arguments |= {"final_temperature": 500.0, "initial_temperature": None}

    def stop(done: int, total: int, /, **live: Any) -> None:
        if done >= 23:
            raise Cancelled("enough")

    partial, whole = MD.function(**arguments, progress=stop), MD.function(**arguments)
    resumed = _resume(partial, arguments, lambda *_, **__: None)
    np.testing.assert_allclose(resumed.heat, whole.heat, atol=1e-9)
    assert whole.heat[-1] != 0.0


def test_constant_pressure_is_shown_with_its_volume() -> None:
    from mlip_lab.plots.style import description

    run = MD.function(
        shelf().structures["copper"].atoms, shelf().potentials["EMT"].calculator, steps=60, ensemble="npt",
        temperature=300.0,
    )  # fmt: skip
    assert "mean volume" in {number.name for number in MD.numbers(run)}
    (content,) = MD.files(run).values()
    frames = read(io.StringIO(content.decode()), ":", format="extxyz")
    np.testing.assert_allclose([frame.get_volume() for frame in frames], run.volume[::10], rtol=1e-6)
    assert "atoms" in description(MD.picture(run))


def test_a_file_is_not_overwritten(model: PanelModel, tmp_path: Any) -> None:
    form = PanelModel(MD, shelf())
    path = tmp_path / "run.extxyz"
    path.write_text("mine")
    form.set("trajectory", str(path))
    assert "is not overwritten" in form.reason


def test_a_drift_is_called_so_only_when_it_is_seen(model: PanelModel) -> None:
    run, atoms = model.result, len(model.result.atoms)

    def judged(change: Any) -> str:
        (verdict,) = MD.verdicts(replace(run, potential_energy=run.potential_energy + change))
        assert verdict.level == "warning"  # sixty steps are worth too few samples for anything
        return next(line for line in verdict.details.splitlines() if " energy: " in line)

    # 1 eV/atom/ns is 1e-6 eV/atom/fs; noise of 1 eV over 60 fs says nothing about a slope of 1e-3 eV/atom/ns.
    assert "does not drift" in judged(0.0)
    assert "drifts. Take a smaller time step" in judged(atoms * 1e-6 * run.times)
    assert "Too short to tell" in judged(np.random.default_rng(0).normal(size=run.times.size))


def test_what_is_judged_shown_and_saved(model: PanelModel) -> None:
    assert {n.name for n in model.numbers} >= {"mean temperature", "drift of conserved energy"}
    assert len(model.verdicts) == 1 and "does not drift" in model.verdicts[0].details
    atoms, positions = model.frames
    assert positions.shape == (7, 4, 3) and len(atoms) == 4
    (content,) = MD.files(model.result).values()
    frames = read(io.StringIO(content.decode()), ":", format="extxyz")
    assert len(frames) == 7 and frames[-1].info["time_fs"] == 60.0
    np.testing.assert_allclose(frames[-1].positions, positions[-1], atol=1e-8)
    assert set(model.record.data) >= {"times_fs", "temperature_k", "conserved_energy_ev"}
