"""Panels in a real JupyterLab in a real browser."""

from __future__ import annotations

import re
from typing import Any

import pytest

EMT_MD = """
from ase.build import bulk
from ase.calculators.emt import EMT
from mlip_lab import panels
atoms, calculator = bulk("Cu", cubic=True).repeat(2), EMT()
panels.md(atoms, calculator, steps=20).run()  # compiles what an empty cache lacks
panel = panels.md(atoms, calculator, steps=1500)
panel
"""


@pytest.mark.parametrize("subshells", [True, False], ids=["subshells", "no-subshells"])
def test_md_by_clicks(notebook: Any, subshells: bool) -> None:
    nb = notebook(EMT_MD, subshells=subshells)
    nb.run_all(timeout=150)
    nb.widget("mlip-panel")
    nb.screenshot("md_ready")
    nb.set("Time step", "fast")
    nb.see("expected a number in fs")
    nb.screenshot("md_wrong_input")
    nb.set("Time step", "1")
    nb.click("Run")
    nb.see(re.compile(r"\d+ %"))
    nb.see(re.compile("After .* ps"))
    nb.screenshot("md_running")
    nb.click("Stop")
    nb.see("Continue picks up there")
    nb.screenshot("md_stopped")
    nb.click("Continue")
    nb.see("Done.", timeout=90)
    nb.click("Show code")
    nb.screenshot("md_done")
    code = nb.run("print(panel.model.code)")
    compared = nb.run(code + "\nprint(result.mean_temperature().value - panel.result.mean_temperature().value)")
    # A stop makes a new list of neighbours, which changes the order of sums and so the last digits.
    assert abs(float(compared.split()[-1])) < 1e-6
    assert not nb.errors


CRYSTALS = """
from ase.build import bulk
from ase.calculators.emt import EMT
from mlip_lab import panels
atoms, calculator = bulk("Cu"), EMT()
shown = [
    panels.phonons(atoms, calculator, reach=6.0),
    panels.elastic(atoms, calculator),
    panels.surfaces(atoms, calculator, faces="100", slabs=3),
]
"""


def test_properties_by_clicks_and_a_mode_by_a_click_on_its_band(notebook: Any) -> None:
    nb = notebook(CRYSTALS, "shown[0]", "shown[1]", "shown[2]")
    nb.run_all(timeout=150)
    nb.widget("mlip-panel")
    found = nb.page.locator(".mlip-panel")
    assert found.count() == 3
    for number in range(3):
        panel = found.nth(number)
        nb.click("Run", within=panel)
        nb.see("Done.", timeout=120, within=panel)
        code = nb.run(f"print(shown[{number}].model.code)")
        same = f"print(shown[{number}].model.capability.numbers(result) == list(shown[{number}].model.numbers))"
        assert nb.run(f"{code}\n{same}", timeout=120).split()[-1] == "True"
    picture = found.nth(0).locator("img.mlip-picture")
    box = picture.bounding_box()
    picture.click(position={"x": 0.3 * box["width"], "y": 0.4 * box["height"]})
    words = nb.see("moves in the Lab", within=found.nth(0))
    nb.screenshot("phonon_mode_picked")
    told = nb.run("frames = shown[0].model.frames; print(shown[0].model.picked); print(frames[1].shape[0])")
    assert told.splitlines()[0] in words and told.split()[-1] == "24"
    assert not nb.errors
