"""The picture of a structure shows its atoms and cell where they are, in the colours it says."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from ase.data.colors import jmol_colors
from matplotlib.collections import EllipseCollection
from matplotlib.image import imread

from mlip_lab.core.errors import InputError
from mlip_lab.plots import style
from mlip_lab.plots.structure import (
    MOST_BONDED,
    along,
    atom_colors,
    bonded_pairs,
    cell_edges,
    color_limits,
    per_atom,
    seen_from,
    structure,
)

TRICLINIC = np.array([[4.0, 0.3, -0.2], [1.1, 5.0, 0.4], [-0.7, 0.9, 6.0]])


def pixels(figure: object, tmp_path: object) -> np.ndarray:
    path = tmp_path / "picture.png"  # type: ignore[operator]
    path.write_bytes(style.png(figure))  # type: ignore[arg-type]
    return imread(path)[..., :3]


def circles(figure: object) -> np.ndarray:
    """Centres of the drawn atoms, front ones last."""
    (ax,) = figure.axes[:1]  # type: ignore[attr-defined]
    found = [c for c in ax.collections if isinstance(c, EllipseCollection)]
    return np.concatenate([c.get_offsets() for c in sorted(found, key=lambda c: c.get_zorder())])


def test_twelve_edges_join_the_corners_of_any_cell() -> None:
    edges = cell_edges(TRICLINIC)
    assert edges.shape == (12, 2, 3)
    fractions = edges @ np.linalg.inv(TRICLINIC)
    assert np.allclose(fractions, np.rint(fractions), atol=1e-12)
    steps = fractions[:, 1] - fractions[:, 0]
    assert np.allclose(np.sort(steps.sum(axis=1)), 1)
    assert np.allclose(np.abs(steps).sum(axis=0), 4)
    assert len({tuple(np.rint(edge).ravel().astype(int)) for edge in fractions}) == 12


def test_a_cell_without_some_vectors_has_fewer_edges() -> None:
    assert cell_edges(TRICLINIC * [[1], [1], [0]]).shape == (4, 2, 3)
    assert cell_edges(TRICLINIC * [[0], [1], [0]]).shape == (1, 2, 3)
    assert cell_edges(np.zeros((3, 3))).shape == (0, 2, 3)


def test_views_are_rotations_and_look_where_they_say() -> None:
    for view in (seen_from(), seen_from(40, -20), *(along(TRICLINIC, axis) for axis in range(3))):
        assert np.allclose(view @ view.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(view) == pytest.approx(1)
    front = seen_from(0, 0)
    assert np.allclose(front, [[1, 0, 0], [0, 0, 1], [0, -1, 0]])  # x to the right, z up, seen from -y
    for axis in range(3):
        assert np.allclose((along(TRICLINIC, axis) @ TRICLINIC[axis])[:2], 0, atol=1e-12)
    assert np.allclose(along(np.zeros((3, 3)), 0)[2], [1, 0, 0])


def test_atoms_are_drawn_where_they_are() -> None:
    atoms = bulk("Si", cubic=True)
    atoms.rattle(0.1, seed=2)
    drawn, expected = circles(structure(atoms)), atoms.positions @ seen_from().T
    order = np.argsort(expected[:, 2])
    assert np.allclose(drawn, expected[order, :2])


def test_neighbours_are_joined_and_images_are_not() -> None:
    ethanol = molecule("CH3CH2OH")
    pairs = bonded_pairs(ethanol.numbers, ethanol.positions)
    assert len(pairs) == 8  # a chain of nine atoms without a ring
    crystal = bulk("Si", cubic=True)
    pairs = bonded_pairs(crystal.numbers, crystal.positions)
    lengths = np.linalg.norm(crystal.positions[pairs[:, 0]] - crystal.positions[pairs[:, 1]], axis=1)
    assert np.allclose(lengths, 5.43 * np.sqrt(3) / 4)
    assert len(bonded_pairs(np.ones(MOST_BONDED + 1, dtype=int), np.zeros((MOST_BONDED + 1, 3)))) == 0
    assert len(bonded_pairs(np.array([1]), np.zeros((1, 3)))) == 0


def test_colours_are_those_of_the_elements_or_of_the_scale() -> None:
    assert np.array_equal(atom_colors(np.array([6, 8]), None, (0, 1)), jmol_colors[[6, 8]])
    ends = atom_colors(np.array([6, 8]), np.array([0.0, 2.0]), (0, 2))
    assert np.allclose(ends, [[0.267004, 0.004874, 0.329415], [0.993248, 0.906157, 0.143936]], atol=1e-6)  # viridis


def test_scales_start_at_zero_where_zero_means_something() -> None:
    values = np.array([1.0, 3.0])
    assert color_limits("force", values) == (0, 3)
    assert color_limits("energy", values) == (1, 3)
    low, high = color_limits("energy", np.array([-5.0, -5.0]))
    assert low == -5 and high > low


def test_vectors_count_by_their_length() -> None:
    assert per_atom("force", np.array([[3.0, 4.0, 0.0]]), 1) == pytest.approx([5.0])


@pytest.mark.parametrize(
    ("scheme", "values", "words"),
    [
        ("charge", None, "scheme: expected one of"),
        ("force", None, "values: expected one for each of 2 atoms"),
        ("force", [1.0], "values: expected shape"),
        ("energy", [1.0, np.nan], "finite"),
        ("element", [1.0, 2.0], "expected none"),
    ],
)
def test_values_that_do_not_fit_are_refused(scheme: str, values: list[float] | None, words: str) -> None:
    with pytest.raises(InputError, match=words):
        structure(Atoms("H2", [[0, 0, 0], [0, 0, 0.7]]), scheme=scheme, values=values)  # type: ignore[arg-type]


def test_the_picture_is_not_blank_and_says_what_it_shows(tmp_path: object) -> None:
    slab = fcc111("Al", (2, 2, 3), vacuum=6)
    figure = structure(slab)
    assert "12 atoms, Al12, in a cell of" in style.description(figure)
    assert figure.legends[0].texts[0].get_text() == "Al"
    drawn = pixels(figure, tmp_path)
    assert 0.02 < (drawn.min(axis=2) < 0.9).mean() < 0.6
    force = structure(slab, scheme="force", values=np.arange(12.0), unit="eV/Å")
    assert force.axes[1].get_ylabel() == "force (eV/Å)"
    assert style.description(force).endswith("from 0 eV/Å to 11 eV/Å; the largest is on Al 11.")


def test_far_atoms_fade_but_a_scale_keeps_its_colours() -> None:
    atoms = Atoms("Si2", [[0, 0, 0], [0, 9, 0]])  # the second is farther away
    for values, same in ((None, False), (np.array([1.0, 1.0]), True)):
        figure = structure(atoms, scheme="element" if values is None else "force", values=values)
        front, back = (
            c.get_facecolor()[0]
            for c in sorted(
                (c for c in figure.axes[0].collections if isinstance(c, EllipseCollection)),
                key=lambda c: -c.get_zorder(),
            )
        )
        assert np.allclose(front, back) == same
        assert back.sum() >= front.sum()


def test_no_atoms_and_many_atoms_make_a_picture() -> None:
    assert style.description(structure(Atoms())) == "No atoms."
    assert style.png(structure(Atoms())).startswith(b"\x89PNG")
    many = bulk("Si", cubic=True).repeat(7)
    assert len(circles(structure(many))) == len(many) == 2744
