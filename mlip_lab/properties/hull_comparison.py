"""Two convex hulls of the same candidates side by side, for example of a potential and of DFT."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from mlip_lab.core.errors import InputError
from mlip_lab.core.quantities import Quantity, validated
from mlip_lab.properties.convex_hull import TOUCHING, ConvexHull

Tolerance = Annotated[float, Quantity("eV/atom", low=0.0, high=1.0)]


@dataclass(frozen=True)
class MovedEnd:
    """An element whose lowest phase is not the same in both hulls: its formation energies have another zero.

    Attributes:
        element: Chemical symbol.
        reference: Its lowest phase in the reference.
        predicted: Its lowest phase in the other hull.
        gap: Energy of the reference's phase above the other in the predicted hull, eV/atom; 0 if it is not in there.
    """

    element: str
    reference: str
    predicted: str
    gap: float


@dataclass(frozen=True, eq=False)
class HullComparison:
    """How one hull reproduces another on the compounds that both have.

    Attributes:
        names: Compounds that both have, (n,).
        reference: Their formation energies in the reference, eV/atom, (n,).
        predicted: Their formation energies in the other hull, eV/atom, (n,).
        mae: Mean absolute error of formation energies in eV/atom.
        rmse: Root of their mean squared error in eV/atom.
        above_mae: Mean absolute error of energies above the hull in eV/atom.
        rank: Spearman's rank correlation of formation energies, 1 for the same order.
        stable: Compounds on both hulls.
        false_stable: Compounds on the predicted hull that lie more than `tolerance` above the reference's.
        false_unstable: Compounds on the reference's hull that lie more than `tolerance` above the predicted one.
        tolerance: eV/atom.
        moved_ends: Elements whose lowest phase is not the same.
        left_out: Phases that only one of the two has.
    """

    names: tuple[str, ...]
    reference: NDArray[np.float64]
    predicted: NDArray[np.float64]
    mae: float
    rmse: float
    above_mae: float
    rank: float
    stable: tuple[str, ...]
    false_stable: tuple[str, ...]
    false_unstable: tuple[str, ...]
    tolerance: float
    moved_ends: tuple[MovedEnd, ...]
    left_out: tuple[str, ...]

    @property
    def same_stable_set(self) -> bool:
        """Whether no compound is falsely stable or unstable by more than the tolerance."""
        return not self.false_stable and not self.false_unstable

    def __str__(self) -> str:
        """Return the comparison in words."""
        lines = [
            f"{len(self.names)} compounds: formation energies off by {1000 * self.mae:.1f} meV/atom on average, "
            f"rank correlation {self.rank:.3f}."
        ]
        if self.same_stable_set:
            lines.append(f"The same compounds are stable (within {1000 * self.tolerance:g} meV/atom).")
        for words, found in (("Stable here only", self.false_stable), ("Stable there only", self.false_unstable)):
            lines += [f"{words}: {', '.join(found)}."] if found else []
        lines += [f"Lowest {m.element}: {m.predicted} instead of {m.reference}." for m in self.moved_ends]
        return "\n".join(lines)


@validated
def compare_hulls(reference: ConvexHull, predicted: ConvexHull, *, tolerance: Tolerance = 1e-3) -> HullComparison:
    """Compare two hulls phase by phase, by name; each measures formation energies against its own elements.

    Args:
        reference: The hull that is taken as true, each phase relaxed by its own method.
        predicted: The hull that is judged.
        tolerance: Heights above a hull up to this are not counted as false, eV/atom: two candidates may be one
            structure after relaxing, and labels have errors of this size.

    Returns:
        Errors, order, and what is falsely stable or unstable.

    Raises:
        InputError: If the elements differ, or no compound is in both.
    """
    if set(reference.elements) != set(predicted.elements):
        both = [", ".join(hull.elements) for hull in (reference, predicted)]
        raise InputError(f"hulls: expected the same elements, got {both[0]} and {both[1]}.")
    names = tuple(n for n, c in zip(reference.names, reference.compounds, strict=True) if c and n in predicted.names)
    if not names:
        raise InputError("hulls: expected compounds of the same name in both, got none. Name candidates alike.")
    here = np.array([predicted.index(name) for name in names])
    there = np.array([reference.index(name) for name in names])
    wanted, found = reference.formation[there], predicted.formation[here]
    high, low = predicted.above[here], reference.above[there]
    on_both = (high <= TOUCHING) & (low <= TOUCHING)
    return HullComparison(
        names=names,
        reference=wanted,
        predicted=found,
        mae=float(np.abs(found - wanted).mean()),
        rmse=float(np.sqrt(np.mean((found - wanted) ** 2))),
        above_mae=float(np.abs(high - low).mean()),
        rank=_spearman(wanted, found),
        stable=tuple(np.array(names)[on_both].tolist()),
        false_stable=tuple(np.array(names)[(high <= TOUCHING) & (low > tolerance)].tolist()),
        false_unstable=tuple(np.array(names)[(low <= TOUCHING) & (high > tolerance)].tolist()),
        tolerance=tolerance,
        moved_ends=_moved(reference, predicted),
        left_out=tuple(sorted(set(reference.names) ^ set(predicted.names))),
    )


def _spearman(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return the correlation of ranks, ties at their mean; 1 where there is nothing to order."""
    from scipy import stats  # late: slow to import, and a Lab opens without it

    first, second = stats.rankdata(one), stats.rankdata(other)
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 1.0 if np.ptp(first) == np.ptp(second) else 0.0
    return float(np.corrcoef(first, second)[0, 1])


def _moved(reference: ConvexHull, predicted: ConvexHull) -> tuple[MovedEnd, ...]:
    found = []
    for element, there in zip(reference.elements, reference.references, strict=True):
        here = predicted.references[predicted.elements.index(element)]
        known, own = reference.names[there], predicted.names[here]
        if known != own:
            gap = (
                predicted.energies[predicted.index(known)] - predicted.energies[here] if known in predicted.names else 0
            )
            found.append(MovedEnd(element, known, own, float(gap)))
    return tuple(found)
