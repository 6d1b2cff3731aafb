"""How fast pairs are counted for g(r), by us and by freud, in the same run.

    python tests/benchmarks/rdf.py [--atoms 4096] [--repeats 15]

Both count the pairs of one frame of silicon at a high temperature, in turn, again and again; medians are printed with
half the spread between quartiles. freud runs on one thread, as we do, and then on as many as it likes. Ends with
status 1 if ours is not the faster one on one thread at every radius.
"""

from __future__ import annotations

import argparse
import sys
import time

import freud
import numpy as np
from ase.build import bulk

from mlip_lab.kernels.pair_counts import count_pairs

RADII = (5.0, 10.0, 0.5)  # Å; the last one is the part of the cell's height
BINS = 200


def timed(call: object) -> float:
    began = time.perf_counter()
    call()  # type: ignore[operator]
    return 1000 * (time.perf_counter() - began)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--atoms", type=int, default=4096)
    parser.add_argument("--repeats", type=int, default=15)
    arguments = parser.parse_args()
    repeat = round((arguments.atoms / 8) ** (1 / 3))
    atoms = bulk("Si", a=5.47, cubic=True).repeat(repeat)
    atoms.rattle(0.2, seed=0)
    cell, species = atoms.cell.array.copy(), np.zeros(len(atoms), dtype=np.int64)
    box = freud.box.Box.from_matrix(cell.T)
    centred = box.wrap(atoms.positions)
    slower = False
    for given in RADII:
        radius = given if given > 1 else given * cell[0, 0] * 0.999
        calls = {
            "mlip_lab": lambda r=radius: count_pairs(atoms.positions, cell, atoms.pbc, species, 1, r, BINS),
            "freud, one thread": lambda r=radius: freud.density.RDF(BINS, r).compute((box, centred)).bin_counts,
            "freud, all threads": lambda r=radius: freud.density.RDF(BINS, r).compute((box, centred)).bin_counts,
        }
        times: dict[str, list[float]] = {name: [] for name in calls}
        for turn in range(arguments.repeats + 1):
            for name, call in calls.items():
                freud.parallel.set_num_threads(1 if "one" in name else 0)
                taken = timed(call)
                if turn > 0:  # the first call compiles and fills caches
                    times[name].append(taken)
        off = np.abs(calls["mlip_lab"]()[0, 0] - calls["freud, one thread"]()).sum()
        print(f"{len(atoms)} atoms, {radius:.2f} Å; {off} pairs counted in another bin (freud is in single precision)")
        for name, found in times.items():
            low, middle, high = np.quantile(found, [0.25, 0.5, 0.75])
            ratio = middle / np.median(times["mlip_lab"])
            print(f"  {name:20s} {middle:8.2f} ± {(high - low) / 2:.2f} ms, {ratio:.2f} × ours")
        slower |= np.median(times["mlip_lab"]) >= np.median(times["freud, one thread"])
    print("mlip_lab is faster on one thread" if not slower else "mlip_lab is NOT faster")
    return int(slower)


if __name__ == "__main__":
    sys.exit(main())
