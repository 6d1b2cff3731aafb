"""Do forces and stress belong to the energies? Judged by finite differences between similar frames.

Two frames a, b of the same atoms are joined by a path straight in cell h and fractional coordinates s. Along it
dE = -Σ F·(ds h) + V σ:(h⁻¹ dh), and the trapezoid rule over the two ends is exact for a harmonic crystal:

    E_b - E_a  ≈  ½ Σ_{a,b} [ -Σ_i F_i·(Δs_i h) + V σ_m tr(h⁻¹Δh) + V s:(h⁻¹Δh) ],   σ = σ_m 1 + s

The slope of the left side against each term on the right is 1 if labels share one convention. Another number is a
ratio of units (1.89 for Hartree and Hartree/Bohr with positions in Å), -1 is a sign, and a constant beside σ_m is a
pressure that the energies do not know (Pulay stress).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mlip_lab.core.frame import Frame
from mlip_lab.core.units import GPA

Floats = NDArray[np.float64]

LARGEST_GROUP = 600  # frames compared with each other; their distances are an n × n matrix
LARGEST_STRAIN = 0.05  # beyond it the third-order error of the trapezoid passes a few per cent
LARGEST_MOVE = 0.6  # Å, of any one atom
LARGEST_STRAINED_MOVE = 0.1  # Å, beside a strain, whose work is the smaller
BOND = 3.0  # Å; a strain counts as the move of a neighbour that it shifts as much
FEWEST_PAIRS = 5
LARGEST_ARRAY = 3_000_000  # numbers in the displacements of all pairs of a group


@dataclass(frozen=True)
class Slope:
    """Energy differences against the work of one kind of label.

    Attributes:
        slope: ΔE over work; 1 if the labels belong to the energies.
        error: Standard error of the slope.
        pairs: Pairs of frames compared.
        unexplained: Typical |ΔE - slope · work| over typical |ΔE|; 0 is perfect.
    """

    slope: float
    error: float
    pairs: int
    unexplained: float


@dataclass(frozen=True)
class StressSlopes:
    """Energy differences between strained frames against the work of the stress.

    Attributes:
        hydrostatic: Slope for the mean of the diagonal.
        offset: Constant in GPa that the mean of the diagonal lacks: true = slope · label + offset.
        offset_error: Its standard error in GPa.
        shear: Slope for the deviatoric part.
    """

    hydrostatic: Slope | None
    offset: float
    offset_error: float
    shear: Slope | None


@dataclass(frozen=True)
class _Group:
    """Frames of the same atoms in one orientation: energies (n,), fractional s (n, N, 3), cells (n, 3, 3)."""

    energies: Floats
    fractional: Floats
    cells: Floats
    forces: Floats
    stresses: Floats
    features: Floats


def compare(frames: Sequence[Frame]) -> tuple[Slope | None, float | None, StressSlopes | None]:
    """Hold forces and stress against energy differences.

    Args:
        frames: Frames with their labels.

    Returns:
        The slope for forces; the mean curvature -ΔF·Δx/|Δx|² in the labels' units per Å (a force constant); the
        slopes for stress. None where too few frames resemble each other.
    """
    groups = _groups(frames)
    moved = np.concatenate([np.empty((0, 5)), *map(_force_work, groups)])
    # The trapezoid's error grows with the cube of the step, so the nearest pairs judge best.
    moved = moved[np.argsort(moved[:, 4], kind="stable")[: max(40, len(moved) // 10)]]
    starts = np.cumsum([0, *(len(group.energies) for group in groups)])
    strained = np.concatenate([np.empty((0, 11)), *map(_stress_work, groups, starts)])
    strained = strained[np.argsort(strained[:, 6], kind="stable")]
    still = strained[strained[:, 5] < LARGEST_STRAINED_MOVE]
    stress = _slopes_of_stress(still[: max(100, len(still) // 2)])
    force, springs = _slope_of_forces(moved[:, :2]), moved[:, 2:4]
    if force is None:  # no two frames share a cell: what the stress leaves is the forces' work
        rattled = strained[strained[:, 5] > 0.01]
        rattled = rattled[: max(40, len(rattled) // 4)]
        fit = _regress(rattled)
        force, springs = fit.slope(3) if fit is not None else None, rattled[:, 9:]
        if force is not None:  # cubic terms that couple strain and move do not average out
            force = replace(force, error=float(np.hypot(force.error, 0.05)))
    curvature = float(springs[:, 0].sum() / springs[:, 1].sum()) if len(springs) >= FEWEST_PAIRS else None
    return force, curvature, stress


def _groups(frames: Sequence[Frame]) -> list[_Group]:
    """Frames that list the same atoms in the same order, brought into one orientation and unwrapped."""
    members: dict[tuple[bytes, bytes], list[Frame]] = {}
    for frame in frames:
        if frame.energy is not None and (frame.forces is not None or frame.stress is not None):
            members.setdefault((frame.numbers.tobytes(), frame.pbc.tobytes()), []).append(frame)
    return [_group(_thinned(group)) for group in members.values() if len(group) > 1 and len(group[0].numbers) > 0]


def _thinned(group: list[Frame]) -> list[Frame]:
    """At most LARGEST_GROUP frames: runs of neighbours, since neighbours in a trajectory resemble each other."""
    if len(group) <= LARGEST_GROUP:
        return group
    starts = np.linspace(0, len(group) - 20, LARGEST_GROUP // 20).astype(int)
    return [group[i] for i in np.unique(starts[:, None] + np.arange(20))]


def _group(group: list[Frame]) -> _Group:
    n_atoms, pbc = len(group[0].numbers), group[0].pbc
    nan3 = np.full((3, 3), np.nan)
    nan_forces = np.full((n_atoms, 3), np.nan)
    cells = np.array([periodic_cell(frame.cell, frame.pbc) for frame in group])
    positions = np.array([frame.positions for frame in group])
    forces = np.array([nan_forces if frame.forces is None else frame.forces for frame in group])
    stresses = np.array([nan3 if frame.stress is None else frame.stress for frame in group])
    if not pbc.any():
        positions, forces = _aligned(positions, forces)
    fractional = positions @ np.linalg.inv(cells)
    fractional -= np.where(pbc, np.round(fractional - fractional[0]), 0.0)
    shifts = (fractional - fractional.mean(axis=1, keepdims=True)) @ cells[0] / np.sqrt(n_atoms)
    strains = np.linalg.inv(cells[0]) @ cells * BOND
    features = np.concatenate([shifts.reshape(len(group), -1), strains.reshape(len(group), 9)], axis=1)
    energies = np.array([frame.energy for frame in group], dtype=np.float64)
    return _Group(energies, fractional, cells, forces, stresses, features - features[0])


def periodic_cell(cell: Floats, pbc: NDArray[np.bool_]) -> Floats:
    """The cell with a unit vector across the periodic ones wherever it is not periodic."""
    full = np.where(pbc[:, None], cell, 0.0)
    if not pbc.any():
        return np.eye(3)
    missing = np.flatnonzero(~pbc)
    if len(missing):
        null = np.linalg.svd(full[pbc])[2][-len(missing) :]
        full[missing] = null
    return full


def _aligned(positions: Floats, forces: Floats) -> tuple[Floats, Floats]:
    """Molecules turned onto the first one (Kabsch): energies do not know the orientation."""
    centred = positions - positions.mean(axis=1, keepdims=True)
    u, _, vt = np.linalg.svd(np.swapaxes(centred, 1, 2) @ centred[0])
    u[:, :, -1] *= np.sign(np.linalg.det(u @ vt))[:, None]
    return centred @ (u @ vt), forces @ (u @ vt)


def _nearest(group: _Group, neighbours: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Each frame with the few most like it, as index pairs a < b."""
    n = len(group.energies)
    square = np.einsum("ij,ij->i", group.features, group.features)
    distance = square[:, None] + square[None, :] - 2.0 * group.features @ group.features.T
    np.fill_diagonal(distance, np.inf)
    keep = min(neighbours, n - 1)
    near = np.argpartition(distance, keep - 1, axis=1)[:, :keep]
    pairs = np.stack([np.repeat(np.arange(n), keep), near.ravel()])
    first, second = np.unique(np.sort(pairs, axis=0), axis=1)
    return first, second


