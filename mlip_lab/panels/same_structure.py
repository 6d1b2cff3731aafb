"""Comparing two trajectories by clicks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from mlip_lab.panels.base.capability import Capability
from mlip_lab.panels.base.record import Number, Verdict
from mlip_lab.plots import same_structure as pictures
from mlip_lab.properties.same_structure import SameStructure, same_structure
from mlip_lab.properties.trajectories import obstacle

APART = 0.05  # where the two ways to p say different things on the verdict and are further apart than this


def _verdicts(result: SameStructure) -> list[Verdict]:
    chance = (
        f"p = {result.p_value:.2g} (likelihood ratio {result.likelihood_ratio:.4g}, expected {result.expected:.4g})"
    )
    level: dict[str, Literal["good", "warning", "bad"]] = {
        "different": "bad",
        "different, but within the tolerance": "good",
        "the same": "good",
        "undecided": "warning",
    }
    found = [Verdict(level[result.verdict], result.words, chance)]
    other = result.permutation_p_value
    if other is not None:
        agree = (other < result.level) == (result.p_value < result.level) or abs(other - result.p_value) < APART
        words = f"p = {other:.2g} with blocks exchanged at random"
        text = "Exchanging blocks between the runs says so too." if agree else "Exchanging blocks says otherwise."
        found.append(Verdict("good" if agree else "warning", text, words))
    if (result.naive_p_value < result.level) != (result.p_value < result.level):
        words = f"p = {result.naive_p_value:.2g} if every pair were independent"
        found.append(Verdict("good", "A test that ignores correlation would have said the opposite.", words))
    return found


def _numbers(result: SameStructure) -> list[Number]:
    _, high = result.largest_band
    found = [
        Number("p, the same", result.p_value),
        Number("largest difference in g(r)", result.largest, "", (high - result.largest) / 1.96),
        Number("at", result.largest_at, "Å"),
    ]
    if result.permutation_p_value is not None:
        found.insert(1, Number("p by exchanging blocks", result.permutation_p_value))
    for name, frames, memory in zip(("first", "second"), result.frames, result.inefficiencies, strict=True):
        if frames:
            found.append(Number(f"independent frames, {name}", frames / memory))
    return found


def _data(result: SameStructure) -> dict[str, Any]:
    curves = zip(result.pairs, result.ranges, result.first, result.second, result.half_widths, strict=True)
    return {
        "p": result.p_value,
        "p_permutation": result.permutation_p_value,
        "p_naive": result.naive_p_value,
        "verdict": result.verdict,
        "tolerance": result.tolerance,
        "level": result.level,
        "largest_difference": result.largest,
        "largest_difference_band_95": list(result.largest_band),
        "curves": [
            {
                "pair": pair,
                "bins_ang": ranges.tolist(),
                "g_first": first.tolist(),
                "g_second": second.tolist(),
                "difference_half_width_95": wide.tolist(),
            }
            for pair, ranges, first, second, wide in curves
        ],
    }


def _needs(values: Mapping[str, Any]) -> str:
    return next(
        (words for name in ("first", "second") if (words := obstacle(values[name], name=name, density=True))), ""
    )


SAME_STRUCTURE = Capability(
    function=same_structure,
    title="Same structure?",
    meaning="Whether two runs have the same structure, or differ by more than chance.",
    shows="both g(r), and their difference in its band",
    group="Motion",
    formula=(
        "$$\\Lambda=2\\sum_{s}\\sum_b n_{sb}\\,\\ln\\frac{n_{sb}}{N_s\\,\\hat p_b}$$ $n_{sb}$ are pairs of run $s$ at "
        "distance $b$, $\\hat p_b$ their common share. Frames resemble those before them, so $\\Lambda$ is judged by "
        "how much independent blocks of frames scatter (Rao and Scott, "
        "<a href='https://doi.org/10.1214/aos/1176346391'>10.1214/aos/1176346391</a>). With enough data every "
        "difference is seen, so ask also whether it is smaller than the tolerance."
    ),
    picture=pictures.same_structure,
    verdicts=_verdicts,
    numbers=_numbers,
    data=_data,
    needs=_needs,
    unit="frames",
    starts_over=True,
    labels={
        "discard": "Part left out at start",
        "first": "First trajectory file",
        "second": "Second trajectory file",
        "tolerance": "Tolerance in g(r)",
    },
    advanced=("bins", "level", "seed"),
)
