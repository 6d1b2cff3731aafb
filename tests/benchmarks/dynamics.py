"""What a step of molecular dynamics and of path integrals costs beyond its force calls, on one core.

    python tests/benchmarks/dynamics.py [--turns 9] [--json FILE]

For the packaged silicon: steps of every ensemble beside force calls of a warm crystal, 64 and 4096 atoms; ring polymers
of 8 beads and 64 atoms beside force calls of 64 atoms; the same rings without forces beside those of i-PI (`pip install
ipi`), and the estimators of both with forces. What is compared runs in turn and is measured in seconds of this process
on a core, and medians of ratios are printed with their quartiles: what slows the machine slows both. Ends with status 1
if a bar is not held.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bulk
from numpy.typing import NDArray

import mlip_lab
from mlip_lab.dynamics import statistics
from mlip_lab.dynamics.engines import SKIN
from mlip_lab.dynamics.md import md
from mlip_lab.dynamics.pimd import pimd
from mlip_lab.kernels.neighbors import build_pairs

Floats = NDArray[np.float64]

ENSEMBLES = ("nve", "langevin", "obabo", "bussi", "nose-hoover", "npt", "npt-flexible")
SIZES = {2: 1000, 8: 40}  # repeats of the cubic cell: steps at a time; moves of a cell are 40 apart
BEADS = 8
LIMITS = {  # figure: (least, most)
    **{
        f"{name}, {atoms} atoms: step beyond its force call, %": (-np.inf, 5.0)
        for name in ("langevin", "bussi", "nose-hoover")
        for atoms in (64, 4096)
    },
    "8 beads x 64 atoms: force calls a step": (0.0, 8.5),
    "8 beads x 64 atoms: step of i-PI without forces beside ours": (20.0, np.inf),
}


def crystal(repeat: int) -> Atoms:
    """Silicon, 8 repeat³ atoms."""
    return bulk("Si", a=5.47, cubic=True).repeat(repeat)


def steps_alone(run: Callable[..., Any], steps: int) -> float:
    """Seconds on a core of a step between the first and the last report of a run: what it sets up is left out."""
    marks: list[float] = []
    run(steps=steps, progress=lambda *_, **__: marks.append(time.process_time()))
    return (marks[-1] - marks[0]) / steps


class Forces:
    """Compiled force calls along a run, with the list of pairs of its first structure."""

    def __init__(self, atoms: Atoms, calculator: Any, steps: int) -> None:
        """Take note of the places; the same ones again and again would be learned by caches and branch predictors."""
        self.places = md(
            atoms, calculator, steps=steps, sample_every=1, initial_temperature=300.0, stability="ignore"
        ).positions
        self.compiled, self.cell = calculator.compiled, atoms.cell.array
        self.pairs = build_pairs(self.places[0], self.cell, atoms.pbc, self.compiled.cutoff + SKIN)
        self.species, n = self.compiled.species_of(atoms.numbers), len(atoms)
        self.out = np.empty(n), np.empty((n, 3)), np.empty((3, 3))

    def seconds(self) -> float:
        """Seconds on a core of one of them."""
        c, began = self.compiled, time.process_time()
        for place in self.places:
            c.module.evaluate(c.theta, self.species, place, self.cell, *self.pairs, *self.out)
        return (time.process_time() - began) / len(self.places)


def quartiles(values: list[float]) -> tuple[float, float, float]:
    """Median, and the quartiles about it; without the first, which compiles."""
    low, middle, high = np.quantile(values[1:], [0.25, 0.5, 0.75])
    return float(middle), float(low), float(high)


def ensembles(turns: int) -> dict[str, tuple[float, float, float]]:
    """What a step costs beyond its force call, in percent of that."""
    found, calculator = {}, mlip_lab.load("si").calculator(threads=1)
    for repeat, steps in SIZES.items():
        bath: dict[str, Any] = {"temperature": 300.0, "stability": "ignore", "sample_every": steps}
        warm = md(
            crystal(repeat), calculator, steps=2 * steps, ensemble="langevin", initial_temperature=600.0, **bath
        ).atoms
        more: dict[str, list[float]] = {name: [] for name in ENSEMBLES}
        forces = Forces(warm, calculator, steps // 2)
        for _ in range(turns + 1):
            for name in ENSEMBLES:
                how = {**bath, "ensemble": name} if name != "nve" else {**bath, "temperature": None}
                alone = forces.seconds()
                step = steps_alone(partial(md, warm, calculator, **how), steps)
                alone += forces.seconds()
                more[name].append(100.0 * (2.0 * step / alone - 1.0))
        for name, values in more.items():
            found[f"{name}, {len(warm)} atoms: step beyond its force call, %"] = quartiles(values)
    return found


def rings(turns: int) -> dict[str, tuple[float, float, float]]:
    """Force calls of 64 atoms that a step of ring polymers takes the time of."""
    atoms, calculator = crystal(2), mlip_lab.load("si").calculator(threads=1)
    warm = pimd(atoms, calculator, steps=200, beads=BEADS, time_step=1.0).atoms
    forces, ratios = Forces(warm, calculator, 400), []
    for _ in range(turns + 1):
        alone = forces.seconds()
        step = steps_alone(partial(pimd, warm, calculator, beads=BEADS, time_step=1.0), 120)
        ratios.append(2.0 * step / (alone + forces.seconds()))
    return {"8 beads x 64 atoms: force calls a step": quartiles(ratios)}


class Nothing:
    """A compiled potential without forces and without pairs."""

    def __init__(self) -> None:
        """Looks as one that is calculated for all beads at once."""
        module = SimpleNamespace(evaluate=self.evaluate)
        self.compiled = SimpleNamespace(module=module, theta=None, cutoff=0.1, species_of=np.zeros_like)

    def get_forces(self, atoms: Atoms) -> Floats:
        """What makes it a calculator."""
        return np.zeros((len(atoms), 3))

    @staticmethod
    def evaluate(*arguments: Any) -> None:
        """Zeros."""
        *_, energies, forces, _ = arguments
        energies[:], forces[:] = 0.0, 0.0


def without_forces(turns: int) -> dict[str, tuple[float, float, float]]:
    """Microseconds of a step of free rings, ours with all estimators and i-PI's without any, and their ratio."""
    from ipi_peer import forcefield, simulation

    atoms, ours, theirs = crystal(2), [], []
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        peer = simulation(atoms, forcefield(None), beads=BEADS, temperature=300.0, time_step=0.5, written=False)
        for _ in range(turns + 1):
            ours.append(steps_alone(partial(pimd, atoms, Nothing(), beads=BEADS, time_step=0.5), 3000))
            began = time.process_time()
            peer.run(200, write_outputs=False)
            theirs.append((time.process_time() - began) / 200)
    ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
    name = "8 beads x 64 atoms: "
    return {
        name + "µs a step without forces": quartiles([1e6 * value for value in ours]),
        name + "µs a step of i-PI without forces": quartiles([1e6 * value for value in theirs]),
        name + "step of i-PI without forces beside ours": quartiles(ratios),
    }


