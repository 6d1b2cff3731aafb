"""How fast the shipped silicon potential runs, beside ASE's EMT on the same machine.

    python tests/benchmarks/speed.py [--json]

Prints the median time of a force call (energy, forces and stress after a small move, pair list reused as in molecular
dynamics) in µs per atom, on one core since neither potential runs in parallel; its ratio to EMT for copper; the time
of the first call in a fresh process with an empty and with a filled cache; and the time of `import mlip_lab`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT

import mlip_lab

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


def microseconds(atoms: Atoms, calculator: Any, repeats: int) -> float:
    """Median time of a force call in µs per atom."""
    atoms.calc = calculator
    rng = np.random.default_rng(0)
    start = atoms.positions.copy()
    times = []
    for turn in range(repeats + 2):
        atoms.positions = start + 0.01 * rng.normal(size=start.shape)
        began = time.perf_counter()
        atoms.get_forces()
        if turn >= 2:  # the first calls compile and build the pair list
            times.append(time.perf_counter() - began)
    return 1e6 * statistics.median(times) / len(atoms)


def fresh(code: str, **environment: str) -> list[float]:
    """Numbers that code prints in a fresh process."""
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True, check=True
    )
    return [float(word) for word in done.stdout.split()]


def first_calls(cache: Path) -> tuple[list[float], list[float]]:
    """Time of the first force call, and from the start of the imports, with an empty cache and then a filled one."""
    places = {"MLIP_LAB_CACHE": str(cache / "mlip_lab"), "NUMBA_CACHE_DIR": str(cache)}
    cold = fresh(FIRST_CALL, **places)
    warm = [fresh(FIRST_CALL, **places) for _ in range(3)]
    return cold, [statistics.median(column) for column in zip(*warm, strict=True)]


def measure() -> dict[str, float]:
    """All figures by name."""
    found: dict[str, float] = {}
    for repeat, repeats in ((4, 15), (8, 7)):
        atoms = bulk("Si", a=5.47, cubic=True).repeat(repeat)
        found[f"us_per_atom_{len(atoms)}"] = microseconds(atoms, mlip_lab.load("si").calculator(), repeats)
    copper = bulk("Cu", cubic=True).repeat((4, 4, 8))
    found["emt_us_per_atom_512"] = microseconds(copper, EMT(), 7)
    found["ratio_to_emt_512"] = found["us_per_atom_512"] / found["emt_us_per_atom_512"]
    cache = Path(tempfile.mkdtemp())
    try:
        cold, warm = first_calls(cache)
    finally:
        shutil.rmtree(cache)
    found["first_call_cold_s"], found["first_call_warm_s"] = cold[0], warm[0]
    found["first_call_warm_with_imports_s"] = warm[1]
    found["import_s"] = statistics.median(fresh(IMPORT)[0] for _ in range(5))
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    chosen = parser.parse_args()
    found = measure()
    for name, value in found.items():
        print(f"{name:<32}{value:10.3f}")
    if chosen.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
