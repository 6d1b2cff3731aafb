"""Errors of a potential on labelled frames, kind by kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mlip_lab.core.frame import Frame
from mlip_lab.core.units import GPA


class Predicted(Protocol):
    """A labelled frame with what a potential says about it: energy (eV), forces (eV/Å), stress (eV/Å³)."""

    @property
    def frame(self) -> Frame: ...  # noqa: D102 - the class says it

    @property
    def energy(self) -> float: ...  # noqa: D102 - the class says it

    @property
    def forces(self) -> NDArray[np.float64]: ...  # noqa: D102 - the class says it

    @property
    def stress(self) -> NDArray[np.float64] | None: ...  # noqa: D102 - the class says it


@dataclass(frozen=True)
class KindErrors:
    """Root mean square errors over the frames of one kind; None where there are no labels.

    Attributes:
        kind: The kind; "all" for the sum of them, "unnamed" where the data name none.
        frames: Number of frames.
        energy: meV/atom.
        forces: eV/Å, over components.
        stress: GPa, over components.
    """

    kind: str
    frames: int
    energy: float | None
    forces: float | None
    stress: float | None


def errors_by_kind(predictions: Sequence[Predicted]) -> tuple[KindErrors, ...]:
    """Errors of every kind in the order met, then of all of them."""
    kinds: dict[str, list[Predicted]] = {}
    for prediction in predictions:
        kinds.setdefault(prediction.frame.kind or "unnamed", []).append(prediction)
    rows = [_errors(kind, members) for kind, members in kinds.items()]
    return (*rows, _errors("all", predictions))


def energy_pairs(predictions: Sequence[Predicted]) -> NDArray[np.float64]:
    """Energy per atom in eV: label and prediction, (n, 2)."""
    rows = [
        (p.frame.energy / len(p.frame.numbers), p.energy / len(p.frame.numbers))
        for p in predictions
        if p.frame.energy is not None
    ]
    return np.array(rows, dtype=np.float64).reshape(-1, 2)


def force_pairs(predictions: Sequence[Predicted]) -> NDArray[np.float64]:
    """Force components in eV/Å: label and prediction, (n, 2)."""
    rows = [
        np.stack([p.frame.forces.ravel(), np.asarray(p.forces).ravel()], axis=1)
        for p in predictions
        if p.frame.forces is not None
    ]
    return np.concatenate(rows) if rows else np.empty((0, 2))


def stress_pairs(predictions: Sequence[Predicted]) -> NDArray[np.float64]:
    """The six stress components in GPa: label and prediction, (n, 2)."""
    upper = np.triu_indices(3)
    rows = [
        np.stack([p.frame.stress[upper], np.asarray(p.stress)[upper]], axis=1) / GPA
        for p in predictions
        if p.frame.stress is not None and p.stress is not None
    ]
    return np.concatenate(rows) if rows else np.empty((0, 2))


def _errors(kind: str, predictions: Sequence[Predicted]) -> KindErrors:
    energy = rmse(energy_pairs(predictions))
    return KindErrors(
        kind=kind,
        frames=len(predictions),
        energy=None if energy is None else 1000 * energy,
        forces=rmse(force_pairs(predictions)),
        stress=rmse(stress_pairs(predictions)),
    )


def rmse(pairs: NDArray[np.float64]) -> float | None:
    """Root mean square difference of the two columns; None without rows."""
    return float(np.sqrt(np.mean((pairs[:, 0] - pairs[:, 1]) ** 2))) if len(pairs) else None
