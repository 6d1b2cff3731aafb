"""Diffusion by clicks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlip_lab.panels.base.capability import Capability
from mlip_lab.panels.base.record import Number, Verdict
from mlip_lab.plots import diffusion as pictures
from mlip_lab.plots.style import rounded
from mlip_lab.properties.diffusion import Diffusion, diffusion
from mlip_lab.properties.trajectories import obstacle

SEEN = 3.0  # errors that a diffusion constant must be away from zero
ALIKE = 3.0  # errors that the two may be apart
SQUARE_METRES = 10.0  # 1 Å²/ps is 10 · 10⁻⁹ m²/s


def _verdicts(result: Diffusion) -> list[Verdict]:
    line, memory = result.by_displacement, result.by_velocity
    words = f"{rounded(*line)} Å²/ps from displacements"
    if line.value > SEEN * line.error:
        found = [Verdict("good", "The atoms diffuse.", words)]
    else:
        found = [Verdict("warning", "No diffusion is seen: a solid, or too short a run.", words)]
    apart = abs(line.value - memory.value) / (line.error**2 + memory.error**2 + 1e-300) ** 0.5
    words = f"{rounded(*memory)} Å²/ps from velocities, {apart:.1f} standard errors away"
    if apart < ALIKE:
        found.append(Verdict("good", "Displacements and velocities agree.", words))
    else:
        text = "Displacements and velocities disagree. Give a later start of the fit, or save frames more often."
        found.append(Verdict("warning", text, words))
    if not result.measured_velocities:
        found.append(Verdict("warning", "The frames hold no velocities; displacements between them stand in."))
    return found


def _numbers(result: Diffusion) -> list[Number]:
    unit = "10⁻⁹ m²/s"
    pairs = [
        ("diffusion constant, displacements", result.by_displacement),
        ("diffusion constant, velocities", result.by_velocity),
    ]
    if result.corrected is not None:
        pairs.append(("diffusion constant, box without end", result.corrected))
    found = [Number(name, SQUARE_METRES * value, unit, SQUARE_METRES * error) for name, (value, error) in pairs]
    return [*found, Number("velocity forgotten after", result.fitted[0], "fs")]


def _data(result: Diffusion) -> dict[str, Any]:
    return {
        "times_fs": result.times.tolist(),
        "mean_square_displacement_ang2": result.displacement.tolist(),
        "mean_square_displacement_error_ang2": result.displacement_error.tolist(),
        "velocity_autocorrelation_ang2_per_fs2": result.correlation.tolist(),
        "integral_ang2_per_ps": result.integral.tolist(),
        "diffusion_by_displacement_ang2_per_ps": list(result.by_displacement),
        "diffusion_by_velocity_ang2_per_ps": list(result.by_velocity),
        "diffusion_corrected_ang2_per_ps": None if result.corrected is None else list(result.corrected),
        "fitted_fs": list(result.fitted),
    }


def _needs(values: Mapping[str, Any]) -> str:
    return obstacle(values["trajectory"], interval=values["interval"])


def _shown(values: Mapping[str, Any]) -> list[str]:
    always = ["trajectory", "element", "interval", "fit_from", "viscosity", "discard"]
    return [*always, "temperature"] if values["viscosity"] is not None else always


DIFFUSION = Capability(
    function=diffusion,
    title="Diffusion",
    meaning="How far atoms get with time: the diffusion constant from displacements and from velocities.",
    shows="displacements over time, and how long velocities are remembered",
    group="Motion",
    formula=(
        "$$D=\\lim_{t\\to\\infty}\\frac{\\langle|\\mathbf r(t)-\\mathbf r(0)|^2\\rangle}{6t}"
        "=\\frac13\\int_0^\\infty\\langle\\mathbf v(0)\\cdot\\mathbf v(t)\\rangle\\,dt$$ "
        "Points of the first come from the same paths, so the line is fitted with their covariance (Bullerjahn and "
        "others, <a href='https://doi.org/10.1063/5.0008312'>10.1063/5.0008312</a>). A small box slows atoms down; "
        "with a viscosity that is corrected (Yeh and Hummer, "
        "<a href='https://doi.org/10.1021/jp0477147'>10.1021/jp0477147</a>)."
    ),
    picture=pictures.diffusion,
    verdicts=_verdicts,
    numbers=_numbers,
    data=_data,
    needs=_needs,
    shown=_shown,
    unit="parts",
    starts_over=True,
    labels={
        "trajectory": "Trajectory file",
        "discard": "Part left out at start",
        "interval": "Time between frames",
        "fit_from": "Fit from",
    },
    advanced=("fit_from", "viscosity", "temperature"),
)
