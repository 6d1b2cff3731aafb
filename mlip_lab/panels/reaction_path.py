"""Reaction paths by clicks."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from ase import Atoms
from matplotlib.figure import Figure

from mlip_lab.core.errors import CalculationError, InputError
from mlip_lab.panels.base.capability import Capability
from mlip_lab.panels.base.fields import Field, argument_help, fields_of
from mlip_lab.panels.base.panel import Panel
from mlip_lab.panels.base.record import Number, Verdict
from mlip_lab.panels.base.shelf import StructureEntry
from mlip_lab.panels.base.snippets import literal
from mlip_lab.panels.base.standalone import shelf_of
from mlip_lab.plots import reaction_path as pictures
from mlip_lab.properties.mapping import check_pair
from mlip_lab.properties.reaction_path import ReactionPath, reaction_path

ROOM = 300.0  # K
KNOWN = 0.2  # of the barrier: a spline that far from the saddle point has too few images
NO_FIELD = ("product", "start")  # the first is added by hand, the second is what Continue passes


class _BetweenTwo(Capability):
    """A capability of two structures: its form asks for a product below the reactant."""

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        """The form, in the order of the signature."""
        reactant, *others = fields_of(_with_one_structure(self.function), dict(self.labels))
        words = argument_help(self.function)["product"]
        return (reactant, replace(reactant, name="product", label="Product", help=words), *others)


def _with_one_structure(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as its form sees it, without parameters that are no field."""

    @functools.wraps(function)
    def shown(*_: Any) -> None: ...

    signature = inspect.signature(function)
    kept = [p for name, p in signature.parameters.items() if name not in NO_FIELD]
    shown.__signature__ = signature.replace(parameters=kept)  # type: ignore[attr-defined]  # what inspect looks for
    return shown


def between(reactant: Atoms, product: Atoms, calculator: Any, **values: Any) -> Panel:
    """A panel of its own for the path between two structures.

    Args:
        reactant: Where the path begins.
        product: Where it ends.
        calculator: Any ASE calculator.
        **values: Inputs to begin with, by the names of the function's parameters.
    """
    shelf = shelf_of(reactant, calculator)
    (made,) = shelf_of(product).structures.values()
    entry = shelf.add_structure(replace(made, name="product"))
    return Panel(REACTION_PATH, shelf, {"product": entry.name, **values})


def _verdicts(path: ReactionPath) -> list[Verdict]:
    found = [Verdict("warning", words) for words in path.doubts]
    if path.converged:
        words = f"{path.steps} steps; a force of {path.max_force:.2g} eV/Å is left on the band"
        found.append(Verdict("good", "The band lies on the path of least energy.", words))
    if path.valleys:
        words = ", ".join(f"{energy:.2f} eV at {place:.2f} Å" for place, energy in path.valleys)
        text = "There is a valley on the way, so this is more than one step: the barrier is that of the highest pass."
        found.append(Verdict("warning", text, words))
    if (top := path.saddle) is not None:
        known = ", ".join(f"{-value:.2f}i" for value in top.modes.imaginary) or "none"
        words = f"imaginary modes: {known} THz; a force of {top.max_force:.1g} eV/Å is left"
        if top.certified:
            found.append(Verdict("good", "The top is a saddle point: downhill along one direction only.", words))
        else:
            found.append(Verdict("bad", "The top is no saddle point: that has exactly one imaginary mode.", words))
        off = abs(path.top[1] - path.barrier)
        if off > KNOWN * abs(path.barrier):
            words = f"the spline's top is {off:.2g} eV off the saddle point"
            found.append(Verdict("warning", "The path is coarse at its top. Take more images.", words))
    for end, modes in zip(("reactant", "product"), path.ends or (), strict=False):
        if len(modes.imaginary):
            text = f"The {end} is no minimum: it relaxes further when it is shaken. There is no rate from it."
            found.append(Verdict("bad", text, f"lowest frequency {-modes.frequencies[0]:.2f}i THz"))
    return found


