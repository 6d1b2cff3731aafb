"""Whether the test "are two simulations the same" keeps what it says, on molecular dynamics of silicon.

    python tests/benchmarks/calibration.py [--pairs 400] [--powers 25]

Calibration: one run of 8 atoms at 300 K with the packaged potential is cut into pieces of 20 ps that are far apart; two
pieces are of the same state, so p must be uniform and 5 % of it below 0.05. Power: 64 atoms at 300 K against 330 K, 20
ps each; 0 leaves either out. Ends with status 1 if p is not uniform (Kolmogorov–Smirnov p ≤ 0.01), if more or less than
5 ± 2.5 % are rejected, or if the power is 0.95 or less.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

import numpy as np
from ase.build import bulk
from scipy import stats

import mlip_lab
from mlip_lab.properties.radial_distribution import PairCounts, pair_counts
from mlip_lab.properties.same_structure import compare
from mlip_lab.properties.trajectories import of_positions

STEP, EVERY = 2.0, 10  # fs; frames are 20 fs apart
PIECE, GAP, RUN = 20.0, 0.5, 20.0  # ps
PIECES = 20  # of one run


def moving(repeat: int, temperature: float, picoseconds: float, seed: int, calculator: Any) -> Any:
    """A run in a bath, without its start."""
    crystal = bulk("Si", a=5.47, cubic=True).repeat(repeat)
    bath = {"ensemble": "langevin", "temperature": temperature, "friction": 10.0, "time_step": STEP}
    start = mlip_lab.md(crystal, calculator, steps=2500, initial_temperature=2 * temperature, seed=seed, **bath)
    steps = int(1000 * picoseconds / STEP)
    return mlip_lab.md(start.atoms, calculator, steps=steps, sample_every=EVERY, seed=seed, **bath)


def counted(atoms: Any, positions: Any) -> PairCounts:
    return pair_counts(of_positions(atoms, positions), radius=6.0, bins=60)


def calibration(pairs: int, calculator: Any) -> dict[str, Any]:
    """Of each p: Kolmogorov and Smirnov's p for uniformity, and the share below 0.05."""
    frames, gap = (int(1000 * length / STEP / EVERY) for length in (PIECE, GAP))
    pieces: list[PairCounts] = []
    while len(pieces) < 2 * pairs:
        run = moving(1, 300.0, PIECES * (PIECE + GAP), len(pieces), calculator)
        pieces += [counted(run.atoms, run.positions[k * (frames + gap) :][:frames]) for k in range(PIECES)]
    order = np.random.default_rng(0).permutation(len(pieces))[: 2 * pairs]
    null = [compare(pieces[a], pieces[b]) for a, b in order.reshape(-1, 2)]
    found: dict[str, Any] = {"inefficiency": float(np.mean([one.inefficiencies for one in null]))}
    for name in ("p_value", "permutation_p_value", "naive_p_value"):
        p = np.array([getattr(one, name) for one in null])
        found[name] = {"ks": float(stats.kstest(p, "uniform").pvalue), "rejected": float((p < 0.05).mean())}
    return found


def power(repeats: int, calculator: Any) -> dict[str, float]:
    """Share of pairs of runs at 300 and at 330 K that are told apart."""
    found = []
    for seed in range(repeats):
        runs = [moving(2, t, RUN, 2 * seed + k, calculator) for k, t in enumerate((300.0, 330.0))]
        found.append(compare(*(counted(run.atoms, run.positions) for run in runs)))
    return {
        name: float(np.mean([getattr(one, name) < 0.05 for one in found]))
        for name in ("p_value", "permutation_p_value")
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=400)
    parser.add_argument("--powers", type=int, default=25)
    arguments = parser.parse_args()
    calculator, began, held = mlip_lab.load("si").calculator(threads=1), time.perf_counter(), True
    if arguments.pairs:
        null = calibration(arguments.pairs, calculator)
        held &= null["p_value"]["ks"] > 0.01 and abs(null["p_value"]["rejected"] - 0.05) <= 0.025
        print("calibration", json.dumps(null, indent=1), f"{time.perf_counter() - began:.0f} s", flush=True)
    if arguments.powers:
        told = power(arguments.powers, calculator)
        held &= told["p_value"] > 0.95
        print("power", json.dumps(told), f"{time.perf_counter() - began:.0f} s")
    print("held" if held else "NOT held")
    return int(not held)


if __name__ == "__main__":
    sys.exit(main())
