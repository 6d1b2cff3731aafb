"""Panels of crystals judge their results in words, and show them to the last number."""

from __future__ import annotations

from dataclasses import replace
from html import escape
from typing import Any

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from mlip_lab.panels.base.model import PanelModel
from mlip_lab.panels.base.standalone import shelf_of
from mlip_lab.panels.base.view import PanelView, saved_html
from mlip_lab.panels.chain import CHAIN
from mlip_lab.panels.elastic import ELASTIC
from mlip_lab.panels.equation_of_state import EQUATION_OF_STATE
from mlip_lab.panels.phonons import PHONONS
from mlip_lab.panels.relax import RELAX
from mlip_lab.panels.surfaces import SURFACES
from mlip_lab.panels.thermal_expansion import THERMAL_EXPANSION
from mlip_lab.properties.phonon_modes import ImaginaryMode
from mlip_lab.workflows.chain import chain
from tests.panels.toy import shelf

SMALL: dict[Any, dict[str, Any]] = {
    "relax": {"symmetry": True},
    "equation_of_state": {},
    "elastic": {"route": "both"},
    "phonons": {"reach": 5.0},
    "thermal_expansion": {"reach": 4.0, "mesh": 15.0, "highest_temperature": 400.0},
    "chain": {"train": False},
    "surfaces": {"faces": "100 111", "thinnest": 5.0, "slabs": 3},
}
PANELS = [RELAX, EQUATION_OF_STATE, ELASTIC, PHONONS, THERMAL_EXPANSION, CHAIN, SURFACES]


@pytest.fixture(scope="module")
def done() -> dict[str, PanelModel]:
    models = {}
    for capability in PANELS:
        model = PanelModel(capability, shelf(), SMALL[capability.name])
        model.run()
        assert model.wait(120) and model.state == "done", model.words
        models[capability.name] = model
    return models


@pytest.mark.parametrize("name", SMALL)
def test_everything_is_shown(done: dict[str, PanelModel], name: str) -> None:
    model = done[name]
    assert all(verdict.level == "good" for verdict in model.verdicts), model.verdicts
    html = saved_html(model)
    for number in model.numbers:
        assert np.isfinite(number.value) and escape(number.name) in html
    assert "data:image/png;base64" in html and model.alt and model.record.data
    if model.capability.frames is not None:
        atoms, positions = model.frames
        assert positions.shape[1:] == (len(atoms), 3)


def levels(verdicts: Any) -> list[tuple[str, str]]:
    return [(verdict.level, verdict.text) for verdict in verdicts]


def test_elastic_constants_are_judged(done: dict[str, PanelModel]) -> None:
    result = done["elastic"].result
    bent = replace(result, by_stress=tuple(replace(t, nonlinearity=0.2) for t in result.by_stress))
    assert ("warning", "At the largest strain the constants are 20 % off. Take a smaller strain.") in levels(
        ELASTIC.verdicts(bent)
    )
    wrong = replace(result, by_energy=tuple(replace(t, constants=1.01 * t.constants) for t in result.by_energy))
    assert any(level == "bad" and "disagree" in text for level, text in levels(ELASTIC.verdicts(wrong)))
    soft = replace(result, by_stress=tuple(replace(t, constants=-t.constants) for t in result.by_stress))
    text = next(text for level, text in levels(ELASTIC.verdicts(soft)) if level == "bad")
    assert text == "Not stable (C11 − C12 > 0 does not hold). It would shear along its diagonals."
    assert [n.name for n in ELASTIC.numbers(soft)][:3] == ["C11", "C12", "C44"]


def test_phonons_are_judged(done: dict[str, PanelModel]) -> None:
    result = done["phonons"].result
    mode = ImaginaryMode(np.array([0.5, 0.0, 0.5]), "X", 0, -1.5, "It would rather be another.")
    verdict = PHONONS.verdicts(replace(result, imaginary=(mode,), vibrations=None))[0]
    assert verdict.text == "An imaginary mode at X, 1.50i THz. It would rather be another."
    assert verdict.details == "q = (0.5, 0, 0.5) in reciprocal vectors of the primitive cell"
    off_path = PHONONS.verdicts(replace(result, vibrations=None, lowest=-0.2))[0]
    assert "not between" in off_path.text
    poor = levels(PHONONS.verdicts(replace(result, sum_rule=0.1, supercell_change=2.0)))
    assert ("warning", "The supercell is small. Take a larger reach.") in poor
    assert any(level == "warning" and "costs a force" in text for level, text in poor)
    atoms, positions = PHONONS.frames(replace(result, imaginary=(mode,)))  # the film is that of the imaginary mode
    assert positions.shape == (24, len(atoms), 3) and np.ptp(positions, axis=0).max() > 0.1


