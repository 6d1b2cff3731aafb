"""Hulls agree with brute force and with what can be said by hand; comparisons name what is false."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from mlip_lab.core.errors import InputError
from mlip_lab.properties.convex_hull import ConvexHull, hull_of
from mlip_lab.properties.hull_comparison import compare_hulls

ELEMENTS = ("Al", "Cu", "Li", "Ni")


def made(rng: np.random.Generator, order: int, size: int) -> ConvexHull:
    elements = ELEMENTS[:order]
    counts = [{element: 1} for element in elements]
    while len(counts) < size:
        drawn = rng.integers(0, 4, order)
        if drawn.sum():
            counts.append({e: int(n) for e, n in zip(elements, drawn, strict=True) if n})
    energies = [sum(c.values()) * rng.normal(-4.0 if len(c) > 1 else -3.5, 0.5) for c in counts]
    return hull_of([f"phase {i}" for i in range(size)], counts, energies)


def lowest_mixture(hull: ConvexHull, index: int, without: int | None = None) -> float:
    """The least energy of all mixtures of as many phases as there are elements, each tried."""
    others = [i for i in range(len(hull.names)) if i != without]
    sets = np.array(list(itertools.combinations(others, len(hull.elements))))
    corners = np.transpose(hull.fractions[sets], (0, 2, 1))
    whole = np.abs(np.linalg.det(corners)) > 1e-10
    sets, corners = sets[whole], corners[whole]
    shares = np.linalg.solve(corners, np.broadcast_to(hull.fractions[index][:, None], (len(sets), corners.shape[1], 1)))
    inside = (shares[:, :, 0] > -1e-9).all(axis=1)
    return float((shares[inside, :, 0] * hull.formation[sets[inside]]).sum(axis=1).min(initial=np.inf))


@pytest.mark.parametrize("order", [2, 3, 4])
def test_two_hundred_random_sets_against_brute_force(order: int) -> None:
    rng = np.random.default_rng(order)
    for _ in range({2: 80, 3: 70, 4: 50}[order]):
        hull = made(rng, order, 11)
        for i in range(len(hull.names)):
            lowest = lowest_mixture(hull, i)
            assert hull.formation[i] - hull.above[i] == pytest.approx(lowest, abs=1e-8)
            parts = hull.decompositions[i]
            shares, phases = np.array(list(parts.values())), list(parts)
            assert shares.sum() == pytest.approx(1.0, abs=1e-8) and (shares > 0).all()
            assert np.allclose(shares @ hull.fractions[phases], hull.fractions[i], atol=1e-8)
            assert shares @ hull.formation[phases] == pytest.approx(lowest, abs=1e-8)
            assert set(phases) <= set(hull.stable)
        stable = hull.stable[0]
        expected = hull.formation[stable] - lowest_mixture(hull, stable, without=stable)
        assert hull.margins[stable] == pytest.approx(expected, abs=1e-8)
        # The faces of the lower hull cover all compositions once: their volumes add up to the whole simplex's.
        assert set(hull.facets.ravel()) <= set(hull.stable)
        covered = sum(abs(np.linalg.det(hull.fractions[facet])) for facet in hull.facets)
        assert covered == pytest.approx(1.0, abs=1e-9)


def binary(*energies: float) -> ConvexHull:
    """Al, Ni, AlNi, AlNi3, Al3Ni with formation energies in eV/atom above elements of −3 and −5 eV."""
    counts = [{"Al": 1}, {"Ni": 1}, {"Al": 1, "Ni": 1}, {"Al": 1, "Ni": 3}, {"Al": 3, "Ni": 1}]
    zero = [sum({"Al": -3.0, "Ni": -5.0}[s] * n for s, n in count.items()) for count in counts]
    values = [z + sum(c.values()) * e for z, c, e in zip(zero, counts, (0.0, 0.0, *energies), strict=True)]
    return hull_of(["fcc Al", "fcc Ni", "AlNi", "AlNi3", "Al3Ni"], counts, values)


def test_a_binary_by_hand() -> None:
    hull = binary(-0.6, -0.4, -0.2)
    assert np.allclose(hull.formation, [0, 0, -0.6, -0.4, -0.2], atol=1e-12)
    assert np.allclose(hull.above, [0, 0, 0, 0, 0.1], atol=1e-12)  # half way to AlNi the line is at −0.3
    assert hull.decomposition("Al3Ni") == pytest.approx({"fcc Al": 0.5, "AlNi": 0.5})
    assert hull.decomposition("AlNi3") == {"AlNi3": 1.0}
    assert hull.margins[hull.index("AlNi3")] == pytest.approx(-0.1)  # without it the line is at −0.3
    assert hull.margins[hull.index("Al3Ni")] == pytest.approx(0.1)
    assert hull.margins[0] == -np.inf
    assert [hull.names[i] for i in hull.facets.ravel()] == ["fcc Al", "AlNi", "AlNi", "AlNi3", "AlNi3", "fcc Ni"]


def test_a_point_on_a_tie_line_and_two_of_one_energy_are_stable() -> None:
    hull = binary(-0.6, -0.3, -0.2)
    assert hull.above[hull.index("AlNi3")] == 0.0 and hull.margins[hull.index("AlNi3")] == pytest.approx(0.0, abs=1e-12)
    counts = [{"Al": 1}, {"Ni": 1}, {"Al": 1, "Ni": 1}, {"Al": 2, "Ni": 2}]
    twins = hull_of(["Al", "Ni", "one", "other"], counts, [-3.0, -5.0, -9.0, -18.0])
    assert [twins.names[i] for i in twins.stable] == ["Al", "Ni", "one", "other"]
    assert twins.margins[2] == twins.margins[3] == 0.0
    assert len(twins.facets) == 2  # one of the twins


def test_positive_formation_energies_fall_apart_into_elements() -> None:
    hull = binary(0.1, 0.2, 0.3)
    assert hull.stable == (0, 1)
    assert hull.decomposition("AlNi3") == pytest.approx({"fcc Ni": 0.75, "fcc Al": 0.25})
    alone = hull_of(["fcc", "bcc"], [{"Al": 1}, {"Al": 2}], [-3.0, -5.8])
    assert alone.stable == (0,) and alone.above[1] == pytest.approx(0.1) and alone.facets.tolist() == [[0]]


def test_comparison_names_what_is_false() -> None:
    truth = binary(-0.6, -0.4, -0.2)
    same = compare_hulls(truth, binary(-0.61, -0.41, -0.21))
    assert same.same_stable_set and same.mae == pytest.approx(0.01) and same.rank == pytest.approx(1.0)
    assert same.stable == ("AlNi", "AlNi3") and "The same compounds are stable" in str(same)
    other = compare_hulls(truth, binary(-0.6, -0.2, -0.35))
    assert other.false_stable == ("Al3Ni",) and other.false_unstable == ("AlNi3",) and not other.same_stable_set
    assert other.mae == pytest.approx((0.2 + 0.15) / 3) and other.rank == pytest.approx(0.5)
    assert "Stable here only: Al3Ni." in str(other) and "Stable there only: AlNi3." in str(other)
    # Heights of a meV are within the tolerance, unless that is set to nothing.
    close = binary(-0.6, -0.2995, -0.2)
    assert compare_hulls(binary(-0.6, -0.3005, -0.2), close).same_stable_set
    assert compare_hulls(binary(-0.6, -0.3005, -0.2), close, tolerance=0.0).false_unstable == ("AlNi3",)


def test_a_moved_end_is_named() -> None:
    counts = [{"Al": 1}, {"Al": 1}, {"Ni": 1}, {"Al": 1, "Ni": 1}]
    names = ["fcc Al", "bcc Al", "fcc Ni", "AlNi"]
    one, other = hull_of(names, counts, [-3.0, -2.9, -5.0, -9.0]), hull_of(names, counts, [-2.9, -3.0, -5.0, -9.0])
    (moved,) = compare_hulls(one, other).moved_ends
    assert (moved.element, moved.reference, moved.predicted) == ("Al", "fcc Al", "bcc Al")
    assert moved.gap == pytest.approx(0.1)
    assert compare_hulls(one, one).moved_ends == ()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"names": ["a", "a", "c"]}, "no two the same"),
        ({"energies": [1.0, np.nan, 2.0]}, "finite numbers"),
        ({"counts": [{"Al": 1}, {"Al": 1, "Ni": 1}, {"Al": 3, "Ni": 1}]}, "at least one of pure Ni"),
        ({"counts": [{"Al": 1}, {"Ni": 1}, {"Al": -1, "Ni": 3}]}, "zero or more"),
        ({"elements": ["Al"]}, "Ni among the phases but not among Al"),
        ({"energies": [1.0]}, "as many names"),
    ],
)
def test_what_cannot_be_is_refused(change: dict[str, object], words: str) -> None:
    good: dict[str, object] = {
        "names": ["a", "b", "c"],
        "counts": [{"Al": 1}, {"Ni": 1}, {"Al": 1, "Ni": 1}],
        "energies": [-3.0, -5.0, -9.0],
    }
    with pytest.raises(InputError, match=words):
        hull_of(**{**good, **change})  # type: ignore[arg-type]


def test_hulls_that_cannot_be_compared_are_refused() -> None:
    with pytest.raises(InputError, match="expected the same elements, got Al, Ni and Al, Cu"):
        compare_hulls(binary(-0.6, -0.4, -0.2), hull_of(["Al", "Cu"], [{"Al": 1}, {"Cu": 1}], [-3.0, -4.0]))
    with pytest.raises(InputError, match="compounds of the same name"):
        compare_hulls(binary(-0.6, -0.4, -0.2), hull_of(["Al", "Ni"], [{"Al": 1}, {"Ni": 1}], [-3.0, -4.0]))
