"""What a viewer shows of the frames it is given."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from mlip_lab.core.errors import InputError
from mlip_lab.panels.viewer.frames import MOST_ATOMS, Frames


def frames_of(atoms: Atoms, positions: object = None, cells: object = None, *, wrap: bool = False) -> Frames:
    return Frames(atoms, positions, cells, wrap=wrap)  # type: ignore[arg-type]


def test_positions_are_as_given_unless_they_are_to_be_wrapped() -> None:
    atoms = Atoms("H", [[-1.0, 0.5, 12.0]], cell=[10, 10, 10], pbc=True)
    assert np.array_equal(frames_of(atoms).at(0).positions, [[-1.0, 0.5, 12.0]])
    assert np.allclose(frames_of(atoms, wrap=True).at(0).positions, [[9.0, 0.5, 2.0]])


def test_the_structure_of_the_user_is_not_changed() -> None:
    atoms = bulk("Si")
    frames = frames_of(atoms)
    frames.put(atoms.positions + 1, None, 0)
    assert np.array_equal(atoms.positions, bulk("Si").positions)


def test_more_than_20_000_atoms_are_cut_to_a_slice_through_the_middle() -> None:
    atoms = bulk("Si", cubic=True).repeat((60, 7, 7))  # 23 520 atoms, long in x
    frames = frames_of(atoms)
    assert len(frames.kept) == MOST_ATOMS
    x = atoms.positions[:, 0]
    middle = (x.min() + x.max()) / 2
    out = np.setdiff1d(np.arange(len(atoms)), frames.kept)
    assert np.abs(x[frames.kept] - middle).max() <= np.abs(x[out] - middle).min() + 1e-9
    assert np.array_equal(frames.drawn(0).positions, atoms.positions[frames.kept])
    thickness = np.ptp(x[frames.kept])
    expected = f"20 000 of 23 520 atoms: a slice through the middle, {thickness:.1f} Å thick, across x."
    assert frames.left_out == expected
    assert frames_of(bulk("Si")).left_out == ""


def test_bonds_hold_until_one_is_half_as_long_again() -> None:
    atoms = Atoms("H2", [[0, 0, 0], [0, 0, 0.8]])
    frames = frames_of(atoms)
    assert len(frames.bonds) == 1
    assert frames.bonds_hold(atoms.positions * 1.49)
    assert not frames.bonds_hold(atoms.positions * 1.51)


def test_displacements_are_measured_from_the_first_frame() -> None:
    atoms = Atoms("H2", [[0, 0, 0], [0, 0, 0.8]])
    frames = frames_of(atoms, np.stack([atoms.positions, atoms.positions + np.array([[3, 4, 0], [0, 0, 0]])]))
    frames.color_by("displacement", None, "", None)
    assert frames.amounts(1) == pytest.approx([5.0, 0.0])
    assert (frames.unit, frames.limits) == ("Å", (0.0, 5.0))


def test_values_may_differ_from_frame_to_frame() -> None:
    atoms = Atoms("H2", [[0, 0, 0], [0, 0, 0.8]])
    frames = frames_of(atoms, [atoms.positions] * 3)
    frames.color_by("energy", [[1.0, 2.0], [3.0, 4.0], [5.0, 9.0]], "eV", None)
    assert frames.amounts(2) == pytest.approx([5.0, 9.0])
    assert frames.limits == (1.0, 9.0)
    forces = np.zeros((3, 2, 3))
    forces[1, 0] = [0, 3, 4]
    frames.color_by("force", forces, "eV/Å", None)
    assert frames.amounts(1) == pytest.approx([5.0, 0.0])


def test_live_limits_only_widen() -> None:
    frames = frames_of(Atoms("H2", [[0, 0, 0], [0, 0, 0.8]]))
    for high, expected in ((2.0, 2.0), (1.0, 2.0), (3.0, 3.0)):
        frames.color_by("force", [0.5, high], "eV/Å", None)
        assert frames.limits == (0.0, expected)
    frames.color_by("energy", [0.5, 1.0], "eV", None)  # another scheme begins anew
    assert frames.limits == (0.5, 1.0)
    frames.color_by("energy", [0.5, 1.0], "eV", (0.0, 7.0))
    assert frames.limits == (0.0, 7.0)


@pytest.mark.parametrize(
    ("positions", "words"),
    [
        (np.zeros((2, 3, 3)), "positions: expected shape"),
        (np.zeros((0, 2, 3)), "at least one frame"),
        (np.full((1, 2, 3), np.nan), "finite"),
    ],
)
def test_frames_that_do_not_fit_are_refused(positions: np.ndarray, words: str) -> None:
    with pytest.raises(InputError, match=words):
        frames_of(Atoms("H2", np.zeros((2, 3))), positions)


def test_values_and_cells_that_do_not_fit_are_refused() -> None:
    atoms = Atoms("H2", np.zeros((2, 3)))
    with pytest.raises(InputError, match="cells: expected shape"):
        frames_of(atoms, np.zeros((2, 2, 3)), np.zeros((3, 3, 3)))
    with pytest.raises(InputError, match="one row a frame"):
        frames_of(atoms).color_by("energy", np.zeros((4, 2)), "", None)
    with pytest.raises(InputError, match="atoms: expected a structure"):
        frames_of([1, 2])  # type: ignore[arg-type]
