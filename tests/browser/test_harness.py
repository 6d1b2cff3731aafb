"""The harness itself, on plain widgets: what the other tests of this folder rely on."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest

from tests.browser.harness import Notebook, Page

ROOT = Path(__file__).resolve().parents[2]
WIDGETS = """
import ipywidgets as widgets

label, field = widgets.HTML("untouched"), widgets.FloatText(description="Temperature")
slider = widgets.IntSlider(description="Steps")
kind = widgets.Dropdown(description="Ensemble", options=["NVE", "Langevin"])
route = widgets.ToggleButtons(description="Route", options=["stress", "energy"])
relax = widgets.Checkbox(description="Relax ions")
given = widgets.FileUpload(description="File")
name = widgets.Text(description="Name")
more = widgets.Accordion([name], titles=["Advanced"], selected_index=None)
button = widgets.Button(description="Run")


def clicked(_):
    files = [file.name for file in given.value]
    values = field.value, slider.value, kind.value, route.value, relax.value, files, name.value
    label.value = ", ".join(map(str, values))


button.on_click(clicked)
box = widgets.VBox([field, slider, kind, route, relax, given, more, button, label])
box.add_class("made-up")
box
"""
LISTEN = """
import time
from pathlib import Path

while not Path("{clicked}").exists():
    time.sleep(0.1)
for _ in range(50):
    if label.value != "untouched":
        break
    time.sleep(0.1)
heard = label.value != "untouched"
"""
CANVAS = """
from IPython.display import HTML
HTML('''<canvas id="drawn" width="120" height="80"></canvas><script>
const gl = document.getElementById("drawn").getContext("webgl");
gl.clearColor(0.0, 0.6, 0.3, 1.0); gl.clear(gl.COLOR_BUFFER_BIT);
</script>''')
"""
ATOMS = """
from ase.build import bulk
from mlip_lab.panels.viewer import Viewer

viewer = Viewer(bulk("Si", cubic=True).repeat(2))
viewer.widget
"""


@pytest.mark.parametrize(("theme", "width"), [("light", 1400), ("dark", 900)])
def test_fields_are_filled_and_buttons_clicked(
    notebook: Callable[..., Notebook], tmp_path: Path, theme: str, width: int
) -> None:
    upload = tmp_path / "frames.xyz"
    upload.write_text("1")
    shown = notebook(WIDGETS, theme=theme, width=width)
    shown.run_all()
    box = shown.widget("made-up")
    shown.set("Temperature", 600, within=box)
    shown.set("Steps", 12)
    shown.choose("Ensemble", "Langevin")
    shown.choose("Route", "energy")
    shown.switch("Relax ions", True)
    shown.upload("File", upload)
    shown.see("File (1)")
    shown.click("Advanced")
    shown.set("Name", "mine")
    shown.click("Run")
    shown.see("600.0, 12, Langevin, energy, True, ['frames.xyz'], mine", within=box)
    assert shown.overflow() == 0
    assert shown.run("print(field.value); slider.value") == "600.0\n12"
    assert (shown.pixels().mean() < 100) == (theme == "dark")
    shown.screenshot("harness")
    assert shown.errors == []


@pytest.mark.parametrize("subshells", [True, False], ids=["comms over subshells", "comms on the main shell"])
def test_a_click_is_heard_while_a_cell_runs_if_comms_go_over_subshells(
    notebook: Callable[..., Notebook], subshells: bool
) -> None:
    shown = notebook(WIDGETS, subshells=subshells)
    shown.run_all()
    clicked = shown.path.with_suffix(".clicked")
    shown.start(LISTEN.format(clicked=clicked.name))
    shown.click("Run")
    assert shown.busy
    clicked.touch()
    shown.wait_idle()
    assert shown.value("heard") == str(subshells)
    shown.see("0.0, 0, NVE")


def test_reload_shows_what_was_saved_and_keeps_the_kernel(notebook: Callable[..., Notebook]) -> None:
    shown = notebook("kept = 42\nprint('said', 'before')")
    shown.run_all()
    process = shown.kernel_pid
    shown.save()
    shown.reload()
    shown.see("said before")
    assert shown.value("kept") == "42"
    assert shown.kernel_pid == process
    shown.restart()
    assert shown.value("'kept' in globals()") == "False"


def test_errors_are_seen(notebook: Callable[..., Notebook]) -> None:
    shown = notebook("1 / 0")
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        shown.run_all()
    with pytest.raises(AssertionError, match="NameError"):
        shown.run("nothing")
    shown.page.evaluate("console.error('seen')")
    assert "seen" in shown.errors[-1]


def test_webgl_draws(notebook: Callable[..., Notebook]) -> None:
    shown = notebook(CANVAS)
    shown.run_all()
    canvas = shown.page.locator("#drawn")
    assert shown.pixels(canvas)[40, 60].tolist() == pytest.approx([0, 153, 76], abs=2)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_voila_shows_widgets_without_code(voila_page: Callable[..., Page], theme: str) -> None:
    page = voila_page(WIDGETS, theme=theme)
    page.set("Temperature", 300)
    page.click("Run")
    page.see(re.compile(r"300\.0, 0, NVE"))
    assert "import" not in page.text()
    assert (page.pixels().mean() < 100) == (theme == "dark")
    page.screenshot("harness")
    assert page.errors == [], "\n".join(page.errors)


def test_voila_shows_atoms(voila_page: Callable[..., Page]) -> None:
    page = voila_page(ATOMS)
    canvas = page.page.locator("canvas").first
    canvas.wait_for()
    # A blank canvas has one colour; shaded spheres have many.
    page.poll(lambda: len(np.unique(page.pixels(canvas).reshape(-1, 3), axis=0)) > 100, 60, lambda: "blank canvas")
    page.screenshot("atoms")
    assert page.errors == [], "\n".join(page.errors)


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv ties programs to each other on Linux only")
def test_servers_end_when_the_tests_are_killed(tmp_path: Path) -> None:
    code = f"""
import os, pathlib, signal, sys, time
from tests.browser.servers import start

folder = pathlib.Path({str(tmp_path)!r})
waiting = [sys.executable, "-c", "import pathlib, time; pathlib.Path('ready').touch(); time.sleep(60)"]
print(start(waiting, folder, folder, open(os.devnull, "wb")).pid, flush=True)
while not (folder / "ready").exists():  # it is tied once it runs
    time.sleep(0.05)
os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    with suppress(psutil.NoSuchProcess):
        psutil.Process(int(killed.stdout)).wait(60)
