"""A chain of atoms by clicks."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlip_lab.core.errors import InputError
from mlip_lab.panels.base.capability import Capability
from mlip_lab.panels.base.record import Number, Verdict
from mlip_lab.plots import chain as pictures
from mlip_lab.workflows.chain import ChainBands, chain

CLOSE = 0.01  # of the highest frequency: a curve that cannot be told from the formula's


def _verdicts(result: ChainBands) -> list[Verdict]:
    lowest, highest = float(result.analytic.min()), float(result.analytic.max())
    found = [Verdict("good", "Stable: every wave costs energy.")]
    if lowest < -1e-9:
        found = [Verdict("bad", "Not stable: some wave lowers the energy.", f"down to {-lowest:.2f}i THz")]
    off = float(np.abs(result.numeric - result.chain.frequencies(result.fitting)).max())
    found.append(Verdict("good", "The Hessian by numbers is that of the formula.", f"largest distance {off:.1g} THz"))
    for name in result.learned:
        words = f"up to {result.miss(name):.2g} THz off; forces {result.force_errors[name]:.2g} eV/Å off"
        if result.miss(name) < CLOSE * highest:
            found.append(Verdict("good", f"A potential of {name} has learned the curve.", words))
        else:
            text = f"A potential of {name} cannot follow the curve, however much it learns."
            found.append(Verdict("warning", text, words))
    return found


def _numbers(result: ChainBands) -> list[Number]:
    edge = float(result.analytic[-1])
    found = [Number("frequency at the edge of the zone", edge, "THz")]
    try:
        found.append(Number("speed of sound", result.chain.sound(), "km/s"))
    except InputError:
        pass
    exact = "the formula"
    found += [
        Number(f"at the edge, by {name}", float(curve[-1]), "THz", reference=edge, source=exact)
        for name, curve in result.learned.items()
    ]
    return found


def _data(result: ChainBands) -> dict[str, Any]:
    return {
        "wave_vectors_per_ang": result.wave_vectors.tolist(),
        "formula_thz": result.analytic.tolist(),
        "hessian_wave_vectors_per_ang": result.fitting.tolist(),
        "hessian_thz": result.numeric.tolist(),
        "learned_thz": {name: curve.tolist() for name, curve in result.learned.items()},
    }


CHAIN = Capability(
    function=chain,
    title="Chain of atoms",
    meaning="The smallest crystal: its waves by a formula, by numbers, and as trained potentials see them.",
    shows="the frequency of each wave",
    group="Crystal",
    formula=(
        "$$m\\,\\omega^2=2k_1(1-\\cos ka)+2k_2(1-\\cos 2ka)+4k_3(1-\\cos ka)^2$$ $k_1$ and $k_2$ are springs between "
        "two atoms. $k_3$ is one of three: it acts on the difference of an atom's two bonds, and a potential of pairs "
        "that sees only neighbours has nothing to say it with (Ashcroft and Mermin, Solid State Physics, chapter 22)."
    ),
    picture=pictures.chain,
    verdicts=_verdicts,
    numbers=_numbers,
    data=_data,
    unit="parts",
    starts_over=True,
    labels={
        "nearest": "Nearest spring k₁",
        "next_nearest": "Next-nearest spring k₂",
        "three_body": "Three-body spring k₃",
        "ring": "Atoms of the Hessian",
        "train": "Train potentials on it",
    },
    advanced=("spacing", "mass", "ring", "frames", "seed"),
)
