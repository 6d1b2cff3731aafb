"""The Lab in a real JupyterLab: built, trained, run and looked at by clicks."""

from __future__ import annotations

import re
import time
from functools import partial
from typing import Any

import nbformat
import pytest

read_notebook = partial(nbformat.read, as_version=4)
LAB = "from mlip_lab import Lab\nlab = Lab(); lab"


@pytest.mark.parametrize(("theme", "width"), [("light", 1400), ("dark", 900)])
def test_it_looks_right(notebook: Any, theme: str, width: int) -> None:
    nb = notebook(LAB, theme=theme, width=width, height=1300, sidebar=False)
    nb.run_all()
    lab = nb.widget("mlip-lab")
    nb.until("document.querySelectorAll('canvas').length >= 1", timeout=60)
    nb.see("Train a potential")
    nb.screenshot("lab_train")
    nb.click("Molecular dynamics")
    nb.see("Newton")
    nb.screenshot("lab_md")
    nb.click("Build")
    nb.screenshot("lab_build")
    assert not nb.errors
    assert nb.overflow(within=lab) <= 4


FEW = """
from importlib.resources import files
from ase.io import read, write
frames = read(str(files("mlip_lab.data") / "sets" / "si" / "train.xyz.gz"), ":")
write("few.xyz", [a for a in frames if len(a) == 2][:20], format="extxyz")
"""
POTENTIALS = "print(list(lab.store.potentials))"


@pytest.mark.parametrize("subshells", [True, False], ids=["subshells", "no-subshells"])
def test_train_stop_continue_then_move_by_clicks(notebook: Any, subshells: bool) -> None:
    nb = notebook(FEW, LAB, subshells=subshells, height=1500, sidebar=False)
    nb.run_all(timeout=120)
    nb.click("Train a potential")
    nb.set("Labelled structures", "nothing.xyz")
    nb.see("nothing.xyz")
    nb.see(re.compile("No file|cannot|not found|does not exist", re.I))
    nb.screenshot("train_refused")
    nb.upload("Upload", nb.path.with_name("few.xyz"))
    nb.see("Kept as uploads/few.xyz beside the notebook")
    nb.see("Judged by physics", timeout=60)
    nb.click("Run", timeout=60)
    nb.see(re.compile(r"\d+ % · .* left"), timeout=120)
    nb.see("Learning curve", timeout=60)
    nb.screenshot("train_running")
    assert nb.seconds_until("Stop", "epochs. Continue picks up there") < 1
    nb.screenshot("train_stopped")
    nb.click("Continue")
    nb.see("Done.", timeout=200)
    nb.screenshot("train_done")
    assert "few-small" in nb.run(POTENTIALS)
    nb.click("Molecular dynamics")
    nb.set("Steps", "300")
    nb.click("Run")
    nb.see("Done.", timeout=120)
    nb.screenshot("train_then_md")
    assert nb.run("print(lab.panel('md').model.record.values['calculator'])").startswith("few-small")
    nb.choose("Structure", "Cu fcc, 32 atoms")
    nb.see("Choose another potential")
    nb.choose("Potential", "EMT")
    nb.click("Run")
    nb.see("Done.", timeout=60)
    assert not nb.errors


MANY = """
from importlib.resources import files
from ase.io import read, write
frames = read(str(files("mlip_lab.data") / "sets" / "si" / "train.xyz.gz"), ":")
write("many.xyz", frames * 8, format="extxyz")  # an epoch of several seconds
"""
WARM = "from mlip_lab.workflows.warm import warm; warm(lab.potentials['si (packaged)'])"


@pytest.mark.parametrize("subshells", [True, False], ids=["subshells", "no-subshells"])
def test_stop_takes_effect_within_a_second(notebook: Any, subshells: bool) -> None:
    """Also while a cell runs, if messages of widgets have a way of their own into the kernel."""
    nb = notebook(MANY, LAB, WARM, subshells=subshells, height=1300, sidebar=False)
    nb.run_all(timeout=120)
    nb.click("Train a potential")
    nb.set("Labelled structures", "many.xyz")
    nb.see("Judged by physics", timeout=90)
    nb.click("Molecular dynamics")
    nb.set("Steps", "1000000")
    if subshells:
        nb.start("import time; time.sleep(120)")
    nb.click("Run")
    nb.see(re.compile("After .* ps"), timeout=15)
    waited = {"MD": nb.seconds_until("Stop", "Stopped after")}
    nb.click("Train a potential")
    nb.click("Run")
    nb.see("Running", timeout=15)
    nb.page.wait_for_timeout(1000)
    waited["training"] = nb.seconds_until("Stop", "Stopped ")
    assert nb.busy == subshells, "all of this happened while the cell was running"
    print("Stop took", {name: round(seconds, 2) for name, seconds in waited.items()}, "s")
    assert max(waited.values()) < 1.5, "one second, and half of another on a machine that is shared"
    assert not nb.errors


def test_without_subshells_stop_waits_for_the_cell_and_no_longer(notebook: Any) -> None:
    """The kernel then hears nothing while a cell runs; the picture goes on, and Stop comes right after."""
    nb = notebook(LAB, WARM, subshells=False, height=1300, sidebar=False)
    nb.run_all(timeout=120)
    nb.click("Molecular dynamics")
    nb.set("Steps", "1000000")
    nb.click("Run")
    nb.see(re.compile("After .* ps"), timeout=15)
    nb.start("import time; time.sleep(5)")
    nb.click("Stop")
    nb.wait_idle()
    began = time.monotonic()
    nb.see("Continue picks up there")
    assert time.monotonic() - began < 1.5


@pytest.mark.parametrize("subshells", [True, False], ids=["subshells", "no-subshells"])
def test_a_reloaded_page_and_a_closed_notebook_have_the_picture(notebook: Any, subshells: bool) -> None:
    nb = notebook(LAB, subshells=subshells, height=1300, sidebar=False)
    nb.run_all()
    nb.run("_ = lab.panel('relax').run()", timeout=120)
    nb.save()
    nb.reload()
    nb.widget("mlip-lab")
    assert not nb.errors
    outputs = [output for cell in read_notebook(nb.path).cells for output in cell.get("outputs", ())]
    saved = [str(output.get("data", {}).get("text/html", "")) for output in outputs]
    assert any("mlip-saved" in html and "data:image/png;base64," in html for html in saved)
