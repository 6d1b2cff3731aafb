"""Elastic constants by clicks."""

from __future__ import annotations

from typing import Any

from mlip_lab.panels.base.capability import Capability, needs_crystal
from mlip_lab.panels.base.record import Number, Verdict
from mlip_lab.plots import elastic as pictures
from mlip_lab.properties.elastic import ElasticResult, Tensor, elastic
from mlip_lab.properties.elastic_tensor import zener_anisotropy

STRAIGHT = 0.05  # change of a constant at the largest strain that a student need not think about
SHOWN = 1e-3  # GPa; a smaller numerical error is given as this
ROUTES_AGREE = 0.005  # between stresses and energies, as a fraction of the largest constant


def _verdicts(result: ElasticResult) -> list[Verdict]:
    found = [*_stability(result), _linearity(result)]
    if (off := result.disagreement) is not None:
        words = f"largest difference {100 * off:.2g} % of the largest constant"
        if off < ROUTES_AGREE:
            found.append(Verdict("good", "Stresses and energies give the same constants.", words))
        else:
            text = "Stresses and energies disagree. Take another strain, or tighten the calculator."
            found.append(Verdict("bad", text, words))
    left = f"a force of {result.max_force:.2g} eV/Å and a stress of {abs(result.stress).max():.2g} GPa are left"
    return [*found, Verdict("good", "The crystal was relaxed when it was strained.", left)]


def _stability(result: ElasticResult) -> list[Verdict]:
    conditions = result.born
    details = "; ".join(f"{c.formula}: {c.value:.3g}" for c in conditions)
    broken = [c for c in conditions if not c.holds]
    if not broken:
        return [Verdict("good", f"Stable: any small strain of this {result.system} crystal costs energy.", details)]
    return [Verdict("bad", f"Not stable ({c.formula} does not hold). {c.meaning}", details) for c in broken]


def _linearity(result: ElasticResult) -> Verdict:
    bend, strain = result.tensor.nonlinearity, result.strain
    words = f"from the largest strain, {strain:g}, alone a constant would be {100 * bend:.2g} % of the largest one off"
    words += f"; largest |C_ij − C_ji| {result.tensor.asymmetry:.2g} GPa"
    if bend < STRAIGHT:
        return Verdict("good", "The strain is small enough: the response is a straight line.", words)
    text = f"At the largest strain the constants are {100 * bend:.0f} % off. Take a smaller strain."
    return Verdict("warning", text, words)


def _numbers(result: ElasticResult) -> list[Number]:
    error = max(float(result.errors.max()), SHOWN)
    found = [Number(name, value, "GPa", error) for name, value in result.independent.items()]
    if result.relaxed is not None:
        found.append(Number("C44 with clamped ions", result.named(result.clamped)["C44"], "GPa", _error(result)))
    if not result.stable:
        return found
    moduli = result.averages
    bulk_bounds = abs(moduli.bulk_voigt - moduli.bulk_reuss) / 2
    shear_bounds = abs(moduli.shear_voigt - moduli.shear_reuss) / 2
    found += [
        Number("bulk modulus (Hill)", moduli.bulk, "GPa", max(bulk_bounds, error)),
        Number("shear modulus (Hill)", moduli.shear, "GPa", max(shear_bounds, error)),
        Number("Young's modulus (Hill)", moduli.young, "GPa"),
        Number("Poisson's ratio (Hill)", moduli.poisson),
    ]
    if result.system == "cubic":
        found.append(Number("Zener anisotropy", zener_anisotropy(*result.independent.values())))
    return found


def _error(result: ElasticResult) -> float:
    tensors = result.by_stress or result.by_energy
    return max(float(tensors[0].errors.max()), SHOWN)


def _data(result: ElasticResult) -> dict[str, Any]:
    def rows(tensors: tuple[Tensor, ...]) -> dict[str, Any]:
        kinds = zip(("clamped", "relaxed"), tensors, strict=False)
        return {
            kind: {"constants_gpa": tensor.constants.tolist(), "errors_gpa": tensor.errors.tolist()}
            for kind, tensor in kinds
        }

    order = ["xx", "yy", "zz", "yz", "xz", "xy"]
    return {
        "voigt_order": order,
        "largest_strain": result.strain,
        "crystal_system": result.system,
        "from_stresses": rows(result.by_stress),
        "from_energies": rows(result.by_energy),
    }


ELASTIC = Capability(
    function=elastic,
    title="Elastic constants",
    meaning="How stiff a crystal is against each small strain, with its ions held in place and with its ions free.",
    shows="the constants as bars, and Young's modulus in every direction",
    group="Crystal",
    formula=(
        "$$C_{ij}=\\frac{\\partial S_i}{\\partial\\eta_j}=\\frac1{V_0}\\frac{\\partial^2E}{\\partial\\eta_i\\,"
        "\\partial\\eta_j}$$ from stresses, from energies, or both, under pairs of strains $\\pm\\eta$ of several "
        "sizes. Ions that are free to move soften a crystal wherever a strain pushes on them, as a shear does in "
        "diamond: an experiment sees the relaxed constants. What keeps a crystal stable depends on its system "
        "(Mouhat and Coudert, <a href='https://doi.org/10.1103/PhysRevB.90.224104'>10.1103/PhysRevB.90.224104</a>). "
        "The error of a modulus of the polycrystal is half the distance between Voigt's and Reuss's bounds."
    ),
    picture=pictures.overview,
    verdicts=_verdicts,
    numbers=_numbers,
    data=_data,
    needs=needs_crystal,
    unit="strained cells",
    starts_over=True,
    defaults={"relax_first": True},
    labels={
        "atoms": "Structure",
        "calculator": "Potential",
        "strain": "Largest strain",
        "amplitudes": "Sizes of strain",
        "relax": "Relax ions",
        "relax_first": "Relax crystal first",
    },
    advanced=("force", "amplitudes", "route"),
)