def _paths(group: _Group, a: NDArray[np.intp], b: NDArray[np.intp]) -> tuple[Floats, Floats, Floats, Floats]:
    """Per pair: Δs, Δh, the farthest move of an atom in Å and the largest strain component."""
    ds = group.fractional[b] - group.fractional[a]
    ds = ds - ds.mean(axis=1, keepdims=True)
    dh = group.cells[b] - group.cells[a]
    mean = 0.5 * (group.cells[a] + group.cells[b])
    move = np.sqrt(np.square(ds @ mean).sum(axis=2).max(axis=1, initial=0.0))
    strain = np.abs(np.linalg.solve(mean, dh)).max(axis=(1, 2), initial=0.0)
    return ds, dh, move, strain


def _known(labels: Floats) -> NDArray[np.bool_]:
    """Which frames have the label: missing ones are NaN here."""
    return np.asarray(np.isfinite(labels).all(axis=(1, 2)), dtype=np.bool_)


def _force_work(group: _Group) -> Floats:
    """Rows (ΔE, work of the forces, -ΔF·Δx, |Δx|², farthest move) for pairs in the same cell."""
    labelled = _known(group.forces)
    a, b = _nearest(group, 4)
    a, b = a[labelled[a] & labelled[b]], b[labelled[a] & labelled[b]]
    ds, _, move, strain = _paths(group, a, b)
    use = (strain < 1e-6) & (move > 1e-5) & (move < LARGEST_MOVE)
    a, b, dx = a[use], b[use], ds[use] @ group.cells[a[use]]
    work = -0.5 * np.einsum("pij,pij->p", group.forces[a] + group.forces[b], dx)
    spring = -np.einsum("pij,pij->p", group.forces[b] - group.forces[a], dx)
    square = np.square(dx).sum(axis=(1, 2))
    return np.stack([group.energies[b] - group.energies[a], work, spring, square, move[use]], axis=1)


