"""How many instructions a force call takes, an atom: a count that repeats to a part in a thousand, as times do not.

    python tests/benchmarks/instructions.py [--atoms 512] [--json FILE]

Counts with Valgrind (its tool cachegrind, without caches) as the difference between processes that make one and 41
force calls. Valgrind knows no AVX-512, so the code is compiled for AVX2 with fused multiply-add, in vectors of 32
bytes: with registers of 64 bytes the counts are about half. The code is compiled before, outside Valgrind.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from mlip_lab.model.config import PRESETS

CALLS = (1, 41)
FEATURES = "+64bit,+cmov,+cx8,+cx16,+sse2,+sse3,+ssse3,+sse4.1,+sse4.2,+popcnt,+avx,+avx2,+fma,+bmi,+bmi2,+lzcnt"
CALL = """
import sys
import llvmlite.binding
llvmlite.binding.get_host_cpu_features = dict  # as a processor without AVX-512 answers
sys.path.insert(0, {folder!r})
import numpy as np
from ase.build import bulk
from speed import SKIN, potential, random_weights
from dataclasses import replace
from mlip_lab.kernels.neighbors import build_pairs
name, precision, members, calls, atoms = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
model = random_weights(potential(name, []).config, members)
model = replace(model, members=tuple({{**w, "mixing": model.members[0]["mixing"]}} for w in model.members))
silicon = bulk("Si", a=5.47, cubic=True).repeat(round((atoms / 8) ** (1 / 3)))
silicon.rattle(0.03, seed=1)
run = model.runner(precision=precision)
pairs = build_pairs(silicon.positions, silicon.cell.array, silicon.pbc, model.config.cutoff + SKIN)
species = run.species_of(silicon.numbers)
for _ in range(calls):
    run.evaluate(species, silicon.positions, silicon.cell.array, pairs)
print(len(silicon))
"""


def counted(case: list[str], calls: int, atoms: int, cache: str, *, valgrind: bool) -> tuple[int, int]:
    """Instructions of a process that makes so many calls, 0 without Valgrind, and its number of atoms."""
    code = CALL.format(folder=str(Path(__file__).parent))
    command = [sys.executable, "-c", code, *case, str(calls), str(atoms)]
    if valgrind:
        command = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null", *command]
    environment = {
        **os.environ,
        "MLIP_LAB_CACHE": cache,
        "NUMBA_CPU_NAME": "haswell",
        "NUMBA_CPU_FEATURES": FEATURES,
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONHASHSEED": "0",
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    said = re.search(r"I +refs: +([\d,]+)", done.stderr)
    return (int(said.group(1).replace(",", "")) if said else 0), int(done.stdout)


def main() -> None:
    """Count and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--atoms", type=int, default=512)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if shutil.which("valgrind") is None:
        sys.exit("Valgrind is not installed (Debian: apt-get install valgrind).")
    cases = [[name, precision, "1"] for name in PRESETS for precision in ("float64", "float32")]
    counts: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as cache:
        for case in [*cases, ["default", "float64", "4"]]:
            counted(case, 1, options.atoms, cache, valgrind=False)
            (few, n), (many, _) = (counted(case, calls, options.atoms, cache, valgrind=True) for calls in CALLS)
            name = f"{case[0]} {case[1]}" + (f", {case[2]} members" if case[2] != "1" else "")
            counts[name] = (many - few) / (CALLS[1] - CALLS[0]) / n
            print(f"{name:<32}{counts[name]:9.0f} instructions/atom", flush=True)
    if options.json is not None:
        options.json.write_text(json.dumps(counts, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