def test_a_click_on_a_band_shows_its_mode(done: dict[str, PanelModel]) -> None:
    model = done["phonons"]
    result, figure = model.result, model._figure
    assert figure is not None
    bands, point, band = figure.axes[0], len(result.path.distances) // 3, 1
    place = bands.transData.transform((result.path.distances[point], result.frequencies[point, band] + 0.01))
    view = PanelView(model)
    assert "Click on a band" in view._caption.value
    width, height = figure.bbox.width, figure.bbox.height
    # as the browser tells it, from the upper left, of a picture drawn at half its size
    event = {"relativeX": place[0] / 2, "relativeY": (height - place[1]) / 2}
    (clicks,) = view._events
    clicks._handle_mouse_msg(None, {**event, "boundingRectWidth": width / 2, "boundingRectHeight": height / 2}, [])
    film = result.mode(result.path.qpoints[point], band)
    atoms, positions = model.frames
    assert np.array_equal(positions, [frame.positions for frame in film]) and len(atoms) == len(film[0])
    assert f"Mode 2 of 3, {result.frequencies[point, band]:.2f} THz" in view._caption.value
    before = model.frames
    model.pick(0.99, 0.5)  # in the density of states
    assert model.frames is before
    view.close()


def test_surfaces_are_judged(done: dict[str, PanelModel]) -> None:
    result = done["surfaces"].result
    first = result.surfaces[0]
    drifting = replace(first, relaxed=replace(first.relaxed, drift=0.3), equal_sides=False, vacuum_change=0.1)
    judged = levels(SURFACES.verdicts(replace(result, surfaces=(drifting,))))
    assert [level for level, _ in judged] == ["warning"] * 3
    assert "drifts with the thickness for (100)" in judged[0][1] and "the value is their mean" in judged[1][1]
    assert "vacuum is narrow" in judged[2][1]
    form = PanelModel(SURFACES, shelf())
    form.set("faces", "nonsense")
    assert 'expected Miller indices such as "100 110 1-11"' in form.reason


def test_curves_of_energy_over_volume_are_judged(done: dict[str, PanelModel]) -> None:
    result = done["equation_of_state"].result
    rough = replace(result, fit=replace(result.fit, residual=0.1, bulk_modulus=2 * result.bulk_modulus))
    judged = levels(EQUATION_OF_STATE.verdicts(rough))
    assert [level for level, _ in judged] == ["warning", "warning"]
    assert "50 % off" in judged[1][1]


def test_expansion_and_chain_are_judged(done: dict[str, PanelModel]) -> None:
    result = done["thermal_expansion"].result
    judged = levels(THERMAL_EXPANSION.verdicts(replace(result, stopped_at=700.0, expansion=-result.expansion)))
    assert any("At 700 K the crystal grows out of the range" in text for _, text in judged)
    assert any("shrinks on warming" in text for _, text in judged)
    shaky = chain(nearest=1.0, next_nearest=-1.0, train=False)
    assert levels(CHAIN.verdicts(shaky))[0] == ("bad", "Not stable: some wave lowers the energy.")
    assert "speed of sound" not in [number.name for number in CHAIN.numbers(shaky)]
    taught = chain(three_body=1.0)
    judged = levels(CHAIN.verdicts(taught))
    assert ("good", "A potential of many bodies has learned the curve.") in judged
    assert ("warning", "A potential of two bodies cannot follow the curve, however much it learns.") in judged


def test_symmetry_is_kept_only_in_a_crystal() -> None:
    made = shelf()
    form = PanelModel(RELAX, made, {"symmetry": True})
    assert form.reason == ""
    cluster = bulk("Cu", cubic=True)
    cluster.pbc = False
    form = PanelModel(RELAX, shelf_of(cluster, EMT()), {"symmetry": True, "cell": False})
    assert "Switch Keep symmetry off" in form.reason
