"""Pictures of hulls show the phases they are given, and say in words what is to be seen."""

from __future__ import annotations

import numpy as np
import pytest

from mlip_lab.core.errors import InputError
from mlip_lab.plots import convex_hull as pictures
from mlip_lab.plots.style import description, png
from mlip_lab.properties.convex_hull import ConvexHull, hull_of
from mlip_lab.properties.hull_comparison import compare_hulls


def made(order: int, shift: float = 0.0) -> ConvexHull:
    elements = ("Al", "Cu", "Li", "Ni")[:order]
    counts = [{e: 1} for e in elements] + [{"Al": 1, e: 1} for e in elements[1:]] + [{"Al": 3, "Cu": 1}]
    energies = [-3.0] * order + [-7.0 + shift] * (order - 1) + [-12.1]
    return hull_of([*elements, *(f"Al{e}" for e in elements[1:]), "Al3Cu"], counts, energies)


def test_a_binary_and_its_reference() -> None:
    hull, truth = made(2), made(2, shift=0.2)
    figure = pictures.convex_hull(hull, reference=truth, name="theory")
    (ax,) = figure.axes
    lines = {line.get_label(): line for line in ax.lines}
    assert np.allclose(lines["stable"].get_xydata(), [[0, 0], [0.5, -500], [1, 0]])
    assert np.allclose(lines["above the hull"].get_xydata(), [[0.25, -25]])
    assert np.allclose(np.sort(lines["theory"].get_ydata()), np.sort(1000 * truth.formation))
    assert ax.get_xlabel() == "fraction of Cu" and ax.get_ylabel() == "formation energy (meV/atom)"
    assert "AlCu" in [text.get_text() for text in ax.texts]
    words = description(figure)
    assert "1 of 2 compounds are stable: AlCu." in words and "Against theory: 2 compounds" in words
    assert png(figure).startswith(b"\x89PNG")


def test_a_ternary_and_more() -> None:
    three = pictures.convex_hull(made(3), reference=made(3), name="theory")
    assert three.axes[0].collections and png(three).startswith(b"\x89PNG")
    texts = [text.get_text() for text in three.axes[0].texts]
    assert {"Al", "Cu", "Li", "AlCu", "AlLi"} <= set(texts)
    four = pictures.convex_hull(made(4))
    bars = [bar.get_width() for bar in four.axes[0].patches]
    # Without AlCu, Al3Cu at −25 and copper would mix to 2/3 of −25 in its place.
    assert bars == pytest.approx([-500.0 + 25 * 2 / 3, -500.0, -500.0, 225.0])


def test_points_say_what_they_are() -> None:
    shown = pictures.hovering(made(2))
    assert [words for _, _, words in shown.areas] == [
        "Al: 0.0 meV/atom, stable",
        "Cu: 0.0 meV/atom, stable",
        "AlCu: -500.0 meV/atom, stable",
        "Al3Cu: -25.0 meV/atom, 225.0 above the hull, falls apart into 0.50 Al + 0.50 AlCu",
    ]
    (left, top, _), (right, same, _), (middle, bottom, _), _ = shown.areas
    assert left < middle < right <= shown.size[0] and top == same < bottom <= shown.size[1]
    assert middle == pytest.approx((left + right) / 2, abs=1)
    html = shown._repr_html_()
    assert "<area shape='circle'" in html and "data:image/png;base64" in html and "usemap" in html
    assert len(pictures.hovering(made(3)).areas) == 6
    with pytest.raises(InputError, match="two or three elements"):
        pictures.hovering(made(4))


def test_parity_marks_what_is_false() -> None:
    figure = pictures.parity(compare_hulls(made(2), made(2, shift=1.5)), name="theory")
    labels = [line.get_label() for line in figure.axes[0].lines]
    assert "stable by theory only" in labels and "stable here only" in labels
    none = hull_of(["Al", "Cu", "AlCu"], [{"Al": 1}, {"Cu": 1}, {"Al": 1, "Cu": 1}], [-3.0, -3.0, -5.0])
    assert "no compound is stable among 1 candidates" in description(pictures.convex_hull(none))
