"""The process that compiles a kernel, and those that find it in the cache, give the same bits.

Were a kernel that calls another free to call it or to have a copy of it compiled in, which of two roundings is used
would depend on what a process has loaded before: the same seed would give other weights at the second training.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import hashlib
import numpy as np
import mlip_lab
from mlip_lab.model.structures import prepare, project, pull, push
from tests.potentials import random_potential
from tests.tiny import tiny_atoms, tiny_config, tiny_frames

def bits(*arrays):
    print(hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest())

frame, rng = tiny_frames(1)[0], np.random.default_rng(0)
potential = random_potential(3, "neural")
numbers = np.array([8, 14, 29, 29])
structure = prepare(type(frame)(numbers, frame.positions, frame.cell, frame.pbc), potential.config)
a, p = project(structure, potential.config)
bits(a, p)
bits(*pull(structure, potential.config, a, p))
bits(*push(structure, potential.config, rng.normal(size=(4, 3)), np.eye(3)))
found = potential.evaluate(numbers, frame.positions, frame.cell, frame.pbc)
bits(found.energies, found.forces, found.virial)
atoms = tiny_atoms(1)[0]
atoms.numbers[:] = numbers
atoms.calc = potential.calculator()
run = mlip_lab.md(atoms, atoms.calc, steps=3, time_step=0.1, initial_temperature=10.0, stability="ignore")
bits(run.potential_energy, run.kinetic_energy)
"""


def test_compiled_here_or_found_in_the_cache(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    folders = {"MLIP_LAB_CACHE": str(tmp_path / "modules"), "NUMBA_CACHE_DIR": str(tmp_path / "numba")}
    found = []
    for _ in range(2):
        made = subprocess.run(
            [sys.executable, "-c", SCRIPT], cwd=root, env={**os.environ, **folders}, capture_output=True, text=True
        )
        assert made.returncode == 0, made.stderr
        found.append(made.stdout.split())
    assert len(found[0]) == 5
    assert found[0] == found[1]