def _numbers(path: ReactionPath) -> list[Number]:
    found = [
        Number("barrier", path.barrier, "eV"),
        Number("barrier back", path.reverse_barrier, "eV"),
        Number("product above reactant", path.reaction_energy, "eV"),
        Number("length of the path", float(path.distances[-1]), "Å"),
    ]
    if path.saddle is not None and len(path.saddle.modes.imaginary):
        found.append(Number("imaginary frequency", -float(path.saddle.modes.wavenumbers[0]), "1/cm"))
    for reverse, way in ((False, ""), (True, " back")):
        try:
            rate = path.rate(reverse=reverse)
        except CalculationError:
            continue
        found.append(Number(f"attempt frequency{way}", rate.prefactor, "THz"))
        found.append(Number(f"rate{way} at 300 K", float(rate.at(ROOM)), "1/s"))
    return found


def _data(path: ReactionPath) -> dict[str, Any]:
    data = {
        "symbols": path.atoms.get_chemical_symbols(),
        "cell_ang": path.atoms.cell.array.tolist(),
        "distances_ang": path.distances.tolist(),
        "energies_ev": path.energies.tolist(),
        "slopes_ev_per_ang": path.slopes.tolist(),
        "positions_ang": path.positions.tolist(),
        "forces_ev_per_ang": path.forces.tolist(),
    }
    if path.saddle is not None:
        data |= {
            "saddle_energy_ev": path.saddle.energy,
            "saddle_positions_ang": path.saddle.atoms.positions.tolist(),
            "saddle_frequencies_thz": path.saddle.modes.frequencies.tolist(),
        }
    return data


def _live(live: Mapping[str, Any]) -> Figure | None:
    return pictures.reaction_path(live["so_far"]()) if "so_far" in live else None


def _needs(values: Mapping[str, Any]) -> str:
    if values["atoms"] == values["product"]:
        return "Reactant and product are the same. Choose another structure for one of them."
    try:
        check_pair(values["atoms"], values["product"])
    except InputError as error:
        return str(error)[0].upper() + str(error)[1:]
    return ""


def _resume(partial: ReactionPath, arguments: Mapping[str, Any], progress: Callable[..., None]) -> ReactionPath:
    return reaction_path(**arguments, start=partial, progress=progress)


def _keep(path: ReactionPath, _: Mapping[str, Any]) -> Sequence[StructureEntry]:
    if path.saddle is None:
        return ()
    atoms = path.saddle.atoms.copy()
    name = f"{atoms.get_chemical_formula()} saddle point, {len(atoms)} atoms"
    return (StructureEntry(name, atoms, literal(atoms)),)


REACTION_PATH = _BetweenTwo(
    function=reaction_path,
    title="Reaction path",
    meaning="The way from one structure to another that climbs least, and how often it is taken.",
    shows="energy along the path, then the rate over temperature",
    group="Reaction",
    formula=(
        "$$\\mathbf F_i=\\mathbf F_i^{\\perp}+k\\,(|\\mathbf R_{i+1}-\\mathbf R_i|-|\\mathbf R_i-\\mathbf R_{i-1}|)\\,"
        "\\hat\\tau_i,\\qquad k(T)=\\frac{\\prod\\nu_i}{\\prod'\\nu_i^\\ddagger}\\,e^{-\\Delta E/k_BT}$$ "
        "Images slide down across the path and are kept apart along it; the highest one climbs (Henkelman and others, "
        "<a href='https://doi.org/10.1063/1.1323224'>10.1063/1.1323224</a>, "
        "<a href='https://doi.org/10.1063/1.1329672'>10.1063/1.1329672</a>). The rate counts frequencies of the "
        "minimum against those of the saddle (Vineyard, "
        "<a href='https://doi.org/10.1016/0022-3697(57)90059-8'>10.1016/0022-3697(57)90059-8</a>)."
    ),
    picture=pictures.reaction_path,
    live=_live,
    verdicts=_verdicts,
    numbers=_numbers,
    data=_data,
    frames=lambda path: (path.atoms, path.positions),
    needs=_needs,
    resume=_resume,
    keep=_keep,
    labels={
        "atoms": "Reactant",
        "calculator": "Potential",
        "images": "Images",
        "force": "Largest force left",
        "end_force": "At ends and saddle",
        "climb": "Highest image climbs",
        "saddle": "Find the saddle point",
        "rates": "Rates",
        "steps": "Steps at most",
    },
    advanced=("end_force", "climb", "relax_ends", "saddle", "rates", "displacement", "steps"),
)
