"""The convex hull of Al-Li by the settings that label the packaged set, every single point kept.

Run as `python -m mlip_lab.data.alloy_reference --with qe.toml --store calculations --out reference.json`; it can be
killed and run again, and rewrites its file after every phase. Candidates relax with the symmetry they start with, on
the k-mesh of their starting cell; `paths.json`, written beside it, holds the structures on the way. With
`--convergence` it writes `convergence.json` instead, which shows what the settings leave open, and with
`--frames labelled.xyz` the two packaged files of frames.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixSymmetry
from ase.filters import FrechetCellFilter
from ase.io import read
from ase.optimize import BFGS

from mlip_lab.core.errors import CalculationError
from mlip_lab.core.files import write_json
from mlip_lab.core.units import GPA
from mlip_lab.data.alloy_frames import SYMBOLS, held_out, hull_candidates
from mlip_lab.data.label import settings_hash, write_labelled
from mlip_lab.data.qe import EspressoSettings, kpoint_mesh
from mlip_lab.data.reference_command import reference_parser, settings_for
from mlip_lab.data.si_reference import Book, KeptCalculator

FORCE = 0.03  # eV/Å, and volume times stress per atom over 1 Å: 0.3 GPa, 0.2 meV/atom
SOFT = 10.0  # eV/Å², first guess of the curvatures, near those of these metals
STEPS = 40


def relaxed(book: Book, atoms: Atoms) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Relax ions and cell with the symmetry kept.

    Args:
        book: Where single points are kept.
        atoms: The start, with info "name" and "lattice".

    Returns:
        The record of the phase: structure in Å, energy in eV, what is left of forces (eV/Å) and stress (GPa); and
        cell and positions in Å at every step.

    Raises:
        CalculationError: If it is not relaxed after `STEPS` steps.
    """
    mesh = kpoint_mesh(atoms.cell.array, book.settings.kspacing)
    still: Atoms = atoms.copy()
    still.calc = KeptCalculator(book, mesh)
    still.set_constraint(FixSymmetry(still, symprec=0.01))
    together: Any = FrechetCellFilter(still)
    optimizer = BFGS(together, logfile=None, alpha=SOFT, maxstep=0.1)
    path: list[dict[str, Any]] = []
    optimizer.attach(lambda: path.append({"cell": still.cell.array.tolist(), "positions": still.positions.tolist()}))
    with warnings.catch_warnings():
        # scipy speaks of 1e-12 in the logarithm of a matrix within rounding of the unit matrix
        warnings.filterwarnings("ignore", "logm result may be inaccurate", RuntimeWarning)
        converged = optimizer.run(fmax=FORCE, steps=STEPS)
    if not converged:
        raise CalculationError(f"reference: {atoms.info['name']} is not relaxed after {STEPS} steps.")
    record = {
        "name": atoms.info["name"],
        "ordering": atoms.info.get("ordering", ""),
        "symbols": still.get_chemical_symbols(),
        "cell_ang": still.cell.array.tolist(),
        "positions_ang": still.positions.tolist(),
        "energy_ev": float(still.get_potential_energy()),
        "max_force_ev_per_ang": float(np.abs(still.get_forces()).max()),
        "max_stress_gpa": float(np.abs(still.get_stress()).max() / GPA),
        "steps": optimizer.nsteps,
        "k_mesh": list(mesh),
    }
    return record, path


