"""The fused kernel on the processor beside tensor operations on a torch device.

    python tests/benchmarks/gpu.py [--device cuda] [--atoms 4096] [--json FILE]

Prints µs per atom of a force call (energy, forces and virial, list of pairs reused) of the shipped silicon potential,
and how far the forces of the device are from those of the kernel, in both precisions. Without a GPU, `--device cpu`
shows that it works, and how slow it is there.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase.build import bulk

import mlip_lab
from mlip_lab.kernels.neighbors import build_pairs

SKIN = 0.5  # Å


def timed(call: Callable[[], Any], repeats: int) -> float:
    """Median seconds; a result on the processor is there only when the device has finished."""
    times = []
    for turn in range(repeats + 2):
        began = time.perf_counter()
        call()
        if turn > 1:  # the first calls compile and allocate
            times.append(time.perf_counter() - began)
    return statistics.median(times)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--atoms", type=int, default=4096)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", metavar="FILE")
    chosen = parser.parse_args()
    atoms = bulk("Si", a=5.47, cubic=True).repeat(max(1, round((chosen.atoms / 8) ** (1 / 3))))
    atoms.rattle(0.03, seed=1)
    trained = mlip_lab.load("si")
    positions, cell = atoms.positions, atoms.cell.array
    pairs = build_pairs(positions, cell, atoms.pbc, trained.config.cutoff + SKIN)
    species = trained.config.species_of(atoms.numbers)
    exact = trained.runner().evaluate(species, positions, cell, pairs)
    rows = []
    for precision in ("float64", "float32"):
        for device in (None, chosen.device):
            runner = trained.runner(precision=precision, device=device)
            seconds = timed(lambda runner=runner: runner.evaluate(species, positions, cell, pairs), chosen.repeats)
            off = np.abs(runner.evaluate(species, positions, cell, pairs).forces - exact.forces).max()
            name = f"mlip_lab default {precision} {device or 'kernel, one core'}"
            rows.append(
                {"name": name, "atoms": len(atoms), "us_per_atom": 1e6 * seconds / len(atoms), "off": float(off)}
            )
            print(f"{name:<48}{rows[-1]['us_per_atom']:10.2f} µs/atom   forces off by {off:.1e} eV/Å")
    where = torch.cuda.get_device_name() if torch.device(chosen.device).type == "cuda" else chosen.device
    if chosen.json:
        Path(chosen.json).write_text(json.dumps({"machine": where, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
