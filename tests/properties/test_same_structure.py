"""The test calls the same what is the same as often as it says, and sees what differs.

Atoms swing about the sites of silicon and remember where they were: x_t = c x_(t−1) + √(1 − c²) s ξ. The state is
known, the frames are correlated, and thousands of runs cost seconds.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from numpy.typing import NDArray
from scipy import stats

from mlip_lab.core.errors import InputError
from mlip_lab.panels.same_structure import SAME_STRUCTURE
from mlip_lab.plots.style import description, png
from mlip_lab.properties.likelihood_ratio import Null, Sample
from mlip_lab.properties.radial_distribution import PairCounts, pair_counts
from mlip_lab.properties.same_structure import SameStructure, compare, same_structure
from mlip_lab.properties.trajectories import of_positions

WARM = 0.075  # Å; spread of an atom of silicon at 300 K along each direction


def swinging(sites: Atoms, spread: float, memory: float, frames: int, rng: np.random.Generator) -> NDArray[np.float64]:
    decay = np.exp(-1 / memory) if memory else 0.0
    noise = rng.normal(size=(frames, len(sites), 3))
    for t in range(1, frames):
        noise[t] = decay * noise[t - 1] + np.sqrt(1 - decay**2) * noise[t]
    return np.asarray(sites.positions + spread * noise)


def counted(sites: Atoms, positions: NDArray[np.float64], radius: float = 4.2) -> PairCounts:
    return pair_counts(of_positions(sites, positions), radius=radius, bins=42)


@pytest.fixture(scope="module")
def null() -> list[SameStructure]:
    """400 pairs of runs of one state."""
    rng, sites = np.random.default_rng(5), bulk("Si", cubic=True)
    runs = [counted(sites, swinging(sites, WARM, 4.0, 400, rng)) for _ in range(800)]
    return [compare(*runs[k : k + 2]) for k in range(0, 800, 2)]


def test_p_is_uniform_where_nothing_differs(null: list[SameStructure]) -> None:
    for p in ([one.p_value for one in null], [one.permutation_p_value for one in null]):
        assert stats.kstest(p, "uniform").pvalue > 0.01
        assert 0.025 <= np.mean(np.array(p) < 0.05) <= 0.075
    # a number that is compared with its own expectation
    ratio = np.mean([one.likelihood_ratio for one in null]) / np.mean([one.expected for one in null])
    assert ratio == pytest.approx(1, abs=0.08)


def test_ignoring_correlation_fails(null: list[SameStructure]) -> None:
    p = [one.naive_p_value for one in null]
    assert np.mean(np.array(p) < 0.05) > 0.2  # four times too often at least
    assert stats.kstest(p, "uniform").pvalue < 1e-6


def test_bands_of_the_difference_hold_in_all_bins_at_once(null: list[SameStructure]) -> None:
    inside = [(np.abs(one.first[0] - one.second[0]) <= one.half_widths[0] + 1e-12).all() for one in null]
    assert 0.90 < np.mean(inside) < 0.985  # 95 %, less what the scatter of some 17 blocks takes away


def test_a_tenth_of_the_temperature_is_seen() -> None:
    rng, sites = np.random.default_rng(6), bulk("Si", cubic=True).repeat(2)
    found = []
    for _ in range(25):
        runs = [swinging(sites, WARM * np.sqrt(t / 300), 2.0, 500, rng) for t in (300, 330)]
        found.append(compare(*(counted(sites, run) for run in runs)))
    assert np.mean([one.p_value < 0.05 for one in found]) > 0.95
    assert np.mean([one.permutation_p_value < 0.05 for one in found]) > 0.95
    assert {one.verdict for one in found} <= {"different", "undecided"}


def test_sparse_bins_are_merged_and_species_kept_apart() -> None:
    rng = np.random.default_rng(7)
    sites = bulk("NaCl", "rocksalt", a=5.64, cubic=True)
    found = same_structure(*(_frames(sites, swinging(sites, 0.1, 0, 200, rng)) for _ in range(2)), discard=0.0)
    assert found.pairs == ("Cl–Cl", "Cl–Na", "Na–Na")
    for ranges, first in zip(found.ranges, found.first, strict=True):
        assert len(ranges) == len(first) and (np.diff(ranges.ravel()) >= 0).all() and ranges[-1, 1] <= 6.0
        assert (first > 0).all() and (np.diff(ranges, axis=1) > 0).all()
    assert 1.9 < found.ranges[1][0, 0] < 2.5  # no pair is nearer than the first shell
    assert found.ranges[1][0, 1] - found.ranges[1][0, 0] > 0.15  # where pairs are rare, bins of 0.1 Å are merged
    assert png(found.plot()) and "p = " in description(found.plot())


def test_equivalence_is_shown_not_assumed() -> None:
    rng, sites = np.random.default_rng(8), bulk("Si", cubic=True).repeat(2)
    runs = [counted(sites, swinging(sites, WARM, 0, 400, rng)) for _ in range(2)]
    near = counted(sites, swinging(sites, 1.1 * WARM, 0, 400, rng))
    assert compare(*runs, tolerance=2.0).verdict == "the same"
    assert compare(*runs, tolerance=1e-3).verdict == "undecided"
    assert compare(runs[0], near, tolerance=1e-3).verdict == "different"
    assert compare(runs[0], near, tolerance=9.0).verdict == "different, but within the tolerance"
    low, high = compare(runs[0], near).largest_band
    assert low > 0.1 and high < 2  # peaks of about 5 fall by a tenth


def test_a_run_is_compared_with_a_reference() -> None:
    rng, sites = np.random.default_rng(9), bulk("Si", cubic=True)
    long = counted(sites, swinging(sites, WARM, 0, 40_000, rng))
    reference = long.counts.sum(axis=0) / long.expected.sum(axis=0)
    found = [compare(counted(sites, swinging(sites, WARM, 3.0, 300, rng)), reference) for _ in range(60)]
    assert np.mean([one.p_value < 0.05 for one in found]) <= 0.15  # 5 %; of 60 pairs more than 9 are a chance of 0.1 %
    assert stats.kstest([one.p_value for one in found], "uniform").pvalue > 0.01
    assert found[0].permutation_p_value is None and found[0].frames == (300, 0) and png(found[0].plot())
    other = compare(counted(sites, swinging(sites, 1.3 * WARM, 3.0, 300, rng)), reference)
    assert other.p_value < 1e-3 and other.verdict == "different"


def test_one_eigenvalue_is_students_t_and_many_are_a_scaled_chi_square(rng: np.random.Generator) -> None:
    even = np.full(8, 1 / 8)
    counts = [rng.multinomial(100_000, even, size=40).astype(float) for _ in range(2)]
    null = Null.of([Sample(one, np.ones_like(one)) for one in counts])
    # multinomial counts: every λ is 1, so Λ is χ² with 7 degrees of freedom
    assert null.mean == pytest.approx(7, rel=0.15)
    for level in (0.5, 0.05, 0.005):  # the mean is known to 8 %, and that matters more the smaller p is
        assert null.beyond(stats.chi2.isf(level, 7)) == pytest.approx(level, rel=0.5)
    two = np.array([[1.0, 9.0], [2.0, 8.0], [3.0, 7.0], [4.0, 6.0]])
    null = Null.of([Sample(two, two), Sample(two, two)])
    assert null.beyond(null.mean * stats.t.isf(0.025, 6) ** 2) == pytest.approx(0.05)  # two bins: one λ, six degrees


def test_the_panel_says_what_was_found(null: list[SameStructure]) -> None:
    same = next(one for one in null if one.p_value > 0.3 and one.naive_p_value < 0.01)
    levels = [(verdict.level, verdict.text) for verdict in SAME_STRUCTURE.verdicts(same)]
    assert levels[0][0] == "warning" and "Run longer" in levels[0][1]
    assert levels[-1] == ("good", "A test that ignores correlation would have said the opposite.")
    other = SAME_STRUCTURE.verdicts(replace(same, permutation_p_value=0.001, verdict="different", p_value=0.2))
    assert other[0].level == "bad" and other[1].text == "Exchanging blocks says otherwise."
    assert {"p, the same", "largest difference in g(r)"} <= {n.name for n in SAME_STRUCTURE.numbers(same)}
    assert SAME_STRUCTURE.data(same)["curves"][0]["pair"] == "Si–Si"


def test_what_cannot_be_compared_is_refused(rng: np.random.Generator) -> None:
    silicon = bulk("Si", cubic=True)
    frames = _frames(silicon, swinging(silicon, WARM, 4.0, 60, rng))
    with pytest.raises(InputError, match="second: expected the same elements"):
        same_structure(frames, [bulk("Cu")])
    with pytest.raises(InputError, match="too few for an error estimate"):
        same_structure(frames, frames)
    still = counted(silicon, np.tile(silicon.positions, (100, 1, 1)))
    assert compare(still, still).p_value == 1 and compare(still, still).verdict == "the same"
    with pytest.raises(InputError, match="second: expected a g"):
        compare(still, np.ones(7))
    with pytest.raises(InputError, match="radius: expected pairs in at least two bins"):
        compare(*(counted(silicon, np.tile(silicon.positions, (100, 1, 1)), radius=2.0) for _ in range(2)))
    impossible = compare(still, np.append(np.zeros(41), 1.0))
    assert impossible.p_value == 0 and impossible.verdict == "different"
    with pytest.raises(InputError, match="same bins"):
        compare(counted(silicon, frames_of(frames)), counted(silicon, frames_of(frames), radius=5.0))


def frames_of(frames: list[Atoms]) -> NDArray[np.float64]:
    return np.array([frame.positions for frame in frames])


def _frames(sites: Atoms, positions: Any) -> list[Atoms]:
    frames = [sites.copy() for _ in positions]
    for frame, here in zip(frames, positions, strict=True):
        frame.positions = here
    return frames
