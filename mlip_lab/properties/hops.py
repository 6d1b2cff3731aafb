"""Hops of single atoms: a vacancy that changes places with a neighbour, an adsorbate that crosses a bridge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from ase import Atom, Atoms
from ase.data import atomic_numbers, covalent_radii
from ase.geometry import get_distances
from numpy.typing import NDArray
from scipy.spatial import Voronoi

from mlip_lab.core.errors import InputError

Floats = NDArray[np.float64]
NEIGHBOR = 1.1  # times the shortest distance; second neighbours of a bcc crystal begin at 1.15
SAME_LAYER = 0.7  # Å below the highest atom that belong to the surface
SHORT = 0.3  # times the shortest distance; a shorter way between two hollow sites is none: the sites are one
LOWEST = 0.5  # Å above the surface


@dataclass(frozen=True, eq=False)
class Hop:
    """One path to be found.

    Attributes:
        name: What it is called.
        kind: What it is compared with others by, such as the element that hops.
        reactant: Where it begins.
        product: Where it ends: the same atoms in the same order.
    """

    name: str
    kind: str
    reactant: Atoms
    product: Atoms


def vacancy_hops(crystal: Atoms, *, count: int | None = None, seed: int = 0) -> tuple[Hop, ...]:
    """Every hop of a nearest neighbour into every vacancy that a crystal can have, in its local environment.

    A crystal of N sites with z neighbours has N z of them: the way back from one is a hop of the same atom into a
    vacancy at its old place, so it is the same path and not listed.

    Args:
        crystal: A perfect lattice, of one or many elements.
        count: How many to draw at random; None takes all.
        seed: Of the draw.

    Raises:
        InputError: If the crystal is not periodic or so small that a hop would meet its own image.
    """
    if not isinstance(crystal, Atoms) or len(crystal) < 2 or not crystal.pbc.all():
        raise InputError("atoms: expected a crystal of many atoms, periodic in three directions.")
    _, lengths = get_distances(crystal.positions, cell=crystal.cell, pbc=True)
    np.fill_diagonal(lengths, np.inf)
    reach = NEIGHBOR * lengths.min()
    height = float((1 / np.linalg.norm(crystal.cell.reciprocal().array, axis=1)).min())
    if height < 2 * reach:
        raise InputError(
            f"atoms: this cell is {height:.1f} Å across, so a vacancy would meet its own image; it takes at least "
            f"{2 * reach:.1f} Å. Repeat it."
        )
    found = []
    for _, (site, atom) in _drawn(np.argwhere(lengths < reach), count, seed):
        step = crystal.get_distance(atom, site, mic=True, vector=True)
        reactant: Atoms = crystal.copy()
        reactant.calc = None
        end: Atoms = reactant.copy()
        end.positions[atom] += step
        del reactant[site], end[site]
        symbol = crystal.symbols[atom]
        found.append(Hop(f"{symbol} {atom} into {site}", symbol, reactant, end))
    return tuple(found)


def adsorbate_hops(slab: Atoms, symbol: str, *, count: int | None = None, seed: int = 0) -> tuple[Hop, ...]:
    """Every hop of an atom between two neighbouring hollow sites of a surface, over the bridge of two atoms.

    Hollow sites are the corners of the surface atoms' Voronoi cells, bridges are the edges between two such cells.

    Args:
        slab: With its surface up along z, and cell vectors a and b in the plane. Its constraints hold.
        symbol: Element of the atom that hops.
        count: How many to draw at random; None takes all.
        seed: Of the draw.

    Raises:
        InputError: If the slab is not periodic along a and b, lies otherwise, or the element is unknown.
    """
    if symbol not in atomic_numbers or atomic_numbers[symbol] == 0:
        raise InputError(f"adsorbate: expected the symbol of an element such as H, got {symbol!r}.")
    flat = isinstance(slab, Atoms) and slab.pbc[:2].all() and np.abs(slab.cell.array[:2, 2]).max() < 1e-3
    if not flat or not len(slab):
        raise InputError("atoms: expected a slab that is periodic along a and b, with both in the plane z = 0.")
    top = np.flatnonzero(slab.positions[:, 2] > slab.positions[:, 2].max() - SAME_LAYER)
    around = (-2, -1, 0, 1, 2)
    steps = sorted(product(around, around), key=lambda step: step != (0, 0))  # the cell itself first
    shifts = np.array(steps) @ slab.cell.array[:2]
    places = (slab.positions[top] + shifts[:, None]).reshape(-1, 3)
    cells = Voronoi(places[:, :2])
    n, ways = len(top), []
    shortest = np.linalg.norm(np.diff(cells.points[cells.ridge_points], axis=1)[:, 0], axis=1).min()
    for (one, other), corners in zip(cells.ridge_points, cells.ridge_vertices, strict=True):
        first, second = sorted((int(one), int(other)))
        if first >= n or -1 in corners or _listed_from_the_other_side(first, second, n, steps):
            continue
        hollows = cells.vertices[corners]
        if np.linalg.norm(hollows[1] - hollows[0]) < SHORT * shortest:
            continue
        ways.append(("-".join(sorted(slab.symbols[top[k % n]] for k in (first, second))), hollows))
    found = []
    for number, (bridge, hollows) in _drawn(ways, count, seed):
        ends = [_with_adsorbate(slab, symbol, hollow, places) for hollow in hollows]
        found.append(Hop(f"{symbol} over {bridge} {number}", f"{bridge} bridge", ends[0], ends[1]))
    return tuple(found)


def _drawn(things: Sequence[Any] | NDArray[np.int64], count: int | None, seed: int) -> list[tuple[int, Any]]:
    """So many of the things with their places, drawn at random; all of them if there are no more or count is None."""
    chosen = np.random.default_rng(seed).permutation(len(things))[:count]
    return [(int(k), things[k]) for k in sorted(chosen)]


def _listed_from_the_other_side(first: int, second: int, n: int, steps: list[tuple[int, int]]) -> bool:
    """Whether a bridge between an atom and a periodic image is listed where the image is the atom."""
    if second < n:
        return False
    atom, step = second % n, steps[second // n]
    return atom < first or (atom == first and step < (0, 0))


def _with_adsorbate(slab: Atoms, symbol: str, hollow: Floats, places: Floats) -> Atoms:
    """The slab with an atom above a hollow site, at the sum of covalent radii from its nearest neighbour."""
    flat = np.linalg.norm(places[:, :2] - hollow, axis=1)
    nearest = int(np.argmin(flat))
    below = slab.numbers[np.argmax(slab.positions[:, 2])]
    bond = float(covalent_radii[atomic_numbers[symbol]] + covalent_radii[below])
    height = np.sqrt(max(bond**2 - flat[nearest] ** 2, LOWEST**2))
    covered: Atoms = slab.copy()
    covered.calc = None
    covered.append(Atom(symbol, [*hollow, places[nearest, 2] + height]))
    return covered
