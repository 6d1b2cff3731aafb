"""The viewer in this process: what it sends, what it shows instead, and what it says."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Iterator
from typing import Any

import ipywidgets as widgets
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule

from mlip_lab.core.errors import InputError
from mlip_lab.panels.viewer import Viewer, live, scene
from mlip_lab.panels.viewer import viewer as viewer_module

INSTANCES = widgets.widgets.widget._instances


@pytest.fixture(autouse=True)
def front_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if nglview were installed; no browser is there in any case."""
    monkeypatch.setattr(viewer_module, "available", lambda: True)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[dict[str, Any], list[bytes]]]:
    """What scenes send to the browser."""
    messages: list[tuple[dict[str, Any], list[bytes]]] = []
    monkeypatch.setattr(scene.Scene, "send", lambda self, content, buffers=None: messages.append((content, buffers)))
    return messages


@pytest.fixture
def crystal() -> Atoms:
    """A rotated triclinic crystal."""
    atoms = bulk("Si", cubic=True)
    atoms.set_cell(atoms.cell.array @ [[1, 0.1, 0.2], [0, 1.1, -0.15], [0.05, 0, 0.9]], scale_atoms=True)
    atoms.rotate(71, (1, -2, 3), rotate_cell=True)
    atoms.rattle(0.1, seed=1)
    return atoms


@pytest.fixture
def viewer(crystal: Atoms) -> Iterator[Viewer]:
    shown = Viewer(crystal)
    yield shown
    shown.close()


def browser_draws(viewer: Viewer) -> None:
    """What a browser with WebGL says once it shows the scene."""
    assert viewer._scene is not None and viewer._scene.drawing is not None
    viewer._scene._hear(viewer._scene, {"type": "request_loaded", "data": True}, [])
    viewer._scene._hear(viewer._scene, {"type": "mlip_lab", "event": "drawn", "id": viewer._scene.drawing.id}, [])


def click(viewer: Viewer, *atoms: int) -> None:
    assert viewer._scene is not None
    viewer._scene._hear(viewer._scene, {"type": "mlip_lab", "event": "picked", "atoms": list(atoms)}, [])


def calls(sent: list[tuple[dict[str, Any], list[bytes]]], method: str) -> list[Any]:
    return [message["args"] for message, _ in sent if message.get("methodName") == method]


def test_atoms_and_cell_are_sent_in_the_frame_of_ase(viewer: Viewer, crystal: Atoms, sent: list[Any]) -> None:
    browser_draws(viewer)
    ((drawing,),) = calls(sent, "mlipShow")
    lines = drawing["mol2"].split("@<TRIPOS>ATOM\n")[1].split("@<TRIPOS>BOND")[0].splitlines()
    positions = np.array([line.split()[2:5] for line in lines], dtype=float)
    assert np.abs(positions - crystal.positions).max() < 1e-6
    assert [line.split()[5] for line in lines] == ["Si"] * len(crystal)
    fractions = np.array(drawing["cell"]["edges"]) @ np.linalg.inv(crystal.cell.array)
    assert fractions.shape == (12, 2, 3)
    assert np.allclose(fractions, np.rint(fractions), atol=1e-9)


def test_live_coordinates_are_sent_alone(viewer: Viewer, crystal: Atoms, sent: list[Any]) -> None:
    browser_draws(viewer)
    sent.clear()
    viewer.move(crystal.positions + 0.1)
    ((message, buffers),) = sent
    assert message == {"type": "binary_single", "data": {"0": 0}}
    received = np.frombuffer(buffers[0], dtype="<f4").reshape(-1, 3)
    assert np.abs(received - crystal.positions - 0.1).max() < 1e-5
    sent.clear()
    viewer.move(crystal.positions, crystal.cell.array * 1.01)
    assert [message.get("methodName") for message, _ in sent] == [None, "mlipCell"]
    ends = np.array(sent[1][0]["args"][0]["edges"])[:, 1].max(axis=0)
    assert np.allclose(ends, scene.cell_edges(crystal.cell.array * 1.01)[:, 1].max(axis=0))


