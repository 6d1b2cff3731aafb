"""Panels of the time step and of path integrals by clicks: run, stopped, gone on with, and their code run again."""

from __future__ import annotations

import re
from typing import Any

SETUP = """
from ase.build import bulk
from ase.calculators.emt import EMT
from mlip_lab import panels
atoms, calculator = bulk("Cu", cubic=True), EMT()
panels.pimd(atoms, calculator, steps=45, beads=2).run()  # compiles what an empty cache lacks
shown = [
    panels.pimd(atoms, calculator, steps=2000, beads=4),
    panels.time_step_stability(atoms, calculator, time_step=5.0, steps=4000),
]
"""


def test_path_integrals_and_the_time_step_by_clicks(notebook: Any) -> None:
    nb = notebook(SETUP, "shown[0]", "shown[1]")
    nb.run_all(timeout=150)
    nb.widget("mlip-panel")
    panels = nb.page.locator(".mlip-panel")
    assert panels.count() == 2
    rings, step = panels.nth(0), panels.nth(1)

    nb.set("Time step", "95", within=rings)
    nb.see("The step is too long for 4 beads: take less than", within=rings)
    nb.set("Time step", "1", within=rings)
    nb.click("Run", within=rings)
    nb.see(re.compile(r"\d+ %"), within=rings)
    nb.screenshot("pimd_running", within=rings)
    nb.click("Stop", within=rings)
    nb.see("Continue picks up there", within=rings)
    nb.click("Continue", within=rings)
    nb.see("Done.", timeout=120, within=rings)
    nb.see("Beads have the temperature of the bath.", within=rings)
    nb.screenshot("pimd_done", within=rings)
    code = nb.run("print(shown[0].model.code)")
    compared = nb.run(code + "\nprint(result.total().value - shown[0].result.total().value)", timeout=120)
    assert abs(float(compared.split()[-1])) < 1e-6  # a stop changes the order of sums, and so the last digits

    nb.click("Run", within=step)
    nb.see(re.compile(r"\d+ %"), within=step)
    nb.click("Stop", within=step)
    nb.see("Continue starts again", within=step)
    nb.screenshot("stability_stopped", within=step)
    nb.click("Continue", within=step)
    nb.see("Done.", timeout=120, within=step)
    nb.see(re.compile("5 fs is stable"), within=step)
    nb.screenshot("stability_done", within=step)
    code = nb.run("print(shown[1].model.code)")
    same = "print(shown[1].model.capability.numbers(result) == list(shown[1].model.numbers))"
    assert nb.run(f"{code}\n{same}", timeout=120).split()[-1] == "True"
    nb.set("Time step", "60", within=step)
    nb.see("The inputs have changed since this result", within=step)
    nb.click("Run", within=step)
    nb.see("60 fs is too long: the fastest vibration grows at every step.", timeout=60, within=step)
    assert not nb.errors
