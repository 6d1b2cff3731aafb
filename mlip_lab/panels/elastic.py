"""Elastic constants by clicks."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from mlip_lab.core.errors import CalculationError
from mlip_lab.panels.base.capability import Capability, needs_crystal
from mlip_lab.panels.base.record import Number, Verdict
from mlip_lab.plots import elastic as pictures
from mlip_lab.properties.elastic import ElasticResult, cubic_constants, elastic


def _picture(result: ElasticResult) -> Figure:
    return pictures.elastic(result)


def _verdicts(result: ElasticResult) -> list[Verdict]:
    smallest = f"smallest eigenvalue {result.eigenvalues[0]:.3g} GPa"
    stable = Verdict("good", "Stable: any small strain costs energy.", smallest)
    if not result.stable:
        stable = Verdict("bad", "Not stable: some small strain lowers the energy.", smallest)
    even = f"largest |C_ij − C_ji| {result.asymmetry:.2g} GPa at strain {result.strain:g}"
    if result.asymmetry < 0.01 * abs(result.constants).max():
        return [stable, Verdict("good", "The strain is small enough: the tensor is symmetric.", even)]
    return [stable, Verdict("warning", "The tensor is not quite symmetric. Take a smaller strain.", even)]


def _numbers(result: ElasticResult) -> list[Number]:
    try:
        names = ("C11", "C12", "C44")
        found = [
            Number(name, value, "GPa") for name, value in zip(names, cubic_constants(result.constants), strict=True)
        ]
    except CalculationError:
        found = [Number(f"C{i + 1}{i + 1}", float(result.constants[i, i]), "GPa") for i in range(6)]
    if result.relaxed is not None:
        found.append(Number("C44 with clamped ions", float(result.clamped[3, 3]), "GPa"))
    if result.stable:
        found.append(Number("bulk modulus (Hill)", result.averages.bulk, "GPa"))
        found.append(Number("shear modulus (Hill)", result.averages.shear, "GPa"))
    return found


def _data(result: ElasticResult) -> dict[str, Any]:
    relaxed = None if result.relaxed is None else result.relaxed.tolist()
    order = ["xx", "yy", "zz", "yz", "xz", "xy"]
    return {"voigt_order": order, "clamped_gpa": result.clamped.tolist(), "relaxed_gpa": relaxed}


ELASTIC = Capability(
    function=elastic,
    title="Elastic constants",
    meaning="How stiff a crystal is against each small strain, with its ions held in place and with its ions free.",
    shows="the constants as bars",
    group="Crystal",
    formula=(
        "$$C_{ij}=\\frac{\\partial\\sigma_i}{\\partial\\varepsilon_j}$$ by central differences of the stress. "
        "Ions that are free to move soften a crystal wherever a strain pushes on them, as a shear does in diamond: "
        "an experiment sees the relaxed constants. Stable if every eigenvalue is positive "
        "(Mouhat and Coudert, <a href='https://doi.org/10.1103/PhysRevB.90.224104'>10.1103/PhysRevB.90.224104</a>)."
    ),
    picture=_picture,
    verdicts=_verdicts,
    numbers=_numbers,
    data=_data,
    needs=needs_crystal,
    unit="strained cells",
    starts_over=True,
    labels={"atoms": "Structure", "calculator": "Potential", "strain": "Strain amplitude", "relax": "Relax ions"},
    advanced=("force",),
)
