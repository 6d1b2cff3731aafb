"""Pseudopotentials written from published parameters have the norms, limits and charges that define them."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from mlip_lab.data import gth
from mlip_lab.data.gth import ALUMINIUM, LITHIUM, Gth, local, projector, upf, write_upf
from mlip_lab.data.qe import _valence

BOTH = pytest.mark.parametrize("parameters", [ALUMINIUM, LITHIUM], ids=lambda p: p.symbol)


def numbers(element: ElementTree.Element | None) -> np.ndarray:
    assert element is not None and element.text is not None
    return np.array(element.text.split(), dtype=float)


def test_projectors_are_normalised() -> None:
    r = np.linspace(1e-6, 15.0, 30_001)
    for angular, index in ((0, 1), (0, 2), (1, 1), (2, 1), (0, 3)):
        norm = np.trapezoid(projector(r, 0.7, angular, index) ** 2 * r**2, r)
        assert norm == pytest.approx(1.0, abs=1e-9)
    # Near the nucleus p_i^l grows as r^(l + 2i − 2).
    assert projector(np.array([2e-3]), 0.7, 1, 2)[0] / projector(np.array([1e-3]), 0.7, 1, 2)[0] == pytest.approx(
        8, rel=1e-4
    )


@BOTH
def test_the_local_part_is_finite_inside_and_coulomb_outside(parameters: Gth) -> None:
    centre = -parameters.charge * np.sqrt(2 / np.pi) / parameters.r_loc + parameters.local[0]
    assert local(parameters, np.array([1e-5]))[0] == pytest.approx(centre, rel=1e-6)
    assert local(parameters, np.array([8.0]))[0] == pytest.approx(-parameters.charge / 8.0, rel=1e-9)


@BOTH
def test_the_file_holds_the_same_potential_in_rydberg(parameters: Gth, tmp_path: Path) -> None:
    path = write_upf(parameters, tmp_path)
    assert _valence(path) == parameters.charge
    tree = ElementTree.fromstring(path.read_text())
    r, spacing = numbers(tree.find("PP_MESH/PP_R")), numbers(tree.find("PP_MESH/PP_RAB"))
    assert len(r) % 2 == 1 and np.allclose(np.gradient(r)[1:-1], spacing[1:-1], rtol=1e-3)
    assert np.allclose(numbers(tree.find("PP_LOCAL")), 2 * local(parameters, r), rtol=1e-13)
    assert (numbers(tree.find("PP_RHOATOM")) * spacing).sum() == pytest.approx(parameters.charge, rel=1e-3)
    header, nonlocal_part = tree.find("PP_HEADER"), tree.find("PP_NONLOCAL")
    assert header is not None and nonlocal_part is not None
    count = int(header.attrib["number_of_proj"])
    assert count == sum(len(matrix) for _, matrix in parameters.channels)
    coupling = numbers(nonlocal_part.find("PP_DIJ")).reshape(count, count)
    assert np.array_equal(coupling, coupling.T)
    expected = [2 * row[i] for _, matrix in parameters.channels for i, row in enumerate(matrix)]
    assert np.diag(coupling) == pytest.approx(expected)
    kinds = []
    for number in range(1, count + 1):
        beta = nonlocal_part.find(f"PP_BETA.{number}")
        assert beta is not None
        kinds.append(int(beta.attrib["angular_momentum"]))
        assert (numbers(beta) ** 2 * spacing).sum() == pytest.approx(1.0, rel=1e-6)  # r p(r)
        assert abs(numbers(beta)[int(beta.attrib["cutoff_radius_index"])]) < 1e-12
    assert not coupling[np.not_equal.outer(kinds, kinds)].any()  # projectors of different l do not couple


@BOTH
def test_the_packaged_file_is_this_one(parameters: Gth) -> None:
    folder = Path(gth.__file__).parent / "sets" / "al_li"
    if not folder.is_dir():
        pytest.skip("this install has no Al-Li set")
    assert (folder / f"{parameters.symbol}.gth-lda-q{parameters.charge}.upf").read_text() == upf(parameters)
