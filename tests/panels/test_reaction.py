"""Panels of reaction paths and of screenings: two structures, judgements in words, Stop and Continue."""

from __future__ import annotations

import time
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.build import bulk, molecule
from ase.calculators.emt import EMT

from mlip_lab.panels.base.model import PanelModel
from mlip_lab.panels.base.shelf import Shelf, StructureEntry
from mlip_lab.panels.base.snippets import literal
from mlip_lab.panels.base.standalone import shelf_of
from mlip_lab.panels.base.view import PanelView, saved_html
from mlip_lab.panels.reaction_path import REACTION_PATH, between
from mlip_lab.panels.screening import SCREENING
from mlip_lab.properties.normal_modes import NormalModes
from tests.properties.test_reaction_path import small_hop
from tests.workflows.test_screening import alloy


@pytest.fixture(scope="module")
def path() -> Any:
    panel = between(*small_hop(), EMT(), images=3)
    panel.run()
    return panel


def levels(verdicts: Any) -> list[tuple[str, str]]:
    return [(verdict.level, verdict.text) for verdict in verdicts]


def test_a_path_is_shown_to_the_last_number(path: Any) -> None:
    model = path.model
    assert model.state == "done", model.words
    assert all(level == "good" for level, _ in levels(model.verdicts)) and len(model.verdicts) == 2
    html = saved_html(model)
    for number in model.numbers:
        assert np.isfinite(number.value) and escape(number.name) in html
    names = [number.name for number in model.numbers]
    assert "barrier" in names and "imaginary frequency" in names and "rate at 300 K" in names
    atoms, positions = model.frames  # the images, for the slider
    assert positions.shape == (5, len(atoms), 3) and np.array_equal(positions, model.result.positions)
    assert model.record.data["symbols"] == atoms.get_chemical_symbols()
    assert f"{len(atoms)} atoms" in list(model.shelf.structures)[-1] and "saddle" in list(model.shelf.structures)[-1]


def test_printed_code_gives_the_same(path: Any) -> None:
    scope: dict[str, Any] = {}
    exec(path.model.code, scope)
    assert scope["result"].barrier == pytest.approx(path.result.barrier, abs=1e-9)


def test_the_form_asks_for_a_product(path: Any) -> None:
    labels = [field.label for field in REACTION_PATH.fields]
    assert labels[:3] == ["Reactant", "Product", "Potential"] and "Start" not in labels
    view = PanelView(path.model)
    assert view.widget is not None
    before, after = small_hop()
    alone = PanelModel(REACTION_PATH, shelf_of(before, EMT()))
    assert alone.reason == "Reactant and product are the same. Choose another structure for one of them."
    shelf = shelf_of(before, EMT())
    water = shelf.add_structure(StructureEntry("water", molecule("H2O"), literal(molecule("H2O"))))
    other = PanelModel(REACTION_PATH, shelf, {"product": water.name})
    assert other.reason.startswith("Product: expected the atoms of the reactant, Cu9; got H2O")
    assert between(before, after, EMT()).model.reason == ""


def test_paths_are_judged(path: Any) -> None:
    result = path.result
    found = levels(REACTION_PATH.verdicts(replace(result, doubts=("Nothing came of it.",), converged=False)))
    assert (
        found[0] == ("warning", "Nothing came of it.")
        and ("good", "The band lies on the path of least energy.") not in found
    )
    shaky = NormalModes(np.array([-2.0, -1.0, 3.0]), np.zeros((3, 9, 3)), np.zeros((3, 3)), np.ones((9, 3), dtype=bool))
    twice = replace(result, saddle=replace(result.saddle, modes=shaky), ends=(shaky, result.ends[1]))
    found = levels(REACTION_PATH.verdicts(twice))
    assert ("bad", "The top is no saddle point: that has exactly one imaginary mode.") in found
    assert (
        "bad",
        "The reactant is no minimum: it relaxes further when it is shaken. There is no rate from it.",
    ) in found
    assert "rate at 300 K" not in [number.name for number in REACTION_PATH.numbers(twice)]
    dented = replace(result, energies=result.energies - np.array([0.0, 0.0, 0.3, 0.0, 0.0]))
    assert any("more than one step" in text for _, text in levels(REACTION_PATH.verdicts(dented)))
    coarse = replace(result, energies=result.energies + np.array([0.0, 0.0, 0.3, 0.0, 0.0]))
    assert any("Take more images" in text for _, text in levels(REACTION_PATH.verdicts(coarse)))


class Slow(EMT):
    """EMT that takes its time."""

    def calculate(self, *args: Any, **kwargs: Any) -> None:
        time.sleep(0.01)
        super().calculate(*args, **kwargs)


def stopped(model: PanelModel, ready: Any) -> None:
    model.run()
    deadline = time.monotonic() + 60
    while not ready() and time.monotonic() < deadline:
        time.sleep(0.02)
    asked = time.monotonic()
    model.stop()
    assert model.wait(60) and model.state == "stopped", model.words
    assert time.monotonic() - asked < 5  # a second, on cores that others share


def test_stop_and_continue_a_path(path: Any) -> None:
    model = between(*small_hop(), Slow(), images=3).model
    stopped(model, lambda: model.done >= 3)
    assert "Continue picks up there" in model.words and model.result.stopped
    taken = model.result.steps
    model.resume()
    assert model.wait(120) and model.state == "done", model.words
    assert model.result.steps > taken and model.result.barrier == pytest.approx(path.result.barrier, abs=1e-4)


def test_screening_stops_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model = PanelModel(SCREENING, shelf_of(alloy(), Slow()), {"kind": "adsorbate", "adsorbate": "Cu", "count": 2})
    assert model.reason == "" and "adsorbate" in model.shown
    stopped(model, lambda: model.done >= 1)
    assert "1 of 2 paths" in model.words and len(list(Path("screenings/1").glob("*.json"))) == 1
    model.resume()
    assert model.wait(120) and model.state == "done", model.words
    assert len(model.result.good) == 2 and len(list(Path("screenings/1").glob("*.json"))) == 2
    assert levels(model.verdicts)[0][0] == "good"
    html = saved_html(model)
    assert all(np.isfinite(n.value) and escape(n.name) in html for n in model.numbers)
    atoms, positions = model.frames
    assert positions.shape == (5, len(atoms), 3)
    broken = replace(model.result, lost=("hop",), paths={0: replace(model.result.paths[0], error="It broke.")})
    found = levels(SCREENING.verdicts(broken))
    assert any("no barrier. It broke." in text for _, text in found) and any("Run again" in text for _, text in found)
    assert SCREENING.frames(broken)[1].shape[0] == 1
    assert "adsorbate='Cu'" in model.code and "folder" not in model.code


def test_screening_says_what_it_needs() -> None:
    shelf = Shelf()
    small = bulk("Cu", cubic=True)
    shelf.add_structure(StructureEntry("small", small, literal(small)))
    for entry in shelf_of(None, EMT()).potentials.values():
        shelf.add_potential(entry)
    model = PanelModel(SCREENING, shelf)
    assert "would meet its own image" in model.reason and "adsorbate" not in model.shown
    model.set("kind", "adsorbate")
    model.set("adsorbate", "Xy")
    assert "expected the symbol of an element" in model.reason