def test_a_page_that_is_reloaded_gets_the_newest_coordinates(viewer: Viewer, crystal: Atoms, sent: list[Any]) -> None:
    browser_draws(viewer)
    viewer.move(crystal.positions + 0.1)
    sent.clear()
    browser_draws(viewer)
    ((drawing,),) = calls(sent, "mlipShow")
    first = float(drawing["mol2"].split("@<TRIPOS>ATOM\n")[1].split()[2])
    assert first == pytest.approx(crystal.positions[0, 0] + 0.1, abs=1e-6)


def test_nothing_is_sent_before_a_browser_shows_it(viewer: Viewer, crystal: Atoms, sent: list[Any]) -> None:
    viewer.move(crystal.positions + 1)
    viewer.color_by("displacement")
    assert sent == []
    assert live.count() == 0


def test_the_flat_picture_is_there_first_and_makes_way(viewer: Viewer, sent: list[Any]) -> None:
    poster = viewer._view.poster
    assert not viewer.drawn and poster.layout.visibility == "visible"
    assert bytes(poster.value[:4]) == b"\x89PNG" and len(poster.value) > 5000
    assert poster.tooltip.startswith("8 atoms, Si8, in a cell of")
    browser_draws(viewer)
    assert viewer.drawn and poster.layout.visibility == "hidden"
    viewer.mode = "flat"
    assert not viewer.drawn and poster.layout.visibility == "visible"
    assert viewer._view.card.children == (poster,)
    assert live.count() == 0
    viewer.mode = "3-D"
    assert len(viewer._view.card.children) == 2 and poster.layout.visibility == "visible"


def test_colours_of_both_pictures_are_the_same(viewer: Viewer, crystal: Atoms, sent: list[Any]) -> None:
    browser_draws(viewer)
    viewer.color_by("energy", np.arange(8.0), unit="eV")
    (colors,) = calls(sent, "mlipColors")[-1]
    assert (colors[0], colors[-1]) == (0x440154, 0xFDE725)  # the ends of viridis
    assert "energy of each atom (eV)" in viewer._view.legend.value
    sent.clear()
    viewer.color_by("energy", np.arange(8.0)[::-1], unit="eV")
    assert calls(sent, "mlipShow") == [] and calls(sent, "mlipColors")[0][0][0] == 0xFDE725
    viewer.color_by("element")
    assert "Si × 8" in viewer._view.legend.value
    assert viewer.scheme == "element"


def test_frames_are_turned_by_trait_and_slider(viewer: Viewer, crystal: Atoms, sent: list[Any]) -> None:
    browser_draws(viewer)
    seen: list[int] = []
    viewer.observe(lambda change: seen.append(change["new"]), "frame")
    frames = crystal.positions + np.arange(5)[:, None, None] * 0.1
    viewer.show_frames(crystal, frames)
    assert (viewer.n_frames, viewer.frame, viewer._view.slider.max) == (5, 0, 4)
    assert viewer._view.frames.layout.display == "flex"
    viewer._view.slider.value = 3
    assert seen == [3]
    assert np.allclose(np.frombuffer(sent[-1][1][0], dtype="<f4").reshape(-1, 3), frames[3], atol=1e-5)
    viewer.frame = 99
    assert viewer.frame == 4 and viewer._view.slider.value == 4
    viewer.show(crystal)
    assert (viewer.n_frames, viewer.frame, viewer._view.frames.layout.display) == (1, 0, "none")


def test_appended_frames_are_followed_from_the_end_only(viewer: Viewer, crystal: Atoms) -> None:
    for step in range(1, 4):
        viewer.append(crystal.positions + 0.1 * step)
    assert (viewer.n_frames, viewer.frame) == (4, 3)
    viewer.frame = 1
    viewer.append(crystal.positions)
    assert (viewer.n_frames, viewer.frame) == (5, 1)


def test_cells_follow_their_frames(crystal: Atoms, sent: list[Any]) -> None:
    viewer = Viewer()
    cells = crystal.cell.array * np.array([1.0, 1.1])[:, None, None]
    viewer.show_frames(crystal, np.stack([crystal.positions] * 2), cells=cells)
    browser_draws(viewer)
    viewer.frame = 1
    (cell,) = calls(sent, "mlipCell")[-1]
    assert np.allclose(cell["edges"], scene.cell_edges(cells[1]))
    viewer.close()


