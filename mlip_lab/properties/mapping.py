"""Which atom of a product is which atom of its reactant, and which periodic image of it is meant."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.constraints import FixAtoms
from ase.geometry import find_mic, get_distances
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from mlip_lab.core.errors import InputError

Floats = NDArray[np.float64]
SAME_CELL = 1e-4  # Å
HELD = 1e-3  # Å that a fixed atom may be off between reactant and product
ROUNDS = 50  # of turning and assigning; a handful is enough


@dataclass(frozen=True, eq=False)
class Mapping:
    """A product in the order of its reactant.

    Attributes:
        atoms: The product with its atoms in the reactant's order, each at the image nearest to where it comes from. It
            has the reactant's cell and constraints.
        order: Index in the given product of each atom, (n_atoms,).
        moves: How far each atom goes on a straight line in Å, (n_atoms,).
    """

    atoms: Atoms
    order: NDArray[np.int64]
    moves: Floats


def map_product(reactant: Atoms, product: Atoms) -> Mapping:
    """Pair like atoms so that the sum of squared distances is least, through periodic boundaries.

    Solved exactly for each element as an assignment (Crouse, DOI 10.1109/TAES.2016.140952). Where nothing holds a
    molecule in space it may be turned and moved as well: the best turn (Kabsch, DOI 10.1107/S0567739476001873) and
    the best pairs are sought in turns, from how it lies. A molecule that is upside down should be turned roughly first.

    Args:
        reactant: Where the path begins.
        product: Where it ends: the same atoms in any order, in the same cell.

    Raises:
        InputError: If elements or cells differ, or a fixed atom would have to move.
    """
    check_pair(reactant, product)
    pbc = reactant.pbc
    turns = not pbc.any() and not reactant.constraints
    places = product.positions.copy()
    order = np.arange(len(product))
    for _ in range(ROUNDS if turns else 1):
        last = order
        order = _assigned(reactant, product.numbers, places)
        if not turns:
            break
        places = superposed(places, reactant.positions, order, reactant.get_masses())
        if np.array_equal(order, last):
            break
    vectors, moves = find_mic(places[order] - reactant.positions, reactant.cell, pbc)
    mapped: Atoms = reactant.copy()
    mapped.calc = None
    mapped.set_positions(reactant.positions + vectors, apply_constraint=False)
    held = [i for c in reactant.constraints if isinstance(c, FixAtoms) for i in c.index]
    if held and moves[held].max() > HELD:
        worst = held[int(np.argmax(moves[held]))]
        raise InputError(
            f"product: atom {worst} is fixed in the reactant but lies {moves[worst]:.3f} Å away in the product. Give "
            "both ends the same fixed atoms in the same places."
        )
    return Mapping(mapped, order, np.asarray(moves))


def superposed(positions: Floats, onto: Floats, order: NDArray[np.int64], masses: Floats) -> Floats:
    """Positions turned and moved so that positions[order] lies closest to `onto`, each atom counted by its mass.

    Args:
        positions: Å, (n, 3).
        onto: Å, (n, 3).
        order: Which of `positions` belongs to each of `onto`, (n,).
        masses: Of `onto`, (n,).
    """
    weights = (masses / masses.sum())[:, None]
    own, other = positions[order], onto
    from_centre, to_centre = (weights * own).sum(axis=0), (weights * other).sum(axis=0)
    u, _, vt = np.linalg.svd((weights * (own - from_centre)).T @ (other - to_centre))
    turn = u @ np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))]) @ vt
    return np.asarray((positions - from_centre) @ turn + to_centre)


def _assigned(reactant: Atoms, numbers: NDArray[np.int64], places: Floats) -> NDArray[np.int64]:
    order = np.empty(len(reactant), dtype=np.int64)
    for element in np.unique(numbers):
        starts, ends = np.flatnonzero(reactant.numbers == element), np.flatnonzero(numbers == element)
        _, lengths = get_distances(reactant.positions[starts], places[ends], cell=reactant.cell, pbc=reactant.pbc)
        rows, columns = linear_sum_assignment(lengths**2)
        order[starts[rows]] = ends[columns]
    return order


def check_pair(reactant: Atoms, product: Atoms) -> None:
    """Refuse what cannot be the two ends of one path.

    Raises:
        InputError: If elements, periodic directions or cells differ.
    """
    for name, atoms in (("atoms", reactant), ("product", product)):
        if not isinstance(atoms, Atoms) or len(atoms) == 0:
            raise InputError(f"{name}: expected an ase.Atoms with at least one atom, got {type(atoms).__name__}.")
        if not np.isfinite(atoms.positions).all():
            raise InputError(f"{name}: expected finite positions, got NaN or infinity.")
    if not np.array_equal(np.sort(reactant.numbers), np.sort(product.numbers)):
        raise InputError(
            f"product: expected the atoms of the reactant, {reactant.get_chemical_formula()}; got "
            f"{product.get_chemical_formula()}."
        )
    if not np.array_equal(reactant.pbc, product.pbc):
        raise InputError(
            f"product: expected periodic directions {reactant.pbc.tolist()} as in the reactant, got "
            f"{product.pbc.tolist()}."
        )
    periodic = reactant.pbc
    apart = np.abs(reactant.cell.array - product.cell.array)[periodic]
    if periodic.any() and apart.max() > SAME_CELL:
        raise InputError(
            f"product: expected the cell of the reactant, got one that differs by {apart.max():.3g} Å. Relax both ends "
            "in the same cell."
        )
