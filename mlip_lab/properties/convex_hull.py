"""The convex hull of formation energies: which phases are stable, and what the others fall apart into."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.spatial import ConvexHull as Qhull

from mlip_lab.core.checks import as_floats
from mlip_lab.core.errors import CalculationError, InputError
from mlip_lab.core.late import plotted

Floats = NDArray[np.float64]
TOUCHING = 1e-9  # eV/atom, a phase this near to the hull is on it
SHARE = 1e-9  # smaller fractions of a decomposition are rounding


@dataclass(frozen=True, eq=False)
class ConvexHull:
    """Phases and the lower convex envelope of their formation energies.

    Attributes:
        elements: Chemical symbols, sorted, (k,).
        names: Of the phases, (n,).
        fractions: Atomic fraction of each element, (n, k).
        energies: eV/atom, (n,).
        references: Index of the phase of least energy of each element, (k,).
        formation: Formation energy against these in eV/atom, (n,).
        above: Energy above the hull in eV/atom, zero on it, (n,).
        margins: How far a phase lies above the hull of all the others in eV/atom; negative: how much must be wrong
            for a stable phase to be no longer so. −inf for a reference that no other phase stands in for, (n,).
        decompositions: What each phase falls apart into: index of a phase → its share of the atoms; a stable phase
            stays what it is, (n,).
    """

    elements: tuple[str, ...]
    names: tuple[str, ...]
    fractions: Floats
    energies: Floats
    references: tuple[int, ...]
    formation: Floats
    above: Floats
    margins: Floats
    decompositions: tuple[Mapping[int, float], ...]

    def plot(self, **options: Any) -> Any:
        """The hull as a matplotlib Figure; options as in `mlip_lab.plots.convex_hull.convex_hull`."""
        return plotted("convex_hull", "convex_hull", self, **options)

    @property
    def stable(self) -> tuple[int, ...]:
        """Indices of the phases on the hull, the elements among them."""
        return tuple(int(i) for i in np.flatnonzero(self.above <= TOUCHING))

    @property
    def compounds(self) -> NDArray[np.bool_]:
        """Whether a phase has more than one element, (n,)."""
        return np.asarray(np.count_nonzero(self.fractions, axis=1) > 1)

    def index(self, name: str) -> int:
        """The index of a phase by its name.

        Raises:
            InputError: If there is none.
        """
        if name not in self.names:
            raise InputError(f"name: expected a phase of this hull, got {name!r}. See its names.")
        return self.names.index(name)

    def decomposition(self, name: str) -> dict[str, float]:
        """What a phase falls apart into: names of stable phases and their shares of the atoms, largest first."""
        found = self.decompositions[self.index(name)]
        return {self.names[i]: share for i, share in sorted(found.items(), key=lambda item: -round(item[1], 9))}

    @cached_property
    def facets(self) -> NDArray[np.int64]:
        """Sets of k phases that can exist side by side, as indices, (n_facets, k): the faces of the lower hull."""
        chosen = np.array(self.stable)
        order = len(self.elements)
        points = np.column_stack([self.fractions[chosen, 1:], self.formation[chosen]])
        lone = [int(i) for i in np.unique(np.round(self.fractions[chosen], 12), axis=0, return_index=True)[1]]
        chosen, points = chosen[lone], points[lone]
        if order == 1:
            return np.asarray(chosen[:, None])
        if order == 2:
            chosen = chosen[np.argsort(points[:, 0])]
            return np.column_stack([chosen[:-1], chosen[1:]])
        # A point high above closes the body without touching a lower face.
        lid = np.append(points[:, :-1].mean(axis=0), points[:, -1].max() + 1.0)
        faces = Qhull(np.vstack([points, lid]), qhull_options="Qt").simplices
        below = [face for face in faces if len(chosen) not in face and self._has_volume(chosen[face])]
        return np.asarray(chosen[np.array(below)])

    def _has_volume(self, phases: NDArray[np.int64]) -> bool:
        return bool(abs(np.linalg.det(self.fractions[phases])) > 1e-9)


def hull_of(
    names: Sequence[str],
    counts: Sequence[Mapping[str, float]],
    energies: Sequence[float] | Floats,
    *,
    elements: Sequence[str] | None = None,
) -> ConvexHull:
    """Build the hull of phases of any number of components.

    E_f = E − Σ x_i E_i per atom, with E_i of the lowest phase of each element. The hull at a composition x is the
    least Σ λ_j E_j over λ_j ≥ 0 with Σ λ_j x_j = x, a linear programme whose λ are the decomposition.

    Args:
        names: Of the phases, no two the same, (n,).
        counts: Atoms of each element in a formula unit, (n,).
        energies: eV per formula unit, (n,).
        elements: The components; None takes all that occur, sorted.

    Returns:
        The hull.

    Raises:
        InputError: If lengths differ, names repeat, numbers are not usable, or an element has no phase of its own.
        CalculationError: If a decomposition cannot be found.
    """
    occurring = sorted({symbol for count in counts for symbol in count if count[symbol]})
    components = tuple(elements) if elements is not None else tuple(occurring)
    values = as_floats("energies", energies, (None,))
    if not len(names) == len(counts) == len(values):
        raise InputError(f"phases: expected as many names, counts and energies, got {len(names)}, {len(counts)}, ...")
    if len(set(names)) != len(names):
        twice = sorted({name for name in names if list(names).count(name) > 1})
        raise InputError(f"names: expected no two the same, got {', '.join(twice)} more than once.")
    if unknown := [symbol for symbol in occurring if symbol not in components]:
        raise InputError(f"elements: {', '.join(unknown)} among the phases but not among {', '.join(components)}.")
    table = as_floats("counts", [[count.get(s, 0) for s in components] for count in counts], (None, len(components)))
    if (table < 0).any() or (table.sum(axis=1) <= 0).any():
        raise InputError("counts: expected atoms of each element, zero or more and not all zero.")
    each = values / table.sum(axis=1)
    fractions = table / table.sum(axis=1)[:, None]
    references = tuple(_lowest(fractions, each, k, symbol) for k, symbol in enumerate(components))
    formation = each - fractions @ each[list(references)]
    formation[list(references)] = 0.0
    solved = [_envelope(fractions, formation, i) for i in range(len(names))]
    decompositions: list[Mapping[int, float]] = []
    above = np.empty(len(names))
    for i, (height, parts) in enumerate(solved):
        above[i] = formation[i] - height if formation[i] - height > TOUCHING else 0.0
        decompositions.append(parts if above[i] else {i: 1.0})
    margins = above.copy()
    for i in np.flatnonzero(above == 0.0).tolist():
        margins[i] = formation[i] - _envelope(fractions, formation, i, without_itself=True)[0]
    return ConvexHull(
        components, tuple(names), fractions, each, references, formation, above, margins, tuple(decompositions)
    )


def _lowest(fractions: Floats, energies: Floats, element: int, symbol: str) -> int:
    pure = np.flatnonzero(fractions[:, element] == 1.0)
    if len(pure) == 0:
        raise InputError(f"phases: expected at least one of pure {symbol} to measure formation energies against.")
    return int(pure[np.argmin(energies[pure])])


def _envelope(
    fractions: Floats, formation: Floats, index: int, *, without_itself: bool = False
) -> tuple[float, dict[int, float]]:
    """Return the hull at the composition of a phase in eV/atom, and the phases that make it with their shares."""
    inside = (fractions[:, fractions[index] == 0.0] == 0.0).all(axis=1)  # others hold an element that it has not
    inside[index] = not without_itself
    allowed = np.flatnonzero(inside)
    if len(allowed) == 0:
        return np.inf, {}
    own = fractions[index] > 0.0
    found = linprog(formation[allowed], A_eq=fractions[np.ix_(allowed, own)].T, b_eq=fractions[index, own])
    if found.status == 2:  # no mixture of the others has this composition
        return np.inf, {}
    if not found.success:
        raise CalculationError(f"convex hull: the linear programme of phase {index} ended with: {found.message}")
    shares = {int(i): float(share) for i, share in zip(allowed, found.x, strict=True) if share > SHARE}
    return float(found.fun), shares
