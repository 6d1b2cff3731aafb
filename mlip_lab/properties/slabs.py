"""Slabs of a crystal with any face, from the smallest cell that the face allows."""

from __future__ import annotations

import re
from itertools import product

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from mlip_lab.core.errors import InputError
from mlip_lab.properties.symmetry import conventional_lattice, dataset, point_group

Floats = NDArray[np.float64]
Miller = tuple[int, int, int]
SAME_LAYER = 0.05  # Å


def faces_in(text: str) -> tuple[Miller, ...]:
    """Miller indices in a text such as "100 110 1-11" or "(1, 0, 0) (1, 1, 1)".

    Raises:
        InputError: If there are none, or digits that are no triple.
    """
    found = []
    for group in re.findall(r"\(([^)]*)\)|([^\s,;()]+)", text):
        digits = re.findall(r"-?\d", "".join(group).replace("−", "-"))
        if len(digits) != 3 or not any(int(digit) for digit in digits):
            raise InputError(f'faces: expected Miller indices such as "100 110 1-11", got {text!r}.')
        first, second, third = (int(digit) for digit in digits)
        found.append((first, second, third))
    if not found:
        raise InputError('faces: expected Miller indices such as "100 110 111", got none.')
    return tuple(dict.fromkeys(found))


def normal_of(crystal: Atoms, face: Miller) -> Floats:
    """Unit vector across a face of the conventional cell, in the crystal's own axes, (3,)."""
    across = np.linalg.inv(conventional_lattice(crystal)) @ np.array(face, dtype=np.float64)
    return np.asarray(across / np.linalg.norm(across))


def equivalent_normals(crystal: Atoms, face: Miller) -> Floats:
    """Unit vectors across all faces that the crystal's symmetry makes of one, (n, 3)."""
    turned = point_group(crystal) @ normal_of(crystal, face)
    return np.asarray(np.unique(np.round(turned, 9) + 0.0, axis=0))


def layer_cell(primitive: Atoms, face: Miller) -> Atoms:
    """A primitive cell whose first two vectors lie in a face, along x and in the xy plane.

    Args:
        primitive: The primitive cell.
        face: Miller indices of the conventional cell.

    Returns:
        As many atoms as `primitive` has; repeated along its third vector it is the crystal, layer by layer.
    """
    across = np.linalg.inv(conventional_lattice(primitive)) @ np.array(face, dtype=np.float64)
    plane = _whole(primitive.cell.array @ across)
    span = np.arange(-np.abs(plane).max() - 1, np.abs(plane).max() + 2)
    steps = np.array([step for step in product(span, repeat=3) if any(step)])
    vectors = steps @ primitive.cell.array
    flat = steps[steps @ plane == 0]
    flat = flat[np.argsort(np.linalg.norm(flat @ primitive.cell.array, axis=1), kind="stable")]
    # the two shortest that leave no lattice point of the plane out: their cross product is the plane itself
    first = flat[0]
    second = next(v for v in flat if np.abs(np.cross(first, v)).any() and _is_plane(np.cross(first, v), plane))
    if np.cross(first, second) @ plane < 0:
        second = -second
    normal = across / np.linalg.norm(across)
    beside = np.linalg.norm(vectors - np.outer(vectors @ normal, normal), axis=1)
    above = np.flatnonzero(steps @ plane == 1)
    third = steps[above[np.argmin(beside[above])]]
    cell: Atoms = primitive.copy()
    cell.set_cell(np.array([first, second, third]) @ primitive.cell.array)
    cell.wrap(eps=1e-6)
    standard, _ = cell.cell.standard_form()
    cell.set_cell(standard, scale_atoms=True)
    return cell


def cuts(cell: Atoms) -> tuple[Floats, float]:
    """Where a layer cell can be cut, and the widest gap there in Å.

    The places are fractions of its third vector, half-way between neighbouring layers, (n,).
    """
    height = abs(cell.cell.volume) / np.linalg.norm(np.cross(*cell.cell.array[:2]))
    places = np.sort(cell.get_scaled_positions()[:, 2] % 1.0)
    gaps = np.diff(np.append(places, places[0] + 1.0))
    wide = gaps * height > SAME_LAYER
    return np.asarray((places + gaps / 2)[wide] % 1.0), float(gaps.max() * height)


def slab(cell: Atoms, layers: int, vacuum: float, cut: float = 0.0) -> Atoms:
    """A slab of a layer cell, with empty space above and below.

    Args:
        cell: From `layer_cell`.
        layers: How often the cell is repeated across the face.
        vacuum: Distance between the outermost layers of neighbouring slabs in Å.
        cut: Where the cell is cut, from `cuts`.

    Returns:
        The slab, its third vector along z; periodic in three directions.
    """
    begun: Atoms = cell.copy()
    scaled = begun.get_scaled_positions()
    scaled[:, 2] = (scaled[:, 2] - cut) % 1.0
    begun.set_scaled_positions(scaled)
    made: Atoms = begun.repeat((1, 1, layers))
    heights = made.positions[:, 2]
    thickness = float(np.ptp(heights))
    made.positions[:, 2] += vacuum / 2 - heights.min()
    made.set_cell([*made.cell.array[:2], [0.0, 0.0, thickness + vacuum]])
    made.pbc = True
    made.wrap(pbc=(True, True, False))
    return made


def equal_sides(made: Atoms) -> bool:
    """Whether some symmetry of a slab turns it upside down, so that both of its sides are one surface."""
    return bool((dataset(made).rotations[:, 2, 2] == -1).any())


def _whole(values: Floats) -> NDArray[np.int64]:
    """The smallest whole numbers in these proportions."""
    whole = np.round(values * 12).astype(np.int64)  # a centred lattice has planes at halves and thirds
    return np.asarray(whole // np.gcd.reduce(whole))


def _is_plane(cross: NDArray[np.int64], plane: NDArray[np.int64]) -> bool:
    return bool(np.array_equal(np.abs(cross), np.abs(plane)))
