"""Equation of state by clicks."""

from __future__ import annotations

from typing import Any

from mlip_lab.panels.base.capability import Capability, needs_crystal
from mlip_lab.panels.base.record import Number, Verdict
from mlip_lab.plots import equation_of_state as pictures
from mlip_lab.properties.equation_of_state import EquationOfState, equation_of_state

SMOOTH = 1e-3  # eV/atom between energies and curve


def _verdicts(result: EquationOfState) -> list[Verdict]:
    words = f"root mean square distance {1000 * result.residual:.2g} meV/atom"
    if result.residual < SMOOTH:
        return [Verdict("good", "The energies lie on one smooth curve.", words)]
    return [Verdict("warning", "The energies scatter about the curve. Take a smaller range of volumes.", words)]


def _numbers(result: EquationOfState) -> list[Number]:
    found = [Number("lattice constant", result.lattice_constant, "Å")] if result.lattice_constant else []
    return [
        *found,
        Number("volume", result.volume, "Å³/atom"),
        Number("energy", result.energy, "eV/atom"),
        Number("bulk modulus", result.bulk_modulus, "GPa"),
        Number("its pressure derivative", result.bulk_modulus_derivative),
    ]


def _data(result: EquationOfState) -> dict[str, Any]:
    return {"volumes_ang3_per_atom": result.volumes.tolist(), "energies_ev_per_atom": result.energies.tolist()}


EQUATION_OF_STATE = Capability(
    function=equation_of_state,
    title="Equation of state",
    meaning="Energy against volume: how large the crystal is when nothing presses on it, and how hard to squeeze.",
    shows="energy over volume",
    group="Crystal",
    formula=(
        "$$B=V\\frac{\\partial^2E}{\\partial V^2}$$ at the minimum of a third-order Birch–Murnaghan curve through the "
        "energies (Birch, <a href='https://doi.org/10.1103/PhysRev.71.809'>10.1103/PhysRev.71.809</a>)."
    ),
    picture=pictures.equation_of_state,
    verdicts=_verdicts,
    numbers=_numbers,
    data=_data,
    needs=needs_crystal,
    unit="volumes",
    starts_over=True,
    labels={"atoms": "Structure", "calculator": "Potential", "relax": "Relax ions"},
    advanced=("force", "points"),
)