def agreement(steps: int = 3000, beads: int = 4, temperature: int = 200) -> None:
    """Print the estimators of eight atoms by both."""
    atoms = bulk("Si", a=5.43, cubic=True)
    run = pimd(
        atoms, mlip_lab.load("si").calculator(threads=1), steps=4 * steps, beads=beads, temperature=temperature,
        time_step=1.0, fix_center_of_mass=False,
    )  # fmt: skip
    ours = {
        "potential": run.potential_energy, "kinetic_cv": run.virial_kinetic, "kinetic_td": run.primitive_kinetic
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        atoms.write(Path(folder) / "si.traj")
        peer = Path(__file__).with_name("ipi_peer.py").resolve()
        command = [sys.executable, str(peer), "si.traj", str(beads), str(steps), str(temperature)]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    theirs = json.loads(done.stdout)
    for name, values in ours.items():
        (a, da), (b, db) = (statistics.mean(np.asarray(series)[300:]) for series in (values, theirs[name]))
        print(f"{name:<12} {a:.4f} ± {da:.4f} eV, i-PI {b:.4f} ± {db:.4f} eV: {abs(a - b) / np.hypot(da, db):.1f} σ")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--json", metavar="FILE", help="write all figures there")
    chosen = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    parts = [rings, ensembles]
    if find_spec("ipi") is None:
        print("i-PI: not measured (not installed)")
    else:
        agreement()
        parts.insert(0, without_forces)
    figures, kept = {}, True
    for part in parts:
        for name, (middle, low, high) in part(chosen.turns).items():
            figures[name] = middle
            least, most = LIMITS.get(name, (-np.inf, np.inf))
            good = least <= middle <= most
            kept = kept and good
            verdict = "" if name not in LIMITS else f"  from {least:g} to {most:g}: {'held' if good else 'NOT HELD'}"
            print(f"{name:<66}{middle:9.2f}  ({low:.2f} to {high:.2f}){verdict}", flush=True)
    if chosen.json:
        Path(chosen.json).write_text(json.dumps(figures, indent=1) + "\n")
    sys.exit(0 if kept else 1)


if __name__ == "__main__":
    main()
