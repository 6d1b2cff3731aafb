"""The convex hull of an alloy by clicks."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.io import write
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mlip_lab.core.errors import InputError
from mlip_lab.data.orderings import species_in
from mlip_lab.panels.base.capability import Capability, Frames
from mlip_lab.panels.base.record import Number, Verdict
from mlip_lab.plots import convex_hull as pictures
from mlip_lab.workflows.convex_hull import RelaxedHull, convex_hull

CLOSE = 0.005  # eV/atom; potentials and labels are seldom better than this
MEV = 1000.0


def _verdicts(result: RelaxedHull) -> list[Verdict]:
    hull, found = result.hull, []
    compounds = [i for i in hull.stable if hull.compounds[i]]
    names = ", ".join(hull.names[i] for i in compounds)
    if compounds:
        found.append(Verdict("good", f"Stable against falling apart: {names}."))
    else:
        found.append(Verdict("warning", "No compound is stable: the elements would rather stay apart."))
    shaky = [i for i in compounds if -hull.margins[i] < CLOSE]
    if shaky:
        words = "; ".join(f"{hull.names[i]} by {-MEV * hull.margins[i]:.1f} meV/atom" for i in shaky)
        found.append(Verdict("warning", "Some are stable by less than potentials are usually right.", words))
    near = [i for i in np.argsort(hull.above) if 0 < hull.above[i] < CLOSE and hull.compounds[i]]
    if near:
        words = "; ".join(f"{hull.names[i]} {MEV * hull.above[i]:.1f} meV/atom above" for i in near)
        found.append(Verdict("warning", f"{len(near)} more lie so near to the hull that they may be stable.", words))
    if result.failed:
        words = "; ".join(f"{name}: {reason}" for name, reason in result.failed.items())
        found.append(Verdict("warning", f"{len(result.failed)} candidates were left out.", words))
    else:
        found.append(Verdict("good", "Every candidate was relaxed.", f"{len(hull.names)} candidates"))
    return found


def _numbers(result: RelaxedHull) -> list[Number]:
    hull = result.hull
    found = []
    for i in sorted((i for i in hull.stable if hull.compounds[i]), key=lambda i: hull.formation[i]):
        found.append(Number(f"formation energy of {hull.names[i]}", MEV * float(hull.formation[i]), "meV/atom"))
    for element, i in zip(hull.elements, hull.references, strict=True):
        found.append(
            Number(f"energy of {hull.names[i]}, the reference of {element}", float(hull.energies[i]), "eV/atom")
        )
    return found


def _data(result: RelaxedHull) -> dict[str, Any]:
    hull = result.hull
    rows = []
    for i, name in enumerate(hull.names):
        atoms = result.structures[i]
        rows.append(
            {
                "name": name,
                "fractions": dict(zip(hull.elements, hull.fractions[i].tolist(), strict=True)),
                "energy_ev_per_atom": float(hull.energies[i]),
                "formation_energy_ev_per_atom": float(hull.formation[i]),
                "above_hull_ev_per_atom": float(hull.above[i]),
                "falls_apart_into": hull.decomposition(name),
                "volume_ang3_per_atom": float(atoms.cell.volume / len(atoms)),
            }
        )
    return {"phases": rows, "failed": result.failed}


def _files(result: RelaxedHull) -> dict[str, bytes]:
    """The relaxed structures."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "phases.xyz"
        write(path, list(result.structures), format="extxyz")
        return {"phases.xyz": path.read_bytes()}


def _frames(result: RelaxedHull) -> tuple[Atoms, NDArray[Any]]:
    """The phase of largest formation energy, a few cells of it."""
    atoms = result.structures[int(np.argmin(result.hull.formation))].repeat(2)
    return atoms, atoms.positions[None]


def _picked(result: RelaxedHull, figure: Figure, x: float, y: float) -> tuple[Frames, str] | None:
    """The phase that was clicked on."""
    index = pictures.phase_at(result.hull, figure, x, y)
    if index is None:
        return None
    atoms = result.structures[index].repeat(2)
    return (atoms, atoms.positions[None]), f"{pictures.said(result.hull, index)}. It is in the Lab's viewer."


def _pointed(result: RelaxedHull, figure: Figure, x: float, y: float) -> str:
    """Name and energies of the phase under the mouse."""
    index = pictures.phase_at(result.hull, figure, x, y)
    return "" if index is None else f"{pictures.said(result.hull, index)}."


def _needs(values: Mapping[str, Any]) -> str:
    try:
        species_in(values["symbols"])
    except InputError as error:
        return str(error)
    return ""


CONVEX_HULL = Capability(
    function=convex_hull,
    title="Convex hull",
    meaning="Which compounds of some elements are stable, and what the others fall apart into.",
    shows="the formation energy of every candidate, and the hull below them",
    group="Crystal",
    formula=(
        "$$E_f=E-\\sum_i x_i E_i,\\qquad E_{hull}(x)=\\min_\\lambda\\Big\\{\\sum_j\\lambda_jE_j:\\ "
        "\\lambda_j\\ge0,\\ \\sum_j\\lambda_jx_j=x\\Big\\}$$ A phase on the hull is stable: no mixture of others has "
        "less energy. One above it falls apart into the phases with $\\lambda_j>0$. Candidates are every ordering on "
        "fcc and bcc lattices up to a size (Hart and Forcade, "
        "<a href='https://doi.org/10.1103/PhysRevB.77.224115'>10.1103/PhysRevB.77.224115</a>) and named prototypes; "
        "entropy is left out, so this is the hull at 0 K."
    ),
    picture=lambda result: pictures.convex_hull(result.hull),
    verdicts=_verdicts,
    numbers=_numbers,
    data=_data,
    files=_files,
    frames=_frames,
    picked=_picked,
    pointed=_pointed,
    invites="Rest on a phase to read what it is; click on it to see it in the Lab's viewer.",
    needs=_needs,
    extra=lambda _: {"folder": tempfile.mkdtemp(prefix="mlip_lab-hull-")},
    unit="candidates",
    defaults={"symbols": "Al Ni", "largest": 4},
    labels={
        "symbols": "Elements",
        "calculator": "Potential",
        "largest": "Largest cell (atoms)",
        "symmetry": "Keep symmetry",
        "force": "Force to be left",
        "steps": "Steps at most",
    },
    advanced=("symmetry", "force", "steps"),
    left_out=("folder",),
)
