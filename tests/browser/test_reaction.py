"""A reaction path by clicks in a real browser: two structures, Stop, Continue, the images in the viewer."""

from __future__ import annotations

import re
from typing import Any

SETUP = """
import time
from ase.build import add_adsorbate, fcc100
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms
from mlip_lab.panels.reaction_path import between

class Slow(EMT):
    def calculate(self, *args, **kwargs):
        time.sleep(0.02)
        super().calculate(*args, **kwargs)

ends = []
for place in ((0, 0), (0, 1)):
    end = fcc100("Cu", (2, 2, 2), vacuum=5.0)
    add_adsorbate(end, "Cu", 1.7, "hollow", offset=place)
    end.set_constraint(FixAtoms([atom.index for atom in end if atom.tag == 2]))
    ends.append(end)
panel = between(*ends, Slow(), images=3)
panel
"""


def test_path_by_clicks(notebook: Any) -> None:
    nb = notebook(SETUP)
    nb.run_all(timeout=150)
    nb.widget("mlip-panel")
    nb.choose("Product", "Cu9, 9 atoms")
    nb.see("Reactant and product are the same")
    nb.screenshot("path_disabled")
    nb.choose("Product", "product")
    nb.click("Run")
    nb.until("document.querySelector('.mlip-picture img, img.mlip-picture')")
    nb.screenshot("path_running")
    nb.click("Stop")
    nb.see("Continue picks up there")
    nb.screenshot("path_stopped")
    nb.click("Continue")
    nb.see("downhill along one direction only", timeout=120)
    nb.see(re.compile("imaginary frequency"))
    nb.screenshot("path_done")
    assert 0.2 < float(nb.run("print(panel.result.barrier)").split()[-1]) < 0.7
    assert not nb.errors
