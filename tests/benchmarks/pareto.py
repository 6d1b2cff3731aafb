"""Accuracy for each microsecond: test error of the forces against the time of a force call.

    python tests/benchmarks/pareto.py --data FOLDER --out FOLDER [--elements Si Cu] [--scale 1.0]

FOLDER of the data holds `Si_train.xyz`, `Si_test.xyz` and so on (the sets of Zuo et al., DOI 10.1021/acs.jpca.9b08723).
Trains every architecture of the sweep on every element, measures the errors on the test frames and the force call on
4096 atoms (one thread, pair list reused), and draws the front. Each finished training is a file in the folder of the
output; a run that was stopped goes on. `--scale` shortens all trainings by one factor, for a first look.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from ase.build import bulk
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mlip_lab.core.files import write_json
from mlip_lab.data.reader import read_frames
from mlip_lab.kernels.neighbors import build_pairs
from mlip_lab.model import training
from mlip_lab.model.config import PRESETS, PotentialConfig
from mlip_lab.model.exact import fit_exact
from mlip_lab.model.potential import Potential
from mlip_lab.model.threads import one_thread
from mlip_lab.workflows.train import predict, rms_errors

LATTICE = {"Si": ("diamond", 5.47), "Cu": ("fcc", 3.64)}


def sweep() -> dict[str, PotentialConfig]:
    """The presets with each readout, and the default with one number changed at a time."""
    found = {name: config for name, config in PRESETS.items()}
    found |= {f"{name} linear": replace(config, readout="linear") for name, config in PRESETS.items()}
    base = PRESETS["default"]
    changes: dict[str, tuple[Any, ...]] = {
        "cutoff": (4.5, 5.0, 6.0),
        "n_channels": (8, 24, 32),
        "lmax": (2, 3),
        "body_order": (3,),
        "n_hidden": (8, 32),
        "n_radial": (8, 12),
    }
    for name, values in changes.items():
        found |= {f"{name} {value:g}": replace(base, **{name: value}) for value in values}
    return found


def microseconds(potential: Potential, element: str, repeats: int = 15) -> float:
    """Median time of a force call for each atom."""
    structure, a = LATTICE[element]
    atoms = bulk(element, structure, a=a, cubic=True)
    atoms = atoms.repeat(round((4096 / len(atoms)) ** (1 / 3)))
    compiled, rng, times = potential.compiled(), np.random.default_rng(0), []
    pairs = build_pairs(atoms.positions, atoms.cell.array, atoms.pbc, compiled.cutoff + 0.5)
    species = compiled.species_of(atoms.numbers)
    for _ in range(repeats + 1):
        positions = atoms.positions + 0.03 * rng.normal(size=atoms.positions.shape)
        began = time.perf_counter()
        compiled.evaluate(species, positions, atoms.cell.array, pairs)
        times.append(1e6 * (time.perf_counter() - began) / len(atoms))
    return float(np.median(times[1:]))


def measured(config: PotentialConfig, element: str, data: Path) -> dict[str, Any]:
    """Train and test one architecture."""
    train, test = (read_frames(data / f"{element}_{part}.xyz") for part in ("train", "test"))
    trusted = train.report.hydrostatic_stress_trusted is not False
    began = time.process_time()
    with one_thread():
        if config.readout == "neural":
            potential, _ = training.fit_neural(config, train.frames, seed=0, trusted=trusted)
        else:
            potential = fit_exact(config, train.frames, seed=0, trusted=trusted)
    seconds = time.process_time() - began
    errors = rms_errors(predict(potential, test.frames))
    row = {"element": element, "us_per_atom": microseconds(potential, element), "train_cpu_seconds": seconds}
    return row | errors | {"n_parameters": potential.n_parameters, "config": asdict(config)}


def picture(rows: dict[str, dict[str, Any]], path: Path) -> None:
    """Errors over times, one panel an element, with the points that none beats in both joined by a line."""
    elements = sorted({row["element"] for row in rows.values()}, reverse=True)
    figure = Figure(figsize=(6.0 * len(elements), 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, element in zip(figure.subplots(1, len(elements), squeeze=False)[0], elements, strict=True):
        points = sorted(
            (row["us_per_atom"], row["forces_rmse_ev_per_ang"], name.partition(" ")[2])
            for name, row in rows.items()
            if row["element"] == element
        )
        front = [p for k, p in enumerate(points) if all(p[1] < q[1] for q in points[:k])]
        axes.plot([p[0] for p in front], [p[1] for p in front], color="0.7", zorder=0)
        for x, y, name in points:
            axes.plot(x, y, "o", color="tab:blue" if name in PRESETS else "0.4")
            axes.annotate(name, (x, y), xytext=(4, 3), textcoords="offset points", fontsize=7)
        axes.set(xscale="log", yscale="log", xlabel="µs per atom and force call, one core", title=element)
        axes.set_ylabel("test error of forces (eV/Å)")
    figure.savefig(path, dpi=150)


def main() -> None:
    """Measure what is missing, print the table and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the labelled sets")
    parser.add_argument("--out", type=Path, required=True, help="folder of finished trainings")
    parser.add_argument("--elements", nargs="+", choices=sorted(LATTICE), default=["Si", "Cu"])
    parser.add_argument("--scale", type=float, default=1.0, help="length of a training beside the usual")
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    training.ATOM_EPOCHS *= chosen.scale
    rows: dict[str, dict[str, Any]] = {}
    for element in chosen.elements:
        for name, config in sweep().items():
            path = chosen.out / f"{element}_{name.replace(' ', '_')}_{chosen.scale:g}.json"
            if not path.exists():
                write_json(path, measured(config, element, chosen.data))
            row = rows[f"{element} {name}"] = json.loads(path.read_text())
            print(
                f"{element} {name:<16}{row['us_per_atom']:8.2f} µs/atom{row['energy_rmse_mev_per_atom']:8.2f} meV/atom"
                f"{row['forces_rmse_ev_per_ang']:9.4f} eV/Å{row['train_cpu_seconds']:7.0f} s of CPU",
                flush=True,
            )
    picture(rows, chosen.out / "pareto.png")


if __name__ == "__main__":
    main()
