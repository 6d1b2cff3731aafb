"""Errors of a kind of fit on frames it has not seen, from training frames alone.

    python tests/benchmarks/cross_validation.py DATA.xyz [--readout linear] [--preset default] [--folds 5] [--seed 0]

Splits the frames at random, trains on all parts but one, and predicts that one; prints the errors by kind of structure.
A test set of some ten frames can hang on one or two of them: this says how far.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from mlip_lab.data.reader import read_frames
from mlip_lab.workflows.errors import errors_by_kind
from mlip_lab.workflows.train import Prediction, train


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--readout", choices=("linear", "kernel", "neural"))
    parser.add_argument("--preset", default="default")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    whole = read_frames(options.data)
    parts = np.array_split(np.random.default_rng(options.seed).permutation(len(whole.frames)), options.folds)
    predicted: list[Prediction] = []
    for k, part in enumerate(parts):
        rest = sorted(np.concatenate(parts[:k] + parts[k + 1 :]))
        known, left = (replace(whole, frames=tuple(whole.frames[i] for i in chosen)) for chosen in (rest, part))
        result = train(known, test=left, preset=options.preset, readout=options.readout, seed=options.seed)
        predicted += result.predictions
        print(f"{k + 1} of {options.folds}: {result.report['train_seconds']:.0f} s", flush=True)
    print(f"{'':12}{'frames':>7}{'meV/atom':>10}{'eV/Å':>8}")
    for row in errors_by_kind(predicted):
        energy, forces = (np.nan if error is None else error for error in (row.energy, row.forces))
        print(f"{row.kind:12}{row.frames:7d}{energy:10.2f}{forces:8.4f}")


if __name__ == "__main__":
    main()
