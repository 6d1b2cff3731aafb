"""Panels in a real JupyterLab in a real browser."""

from __future__ import annotations

import re
from typing import Any

import pytest

pytestmark = pytest.mark.timeout(400)

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
