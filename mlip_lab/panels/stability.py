"""The time step by clicks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlip_lab.dynamics.stability import SHORTEST, Experiment, TimeStepStability, time_step_stability
from mlip_lab.panels.base.capability import Capability
from mlip_lab.panels.base.record import Number, Verdict
from mlip_lab.plots import stability as pictures
from mlip_lab.plots.style import rounded

SURE = 3.0  # standard errors beyond which two numbers are called different


def _verdicts(result: TimeStepStability) -> list[Verdict]:
    step, words = f"{result.time_step:.3g} fs", f"largest stable step {result.largest_step:.3g} fs"
    if not result.stable:
        return [
            Verdict("bad", f"{step} is too long: the fastest vibration grows at every step.", words),
            *_measured(result),
        ]
    if result.time_step <= 1.001 * result.recommended_step:
        found = [Verdict("good", f"{step} is stable and accurate.", words)]
    else:
        text = f"{step} is stable, but longer than recommended. Temperatures of fast modes are off."
        found = [Verdict("warning", text, f"recommended {result.recommended_step:.3g} fs; {words}")]
    if result.frequencies[0] < -0.1:
        text = "Some modes lower the energy: the structure is not in a minimum. They do not limit the step."
        found.append(Verdict("warning", text, f"lowest {-result.frequencies[0]:.3g}i THz"))
    return found + _measured(result)


def _measured(result: TimeStepStability) -> list[Verdict]:
    found = result.experiment
    if found is None:
        return []
    if found.kinetic is None or found.configurational is None:
        if result.stable:
            return [Verdict("warning", "The run blew up, though the step is stable for small swings.", found.end)]
        return [Verdict("good", "The run blew up, as predicted.", found.end)]
    if not result.stable:
        text = "The run lasted by luck: it was too short for the growth to be seen. Run longer."
        return [Verdict("warning", text)]
    off = [
        (name, measured, predicted)
        for name, measured, predicted in (
            ("momenta", found.kinetic, result.kinetic_temperature),
            ("positions", found.configurational, result.configurational_temperature),
        )
        if abs(measured.value - predicted) > SURE * measured.error
    ]
    if not off:
        words = f"momenta {rounded(*found.kinetic)} K, positions {rounded(*found.configurational)} K"
        return [Verdict("good", "Measured temperatures are those predicted.", words)]
    return [
        Verdict(
            "warning",
            f"The temperature of the {name} is not the one predicted. The run may not be in equilibrium, or vibrations "
            "are far from harmonic.",
            f"measured {rounded(*measured)} K, predicted {predicted:.4g} K",
        )
        for name, measured, predicted in off
    ]


def _numbers(result: TimeStepStability) -> list[Number]:
    found = [
        Number("largest stable step", result.largest_step, "fs"),
        Number("recommended step", result.recommended_step, "fs"),
        Number("fastest vibration", float(result.frequencies[-1]), "THz", result.highest_error or None),
        Number("spectral radius of the fastest mode", result.radius),
    ]
    if not result.stable:
        return found
    measured = result.experiment or Experiment(None, None)
    for name, predicted, value in (
        ("momenta", result.kinetic_temperature, measured.kinetic),
        ("positions", result.configurational_temperature, measured.configurational),
    ):
        if value is None:
            found.append(Number(f"temperature of {name}, predicted", predicted, "K"))
        else:
            name = f"temperature of {name}"
            found.append(Number(name, value.value, "K", value.error, reference=predicted, source="predicted"))
    return found


def _data(result: TimeStepStability) -> dict[str, Any]:
    stable = result.stable
    return {
        "scheme": result.scheme,
        "time_step_fs": result.time_step,
        "friction_per_ps": result.friction,
        "temperature_k": result.temperature,
        "frequencies_thz": result.frequencies.tolist(),
        "weights": result.weights.tolist(),
        "largest_step_fs": result.largest_step,
        "recommended_step_fs": result.recommended_step,
        "kinetic_over_bath": result.kinetic.tolist() if stable else None,
        "configurational_over_bath": result.configurational.tolist() if stable else None,
    }


def _needs(values: Mapping[str, Any]) -> str:
    if not values["steps"]:
        return ""
    if values["steps"] < SHORTEST:
        return f"A run to compare with needs at least {SHORTEST} steps; 0 leaves it out."
    if values["scheme"] == "velocity Verlet" or not values["friction"] or not values["temperature"]:
        return "A run to compare with needs a bath: choose BAOAB or OBABO with a friction, or 0 steps."
    return ""


def _shown(values: Mapping[str, Any]) -> list[str]:
    bath = () if values["scheme"] == "velocity Verlet" else ("friction",)
    return ["atoms", "calculator", "time_step", "scheme", "temperature", "tolerance", "steps", "seed", *bath]


STABILITY = Capability(
    function=time_step_stability,
    title="Time step",
    meaning="The largest step that molecular dynamics can take here, and how far temperatures are off at a step.",
    shows="where a step is stable, with the vibrations of this structure",
    group="Motion",
    formula=(
        "$$\\mathbf z\\leftarrow M(\\omega\\Delta t,\\gamma\\Delta t)\\,\\mathbf z+\\text{noise},\\qquad "
        "\\Sigma=M\\Sigma M^T+N$$ One step is linear for a harmonic mode. It is stable while the largest eigenvalue of "
        "$M$ does not exceed one: $\\omega\\Delta t&lt;2$. With BAOAB positions have the right temperature at any "
        "stable step, and momenta one that is lower by $(\\omega\\Delta t/2)^2$; with OBABO it is the other way round "
        "(Leimkuhler and Matthews, <a href='https://doi.org/10.1093/amrx/abs010'>10.1093/amrx/abs010</a>)."
    ),
    picture=pictures.stability,
    verdicts=_verdicts,
    numbers=_numbers,
    data=_data,
    needs=_needs,
    shown=_shown,
    unit="force calls or steps",
    starts_over=True,
    defaults={"steps": 4000, "friction": 10.0},
    labels={
        "atoms": "Structure",
        "calculator": "Potential",
        "scheme": "Integrator",
        "tolerance": "Error of temperature allowed",
        "steps": "Steps of a run to compare with",
    },
    advanced=("tolerance", "seed"),
)
