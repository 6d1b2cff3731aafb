"""The packaged aluminium-lithium potential against the packaged DFT hull."""

from __future__ import annotations

import numpy as np
import pytest

import mlip_lab
from mlip_lab.data.packaged import reference
from mlip_lab.properties.hull_comparison import HullComparison, compare_hulls
from mlip_lab.workflows.convex_hull import reference_hull, relaxed_hull


@pytest.fixture(scope="module")
def compared() -> HullComparison:
    known = reference_hull("al_li")
    ours = relaxed_hull(known.structures, mlip_lab.load("al_li").calculator())
    assert not ours.failed
    return compare_hulls(known.hull, ours.hull)


def held_out_error(compared: HullComparison) -> float:
    """Mean absolute error of formation energies of the orderings that no training frame has, meV/atom."""
    hidden = {phase["name"] for phase in reference("al_li")["phases"] if phase["held_out"]}
    unseen = np.array([name in hidden for name in compared.names])
    assert unseen.sum() >= 20
    return float(1000 * abs(compared.predicted - compared.reference)[unseen].mean())


def test_the_compounds_known_from_experiment_are_stable(compared: HullComparison) -> None:
    assert {"B32 AlLi", "Al2Li3 Al2Li3"} <= set(compared.stable)
    assert not compared.false_unstable
    assert compared.rank > 0.95  # some 80 compounds over 0.25 eV/atom


def test_formation_energies_of_unseen_orderings(compared: HullComparison) -> None:
    assert held_out_error(compared) < 6.0


def test_the_stable_set_is_that_of_dft(compared: HullComparison) -> None:
    assert compared.same_stable_set and not compared.moved_ends
