"""The spectrum of moving atoms by clicks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mlip_lab.panels.base.capability import Capability
from mlip_lab.panels.base.record import Number, Verdict
from mlip_lab.plots import diffusion as pictures
from mlip_lab.properties.trajectories import obstacle
from mlip_lab.properties.velocity_spectrum import VelocitySpectrum, velocity_spectrum

FEW = 4  # pieces that errors can be read off
EDGE = 0.02  # of the highest density, still there at the highest frequency: faster motion is folded back


def _verdicts(result: VelocitySpectrum) -> list[Verdict]:
    words = f"{result.pieces} pieces, lines {result.resolution:g} THz wide"
    if result.pieces < FEW:
        found = [Verdict("warning", "Few pieces to average over. Run longer, or take a coarser resolution.", words)]
    else:
        found = [Verdict("good", "The curve is an average with an error.", words)]
    if result.states[-1] > EDGE * result.states.max():
        found.append(Verdict("warning", "Faster motion is folded into this curve. Save frames more often."))
    return found


def _numbers(result: VelocitySpectrum) -> list[Number]:
    mean = np.trapezoid(result.states * result.frequencies, result.frequencies) / 3
    return [
        Number("most states at", float(result.frequencies[result.states.argmax()]), "THz"),
        Number("mean frequency", float(mean), "THz"),
    ]


def _data(result: VelocitySpectrum) -> dict[str, Any]:
    return {
        "frequencies_thz": result.frequencies.tolist(),
        "states_per_thz_and_atom": result.states.tolist(),
        "error_per_thz_and_atom": np.nan_to_num(result.error).tolist(),
        "pieces": result.pieces,
    }


def _needs(values: Mapping[str, Any]) -> str:
    return obstacle(values["trajectory"], interval=values["interval"])


VELOCITY_SPECTRUM = Capability(
    function=velocity_spectrum,
    title="Vibrations of a run",
    meaning="At which frequencies moving atoms swing, with all their anharmonic ways.",
    shows="the density of states of the motion",
    group="Motion",
    formula=(
        "$$g(f)\\propto\\sum_j m_j\\,|\\tilde{\\mathbf v}_j(f)|^2$$ Every harmonic mode has the same kinetic energy, "
        "so this is the density of its phonons; heat shifts and widens the lines. Averaged over pieces of the run "
        "(Welch, "
        "<a href='https://doi.org/10.1109/TAU.1967.1161901'>10.1109/TAU.1967.1161901</a>)."
    ),
    picture=pictures.velocity_spectrum,
    verdicts=_verdicts,
    numbers=_numbers,
    data=_data,
    needs=_needs,
    unit="pieces",
    starts_over=True,
    labels={"trajectory": "Trajectory file", "discard": "Part left out at start", "interval": "Time between frames"},
)
