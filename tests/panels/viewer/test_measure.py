"""Distances and angles said in words are those of the atoms."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule

from mlip_lab.core.errors import InputError
from mlip_lab.panels.viewer.measure import in_words, parse_atoms


def test_distance_and_angle_of_water() -> None:
    water = molecule("H2O")  # O, H, H
    assert in_words(water, (0, 1)) == f"O 0 to H 1: {water.get_distance(0, 1):.3f} Å."
    assert in_words(water, (1, 0, 2)) == f"Angle H 1 – O 0 – H 2, at O 0: {water.get_angle(1, 0, 2):.2f}°."


def test_right_and_straight_angles_are_exact() -> None:
    atoms = Atoms("H4", [[1, 0, 0], [0, 0, 0], [0, 2, 0], [-3, 0, 0]])
    assert in_words(atoms, (0, 1, 2)).endswith("at H 1: 90.00°.")
    assert in_words(atoms, (0, 1, 3)).endswith("at H 1: 180.00°.")


def test_the_nearest_image_is_named_where_it_is_nearer() -> None:
    atoms = Atoms("H2", [[0.5, 0, 0], [9.5, 0, 0]], cell=[10, 10, 10], pbc=True)
    assert in_words(atoms, (0, 1)) == "H 0 to H 1: 9.000 Å as drawn, 1.000 Å to the nearest periodic image."
    atoms.pbc = False
    assert in_words(atoms, (0, 1)) == "H 0 to H 1: 9.000 Å."


def test_atoms_in_one_place_have_no_angle() -> None:
    assert "no angle" in in_words(Atoms("H3", np.zeros((3, 3))), (0, 1, 2))


def test_one_atom_asks_for_a_second_and_none_says_nothing() -> None:
    atoms = Atoms("H", [[1.0, 2.0, 3.0]])
    assert in_words(atoms, (0,)) == "H 0 at (1.000, 2.000, 3.000) Å. Choose a second atom for a distance."
    assert in_words(atoms, ()) == ""


def test_numbers_are_read_however_they_are_parted() -> None:
    assert parse_atoms(" 0, 5  7", 8) == (0, 5, 7)
    assert parse_atoms("", 8) == ()


@pytest.mark.parametrize("text", ["0 x", "0 0", "0 8", "-1 2", "0 1 2 3", "1.5"])
def test_what_is_no_atom_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="Atoms to measure"):
        parse_atoms(text, 8)
