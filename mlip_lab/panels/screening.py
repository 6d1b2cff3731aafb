"""Screening of many hops by clicks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mlip_lab.core.errors import InputError
from mlip_lab.panels.base.capability import Capability
from mlip_lab.panels.base.record import Number, Verdict
from mlip_lab.plots import screening as pictures
from mlip_lab.properties.hops import adsorbate_hops, vacancy_hops
from mlip_lab.workflows.screening import Screening, screening

HOME = "screenings"  # folder beside the notebook
NAMED = 3  # failed paths whose reasons are shown


def _verdicts(result: Screening) -> list[Verdict]:
    found = []
    if result.good:
        words = f"{len(result.good)} of {len(result.hops)} paths"
        found.append(Verdict("good", "Each barrier is that of a saddle point with one imaginary mode.", words))
    failed = result.failed
    for name, why in list(failed.items())[:NAMED]:
        found.append(Verdict("warning", f"{name}: no barrier. {why}"))
    if len(failed) > NAMED:
        found.append(Verdict("warning", f"{len(failed) - NAMED} more paths have no barrier.", ", ".join(failed)))
    if result.lost:
        text = f"{len(result.lost)} paths were lost with their processes. Run again: what is done is kept."
        found.append(Verdict("warning", text, ", ".join(result.lost)))
    return found


def _numbers(result: Screening) -> list[Number]:
    found = [Number("paths with a saddle point", len(result.good)), Number("paths without", len(result.failed))]
    if not result.good:
        return found
    for kind in sorted({path.kind for path in result.good}):
        values = pictures.both_ways(result, kind)
        found.append(Number(f"median barrier, {kind}", float(np.median(values)), "eV"))
    barriers = result.barriers
    return [
        *found,
        Number("lowest barrier", float(barriers.min()), "eV"),
        Number("highest barrier", float(barriers.max()), "eV"),
    ]


def _data(result: Screening) -> dict[str, Any]:
    rows = [
        {
            "name": path.name,
            "kind": path.kind,
            "barrier_ev": path.barrier,
            "reaction_energy_ev": path.reaction_energy,
            "imaginary_thz": list(path.imaginary),
            "prefactor_thz": path.prefactor,
            "error": path.error,
        }
        for path in result.paths.values()
    ]
    return {"paths": rows, "folder": None if result.folder is None else str(result.folder)}


def _frames(result: Screening) -> tuple[Atoms, NDArray[Any]]:
    """The path of the lowest barrier; the first reactant where there is none."""
    done = [(path.barrier, k) for k, path in result.paths.items() if path.certified and path.barrier is not None]
    if not done:
        first = result.hops[0].reactant
        return first, first.positions[None]
    _, k = min(done)
    return result.hops[k].reactant, np.array(result.paths[k].positions)


def _live(live: Mapping[str, Any]) -> Figure | None:
    return pictures.screening(live["so_far"]()) if "so_far" in live else None


def _needs(values: Mapping[str, Any]) -> str:
    atoms, kind = values["atoms"], values["kind"]
    try:
        hops = (
            vacancy_hops(atoms, count=1) if kind == "vacancy" else adsorbate_hops(atoms, values["adsorbate"], count=1)
        )
    except InputError as error:
        words = str(error).removeprefix("atoms: ")
        return words[:1].upper() + words[1:]
    return "" if hops else "This structure has no two sites that an atom could hop between."


def _shown(values: Mapping[str, Any]) -> list[str]:
    every = ["atoms", "calculator", "kind", "adsorbate", "count", "images", "force", "rates", "seed"]
    return [name for name in every if name != "adsorbate" or values["kind"] == "adsorbate"]


def _extra(_: Mapping[str, Any]) -> dict[str, Any]:
    """A folder of its own for each run, in which Continue finds what is done."""
    names = (Path(HOME) / str(n) for n in range(1, 10_000))
    return {"folder": next(path for path in names if not path.exists())}


SCREENING = Capability(
    function=screening,
    title="Screening of hops",
    meaning="The barriers of many hops, each in its own surroundings: what an alloy makes of one number.",
    shows="how the barriers are distributed",
    group="Reaction",
    formula=(
        "$$k=\\sum_i p_i\\,\\nu_i\\,e^{-\\Delta E_i/k_BT}$$ In an alloy no two hops have the same neighbours, so there "
        "is no one barrier but a distribution, and the low ones carry most of the motion. A path and its way back "
        "differ by the energy of reaction."
    ),
    picture=pictures.screening,
    live=_live,
    verdicts=_verdicts,
    numbers=_numbers,
    data=_data,
    frames=_frames,
    needs=_needs,
    shown=_shown,
    extra=_extra,
    unit="paths",
    labels={
        "atoms": "Structure",
        "calculator": "Potential",
        "kind": "What hops",
        "adsorbate": "Element that hops",
        "count": "Hops at most",
        "images": "Images",
        "force": "Largest force left",
        "rates": "Rates",
    },
    advanced=("images", "force", "rates", "seed"),
    left_out=("folder", "again"),
)