def _stress_work(group: _Group, start: int) -> Floats:
    """Rows of strained pairs.

    ΔE, V σ_m tr, V tr, V s: and the forces' work, per atom; farthest move, unlikeness, the two frames; -ΔF·Δx, |Δx|².
    """
    stressed = _known(group.stresses)
    n = len(group.energies)
    a, b = np.triu_indices(n, 1) if n <= 60 else _nearest(group, 30)
    strain = np.abs(np.linalg.solve(group.cells[a], group.cells[b] - group.cells[a])).max(axis=(1, 2))
    use = stressed[a] & stressed[b] & (strain > 1e-5) & (strain < 2 * LARGEST_STRAIN)
    stride = 1 + 3 * group.fractional.shape[1] * int(use.sum()) // LARGEST_ARRAY
    a, b = a[use][::stride], b[use][::stride]
    ds, dh, move, strain = _paths(group, a, b)
    use = (strain > 1e-4) & (strain < LARGEST_STRAIN) & (move < LARGEST_MOVE)
    known = _known(group.forces)
    use &= (known[a] & known[b]) | (move < 1e-4)
    a, b, ds, dh = a[use], b[use], ds[use], dh[use]
    rows = np.zeros((len(a), 11))
    rows[:, 0] = group.energies[b] - group.energies[a]
    for end in (a, b):
        h = group.cells[end]
        force = np.nan_to_num(group.forces[end])
        rows[:, 4] -= 0.5 * np.einsum("pij,pij->p", force, ds @ h)
        volume = np.abs(np.linalg.det(h))
        gradient = np.linalg.solve(h, dh)
        trace = np.trace(gradient, axis1=1, axis2=2)
        mean = np.trace(group.stresses[end], axis1=1, axis2=2) / 3.0
        total = np.einsum("pij,pij->p", group.stresses[end], gradient)
        rows[:, 1] += 0.5 * volume * mean * trace
        rows[:, 2] += 0.5 * volume * trace
        rows[:, 3] += 0.5 * volume * (total - mean * trace)
    rows /= group.fractional.shape[1]
    rows[:, 5] = move[use]
    rows[:, 6] = np.linalg.norm(np.linalg.solve(group.cells[a], dh), axis=(1, 2)) + move[use] / BOND
    rows[:, 7], rows[:, 8] = start + a, start + b
    dx = ds @ (0.5 * (group.cells[a] + group.cells[b]))
    rows[:, 9] = -np.einsum("pij,pij->p", np.nan_to_num(group.forces[b] - group.forces[a]), dx)
    rows[:, 10] = np.square(dx).sum(axis=(1, 2))
    return rows


