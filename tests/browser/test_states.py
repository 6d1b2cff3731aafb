"""Every state of panels as a person sees it: kept as pictures, for eyes; what can be checked is checked.

Run with MLIP_LAB_ARTIFACTS=folder, where the pictures are to lie.
"""

from __future__ import annotations

import os
import re
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(
    "MLIP_LAB_ARTIFACTS" not in os.environ, reason="MLIP_LAB_ARTIFACTS names no folder for the pictures"
)

SETUP = """
import numpy as np
from importlib.resources import files
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from ase.io import read, write
from mlip_lab import panels
frames = read(str(files("mlip_lab.data") / "sets" / "si" / "train.xyz.gz"), ":")
write("few.xyz", [a for a in frames if len(a) == 2][:40], format="extxyz")
copper = bulk("Cu", cubic=True).repeat(2)
panels.md(copper, EMT(), steps=5).run()
"""
TRAIN = "panel = panels.train(data='few.xyz', preset='small'); panel"
MD = "panel = panels.md(copper, EMT(), steps=100000); panel"


def test_train(notebook: Any) -> None:
    nb = notebook(SETUP, TRAIN, height=2000, sidebar=False)
    nb.run_all(timeout=120)
    card = nb.widget("mlip-panel")

    nb.set("Labelled structures", "")
    nb.see("choose labelled structures")
    assert "Judged by physics" not in nb.text(card), "a report on data that are no longer chosen"
    nb.looks("train_empty", card)
    nb.set("Labelled structures", "nothing.xyz")
    nb.see("there is no file")
    nb.looks("train_disabled", card)
    nb.set("Labelled structures", "few.xyz")
    nb.until("[...document.querySelectorAll('button.mlip-run')].some(b => !b.disabled)")
    nb.see("Run shows here")
    nb.looks("train_ready", card)
    nb.click("Run")
    nb.see(re.compile("Learning curve|error", re.I), timeout=60)
    nb.until("document.querySelector('.mlip-picture img, img.mlip-picture')")
    nb.looks("train_running", card)
    nb.click("Stop")
    nb.see("Continue picks up there")
    nb.looks("train_stopped", card)
    nb.choose("Kind of fit", "linear")
    nb.click("Run")
    nb.see("Done.", timeout=90)
    nb.looks("train_done", card)
    nb.choose("Size", "default")
    nb.see("have changed")
    nb.looks("train_stale", card)
    nb.run("import os; os.rename('few.xyz', 'gone.xyz')")
    nb.click("Run")
    nb.see("Details", timeout=60)
    nb.looks("train_failed", card)
    assert not nb.errors


def test_md(notebook: Any) -> None:
    nb = notebook(SETUP, MD, height=2000, sidebar=False)
    nb.run_all(timeout=120)
    card = nb.widget("mlip-panel")

    nb.looks("md_ready", card)
    nb.set("Steps", "")
    nb.see("got nothing")
    nb.looks("md_empty", card)
    nb.set("Steps", "100000")
    nb.set("Time step", "fast")
    nb.see("expected a number in fs")
    nb.looks("md_disabled", card)
    nb.set("Time step", "1")
    nb.click("Run")
    nb.see(re.compile("After .* ps"), timeout=60)
    nb.looks("md_running", card)
    nb.click("Stop")
    nb.see("Continue picks up there")
    nb.looks("md_stopped", card)
    nb.set("Steps", "200")
    nb.see("have changed")
    nb.click("Run")
    nb.see("Done.", timeout=60)
    nb.looks("md_done", card)
    nb.set("Time step", "100")
    nb.see("have changed")
    nb.looks("md_stale", card)
    nb.set("Initial temperature", "99999")
    nb.click("Run")
    nb.see("Details", timeout=60)
    nb.looks("md_failed", card)
    assert not nb.errors


HULL = "panel = panels.convex_hull(calculator=EMT(), symbols='Cu Pt', largest=2); panel"
HOPS = """
from ase.build import fcc100
alloy = fcc100("Cu", (2, 2, 2), a=3.75, vacuum=5.0)
alloy.symbols[:] = ["Cu", "Au", "Pd", "Cu", "Au", "Cu", "Pd", "Ni"]
panel = panels.screening(alloy, EMT(), kind="adsorbate", adsorbate="Cu", count=8); panel
"""


@pytest.mark.parametrize(("name", "cell", "wrong"), [("hull", HULL, "Elements"), ("hops", HOPS, "Element that hops")])
def test_many_calculations(notebook: Any, name: str, cell: str, wrong: str) -> None:
    nb = notebook(SETUP, cell, height=2000, sidebar=False)
    nb.run_all(timeout=120)
    card = nb.widget("mlip-panel")

    nb.looks(f"{name}_ready", card)
    right = nb.field(wrong).input_value()
    nb.set(wrong, "Xx")
    nb.see(re.compile("chemical element|symbol of an element"))
    nb.looks(f"{name}_disabled", card)
    nb.set(wrong, right)
    nb.click("Run")
    nb.see(" left", timeout=60)
    nb.screenshot(f"{name}_running", card)
    nb.click("Stop")
    nb.see("Continue picks up there")
    nb.looks(f"{name}_stopped", card)
    nb.click("Continue")
    nb.see("Done.", timeout=180)
    nb.looks(f"{name}_done", card)
    assert not nb.errors
