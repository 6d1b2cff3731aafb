"""Relaxation by clicks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from mlip_lab.panels.base.capability import Capability
from mlip_lab.panels.base.record import Number, Verdict
from mlip_lab.panels.base.shelf import StructureEntry
from mlip_lab.plots import relax as pictures
from mlip_lab.properties.relax import RelaxResult, relax


def _live(live: Mapping[str, Any]) -> Figure | None:
    trace = live["trace"]
    return pictures.descent(trace["energy"], trace["max_force"], len(live["atoms"]))


def _verdicts(result: RelaxResult) -> list[Verdict]:
    left = f"a force of {result.max_force:.2g} eV/Å is left"
    if result.stress is not None:
        left += f", a stress of {abs(result.stress).max():.2g} GPa"
    words = f"Relaxed in {result.steps} steps. The relaxed structure is on the list of structures."
    found = [Verdict("good", words, left)]
    if result.kept_symmetry is not None:
        words = f"The space group {result.kept_symmetry} was kept."
        found.append(Verdict("good", words, "A step that breaks the symmetry may still lower the energy."))
    return found


def _numbers(result: RelaxResult) -> list[Number]:
    atoms = result.atoms
    found = [
        Number("energy", result.energy / len(atoms), "eV/atom"),
        Number("largest force left", result.max_force, "eV/Å"),
        Number("steps", result.steps),
    ]
    if result.stress is not None:
        found.append(Number("largest stress left", float(abs(result.stress).max()), "GPa"))
    if atoms.pbc.all():
        found.append(Number("volume", atoms.get_volume() / len(atoms), "Å³/atom"))
        lengths = atoms.cell.lengths()
        found += [Number(name, float(length), "Å") for name, length in zip("abc", lengths, strict=True)]
    return found


def _data(result: RelaxResult) -> dict[str, Any]:
    return {
        "energies_ev": result.energies.tolist(),
        "max_forces_ev_per_ang": result.max_forces.tolist(),
        "positions_ang": result.atoms.positions.tolist(),
        "cell_ang": result.atoms.cell.array.tolist(),
        "symbols": result.atoms.get_chemical_symbols(),
    }


def _needs(values: Mapping[str, Any]) -> str:
    if values["symmetry"] and not values["atoms"].pbc.all():
        return "Only a crystal has a space group to keep. Switch Keep symmetry off, or choose a crystal."
    if values["cell"] and not values["atoms"].pbc.all():
        return "A cell relaxes only if it is periodic in three directions. Switch Relax cell off, or choose a crystal."
    if values["pressure"] != 0 and not values["cell"]:
        return "A pressure has no effect on a fixed cell. Switch Relax cell on, or set the pressure to 0."
    return ""


def _keep(result: RelaxResult, _: Mapping[str, Any]) -> Sequence[StructureEntry]:
    from mlip_lab.panels.base.snippets import literal

    atoms = result.atoms.copy()
    name = f"{atoms.get_chemical_formula()} relaxed, {len(atoms)} atoms"
    return (StructureEntry(name, atoms, literal(atoms)),)


RELAX = Capability(
    function=relax,
    title="Relax",
    meaning="Moves the atoms, and the cell if asked to, downhill to the nearest structure without forces.",
    shows="energy and largest force, step by step",
    group="Crystal",
    formula=(
        "$$\\mathbf F_i=-\\frac{\\partial E}{\\partial\\mathbf r_i}=0,\\qquad \\sigma=\\frac1V"
        "\\frac{\\partial E}{\\partial\\varepsilon}=-p$$ Quasi-Newton steps on positions and on the logarithm of the "
        "cell's deformation. Most properties begin here: a crystal under stress is not the crystal that was meant."
    ),
    picture=pictures.relax,
    live=_live,
    verdicts=_verdicts,
    numbers=_numbers,
    data=_data,
    frames=lambda result: (result.atoms, result.atoms.positions[None]),
    needs=_needs,
    keep=_keep,
    starts_over=True,
    labels={
        "atoms": "Structure",
        "calculator": "Potential",
        "force": "Largest force left",
        "cell": "Relax cell",
        "symmetry": "Keep symmetry",
    },
    advanced=("steps", "pressure", "symmetry"),
)
