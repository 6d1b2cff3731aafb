"""Two runs compared by clicks: files named in a form, a reason while one is missing, a verdict in words."""

from __future__ import annotations

from typing import Any

FILES = """
import numpy as np
from ase.build import bulk
from ase.io import write
from mlip_lab import panels
sites, rng = bulk("Si", cubic=True), np.random.default_rng(0)
for name, spread in (("cold", 0.06), ("warm", 0.09)):
    frames = [sites.copy() for _ in range(200)]
    for frame in frames:
        frame.positions += spread * rng.normal(size=frame.positions.shape)
    write(f"{name}.traj", frames)
panel = panels.same_structure()
panel
"""


def test_two_runs_are_compared_by_clicks(notebook: Any) -> None:
    nb = notebook(FILES)
    nb.run_all(timeout=150)
    nb.widget("mlip-panel")
    nb.set("First trajectory file", "cold.traj")
    nb.set("Second trajectory file", "hot.traj")
    nb.see("there is no file hot.traj. In its folder there are:")
    nb.set("Second trajectory file", "warm.traj")
    nb.click("Run")
    nb.see("Done.", timeout=90)
    nb.see("The two structures differ.")
    nb.see("Exchanging blocks between the runs says so too.")
    nb.screenshot("same_structure_done")
    code = nb.run("print(panel.model.code)")
    compared = nb.run(code + "\nprint(result.p_value - panel.result.p_value)")
    assert abs(float(compared.split()[-1])) < 1e-12
    assert not nb.errors