def test_clicks_measure_and_a_fourth_starts_anew(viewer: Viewer, crystal: Atoms, sent: list[Any]) -> None:
    browser_draws(viewer)
    click(viewer, 0)
    click(viewer, 1)
    assert viewer.words == f"Si 0 to Si 1: {crystal.get_distance(0, 1):.3f} Å."
    assert viewer._view.measure.value == "0 1"
    click(viewer, 5)
    assert f"{crystal.get_angle(0, 1, 5):.2f}°" in viewer.words
    assert calls(sent, "mlipMarks")[-1] == [[0, 1, 5]]
    click(viewer, 7)
    assert viewer.measured == (7,)
    click(viewer, 7)  # taken away again
    assert viewer.measured == () and viewer.words == ""
    click(viewer, 2, 3)  # a bond
    assert viewer.measured == (2, 3)
    click(viewer)  # beside everything
    assert viewer.measured == ()


def test_what_is_typed_is_measured_and_refused_in_words(viewer: Viewer, crystal: Atoms) -> None:
    viewer._view.measure.value = "0 4"
    distance = crystal.get_distance(0, 4)
    assert f"{distance:.3f} Å" in viewer.words and viewer.measured == (0, 4)
    viewer.move(crystal.positions * 2)
    assert f"{2 * distance:.3f} Å" in viewer.words
    viewer._view.measure.value = "0 44"
    assert viewer.words == "Atoms to measure: expected numbers from 0 to 7, got [0, 44]."
    assert viewer.words in viewer._view.words.value


def test_a_slice_is_named_and_clicks_name_the_right_atoms(sent: list[Any]) -> None:
    atoms = bulk("Si", cubic=True).repeat((60, 7, 7))
    viewer = Viewer(atoms)
    assert viewer.note.startswith("20 000 of 23 520 atoms: a slice")
    browser_draws(viewer)
    ((drawing,),) = calls(sent, "mlipShow")
    assert len(drawing["colors"]) == 20_000 and not drawing["bonds"]
    click(viewer, 0)
    first = viewer._frames.kept[0]
    assert viewer.measured == (first,) and first > 0
    viewer.close()


def test_a_broken_bond_takes_the_sticks_away(crystal: Atoms, sent: list[Any]) -> None:
    viewer = Viewer(molecule("H2"))
    browser_draws(viewer)
    assert calls(sent, "mlipShow")[0][0]["bonds"]
    viewer.move(molecule("H2").positions * 1.2)
    assert calls(sent, "mlipLoosen") == []
    viewer.move(molecule("H2").positions * 3)
    viewer.move(molecule("H2").positions * 4)
    assert calls(sent, "mlipLoosen") == [[]]
    viewer.close()


def test_the_camera_stays_for_the_same_atoms(viewer: Viewer, crystal: Atoms, sent: list[Any]) -> None:
    browser_draws(viewer)
    strained = crystal.copy()
    strained.set_cell(crystal.cell.array * 1.01, scale_atoms=True)
    viewer.show(strained)
    viewer.show(molecule("H2O"))
    assert [drawing["fit"] for (drawing,) in calls(sent, "mlipShow")] == [True, False, True]
    viewer.look_along(2)
    viewer.reset()
    looks = np.array([rotation for (rotation,) in calls(sent, "mlipLook")])
    assert np.allclose(np.linalg.norm(looks, axis=1), 1) and not np.allclose(looks[0], looks[1])


def test_the_oldest_view_falls_back_to_its_picture_and_says_so(crystal: Atoms, sent: list[Any]) -> None:
    viewers = [Viewer(crystal) for _ in range(live.MOST + 2)]
    for viewer in viewers:
        browser_draws(viewer)
    assert [viewer.mode for viewer in viewers] == ["flat"] * 2 + ["3-D"] * live.MOST
    assert live.count() == live.MOST
    assert "newer 3-D views are open" in viewers[0].note and viewers[-1].note == ""
    viewers[0].mode = "3-D"
    assert viewers[0].note == ""
    browser_draws(viewers[0])
    assert viewers[0].drawn and viewers[2].mode == "flat"
    for viewer in viewers:
        viewer.close()
    assert live.count() == 0


