"""How the time of a force call goes with threads and with size, and what memory a million atoms take."""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk

import mlip_lab

REPEATS = {1000: 5, 8000: 10, 64000: 20, 1000000: 50}  # atoms: of the cubic cell of eight


def crystal(atoms: int) -> Atoms:
    """A rattled silicon crystal."""
    made = bulk("Si", a=5.47, cubic=True).repeat(REPEATS[atoms])
    made.rattle(0.03, seed=1)
    return made


def threads(atoms: Atoms, repeats: int) -> dict[str, float]:
    """How many times faster two threads are than one, called in turn."""
    ratios, calculators = [], [mlip_lab.load("si").calculator(threads=count) for count in (1, 2)]
    moved, rng = atoms.copy(), np.random.default_rng(0)
    for turn in range(repeats + 1):
        moved.positions = atoms.positions + 0.01 * rng.normal(size=atoms.positions.shape)
        times = []
        for calculator in calculators:
            began = time.perf_counter()
            calculator.calculate(moved)
            times.append(time.perf_counter() - began)
        if turn > 0:  # the first calls compile
            ratios.append(times[0] / times[1])
    return {"two threads, times as fast as one": statistics.median(ratios), "two threads, best": max(ratios)}


def resident() -> int:
    """Bytes in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def peak() -> int:
    """The most bytes in memory so far; getrusage would count those of the process that started this one, too."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))


def one_size(count: int) -> None:
    """Print µs per atom of a force call with its list of pairs kept, of one that makes it, and bytes per atom."""
    calculator = mlip_lab.load("si").calculator(threads=1)
    calculator.warm()
    atoms = crystal(count)
    before = resident()
    began = time.perf_counter()
    calculator.calculate(atoms)
    whole = time.perf_counter() - began
    kept = []
    for turn in range(max(3, 60000 // count)):
        atoms.positions += 1e-3 * (-1) ** turn
        began = time.perf_counter()
        calculator.calculate(atoms)
        kept.append(time.perf_counter() - began)
    print(1e6 * statistics.median(kept) / count, 1e6 * whole / count, (peak() - before) / count)


def size() -> dict[str, float]:
    """Each size in a process of its own, so that its peak of memory is its own."""
    found: dict[str, float] = {}
    for count in REPEATS:
        done = subprocess.run(
            [sys.executable, __file__, str(count)], capture_output=True, text=True, check=True, timeout=1800
        )
        kept, whole, memory = (float(word) for word in done.stdout.split())
        found[f"{count} atoms, µs/atom"] = kept
        found[f"{count} atoms with a new list, µs/atom"] = whole
        if count == max(REPEATS):
            found["bytes/atom beyond positions"] = memory
    times = [found[f"{count} atoms, µs/atom"] for count in REPEATS]
    found["slowest size beside the fastest"] = max(times) / min(times)
    return found


if __name__ == "__main__":
    one_size(int(sys.argv[1]))
