"""The panel of convex hulls runs, stops, goes on and judges in words."""

from __future__ import annotations

import time
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlip_lab.panels.base.model import PanelModel
from mlip_lab.panels.base.view import PanelView
from mlip_lab.panels.convex_hull import CONVEX_HULL
from tests.panels.toy import shelf


@pytest.fixture(scope="module")
def done() -> PanelModel:
    model = PanelModel(CONVEX_HULL, shelf(), {"symbols": "Cu, Pt", "largest": 2})
    model.run()
    while model.done < 8 and model.state == "running":
        time.sleep(0.01)
    model.stop()
    assert model.wait(60) and model.state == "stopped"
    assert "Continue picks up there" in model.words and model.done >= 8
    kept = {path: path.stat().st_mtime_ns for path in Path(model._extra["folder"]).glob("*.json")}
    assert len(kept) == model.done
    model.resume()
    assert model.wait(120) and model.state == "done", model.words
    assert all(path.stat().st_mtime_ns == when for path, when in kept.items())
    return model


def test_everything_is_shown(done: PanelModel) -> None:
    result = done.result
    assert done.verdicts[0].level == "good" and "L1_0 CuPt" in done.verdicts[0].text
    assert done.verdicts[-1].text == "Every candidate was relaxed."
    first = done.numbers[0]
    assert first.name == "formation energy of L1_0 CuPt" and first.value == pytest.approx(
        1000 * result.hull.formation.min()
    )
    rows = {row["name"]: row for row in done.record.data["phases"]}
    assert len(rows) == len(result.structures) and rows["B2 CuPt"]["falls_apart_into"] == {
        "L1_0 CuPt": pytest.approx(1)
    }
    assert CONVEX_HULL.files(result)["phases.xyz"].count(b"Lattice=") == len(rows)
    atoms, positions = done.frames
    assert positions.shape == (1, len(atoms), 3)
    assert "mlip_lab.convex_hull(calculator, symbols='Cu, Pt', largest=2)" in done.record.code
    names: dict[str, Any] = {}
    exec(compile(done.record.code, "cell", "exec"), names)  # the printed code gives the same numbers
    assert [n.value for n in CONVEX_HULL.numbers(names["result"])] == [n.value for n in done.numbers]


def test_the_mouse_names_a_phase_and_a_click_shows_it(done: PanelModel) -> None:
    hull, figure = done.result.hull, done._figure
    assert figure is not None
    view = PanelView(done)
    assert "Rest on a phase" in view._caption.value
    stable, above = hull.index("L1_0 CuPt"), hull.index("B2 CuPt")
    for index, words in ((stable, "meV/atom, stable."), (above, f"{1000 * hull.above[above]:.1f} above the hull")):
        place = figure.axes[0].transData.transform((hull.fractions[index, 1], 1000 * hull.formation[index]))
        x, y = figure.transFigure.inverted().transform(place)
        done.point(x, y + 0.01)
        assert done.pointed.startswith(f"{hull.names[index]}: ") and words in done.pointed
        assert done.pointed in view._caption.value
        done.pick(x, y + 0.01)
        atoms, positions = done.frames
        assert atoms == done.result.structures[index].repeat(2) and len(positions) == 1
    done.point(0.01, 0.99)  # the corner, where no phase is
    done.pick(0.01, 0.99)
    assert done.pointed == "" and done.picked.startswith("B2 CuPt: ") and done.picked in unescape(view._caption.value)
    assert [heard.watched_events for heard in view._events] == [["click"], ["mousemove", "mouseleave"]]
    view.close()


def test_doubts_are_said(done: PanelModel) -> None:
    result = done.result
    hull = result.hull
    near = replace(hull, margins=np.where(hull.above == 0, -0.001, 0.002), above=np.where(hull.above == 0, 0.0, 0.002))
    texts = [v.text for v in CONVEX_HULL.verdicts(replace(result, hull=near, failed={"X": "Not relaxed."}))]
    assert "Some are stable by less than potentials are usually right." in texts
    assert any("so near to the hull" in text for text in texts) and "1 candidates were left out." in texts
    apart = replace(hull, above=np.where(hull.compounds, 0.1, 0.0))
    assert "No compound is stable" in CONVEX_HULL.verdicts(replace(result, hull=apart))[0].text
    form = PanelModel(CONVEX_HULL, shelf())
    form.set("symbols", "Cu Cu")
    assert "different chemical elements" in form.reason
