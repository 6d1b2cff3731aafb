"""The same potential through i-PI gives the same path integrals."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk

import mlip_lab
from mlip_lab.core.units import BOLTZMANN
from mlip_lab.dynamics import statistics
from mlip_lab.dynamics.pimd import pimd

PEER = Path(__file__).resolve().parents[1] / "benchmarks" / "ipi_peer.py"
BEADS, TEMPERATURE = 4, 200
FIRST = 300  # steps left out at the start, where all beads are in one place


@pytest.mark.skipif(find_spec("ipi") is None, reason="i-PI is not installed (pip install ipi)")
def test_estimators_are_those_of_i_pi(tmp_path: Path) -> None:
    atoms = bulk("Si", a=5.43, cubic=True)
    atoms.write(tmp_path / "si.traj")
    ours = pimd(
        atoms, mlip_lab.load("si").calculator(threads=1), steps=5000, beads=BEADS, temperature=TEMPERATURE,
        time_step=1.0, fix_center_of_mass=False, sample_every=10,
    )  # fmt: skip
    radii = np.sqrt(((ours.positions - ours.positions.mean(axis=1, keepdims=True)) ** 2).sum(axis=3).mean(axis=1))
    found = {
        "potential": ours.potential_energy[FIRST:],
        "kinetic_cv": ours.virial_kinetic[FIRST:],
        "kinetic_td": ours.primitive_kinetic[FIRST:],
        "r_gyration": radii.mean(axis=1)[FIRST // 10 :],
    }
    command = [sys.executable, str(PEER), "si.traj", str(BEADS), "1200", str(TEMPERATURE)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stderr
    theirs = {name: np.array(values[FIRST:]) for name, values in json.loads(done.stdout).items()}
    assert set(found) == set(theirs)
    errors = {}
    for name in found:
        (a, da), (b, db) = statistics.mean(found[name]), statistics.mean(theirs[name])
        errors[name] = np.hypot(da, db)
        assert abs(a - b) < 4.0 * errors[name], f"{name}: {a} ± {da}, i-PI {b} ± {db}"
    # errors are far smaller than what four beads add to the classical values, 3/2 kT an atom and no radius
    quantum = found["kinetic_cv"].mean() - 1.5 * len(atoms) * BOLTZMANN * TEMPERATURE
    assert errors["kinetic_cv"] < 0.1 * quantum
    assert errors["r_gyration"] < 0.03 * found["r_gyration"].mean()
