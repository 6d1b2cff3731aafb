"""Thermal expansion by clicks."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlip_lab.panels.base.capability import Capability, needs_crystal
from mlip_lab.panels.base.record import Number, Verdict
from mlip_lab.plots import thermal_expansion as pictures
from mlip_lab.properties.thermal_expansion import ThermalExpansion, thermal_expansion

ROOM = 300.0  # K


def _verdicts(result: ThermalExpansion) -> list[Verdict]:
    found = [Verdict("good", "Every mode is stable at every volume.", f"{len(result.volumes)} volumes")]
    if result.stopped_at is not None:
        text = f"At {result.stopped_at:.0f} K the crystal grows out of the range of volumes. Take a larger swell."
        found.append(Verdict("warning", text, f"largest volume {result.volumes[-1]:.3g} Å³/atom"))
    if result.expansion[1:].min() < 0:
        cold = float(result.temperatures[1:][np.argmin(result.expansion[1:])])
        text = "It shrinks on warming where it is cold: some modes soften when squeezed."
        found.append(Verdict("good", text, f"most at {cold:.0f} K"))
    return found


def _numbers(result: ThermalExpansion) -> list[Number]:
    at = min(ROOM, float(result.temperatures[-1]))
    growth = result.volume[0] / result.volumes[np.argmin(result.energies)] - 1

    def then(values: Any) -> float:
        return float(np.interp(at, result.temperatures, values))

    return [
        Number(f"linear expansion at {at:.0f} K", then(result.expansion) / 3, "1e-6/K"),
        Number(f"volume at {at:.0f} K", then(result.volume), "Å³/atom"),
        Number(f"bulk modulus at {at:.0f} K", then(result.bulk_modulus), "GPa"),
        Number("growth by zero-point motion", 100 * float(growth), "% of the volume"),
    ]


def _data(result: ThermalExpansion) -> dict[str, Any]:
    return {
        "volumes_ang3_per_atom": result.volumes.tolist(),
        "energies_ev_per_atom": result.energies.tolist(),
        "temperatures_k": result.temperatures.tolist(),
        "volume_ang3_per_atom": result.volume.tolist(),
        "bulk_modulus_gpa": result.bulk_modulus.tolist(),
        "volumetric_expansion_1e-6_per_k": result.expansion.tolist(),
    }


THERMAL_EXPANSION = Capability(
    function=thermal_expansion,
    title="Thermal expansion",
    meaning="How a crystal grows when it is warmed, because its waves soften as it grows.",
    shows="free energy over volume, and the expansion over temperature",
    group="Crystal",
    formula=(
        "$$V(T)=\\arg\\min_V\\;E(V)+\\sum_{\\mathbf q\\nu}\\left[\\tfrac12\\hbar\\omega+k_BT\\ln\\left(1-e^{-\\hbar"
        "\\omega/k_BT}\\right)\\right]$$ with $\\omega_{\\mathbf q\\nu}(V)$ from phonons at each volume: the "
        "quasi-harmonic approximation (Baroni, Giannozzi and Isaev, "
        "<a href='https://doi.org/10.2138/rmg.2010.71.3'>10.2138/rmg.2010.71.3</a>). What phonons do to each other at "
        "one volume is left out."
    ),
    picture=pictures.thermal_expansion,
    verdicts=_verdicts,
    numbers=_numbers,
    data=_data,
    needs=needs_crystal,
    unit="volumes",
    starts_over=True,
    defaults={"relax_first": True},
    labels={"atoms": "Structure", "calculator": "Potential", "relax_first": "Relax crystal first"},
    advanced=("force", "displacement", "mesh", "points", "shrink", "swell"),
)