def test_without_nglview_the_picture_stays_and_says_why(crystal: Atoms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(viewer_module, "available", lambda: False)
    viewer = Viewer(crystal)
    assert viewer.mode == "flat" and "needs nglview" in viewer.note
    assert bytes(viewer._view.poster.value[:4]) == b"\x89PNG"
    viewer._view.mode.value = "3-D"
    assert viewer.mode == "flat" and viewer._view.mode.value == "flat"
    viewer.close()


def test_a_scene_that_fails_leaves_the_picture(viewer: Viewer, sent: list[Any]) -> None:
    browser_draws(viewer)
    viewer._scene._hear(viewer._scene, {"type": "mlip_lab", "event": "failed", "reason": "no shader"}, [])
    assert viewer.mode == "flat" and "no shader" in viewer.note
    assert viewer._view.poster.layout.visibility == "visible"


def test_live_flat_pictures_take_a_tenth_of_the_time(viewer: Viewer, crystal: Atoms) -> None:
    before = viewer._view.poster.value
    viewer._idle_until = float("inf")
    viewer.move(crystal.positions + 0.3)
    assert viewer._view.poster.value is before
    viewer._idle_until = 0.0
    viewer.move(crystal.positions * 1.1)
    assert viewer._view.poster.value != before


def test_figure_and_png_have_the_legend(viewer: Viewer) -> None:
    viewer.color_by("force", np.ones((8, 3)), unit="eV/Å")
    assert viewer.figure().axes[1].get_ylabel() == "force (eV/Å)"
    assert viewer.png().startswith(b"\x89PNG")


def test_an_empty_viewer_says_so_and_refuses_to_move() -> None:
    viewer = Viewer()
    assert viewer._view.poster.tooltip == "No structure yet."
    assert viewer._scene is None
    for refused in (lambda: viewer.move(np.zeros((1, 3))), lambda: viewer.color_by("element")):
        with pytest.raises(InputError, match="nothing is shown yet"):
            refused()
    viewer.close()


def test_wrong_numbers_change_nothing(viewer: Viewer, crystal: Atoms) -> None:
    for wrong in (np.zeros((3, 3)), crystal.positions * np.nan):
        with pytest.raises(InputError, match="positions"):
            viewer.move(wrong)
    with pytest.raises(InputError, match="values"):
        viewer.color_by("force", np.zeros(3))
    assert np.array_equal(viewer._frames.at(0).positions, crystal.positions)
    assert viewer.scheme == "element"


def test_threads_may_call_it_at_the_same_time(viewer: Viewer, crystal: Atoms, sent: list[Any]) -> None:
    browser_draws(viewer)
    failures: list[BaseException] = []

    def work(turn: int) -> None:
        try:
            for step in range(20):
                if turn == 0:
                    viewer.append(crystal.positions + 0.001 * step)
                elif turn == 1:
                    viewer.frame = step % 5
                elif turn == 2:
                    viewer.color_by("force", np.full(8, float(step)), unit="eV/Å")
                else:
                    viewer.show(crystal)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(turn,)) for turn in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == [] and not any(thread.is_alive() for thread in threads)


def test_nothing_is_left_behind(crystal: Atoms, sent: list[Any]) -> None:
    Viewer(crystal).close()
    gc.collect()
    kept, threads = len(INSTANCES), threading.active_count()
    for _ in range(3):
        viewer = Viewer(crystal)
        browser_draws(viewer)
        viewer.mode = "flat"
        viewer.mode = "3-D"
        viewer.close()
        viewer.close()
        viewer.show(crystal)
        viewer.move(crystal.positions)
    assert (len(INSTANCES), threading.active_count()) == (kept, threads)


def test_the_python_package_of_nglview_is_not_imported(viewer: Viewer) -> None:
    assert "nglview" not in sys.modules
