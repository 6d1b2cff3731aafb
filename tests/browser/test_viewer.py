"""The viewer in a real browser: what NGL draws is what ASE has."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from mlip_lab.plots.structure import seen_from

SETUP = """
import numpy as np
from ase.build import bulk, molecule
from mlip_lab.panels.viewer import Viewer, live
crystal = bulk("Si", cubic=True).repeat((2, 1, 2))
shear = np.array([[1, 0.1, 0.2], [0, 1.1, -0.15], [0.05, 0, 0.9]])
crystal.set_cell(crystal.cell.array @ shear, scale_atoms=True)
crystal.rotate(71, (1, -2, 3), rotate_cell=True)
crystal.rattle(0.1, seed=1)
"""
SHOW = SETUP + "viewer = Viewer(crystal)\nviewer.widget"
# The page's own NGL, which nothing else gives access to
REACH = "viewer._scene._call('executeCode', 'window.stage = this.stage')"
ATOMS = """() => { const s = stage.compList.filter(c => c.type === 'structure'); const a = s[0].structure.atomStore;
    return [s.length, Array.from({length: a.count}, (_, i) => [a.x[i], a.y[i], a.z[i]])]; }"""
CANVAS = """() => { const structure = stage.getComponentsByName('atoms').list[0].structure, found = [];
    structure.eachAtom(atom => { const at = stage.viewerControls.getPositionOnCanvas(atom.positionToVector3());
                                 found.push([at.x, at.y]); });
    return found; }"""
EDGES = """() => { const made = stage.getComponentsByName('cell').list[0].shape._primitiveData;
    return [Array.from(made.cylinderPosition1), Array.from(made.cylinderPosition2)]; }"""


def drawn(nb: Any) -> Any:
    """The card, once the canvas has taken the place of the flat picture."""
    nb.poll(lambda: nb.value("viewer.drawn") == "True", 60, lambda: f"3-D has not started: {nb.errors}")
    nb.run(REACH)
    nb.until("window.stage !== undefined")
    return nb.widget("mlip-card")


def ngl_positions(nb: Any) -> np.ndarray:
    structures, positions = nb.page.evaluate(ATOMS)
    assert structures == 1
    return np.array(positions)


def ase(nb: Any, expression: str) -> np.ndarray:
    return np.array(json.loads(nb.value(f"__import__('json').dumps(({expression}).tolist())").strip("'")))


@pytest.mark.parametrize(("theme", "width"), [("light", 1400), ("dark", 900)])
def test_a_rotated_triclinic_crystal_is_drawn_where_ase_has_it(notebook: Any, theme: str, width: int) -> None:
    nb = notebook(SHOW, theme=theme, width=width)
    nb.run_all()
    card = drawn(nb)
    assert np.abs(ngl_positions(nb) - ase(nb, "crystal.positions")).max() < 1e-3
    ends = np.array(nb.page.evaluate(EDGES)).reshape(2, 12, 3)
    found = (ends[1] - ends[0])[:, None] - ase(nb, "crystal.cell.array")
    assert np.abs(found).max(axis=2).min(axis=1).max() < 1e-3  # each edge is a cell vector
    assert np.abs(ends.reshape(-1, 3)).max(axis=1).min() < 1e-3  # they start in the origin
    # The flat picture and this one are seen from the same side: where an atom is on the canvas, in pixels, is the same
    # scale times where the flat picture has it
    canvas = np.array(nb.page.evaluate(CANVAS))
    plane = (ase(nb, "crystal.positions") @ seen_from().T)[:, :2]
    scale = np.ptp(canvas, axis=0) / np.ptp(plane, axis=0)
    assert scale[0] == pytest.approx(scale[1], rel=1e-3)
    shifted = canvas - canvas.mean(axis=0) - scale * (plane - plane.mean(axis=0))
    assert np.abs(shifted).max() < 1
    pixels = nb.pixels(card)[10:-10, 10:-10]
    background = (np.abs(pixels.astype(int) - 255).max(axis=2) < 3).mean()
    assert 0.5 < background < 0.97
    nb.screenshot("viewer_crystal")
    nb.page.get_by_role("button", name="a", exact=True).click()
    nb.page.wait_for_timeout(500)
    assert np.abs(nb.pixels(card)[10:-10, 10:-10].astype(int) - pixels).max() > 100
    assert nb.overflow() == 0
    assert nb.errors == []


@pytest.mark.parametrize("subshells", [True, False], ids=["subshells", "no-subshells"])
def test_slider_and_live_coordinates_move_the_atoms_without_a_reload(notebook: Any, subshells: bool) -> None:
    frames = (
        "frames = crystal.positions + np.random.default_rng(0).normal(scale=0.2, size=(20, 32, 3))\n"
        "viewer.show_frames(crystal, frames)\nviewer.color_by('displacement')"
    )
    nb = notebook(
        SETUP + "viewer = Viewer()\nviewer.widget", frames, subshells=subshells, theme="light" if subshells else "dark"
    )
    nb.run_all()
    card = drawn(nb)
    nb.page.evaluate(
        "() => { window.loads = 0; const load = stage.loadFile.bind(stage); "
        "stage.loadFile = (...all) => { loads += 1; return load(...all); }; }"
    )
    before = nb.pixels(card)
    nb.set("frame", 7)
    nb.poll(lambda: nb.value("viewer.frame") == "7", 60, lambda: "the slider did not arrive")
    nb.poll(
        lambda: bool(np.abs(ngl_positions(nb) - ase(nb, "frames[7]")).max() < 1e-3), 60, lambda: "the atoms stood still"
    )
    assert (nb.pixels(card) != before).any()
    nb.screenshot("viewer_frames")
    nb.run(
        "import threading\nthread = threading.Thread(target=viewer.move, args=(crystal.positions + 0.25,))\n"
        "thread.start(); thread.join()"
    )
    nb.poll(
        lambda: bool(np.abs(ngl_positions(nb) - ase(nb, "crystal.positions + 0.25")).max() < 1e-3),
        60,
        lambda: "the live coordinates did not arrive",
    )
    assert nb.page.evaluate("loads") == 0
    assert nb.errors == []


def test_atoms_are_clicked_and_the_distance_is_said(notebook: Any) -> None:
    nb = notebook(SETUP + "viewer = Viewer(molecule('CO'))\nviewer.widget")
    nb.run_all()
    card = drawn(nb)
    box = card.locator("canvas").bounding_box()
    for index in (0, 1):
        x, y = nb.page.evaluate(
            "index => { const atom = stage.compList[0].structure.getAtomProxy(index);"
            "const at = stage.viewerControls.getPositionOnCanvas(atom.positionToVector3()); return [at.x, at.y]; }",
            index,
        )
        nb.page.mouse.move(box["x"] + x, box["y"] + box["height"] - y)
        nb.page.mouse.click(box["x"] + x, box["y"] + box["height"] - y)
        nb.poll(
            lambda count=str(index + 1): nb.value("len(viewer.measured)") == count,
            60,
            lambda: "the click was not heard",
        )
    distance = float(nb.value("float(molecule('CO').get_distance(0, 1))"))
    nb.see(f"{distance:.3f} Å")
    nb.screenshot("viewer_measure")
    assert nb.errors == []


def test_the_picture_comes_back_after_a_reload_and_flat_gives_the_context_back(notebook: Any) -> None:
    nb = notebook(SHOW)
    nb.run_all()
    drawn(nb)
    nb.save()
    nb.reload()
    nb.widget("mlip-card").locator("canvas").wait_for()
    nb.run(REACH)
    nb.until("window.stage !== undefined && stage.compList.length === 2")
    assert np.abs(ngl_positions(nb) - ase(nb, "crystal.positions")).max() < 1e-3
    nb.page.evaluate("() => { window.gl = stage.viewer.renderer.getContext(); }")
    nb.click("flat")
    nb.until("gl.isContextLost()")
    card = nb.widget("mlip-card")
    card.locator("canvas").wait_for(state="detached")
    nb.poll(lambda: card.locator("img").is_visible(), 60, lambda: "no flat picture")
    assert nb.value("live.count()") == "0"
    assert "32 atoms, Si32" in card.locator("img").get_attribute("title")
    nb.screenshot("viewer_flat")


def test_a_hidden_tab_shows_its_structure_when_it_opens(notebook: Any) -> None:
    nb = notebook(
        SETUP + "import ipywidgets\nviewer = Viewer(crystal)\n"
        "tab = ipywidgets.Tab([ipywidgets.HTML('first'), viewer.widget], titles=['one', 'two'])\ntab"
    )
    nb.run_all()
    nb.page.get_by_role("tab", name="two").click()
    card = drawn(nb)
    nb.page.wait_for_timeout(500)
    pixels = nb.pixels(card)[10:-10, 10:-10]
    assert (pixels.min(axis=2) < 200).mean() > 0.02
    assert nb.errors == []


def test_more_views_than_a_browser_has_contexts(notebook: Any) -> None:
    nb = notebook(
        SETUP + "viewers = [Viewer(crystal, height=60) for _ in range(live.MOST + 2)]\n"
        "import ipywidgets; ipywidgets.VBox([v.widget for v in viewers])"
    )
    nb.run_all()
    nb.poll(lambda: nb.value("sum(v.mode == 'flat' for v in viewers)") == "2", 60, lambda: "none gave its view back")
    nb.poll(lambda: nb.value("sum(v.drawn for v in viewers)") == nb.value("live.MOST"), 60, lambda: "not all drawn")
    nb.see("Choose 3-D to bring this one back")