def _slope_of_forces(rows: Floats) -> Slope | None:
    """Least absolute deviations through the origin: the weighted median of ΔE/work with weights |work|."""
    rows = rows[np.abs(rows[:, 1]) > 1e-9]
    if len(rows) < FEWEST_PAIRS:
        return None
    ratio, weight = rows[:, 0] / rows[:, 1], np.abs(rows[:, 1])
    order = np.argsort(ratio)
    middle = np.searchsorted(np.cumsum(weight[order]), 0.5 * weight.sum())
    slope = float(ratio[order][min(middle, len(order) - 1)])
    residual = np.abs(rows[:, 0] - slope * rows[:, 1])
    # 1.48 turns a median absolute deviation into a standard deviation
    error = 1.48 * float(np.median(residual)) / float(np.sqrt(np.square(rows[:, 1]).sum()))
    return Slope(slope, error, len(rows), _unexplained(residual, rows[:, 0]))


def _unexplained(residual: Floats, difference: Floats) -> float:
    typical = float(np.median(np.abs(difference)))
    return float(np.median(np.abs(residual))) / typical if typical > 0 else 1.0


@dataclass(frozen=True)
class _Fit:
    """Coefficients of the four works, with standard errors, pairs that vary each, and what is unexplained."""

    values: Floats
    errors: Floats
    pairs: list[int]
    unexplained: float

    def slope(self, term: int) -> Slope | None:
        if self.pairs[term] < FEWEST_PAIRS or not np.isfinite(self.errors[term]):
            return None
        return Slope(float(self.values[term]), float(self.errors[term]), self.pairs[term], self.unexplained)


def _slopes_of_stress(rows: Floats) -> StressSlopes | None:
    fit = _regress(rows)
    if fit is None:
        return None
    return StressSlopes(fit.slope(0), float(fit.values[1]) / GPA, float(fit.errors[1]) / GPA, fit.slope(2))


def _regress(rows: Floats) -> _Fit | None:
    """Huber regression of ΔE on the four works, each only where the frames vary it."""
    rows = rows[np.abs(rows[:, 1:4]).max(axis=1) > 0] if len(rows) else rows
    if len(rows) < FEWEST_PAIRS:
        return None
    n_frames = len(np.unique(rows[:, 7:9]))
    scale = np.abs(rows[:, 1:5]).max(axis=0)
    varied = scale > 1e-7  # eV per atom: below it nothing can be learned
    design = rows[:, 1:5][:, varied] / scale[varied]
    weights = np.ones(len(rows))
    for _ in range(20):
        root = np.sqrt(weights)
        coefficients = np.linalg.lstsq(design * root[:, None], rows[:, 0] * root, rcond=1e-8)[0]
        residual = rows[:, 0] - design @ coefficients
        spread = 1.48 * np.median(np.abs(residual)) + 1e-15
        weights = 1.0 / np.maximum(1.0, np.abs(residual) / (1.345 * spread))
    # Pairs that share a frame are not independent: there are no more facts than frames.
    spread *= np.sqrt(max(1.0, len(rows) / n_frames))
    covariance = np.linalg.pinv((design * weights[:, None]).T @ design) * spread**2
    values, errors = np.zeros(4), np.full(4, np.inf)
    values[varied] = coefficients / scale[varied]
    errors[varied] = np.sqrt(np.diag(covariance)) / scale[varied]
    pairs = [int((np.abs(rows[:, 1 + k]) > 1e-3 * scale[k]).sum()) if varied[k] else 0 for k in range(4)]
    return _Fit(values, errors, pairs, _unexplained(residual, rows[:, 0]))
