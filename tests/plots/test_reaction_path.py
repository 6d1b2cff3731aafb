"""Pictures of paths and of many barriers show the numbers they are given."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from ase.calculators.emt import EMT

from mlip_lab.plots import style
from mlip_lab.plots.screening import both_ways
from mlip_lab.properties.hops import Hop
from mlip_lab.properties.reaction_path import ReactionPath, reaction_path
from mlip_lab.workflows.screening import ScreenedPath, Screening
from tests.properties.test_reaction_path import small_hop


def line(ax: Any, label: str) -> Any:
    (found,) = [line for line in ax.lines if line.get_label() == label]
    return found


@pytest.fixture(scope="module")
def hop() -> ReactionPath:
    return reaction_path(*small_hop(), EMT(), images=3)


def test_profile_saddle_and_reference(hop: ReactionPath) -> None:
    figure = hop.plot(reference={"barrier": 0.4, "reaction_energy": 0.01}, name="DFT")
    profile, arrhenius = figure.axes
    assert np.allclose(line(profile, "images").get_ydata(), hop.energies - hop.energies[0])
    assert np.array_equal(line(profile, "images").get_xdata(), hop.distances)
    assert np.array_equal(line(profile, "spline through energies and slopes").get_ydata(), hop.curve()[1])
    assert list(line(profile, "saddle point").get_ydata()) == [hop.barrier]
    assert list(line(profile, "DFT").get_ydata()) == [0.4, 0.01]
    assert line(profile, "DFT").get_xdata()[1] == hop.distances[-1]
    inverse, rates = line(arrhenius, "reactant to product").get_data()
    assert np.allclose(hop.rate().at(1000 / inverse), rates)
    words = style.description(figure)
    assert f"climbs {hop.barrier:.3f} eV (DFT: 0.400 eV)" in words and "times a second" in words
    assert style.png(figure).startswith(b"\x89PNG")


def test_a_path_on_its_way_has_a_picture_too(hop: ReactionPath) -> None:
    figure = replace(hop, saddle=None, ends=None, converged=False).plot()
    assert len(figure.axes) == 1
    assert f"climbs {hop.top[1]:.3f} eV" in style.description(figure)


def made(barriers: list[tuple[str, float, float]]) -> Screening:
    atoms, product = small_hop()
    paths = {
        k: ScreenedPath(f"hop {k}", kind, barrier=b, reaction_energy=e, imaginary=(-1.0,))
        for k, (kind, b, e) in enumerate(barriers)
    }
    return Screening(tuple(Hop(f"hop {k}", "", atoms, product) for k in range(6)), paths)


def test_barriers_there_and_back() -> None:
    result = made([("Nb", 0.8, 0.1), ("Nb", 0.6, -0.2), ("W", 1.5, 0.3)])
    assert sorted(both_ways(result, "Nb")) == pytest.approx([0.6, 0.7, 0.8, 0.8])
    figure = result.plot()
    bars, cloud = figure.axes
    assert sum(patch.get_height() for patch in bars.patches if patch.get_y() == 0) > 0
    tops = {}
    for patch in bars.patches:
        tops[patch.get_x()] = max(tops.get(patch.get_x(), 0), patch.get_y() + patch.get_height())
    assert sum(tops.values()) == 6, "each path counts there and back"
    assert list(line(cloud, "Nb").get_xdata()) == [0.1, -0.2] and list(line(cloud, "W").get_ydata()) == [1.5]
    words = style.description(figure)
    assert words == ("3 of 6 barriers, from 0.60 to 1.50 eV. Medians there and back: Nb 0.75 eV, W 1.35 eV.")
    assert style.png(figure).startswith(b"\x89PNG")


def test_one_kind_and_more_kinds_than_colours() -> None:
    assert len(made([("W", 1.0, 0.0)]).plot().axes) == 2
    bars, _ = made([(f"kind {k}", 1.0 + 0.1 * k, 0.0) for k in range(9)]).plot().axes
    hatched = {patch.get_facecolor() for patch in bars.patches if patch.get_hatch()}
    assert len(hatched) == 2, "the eighth and the ninth"


def test_no_barrier_yet() -> None:
    assert style.description(made([]).plot()) == "No barrier yet; 6 paths were asked for."