def with_hull(phases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add formation energy and height above the hull in eV/atom, against the lowest phase of each element.

    The lower hull of a binary is the chain of points at which the slope of the energy over the composition only grows.

    Args:
        phases: Records of phases, both elements among them.

    Returns:
        New records in the same order.
    """
    share = [p["symbols"].count(SYMBOLS[1]) / len(p["symbols"]) for p in phases]
    each = [p["energy_ev"] / len(p["symbols"]) for p in phases]
    ends = [min(e for e, x in zip(each, share, strict=True) if x == end) for end in (0.0, 1.0)]
    formation = [e - (1 - x) * ends[0] - x * ends[1] for e, x in zip(each, share, strict=True)]
    chain: list[tuple[float, float]] = []
    for x, e in sorted(zip(share, formation, strict=True)):
        if chain and x == chain[-1][0]:
            continue
        while len(chain) > 1 and (chain[-1][1] - chain[-2][1]) * (x - chain[-1][0]) >= (e - chain[-1][1]) * (
            chain[-1][0] - chain[-2][0]
        ):
            chain.pop()
        chain.append((x, e))
    line = np.interp(share, *np.array(chain).T)
    heights = np.array(formation) - line
    return [
        p | {"formation_energy_ev_per_atom": float(f), "above_hull_ev_per_atom": float(max(h, 0.0))}
        for p, f, h in zip(phases, formation, heights, strict=True)
    ]


def convergence_table(settings: EspressoSettings, store: Path, out: Path) -> None:
    """Write how formation energies of unrelaxed phases change with cutoff, k-spacing, smearing and symmetry."""
    wanted = ("L1_2 Al3Li", "B32 AlLi", "C11_b AlLi2", "fcc Al", "fcc Li")
    found = {str(a.info["name"]): a for a in hull_candidates()}
    variants: list[dict[str, Any]] = [{}]
    variants += [{"ecutwfc": e} for e in (16.0, 28.0, 40.0)] + [{"kspacing": k} for k in (0.35, 0.3, 0.2)]
    variants += [{"degauss": d, "kspacing": 0.2} for d in (0.05, 0.1)] + [{"symmetry": not settings.symmetry}]
    rows = []
    for changed in variants:
        other = Book(replace(settings, **changed), store, store / "unused.json")
        labels = {name: other.point(found[name]) for name in wanted}
        ends = [labels[name].energy / len(found[name]) for name in ("fcc Al", "fcc Li")]
        for name in wanted[:3]:
            share = float(np.mean(found[name].numbers == 3))
            energy = labels[name].energy / len(found[name]) - (1 - share) * ends[0] - share * ends[1]
            row: dict[str, Any] = {"changed": changed, "structure": name}
            row["formation_energy_mev_per_atom"] = round(1000 * energy, 2)
            row["pressure_gpa"] = round(-float(np.trace(labels[name].stress)) / 3 / GPA, 3)
            rows.append(row)
        write_json(out, {"settings": settings.provenance(), "rows": rows})


def alloy_reference(
    settings: EspressoSettings,
    store: str | Path,
    out: str | Path,
    first: int | None = None,
    starts: Sequence[Atoms] = (),
) -> dict[str, Any]:
    """Relax every candidate whose record is not yet in `out`, and return the contents of `out`.

    Args:
        settings: Settings of every calculation.
        store: Folder of finished single points; a repeated run goes on from there.
        out: The JSON file.
        first: How many of the candidates to go through; None: all.
        starts: Structures to begin with in place of candidates, by info["name"].

    Returns:
        {"settings": …, "phases": records, "stable": names, "failed": {name: reason}}.
    """
    book = Book(settings, Path(store), Path(store) / "unused.json")
    known = hull_candidates()
    hidden = held_out(known)
    nearer = {str(atoms.info["name"]): atoms for atoms in starts}
    beside = Path(out).with_name("paths.json")
    phases = json.loads(Path(out).read_text())["phases"] if Path(out).is_file() else []
    paths = json.loads(beside.read_text()) if beside.is_file() else {}
    failed: dict[str, str] = {}
    facts = {"settings_sha256": settings_hash(settings), **settings.provenance()}
    for atoms in known[:first]:
        if any(atoms.info["name"] == phase["name"] for phase in phases):
            continue
        try:
            made, path = relaxed(book, nearer.get(str(atoms.info["name"]), atoms))
        except CalculationError as error:
            failed[str(atoms.info["name"])] = str(error)
            continue
        phases.append(made | {"held_out": atoms.info.get("ordering") in hidden})
        write_json(beside, paths := paths | {made["name"]: path})
        if {(symbol,) for symbol in SYMBOLS} <= {tuple(sorted(set(p["symbols"]))) for p in phases}:
            phases = with_hull(phases)
            stable = [p["name"] for p in phases if p["above_hull_ev_per_atom"] < 1e-9]
            write_json(Path(out), {"settings": facts, "stable": stable, "failed": failed, "phases": phases})
    content: dict[str, Any] = json.loads(Path(out).read_text())
    return content


def relaxation_frames(settings: EspressoSettings, store: str | Path, out: str | Path) -> list[Atoms]:
    """Return labelled frames from the relaxations of phases that are not held out: start, middle and end of each.

    Args:
        settings: As for `alloy_reference`, whose `store` and `out` these are.
        store: Folder of finished single points.
        out: The JSON file of the phases.

    Returns:
        Structures with energy, forces, stress and provenance.
    """
    book = Book(settings, Path(store), Path(store) / "unused.json")
    paths = json.loads(Path(out).with_name("paths.json").read_text())
    frames = []
    for phase in json.loads(Path(out).read_text())["phases"]:
        steps = paths[phase["name"]]
        for step in [] if phase["held_out"] else sorted({0, len(steps) // 2, len(steps) - 1}):
            atoms = Atoms(phase["symbols"], steps[step]["positions"], cell=steps[step]["cell"], pbc=True)
            labels = book.point(atoms, tuple(phase["k_mesh"]))
            ordering = phase["ordering"] or phase["name"]
            atoms.info |= {"config_type": "relaxation", "ordering": ordering, "version": labels.version}
            atoms.info |= {"settings_sha256": settings_hash(settings), **settings.provenance()}
            stress = labels.stress.reshape(9)[[0, 4, 8, 5, 2, 1]]
            atoms.calc = SinglePointCalculator(atoms, energy=labels.energy, forces=labels.forces, stress=stress)
            frames.append(atoms)
    return frames


def package_frames(relaxations: list[Atoms], labelled: list[Atoms], folder: Path) -> None:
    """Write `train.xyz.gz` and `test.xyz.gz`: labelled frames by info["split"], relaxations are for training."""
    parts = {"train": list(relaxations), "test": []}
    for atoms in labelled:
        parts[atoms.info.pop("split")].append(atoms)
    for split, frames in parts.items():
        write_labelled(folder / f"{split}.xyz.gz", frames)


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line and run."""
    parser = reference_parser(__doc__)
    parser.add_argument("--first", type=int, help="how many of the candidates to go through; all if left out")
    parser.add_argument("--starts", help="structures to begin with in place of candidates of the same name")
    parser.add_argument("--frames", help="labelled frames to package beside the JSON file")
    parser.add_argument("--convergence", action="store_true", help="write convergence.json only")
    chosen = parser.parse_args(arguments)
    settings = settings_for(chosen.settings, EspressoSettings, "espresso")
    if chosen.convergence:
        convergence_table(settings, Path(chosen.store), Path(chosen.out).with_name("convergence.json"))
    elif chosen.frames:
        relaxations = relaxation_frames(settings, chosen.store, chosen.out)
        package_frames(relaxations, list(read(chosen.frames, ":")), Path(chosen.out).parent)
    else:
        starts = list(read(chosen.starts, ":")) if chosen.starts else []
        alloy_reference(settings, chosen.store, chosen.out, chosen.first, starts)


if __name__ == "__main__":
    main()
