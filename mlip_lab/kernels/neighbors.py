"""Pairs of atoms within a cutoff, for any cell, by linked cells.

Periodic images that can matter are written out as explicit ghost points, sorted into a Cartesian grid of bins. The
neighbours of an atom then lie in a few rows of bins, and each row is one contiguous run of memory. The cell enters
only where ghosts are made, so triclinic cells, cells smaller than the cutoff and missing periodicity are no special
cases of the search.

A pair (i, j, S) stands for r_ij = positions[j] + S @ cell - positions[i]; S refers to the positions as given, wherever
they lie relative to the cell. The list is full (it holds i-j and j-i) and exactly symmetric, because the vector of the
reversed pair is the same number with the other sign, to the last bit.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from mlip_lab.core.checks import as_floats
from mlip_lab.core.errors import InputError

FARTHEST = 1.0e7  # Å; beyond it float64 keeps fewer than nine decimals of a distance
MOST_IMAGES = 1.0e8  # ghost points; a few GB
MOST_SHIFT = 1.0e9  # cells between an atom and the origin; a shift is an int32
MARGIN = 1.0e-6  # of the cutoff: search a little further than asked, then decide with the exact vector
BINS_ALONG_ROW = 4  # per cutoff; finer than across, because within a row a bin costs nothing but memory


@njit(cache=True, nogil=True)
def build_pairs(
    positions: NDArray[np.float64], cell: NDArray[np.float64], pbc: NDArray[np.bool_], cutoff: float
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32]]:
    """List every pair of atoms closer than the cutoff.

    Args:
        positions: Positions in Å, float64 (n_atoms, 3), inside the cell or not.
        cell: Cell vectors as rows in Å, float64 (3, 3); rows of non-periodic directions are not used and may be zero.
        pbc: Periodic directions, bool (3,).
        cutoff: Largest distance in Å, itself excluded.

    Returns:
        first: int64 (n_atoms + 1,); the pairs of atom i are first[i]:first[i + 1].
        neighbor: int32 (n_pairs,), the index j of each pair.
        shift: int32 (n_pairs, 3), the lattice translation S of each pair.

    Raises:
        InputError: If a position is NaN or further than 1e7 Å from the origin, if the periodic cell vectors are
            linearly dependent, or if the cutoff is not positive (`check_geometry` says the same in more words).
    """
    if not (cutoff > 0.0 and cutoff < FARTHEST):
        raise InputError("cutoff: expected a positive number of Å; call check_geometry for details.")
    reach = cutoff * (1.0 + MARGIN)
    inverse = _inverse_cell(cell, pbc)
    wrapped, fraction, floors = _wrap(positions, cell, inverse, pbc)
    box = _box(wrapped, reach)
    points, atom, translation, total = _ghosts(wrapped, fraction, floors, cell, inverse, pbc, box, reach)
    points, order, start, bins, width = _sort_into_bins(points, total, box, reach)
    first, found = _search(positions, cell, wrapped, floors, points, order, atom, translation,
                           start, bins, box[0], width, reach, cutoff)  # fmt: skip
    neighbor = np.empty(found.shape[0], dtype=np.int32)
    shift = np.empty((found.shape[0], 3), dtype=np.int32)
    for i in range(positions.shape[0]):
        for p in range(first[i], first[i + 1]):
            ghost = found[p]
            neighbor[p] = atom[ghost]
            for d in range(3):
                shift[p, d] = translation[ghost, d] + floors[i, d]
    return first, neighbor, shift


@njit(cache=True, nogil=True)
def pair_vectors(
    positions: NDArray[np.float64],
    cell: NDArray[np.float64],
    first: NDArray[np.int64],
    neighbor: NDArray[np.int32],
    shift: NDArray[np.int32],
) -> NDArray[np.float64]:
    """Return r_ij = positions[j] + shift @ cell - positions[i] in Å, float64 (n_pairs, 3), for a list of pairs."""
    vectors = np.empty((neighbor.shape[0], 3))
    for i in range(first.shape[0] - 1):
        for p in range(first[i], first[i + 1]):
            for d in range(3):
                vectors[p, d] = _component(positions, cell, i, neighbor[p], shift[p, 0], shift[p, 1], shift[p, 2], d)
    return vectors


@njit(cache=True, nogil=True)
def needs_rebuild(positions: NDArray[np.float64], reference_positions: NDArray[np.float64], skin: float) -> bool:
    """Say whether an atom has moved further than skin/2 from where it was when the list was built.

    A list built with cutoff + skin holds every pair within the cutoff until then, as long as the cell is the same.
    NaN counts as moved, so that the rebuild refuses it.
    """
    limit = 0.25 * skin * skin
    for i in range(positions.shape[0]):
        x = positions[i, 0] - reference_positions[i, 0]
        y = positions[i, 1] - reference_positions[i, 1]
        z = positions[i, 2] - reference_positions[i, 2]
        if not (x * x + y * y + z * z <= limit):
            return True
    return False


def check_geometry(
    positions: Any, cell: Any, pbc: Any, cutoff: Any
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_], float]:
    """Check what `build_pairs` is to be given and return it in the types it takes.

    Args:
        positions: Positions in Å, (n_atoms, 3).
        cell: Cell vectors as rows in Å, (3, 3).
        pbc: Periodic directions, one bool or three.
        cutoff: Cutoff in Å.

    Returns:
        Contiguous float64 positions and cell, bool (3,) pbc, float cutoff.

    Raises:
        InputError: If a shape is wrong, a number is NaN or infinite, the cutoff is not positive, the periodic cell
            vectors are linearly dependent, an atom is too far away, or the cell is so small beside the cutoff that
            its periodic images do not fit into memory.
    """
    positions = as_floats("positions", positions, (None, 3))
    cell = as_floats("cell", cell, (3, 3))
    given = np.asarray(pbc)
    if given.dtype != np.bool_ or given.shape not in ((), (3,)):
        raise InputError(f"pbc: expected one bool or three, got {pbc!r}.")
    periodic = np.ascontiguousarray(np.broadcast_to(given, (3,)))
    reach = float(as_floats("cutoff", cutoff, ()))
    if not 0.0 < reach < FARTHEST:
        raise InputError(f"cutoff: expected a positive number in Å, got {reach:g}.")
    if positions.size and np.abs(positions).max() > FARTHEST:
        far = int(np.abs(positions).max(axis=1).argmax())
        raise InputError(
            f"positions: expected atoms within {FARTHEST:g} Å of the origin, got atom {far} at {positions[far]}; "
            "wrap the atoms into the cell, and check that the run has not exploded."
        )
    rows = cell[periodic]
    if len(rows):
        _check_cell(rows, len(positions), float(np.abs(positions).max(initial=0.0)), reach)
    return positions, cell, periodic, reach


def _check_cell(rows: NDArray[np.float64], n_atoms: int, farthest: float, cutoff: float) -> None:
    lengths = np.linalg.norm(rows, axis=1)
    singular = np.linalg.svd(rows / np.where(lengths > 0.0, lengths, 1.0)[:, None], compute_uv=False)
    if lengths.min() == 0.0 or singular.min() < 1e-6:
        raise InputError(
            f"cell: expected {len(rows)} linearly independent vectors along the periodic directions (a cell with a "
            f"volume), got {rows.tolist()}; give the missing vectors or set pbc=False along them."
        )
    heights = 1.0 / np.linalg.norm(np.linalg.pinv(rows), axis=0)
    if farthest / heights.min() > 0.5 * MOST_SHIFT:
        raise InputError(
            f"cell: expected atoms within {MOST_SHIFT / 2:g} cells of the origin, but the cell is only "
            f"{heights.min():.3g} Å high and an atom is {farthest:.3g} Å away; check the units, or wrap the atoms."
        )
    images = n_atoms * float(np.prod(2.0 * cutoff / heights + 1.0))
    if images > MOST_IMAGES:
        raise InputError(
            f"cell: expected fewer than {MOST_IMAGES:g} periodic images within the cutoff of {cutoff:g} Å, got "
            f"about {images:.1e}; the cell is only {heights.min():.3g} Å high. Check its unit, or reduce the cell."
        )


@njit(cache=True, nogil=True)
def _component(positions, cell, i, j, s0, s1, s2, d):
    """One component of r_ij; (j - i) first, so that exchanging i and j changes nothing but the sign."""
    return (positions[j, d] - positions[i, d]) + (s0 * cell[0, d] + s1 * cell[1, d] + s2 * cell[2, d])


@njit(cache=True, nogil=True)
def _cross(a, b, out):
    """Write a × b into out and return its length."""
    out[0] = a[1] * b[2] - a[2] * b[1]
    out[1] = a[2] * b[0] - a[0] * b[2]
    out[2] = a[0] * b[1] - a[1] * b[0]
    return math.sqrt(out[0] * out[0] + out[1] * out[1] + out[2] * out[2])


@njit(cache=True, nogil=True)
def _inverse_cell(cell, pbc):
    """Columns of the inverse cell as rows; a non-periodic row is first replaced by a vector normal to the others."""
    full = np.zeros((3, 3))
    scale = 1.0
    for d in range(3):
        if pbc[d]:
            for e in range(3):
                full[d, e] = cell[d, e]
            scale *= math.sqrt(full[d, 0] * full[d, 0] + full[d, 1] * full[d, 1] + full[d, 2] * full[d, 2])
    periodic = int(pbc[0]) + int(pbc[1]) + int(pbc[2])
    if periodic == 0:
        full[0, 0] = full[1, 1] = full[2, 2] = 1.0
    elif periodic == 1:
        d = 0 if pbc[0] else (1 if pbc[1] else 2)
        x, y, z = abs(full[d, 0]), abs(full[d, 1]), abs(full[d, 2])
        axis = np.zeros(3)
        axis[0 if x <= y and x <= z else (1 if y <= z else 2)] = 1.0
        scale *= _cross(full[d], axis, full[(d + 1) % 3])
        scale *= _cross(full[d], full[(d + 1) % 3], full[(d + 2) % 3])
    elif periodic == 2:
        d = 2 if not pbc[2] else (1 if not pbc[1] else 0)
        scale *= _cross(full[(d + 1) % 3], full[(d + 2) % 3], full[d])
    inverse = np.empty((3, 3))
    for d in range(3):
        _cross(full[(d + 1) % 3], full[(d + 2) % 3], inverse[d])
    volume = full[0, 0] * inverse[0, 0] + full[0, 1] * inverse[0, 1] + full[0, 2] * inverse[0, 2]
    if not abs(volume) > 1e-12 * scale:
        raise InputError("cell: the periodic cell vectors have no volume; call check_geometry for details.")
    for d in range(3):
        for e in range(3):
            inverse[d, e] /= volume
    return inverse


@njit(cache=True, nogil=True)
def _wrap(positions, cell, inverse, pbc):
    """Positions moved into the cell, their fractional coordinates, and the translations that were taken off."""
    n = positions.shape[0]
    wrapped = np.empty((n, 3))
    fraction = np.zeros((n, 3))
    floors = np.zeros((n, 3), dtype=np.int64)
    for i in range(n):
        x, y, z = positions[i, 0], positions[i, 1], positions[i, 2]
        if not (abs(x) <= FARTHEST and abs(y) <= FARTHEST and abs(z) <= FARTHEST):
            raise InputError("positions: NaN, or an atom further than 1e7 Å from the origin.")
        for d in range(3):
            if pbc[d]:
                s = x * inverse[d, 0] + y * inverse[d, 1] + z * inverse[d, 2]
                whole = math.floor(s)
                if not abs(whole) < MOST_SHIFT:
                    raise InputError("positions: an atom is too many cells away; call check_geometry for details.")
                fraction[i, d] = s - whole
                floors[i, d] = int(whole)
        for d in range(3):
            wrapped[i, d] = positions[i, d] - (
                floors[i, 0] * cell[0, d] + floors[i, 1] * cell[1, d] + floors[i, 2] * cell[2, d]
            )
    return wrapped, fraction, floors


@njit(cache=True, nogil=True)
def _ghosts(wrapped, fraction, floors, cell, inverse, pbc, box, reach):
    """Every image of every atom that can lie within reach of an atom in the cell, the atoms themselves among them.

    An image of fraction s + k is kept if, along each periodic direction, it is no further outside the slab that holds
    the atoms than reach / height, and if it lies in the Cartesian box around the atoms.
    """
    n = wrapped.shape[0]
    low = np.zeros((n, 3), dtype=np.int64)
    high = np.zeros((n, 3), dtype=np.int64)
    for d in range(3):
        if pbc[d]:
            margin = min(MOST_IMAGES, reach * math.sqrt(inverse[d, 0] ** 2 + inverse[d, 1] ** 2 + inverse[d, 2] ** 2))
            least, most = 1.0, 0.0
            for i in range(n):
                least = min(least, fraction[i, d])
                most = max(most, fraction[i, d])
            for i in range(n):
                low[i, d] = math.ceil(least - margin - fraction[i, d])
                high[i, d] = math.floor(most + margin - fraction[i, d])
    images = 0.0  # a float cannot overflow
    for i in range(n):
        images += (high[i, 0] - low[i, 0] + 1.0) * (high[i, 1] - low[i, 1] + 1.0) * (high[i, 2] - low[i, 2] + 1.0)
    if images > MOST_IMAGES:
        raise InputError("cell: too small or too skewed beside the cutoff; call check_geometry for details.")
    points = np.empty((3, int(images)))
    atom = np.empty(points.shape[1], dtype=np.int32)
    translation = np.empty((points.shape[1], 3), dtype=np.int64)
    count = 0
    for i in range(n):
        for k0 in range(low[i, 0], high[i, 0] + 1):
            for k1 in range(low[i, 1], high[i, 1] + 1):
                for k2 in range(low[i, 2], high[i, 2] + 1):
                    inside = True
                    for d in range(3):
                        x = wrapped[i, d] + (k0 * cell[0, d] + k1 * cell[1, d] + k2 * cell[2, d])
                        inside = inside and x >= box[0, d] and x <= box[1, d]
                        points[d, count] = x
                    if inside:
                        atom[count] = i
                        translation[count, 0] = k0 - floors[i, 0]
                        translation[count, 1] = k1 - floors[i, 1]
                        translation[count, 2] = k2 - floors[i, 2]
                        count += 1
    return points, atom, translation, count


@njit(cache=True, nogil=True)
def _box(wrapped, reach):
    """Lower and upper corner of the Cartesian box that holds everything within reach of the atoms."""
    box = np.zeros((2, 3))
    for i in range(wrapped.shape[0]):
        for d in range(3):
            box[0, d] = wrapped[i, d] - reach if i == 0 else min(box[0, d], wrapped[i, d] - reach)
            box[1, d] = wrapped[i, d] + reach if i == 0 else max(box[1, d], wrapped[i, d] + reach)
    return box


@njit(cache=True, nogil=True)
def _sort_into_bins(points, count, box, reach):
    """Sort points by bin (counting sort): bins[2] runs fastest, so a row of bins along z is contiguous."""
    bins = np.empty(3, dtype=np.int64)
    width = np.empty(3)
    most = 8 * count + 64  # widely scattered atoms must not ask for more bins than there are points, by far
    for d in range(3):
        finest = reach / BINS_ALONG_ROW if d == 2 else reach
        bins[d] = int(min(float(most), (box[1, d] - box[0, d]) / finest)) + 1
    while float(bins[0]) * bins[1] * bins[2] > most:
        d = 0 if bins[0] >= bins[1] and bins[0] >= bins[2] else (1 if bins[1] >= bins[2] else 2)
        bins[d] = (bins[d] + 1) // 2
    for d in range(3):
        width[d] = max((box[1, d] - box[0, d]) / bins[d], 1e-300)
    start = np.zeros(bins[0] * bins[1] * bins[2] + 1, dtype=np.int32)
    which = np.empty(count, dtype=np.int32)
    for g in range(count):
        b = 0
        for d in range(3):
            b = b * bins[d] + min(bins[d] - 1, int((points[d, g] - box[0, d]) / width[d]))
        which[g] = b
        start[b + 1] += 1
    for b in range(start.shape[0] - 1):
        start[b + 1] += start[b]
    cursor = start.copy()
    order = np.empty(count, dtype=np.int32)
    sorted_points = np.empty((3, count))
    for g in range(count):
        at = cursor[which[g]]
        cursor[which[g]] += 1
        order[at] = g
        for d in range(3):
            sorted_points[d, at] = points[d, g]
    return sorted_points, order, start, bins, width


@njit(cache=True, nogil=True)
def _search(positions, cell, wrapped, floors, points, order, atom, translation,
            start, bins, origin, width, reach, cutoff):  # fmt: skip
    """Find the ghosts within the cutoff of each atom; returns first and the ghost of each pair."""
    n = wrapped.shape[0]
    first = np.zeros(n + 1, dtype=np.int64)
    found = np.empty(max(64 * n, 64), dtype=np.int32)
    xs, ys, zs = points[0], points[1], points[2]
    count = 0
    for i in range(n):
        x, y, z = wrapped[i, 0], wrapped[i, 1], wrapped[i, 2]
        begin = count
        x_low = max(0, int((x - reach - origin[0]) / width[0]))
        x_high = min(bins[0] - 1, int((x + reach - origin[0]) / width[0]))
        y_low = max(0, int((y - reach - origin[1]) / width[1]))
        y_high = min(bins[1] - 1, int((y + reach - origin[1]) / width[1]))
        for bx in range(x_low, x_high + 1):
            edge = origin[0] + bx * width[0]
            gap_x = max(0.0, edge - x, x - edge - width[0])
            for by in range(y_low, y_high + 1):
                edge = origin[1] + by * width[1]
                gap_y = max(0.0, edge - y, y - edge - width[1])
                left = reach * reach - gap_x * gap_x - gap_y * gap_y
                if left < 0.0:
                    continue
                half = math.sqrt(left) + MARGIN * reach
                row = (bx * bins[1] + by) * bins[2]
                z_low = max(0, int((z - half - origin[2]) / width[2]))
                z_high = min(bins[2] - 1, int((z + half - origin[2]) / width[2]))
                low, high = start[row + z_low], start[row + z_high + 1]
                if count + (high - low) > found.shape[0]:
                    larger = np.empty(2 * found.shape[0] + (high - low), dtype=np.int32)
                    for p in range(count):
                        larger[p] = found[p]
                    found = larger
                for g in range(low, high):
                    dx, dy, dz = xs[g] - x, ys[g] - y, zs[g] - z
                    found[count] = g  # overwritten by the next one unless it is close: no branch to mispredict
                    count += int(dx * dx + dy * dy + dz * dz < reach * reach)
        count = _settle(positions, cell, floors, order, atom, translation, found, begin, count, i, cutoff)
        first[i + 1] = count
    return first, found[:count]


@njit(cache=True, nogil=True)
def _settle(positions, cell, floors, order, atom, translation, found, begin, end, i, cutoff):
    """Keep, among the candidates of atom i, those whose exact vector is short enough and that are not i itself."""
    count = begin
    for p in range(begin, end):
        g = order[found[p]]
        j = atom[g]
        t, f = translation[g], floors[i]
        s0, s1, s2 = t[0] + f[0], t[1] + f[1], t[2] + f[2]
        x = _component(positions, cell, i, j, s0, s1, s2, 0)
        y = _component(positions, cell, i, j, s0, s1, s2, 1)
        z = _component(positions, cell, i, j, s0, s1, s2, 2)
        itself = i == j and s0 == 0 and s1 == 0 and s2 == 0
        if x * x + y * y + z * z < cutoff * cutoff and not itself:
            found[count] = g
            count += 1
    return count
