"""Equation of state by clicks."""

from __future__ import annotations

from typing import Any, get_args

from mlip_lab.core.errors import CalculationError
from mlip_lab.panels.base.capability import Capability, needs_crystal
from mlip_lab.panels.base.record import Number, Verdict
from mlip_lab.plots import equation_of_state as pictures
from mlip_lab.properties.equation_of_state import EquationOfState, equation_of_state
from mlip_lab.properties.volume_curves import Form

SMOOTH = 1e-3  # eV/atom between energies and curve
SHOWN = 1e-4  # in each unit; a smaller error of the fit is given as this
FORM_AGREES = 0.02  # of the bulk modulus, between two forms of curve


def _verdicts(result: EquationOfState) -> list[Verdict]:
    words = f"root mean square distance {1000 * result.residual:.2g} meV/atom"
    if result.residual < SMOOTH:
        found = [Verdict("good", "The energies lie on one smooth curve.", words)]
    else:
        text = "The energies scatter about the curve. Take a smaller range of volumes."
        found = [Verdict("warning", text, words)]
    return [*found, *_forms(result)]


def _forms(result: EquationOfState) -> list[Verdict]:
    """What the other form of curve says of the same points: a better error bar than the scatter's."""
    forms: tuple[Form, Form] = get_args(Form)
    other = forms[1] if result.fit.form == forms[0] else forms[0]
    try:
        fit = result.fitted(other)
    except CalculationError:
        return []
    change = abs(fit.bulk_modulus / result.bulk_modulus - 1)
    words = f"{other}: {fit.bulk_modulus:.2f} GPa, derivative {fit.derivative:.2f}"
    if change < FORM_AGREES:
        return [Verdict("good", "Another form of curve gives the same bulk modulus to 2 %.", words)]
    text = f"Another form of curve gives a bulk modulus {100 * change:.0f} % off. Take a smaller range of volumes."
    return [Verdict("warning", text, words)]


def _numbers(result: EquationOfState) -> list[Number]:
    found = [Number("lattice constant", result.lattice_constant, "Å")] if result.lattice_constant else []
    volume, energy, bulk_modulus, derivative = (max(error, SHOWN) for error in result.fit.errors)
    return [
        *found,
        Number("volume", result.volume, "Å³/atom", volume),
        Number("energy", result.energy, "eV/atom", energy),
        Number("bulk modulus", result.bulk_modulus, "GPa", bulk_modulus),
        Number("its pressure derivative", result.bulk_modulus_derivative, "", derivative),
        Number("largest force left", result.max_force, "eV/Å"),
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
        "$$B=V\\frac{\\partial^2E}{\\partial V^2}$$ at the minimum of a curve through the energies: third-order "
        "Birch–Murnaghan (<a href='https://doi.org/10.1103/PhysRev.71.809'>10.1103/PhysRev.71.809</a>) or Vinet's "
        "(<a href='https://doi.org/10.1103/PhysRevB.35.1945'>10.1103/PhysRevB.35.1945</a>). The errors are those of "
        "the fit; the other form of curve tells what a fit cannot know."
    ),
    picture=pictures.equation_of_state,
    verdicts=_verdicts,
    numbers=_numbers,
    data=_data,
    needs=needs_crystal,
    unit="volumes",
    starts_over=True,
    labels={"atoms": "Structure", "calculator": "Potential", "relax": "Relax ions", "form": "Curve"},
    advanced=("force", "points", "form"),
)
