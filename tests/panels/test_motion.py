"""The panels of the time step and of path integrals judge their results in words, and show them to the last number."""

from __future__ import annotations

from dataclasses import replace
from html import escape
from typing import Any

import numpy as np
import pytest

from mlip_lab.core.errors import Cancelled
from mlip_lab.dynamics import pimd as pimd_module
from mlip_lab.dynamics.stability import Experiment
from mlip_lab.dynamics.statistics import Estimate
from mlip_lab.panels.base.model import PanelModel
from mlip_lab.panels.base.view import saved_html
from mlip_lab.panels.pimd import PIMD, _resume
from mlip_lab.panels.stability import STABILITY
from mlip_lab.plots import style
from tests.panels.toy import shelf

SMALL: dict[str, tuple[Any, dict[str, Any]]] = {
    "time_step_stability": (STABILITY, {"steps": 0}),
    "pimd": (PIMD, {"steps": 60, "beads": 2}),
}


@pytest.fixture(scope="module")
def done() -> dict[str, PanelModel]:
    models = {}
    for name, (capability, values) in SMALL.items():
        model = PanelModel(capability, shelf(), values)
        model.run()
        assert model.wait(120) and model.state == "done", model.words
        models[name] = model
    return models


@pytest.mark.parametrize("name", SMALL)
def test_everything_is_shown(done: dict[str, PanelModel], name: str) -> None:
    model = done[name]
    html = saved_html(model)
    for number in model.numbers:
        assert np.isfinite(number.value) and escape(number.name) in html
    assert "data:image/png;base64" in html and model.alt and model.record.data and model.verdicts
    if model.capability.frames is not None:
        atoms, positions = model.frames
        assert positions.shape == (7, 8, 3) and len(atoms) == 8  # two beads of four atoms


def judged(capability: Any, result: Any) -> list[tuple[str, str]]:
    return [(verdict.level, verdict.text) for verdict in capability.verdicts(result)]


def test_time_steps_are_judged(done: dict[str, PanelModel]) -> None:
    result = done["time_step_stability"].result
    assert judged(STABILITY, result)[0][0] == "good" and "stable and accurate" in judged(STABILITY, result)[0][1]
    long = replace(result, time_step=1.5 * result.recommended_step)
    assert "longer than recommended" in judged(STABILITY, long)[0][1]
    apart = replace(result, time_step=1.1 * result.largest_step, radius=1.5)
    assert judged(STABILITY, apart)[0][0] == "bad" and "grows at every step" in judged(STABILITY, apart)[0][1]
    assert "temperature of momenta, predicted" not in {number.name for number in STABILITY.numbers(apart)}
    burst = replace(apart, experiment=Experiment(None, None, "The motion blew up at step 7."))
    assert judged(STABILITY, burst)[1] == ("good", "The run blew up, as predicted.")
    as_told = Estimate(result.kinetic_temperature + 1.0, 1.0), Estimate(result.configurational_temperature, 1.0)
    assert ("good", "Measured temperatures are those predicted.") in judged(
        STABILITY, replace(result, experiment=Experiment(*as_told))
    )
    hotter = replace(result, experiment=Experiment(as_told[0], Estimate(result.temperature + 30.0, 1.0)))
    assert any("temperature of the positions is not" in text for _, text in judged(STABILITY, hotter))
    assert {n.source for n in STABILITY.numbers(hotter)} >= {"predicted"}
    assert "Measured from momenta" in style.description(hotter.plot())
    saddle = replace(result, frequencies=np.append(-3.0, result.frequencies[1:]))
    assert any("lower the energy" in text for _, text in judged(STABILITY, saddle))


def test_the_form_of_the_time_step_says_what_it_needs() -> None:
    form = PanelModel(STABILITY, shelf())
    assert form.reason == "" and "friction" in form.shown
    form.set("steps", "50")
    assert "at least 200 steps" in form.reason
    form.set("steps", "500")
    form.set("scheme", "velocity Verlet")
    assert "needs a bath" in form.reason and "friction" not in form.shown
    form.set("steps", "0")
    assert form.reason == ""


def test_path_integrals_are_judged(done: dict[str, PanelModel]) -> None:
    run = done["pimd"].result
    wrong = replace(
        run, primitive_kinetic=run.primitive_kinetic + 10.0, bead_temperature=np.full(len(run.times), 500.0)
    )
    assert [level for level, _ in judged(PIMD, wrong)] == ["warning", "warning"]
    assert "Two estimators of the kinetic energy disagree" in judged(PIMD, wrong)[0][1]
    assert {"kinetic energy", "heat capacity", "radius of Cu"} <= {number.name for number in PIMD.numbers(run)}
    form = PanelModel(PIMD, shelf())
    form.set("beads", "512")
    assert "The step is too long for 512 beads" in form.reason


def test_path_integrals_stopped_and_continued_are_the_unbroken_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pimd_module, "REPORT_EVERY", -1.0)
    arguments: dict[str, Any] = {
        "atoms": shelf().structures["copper"].atoms, "calculator": shelf().potentials["EMT"].calculator,
        "steps": 40, "beads": 2, "sample_every": 10,
    }  # fmt: skip

    def stop(done: int, total: int, /, **live: Any) -> None:
        if done >= 20:
            raise Cancelled("enough")

    partial, whole = PIMD.function(**arguments, progress=stop), PIMD.function(**arguments)
    seen: list[tuple[int, int]] = []

    def note(done: int, total: int, /, **live: Any) -> None:
        seen.append((done, total))
        assert len(live["so_far"]().times) == done + 1

    joined = _resume(partial, arguments, note)
    assert seen[0] == (20, 40) and seen[-1] == (40, 40) and not joined.stopped
    for name in ("times", "virial_kinetic", "conserved_energy", "positions", "sample_times"):
        np.testing.assert_allclose(getattr(joined, name), getattr(whole, name), atol=1e-9)
