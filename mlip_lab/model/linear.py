"""The part of a potential that is linear in its weights, solved exactly.

E = Σ_i [e(z_i) + p_{z_i}·P_i + w_{z_i}·B_i]. Energies, forces and stress are all linear in (e, p, w), so the best
weights solve weighted normal equations; columns are scaled to one length first, because conditioning limits the
accuracy. The ridge is the one of largest evidence (Bayesian ridge; MacKay, DOI 10.1162/neco.1992.4.3.415), and the
posterior covariance gives the variance of a prediction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlip_lab.core.errors import DataError
from mlip_lab.core.frame import Frame
from mlip_lab.core.progress import asking

Floats = NDArray[np.float64]
# Chosen for all elements by 5-fold cross-validation on training frames alone (Si, Cu, Nb, Mo, Ta, W): the least mean
# logarithm of the errors of energies and forces. That was before frames were weighed by their size (`frame_weights`);
# since then it is least at 480, where the kernel readout's variances are no longer calibrated.
ENERGY_WEIGHT = 160.0  # Å: one eV/atom of energy error counts as much as this many eV/Å of force error
RESIDUAL_ENERGY_WEIGHT = 80.0  # Å, the same beside a trained network: with 160 the errors of forces begin to grow
STRESS_WEIGHT = 2.0  # the same for the virial in eV/atom, whose labels are often less converged
SHARED_RIDGES = (1.0, 10.0, 100.0, 1e4)  # root of the ridge of shared columns beside that of the others
ENERGY, FORCE, STRESS = range(3)
VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))


@dataclass(frozen=True, eq=False)
class Rows:
    """Linear equations of one frame: X·weights = y, and their weights.

    Attributes:
        x: (n_rows, n_columns): one energy row a frame, 3n force rows, 6 stress rows, as far as labelled.
        y: (n_rows,).
        weight: (n_rows,).
        kind: ENERGY, FORCE or STRESS (n_rows,).
    """

    x: Floats
    y: Floats
    weight: Floats
    kind: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Solution:
    """Weights with their posterior.

    Attributes:
        weights: (n_columns,).
        root: Columns R with posterior covariance R Rᵀ (n_columns, n_columns).
        noise: Standard deviation of the weighted residuals.
        ridge: Relative ridge chosen.
    """

    weights: Floats
    root: Floats
    noise: float
    ridge: float


def frame_weights(frames: Sequence[Frame]) -> Floats:
    """Weight of what a frame has one of, energy and stress: √(n/⟨n⟩), so that a supercell counts as its cells.

    The errors of atoms are taken as independent. That of their sum then grows as √n, and that of an energy per atom
    falls as 1/√n. With one weight for all frames, large ones are drowned by many small ones: a set of silicon with
    mostly two-atom cells left the energies of vacancies among 63 atoms wrong by 0.25 eV, though it held them.
    """
    counts = np.array([len(frame.numbers) for frame in frames], dtype=float)
    return np.asarray(np.sqrt(counts / counts.mean()))


def labelled_rows(
    frame: Frame,
    energy: Floats,
    forces: Floats,
    virial: Floats,
    known: tuple[float, Floats, Floats],
    trusted: bool,
    frame_weight: float,
    energy_weight: float = ENERGY_WEIGHT,
) -> Rows:
    """Equations of a frame from the derivatives of its features.

    Args:
        frame: The labels.
        energy: Energy by weight (n_columns,).
        forces: Forces by weight (n, 3, n_columns).
        virial: ∂E/∂strain by weight (3, 3, n_columns).
        known: Energy, forces and virial that are not to be learned.
        trusted: Whether the trace of the stress may be used.
        frame_weight: Of energy and stress, beside that of other frames.
        energy_weight: Of an energy per atom, in Å.

    Returns:
        The equations.
    """
    n = len(frame.numbers)
    x, y, weight, kind = [], [], [], []
    if frame.energy is not None:
        x.append(energy[None] / n)
        y.append(np.array([(frame.energy - known[0]) / n]))
        weight.append(np.array([frame_weight * energy_weight]))
        kind.append(np.array([ENERGY]))
    if frame.forces is not None:
        x.append(forces.reshape(3 * n, -1))
        y.append((frame.forces - known[1]).reshape(-1))
        weight.append(np.ones(3 * n))
        kind.append(np.full(3 * n, FORCE))
    if frame.stress is not None and frame.volume > 0.0:
        rows = [virial[a, b] / n for a, b in VOIGT]
        values = [(frame.volume * frame.stress[a, b] - known[2][a, b]) / n for a, b in VOIGT]
        if not trusted:
            rows = [rows[0] - rows[1], rows[1] - rows[2], *rows[3:]]
            values = [values[0] - values[1], values[1] - values[2], *values[3:]]
        x.append(np.array(rows))
        y.append(np.array(values))
        weight.append(np.full(len(values), frame_weight * STRESS_WEIGHT))
        kind.append(np.full(len(values), STRESS))
    if not x:
        return Rows(np.empty((0, energy.size)), np.empty(0), np.empty(0), np.empty(0, dtype=np.int64))
    return Rows(np.concatenate(x), np.concatenate(y), np.concatenate(weight), np.concatenate(kind))


class Normal:
    """Weighted normal equations, summed up frame by frame."""

    def __init__(self, n_columns: int) -> None:
        """Start from nothing."""
        self.xx = np.zeros((n_columns, n_columns))
        self.xy = np.zeros(n_columns)
        self.yy = 0.0
        self.n_rows = 0

    def add(self, rows: Rows) -> None:
        """Add the equations of one frame."""
        x, y = rows.x * rows.weight[:, None], rows.y * rows.weight
        self.xx += x.T @ x
        self.xy += x.T @ y
        self.yy += float(y @ y)
        self.n_rows += y.size

    def __add__(self, other: Normal) -> Normal:
        """The equations of both."""
        total = Normal(len(self.xy))
        total.xx, total.xy = self.xx + other.xx, self.xy + other.xy
        total.yy, total.n_rows = self.yy + other.yy, self.n_rows + other.n_rows
        return total

    def solve(
        self,
        ridges: Iterable[float] = tuple(10.0 ** np.arange(-12.0, -2.5, 0.5)),
        shared: NDArray[np.bool_] | None = None,
        ask: Callable[[], None] = lambda: None,
    ) -> Solution:
        """Weights of largest evidence among relative ridges.

        Args:
            ridges: To choose from, relative to columns of length one.
            shared: Columns that keep one common prior width instead of being scaled to one length each; how wide,
                beside the others, is chosen by the evidence too.
            ask: Called before each decomposition; may raise Cancelled.

        Raises:
            DataError: If there are no equations.
        """
        if self.n_rows == 0:
            raise DataError("There is nothing to fit: no frame has energies, forces or stress.")
        scale = np.sqrt(np.diag(self.xx))
        scale[scale == 0.0] = 1.0
        widths = [scale]
        if shared is not None:
            scale[shared] = scale[shared].max()
            widths = [np.where(shared, stronger * scale, scale) for stronger in SHARED_RIDGES]
        return max((self._solve(width, ridges) for width in asking(widths, ask)), key=lambda found: found[0])[1]

    def _solve(self, scale: Floats, ridges: Iterable[float]) -> tuple[float, Solution]:
        """Largest evidence for columns divided by `scale`, and its solution."""
        values, vectors = np.linalg.eigh(self.xx / np.outer(scale, scale))
        values = np.maximum(values, 0.0)
        projected = vectors.T @ (self.xy / scale)
        best: tuple[float, float, float] | None = None
        for ridge in ridges:
            shifted = values + ridge
            # at the optimum: |y - Xw|² + ridge |w|² = yy - Σ b²/(λ + ridge)
            cost = max(self.yy - float(np.sum(projected**2 / shifted)), 1e-300)
            noise2 = cost / self.n_rows
            evidence = -0.5 * self.n_rows * np.log(noise2) + 0.5 * float(np.sum(np.log(ridge / shifted)))
            if best is None or evidence > best[0]:
                best = (evidence, ridge, noise2)
        assert best is not None
        evidence, ridge, noise2 = best
        shifted = values + ridge
        weights = (vectors @ (projected / shifted)) / scale
        root = vectors * np.sqrt(noise2 / shifted) / scale[:, None]
        return evidence, Solution(weights, root, float(np.sqrt(noise2)), float(ridge))


def reference_energies(frames: Sequence[Frame], numbers: Sequence[int]) -> Floats:
    """Energy per atom of each element that explains the total energies best, of least norm where not unique."""
    labelled = [frame for frame in frames if frame.energy is not None]
    if not labelled:
        return np.zeros(len(numbers))
    counts = np.array([[np.count_nonzero(frame.numbers == z) for z in numbers] for frame in labelled], dtype=float)
    energies = np.array([frame.energy for frame in labelled])
    total = counts.sum(axis=1)
    solution = np.linalg.lstsq(counts / total[:, None], energies / total, rcond=1e-8)[0]
    return np.asarray(solution)
