"""Ordered alloys: which species sits where on fcc and bcc lattices, each arrangement once, with its usual name.

A superlattice of a lattice is a Hermite normal form H, whose rows are its vectors in the lattice's own; its n = det H
sites are coloured with species. Two colourings are one structure if a symmetry of the lattice, followed by a
translation, takes one into the other (G. L. W. Hart and R. W. Forcade, DOI 10.1103/PhysRevB.77.224115).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.build.niggli import niggli_reduce_cell
from ase.data import atomic_numbers, chemical_symbols, covalent_radii, reference_states
from numpy.typing import NDArray

from mlip_lab.core.checks import as_integer
from mlip_lab.core.errors import InputError

Integers = NDArray[np.int64]
Key = tuple[str, tuple[int, ...], tuple[str, ...]]
LARGEST = 8  # sites; beyond, the colourings are too many to go through
# Primitive vectors in half a cubic lattice constant.
LATTICES = {
    "fcc": np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]),
    "bcc": np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1]]),
}
# Lattice, superlattice and the sites of the first species (of the first two where there are three), in the same unit.
PROTOTYPES: dict[str, tuple[str, list[list[int]], list[list[tuple[int, int, int]]]]] = {
    "L1_0": ("fcc", [[1, 1, 0], [1, -1, 0], [0, 0, 2]], [[(0, 0, 0)]]),
    "L1_1": ("fcc", [[1, -1, 0], [0, 1, -1], [2, 1, 1]], [[(0, 0, 0)]]),
    "L1_2": ("fcc", [[2, 0, 0], [0, 2, 0], [0, 0, 2]], [[(0, 0, 0)]]),
    "MoPt2": ("fcc", [[1, -1, 0], [0, 0, 2], [2, 1, 1]], [[(0, 0, 0)]]),
    "D0_22": ("fcc", [[2, 0, 0], [0, 2, 0], [1, 1, 2]], [[(0, 0, 0)]]),
    "D0_23": ("fcc", [[2, 0, 0], [0, 2, 0], [1, 1, 4]], [[(0, 0, 0), (0, 0, 2)]]),
    "D1_a": ("fcc", [[3, 1, 0], [-1, 3, 0], [1, 2, 1]], [[(0, 0, 0)]]),
    "B2": ("bcc", [[2, 0, 0], [0, 2, 0], [0, 0, 2]], [[(0, 0, 0)]]),
    "B11": ("bcc", [[2, 0, 0], [0, 2, 0], [0, 0, 4]], [[(0, 0, 0), (1, 1, 1)]]),
    "B32": ("bcc", [[2, 2, 0], [2, 0, 2], [0, 2, 2]], [[(0, 0, 0), (1, 1, 1)]]),
    "D0_3": ("bcc", [[2, 2, 0], [2, 0, 2], [0, 2, 2]], [[(0, 0, 0)]]),
    "C11_b": ("bcc", [[2, 0, 0], [0, 2, 0], [1, 1, 3]], [[(0, 0, 0)]]),
    "Al2Li3": ("bcc", [[2, -2, 0], [0, 2, -2], [3, 1, 1]], [[(0, 0, 0), (1, 1, -1)]]),
    "L2_1": ("bcc", [[2, 2, 0], [2, 0, 2], [0, 2, 2]], [[(0, 0, 0)], [(2, 0, 0)]]),
}


def orderings(
    symbols: Sequence[str], lattice: str, sites: int, *, volumes: Mapping[str, float] | None = None
) -> list[Atoms]:
    """Return every arrangement of all the species on a lattice, with exactly `sites` atoms in its primitive cell.

    Args:
        symbols: Chemical symbols; each occurs in every arrangement.
        lattice: "fcc" or "bcc".
        sites: Atoms in the primitive cell, up to 8.
        volumes: Volume of an atom of each species in Å³, added up for the cell; None uses the elements' own.

    Returns:
        Unrelaxed structures, no two equivalent, with info "name", "lattice" and "ordering", which is equal for equal
        arrangements.

    Raises:
        InputError: If an argument is not usable.
    """
    species = _checked(symbols, lattice)
    as_integer("sites", sites, low=1, high=LARGEST)
    found, counts = [], dict[str, int]()
    for matrix, colouring in _colourings(lattice, sites, len(species)):
        key = (lattice, matrix, tuple(species[c] for c in colouring))
        formula = Atoms(list(key[2])).get_chemical_formula("hill", empirical=False)
        counts[formula] = counts.get(formula, 0) + 1
        name = _known(tuple(species)).get(key)
        named = f"{name} {_reduced(key[2])}" if name else f"{lattice} {formula} {counts[formula]}"
        found.append(_structure(key, named, volumes))
    return found


def prototypes(symbols: Sequence[str], *, volumes: Mapping[str, float] | None = None) -> list[Atoms]:
    """Return the named structures of `PROTOTYPES` with these species in every order, and fcc, bcc and hcp elements.

    Args:
        symbols: Chemical symbols.
        volumes: Volume of an atom of each species in Å³; None uses the elements' own.

    Returns:
        Unrelaxed structures with info "name" and "lattice", elements first.

    Raises:
        InputError: If a symbol is not a chemical element, or one comes twice.
    """
    species = _checked(symbols, "fcc")
    made = [_element(symbol, kind, volumes) for symbol in species for kind in ("fcc", "bcc", "hcp")]
    for chosen in itertools.chain(itertools.combinations(species, 2), itertools.combinations(species, 3)):
        made += [_structure(key, f"{name} {_reduced(key[2])}", volumes) for key, name in _known(chosen).items()]
    return made


def candidates(symbols: Sequence[str], *, largest: int = 4, volumes: Mapping[str, float] | None = None) -> list[Atoms]:
    """Return candidates for a convex hull: elements, prototypes and all orderings of up to `largest` atoms.

    Args:
        symbols: Chemical symbols of the components.
        largest: Atoms in the primitive cell of enumerated orderings.
        volumes: Volume of an atom of each species in Å³; None uses the elements' own.

    Returns:
        Unrelaxed structures, no two equivalent, smallest first, with info "name" and "lattice".

    Raises:
        InputError: If an argument is not usable.
    """
    species = _checked(symbols, "fcc")
    as_integer("largest", largest, low=1, high=LARGEST)
    found = {str(atoms.info["name"]): atoms for atoms in prototypes(species, volumes=volumes)}
    for count in range(2, len(species) + 1):
        for chosen in itertools.combinations(species, count):
            for lattice, sites in itertools.product(LATTICES, range(count, largest + 1)):
                for atoms in orderings(chosen, lattice, sites, volumes=volumes):
                    found.setdefault(str(atoms.info["name"]), atoms)
    return sorted(found.values(), key=len)


def random_ordering(
    rng: np.random.Generator, symbols: Sequence[str], lattice: str, sites: int, volumes: Mapping[str, float]
) -> Atoms:
    """Return an arrangement of all the species drawn at random, with exactly `sites` atoms in its primitive cell."""
    forms = list(_hermite_forms(sites))
    while True:
        matrix = forms[int(rng.integers(len(forms)))]
        drawn = rng.integers(len(symbols), size=sites)
        if len(set(drawn.tolist())) < len(symbols) or _repeats(drawn, _shifts(matrix)):
            continue
        flat, colours = ordering_key(lattice, matrix, [symbols[c] for c in drawn])
        return _structure((lattice, flat, colours), f"{lattice} random", volumes)


def ordering_key(lattice: str, matrix: Integers, colours: Sequence[Any]) -> tuple[tuple[int, ...], tuple[Any, ...]]:
    """Return what equivalent colourings have in common: the first of all that symmetry takes them to.

    Args:
        lattice: "fcc" or "bcc".
        matrix: Superlattice in primitive vectors of the lattice as a Hermite normal form, (3, 3).
        colours: What sits on the sites in the order of `_sites`.
    """
    best: tuple[tuple[int, ...], tuple[Any, ...]] | None = None
    for turn in _point_group(lattice):
        turned = _hermite(matrix @ turn)
        flat = tuple(int(x) for x in turned.ravel())
        if best is not None and flat > best[0]:
            continue
        target = _index(turned, _sites(matrix) @ turn)
        for shift in _sites(turned):
            moved = np.empty(len(colours), dtype=object)
            moved[_index(turned, _sites(turned)[target] + shift)] = list(colours)
            if best is None or (flat, tuple(moved)) < best:
                best = (flat, tuple(moved))
    assert best is not None
    return best


def species_in(symbols: str | Sequence[str]) -> list[str]:
    """Return chemical symbols from text such as "Al Li" or from a list.

    Raises:
        InputError: If one is no element, one comes twice, or there is none.
    """
    species = symbols.replace(",", " ").split() if isinstance(symbols, str) else list(symbols)
    unknown = [s for s in species if s not in chemical_symbols[1:]]
    if unknown or not species or len(set(species)) != len(species):
        raise InputError(f'symbols: expected different chemical elements such as "Al Li", got {symbols!r}.')
    return species


def _checked(symbols: Sequence[str], lattice: str) -> list[str]:
    species = species_in(symbols)
    if lattice not in LATTICES:
        raise InputError(f"lattice: expected fcc or bcc, got {lattice!r}.")
    return species


def _hermite_forms(sites: int) -> Iterator[Integers]:
    """Every lower triangular Hermite normal form of a determinant."""
    for a, c in itertools.product(range(1, sites + 1), repeat=2):
        if sites % (a * c) == 0:
            f = sites // (a * c)
            for b, d, e in itertools.product(range(a), range(a), range(c)):
                yield np.array([[a, 0, 0], [b, c, 0], [d, e, f]])


def _hermite(matrix: Integers) -> Integers:
    """Return the lower triangular Hermite normal form of the lattice that the rows span."""
    rows = np.array(matrix, dtype=np.int64)
    for column in (2, 1, 0):
        while np.count_nonzero(rows[:column, column]):
            nonzero = [k for k in range(column + 1) if rows[k, column]]
            least = min(nonzero, key=lambda k: abs(rows[k, column]))
            rows[[least, column]] = rows[[column, least]]
            for k in range(column):
                rows[k] -= rows[k, column] // rows[column, column] * rows[column]
        rows[column] *= np.sign(rows[column, column])
    for k in (1, 2):
        for column in range(k - 1, -1, -1):
            rows[k] -= rows[k, column] // rows[column, column] * rows[column]
    return rows


@cache
def _site_table(flat: tuple[int, ...]) -> Integers:
    a, c, f = flat[0], flat[4], flat[8]
    return np.array(list(itertools.product(range(a), range(c), range(f))))


def _sites(matrix: Integers) -> Integers:
    """Return the lattice points in one cell of a Hermite normal form, (n, 3)."""
    return _site_table(tuple(int(x) for x in matrix.ravel()))


def _index(matrix: Integers, points: Integers) -> Integers:
    """Return which of `_sites` each lattice point is, up to a vector of the superlattice."""
    left = np.array(points)
    for k in (2, 1, 0):
        left -= np.outer(left[:, k] // matrix[k, k], matrix[k])
    return np.asarray((left[:, 0] * matrix[1, 1] + left[:, 1]) * matrix[2, 2] + left[:, 2])


@cache
def _point_group(lattice: str) -> tuple[Integers, ...]:
    """Return the 48 rotations as matrices T in primitive vectors: x → x T."""
    basis = LATTICES[lattice]
    found = []
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            cubic = np.zeros((3, 3))
            cubic[range(3), order] = signs
            found.append(np.rint(basis @ cubic @ np.linalg.inv(basis)).astype(np.int64))
    return tuple(found)


def _colourings(lattice: str, sites: int, count: int) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Return superlattice and colouring of every arrangement with all `count` colours, once each."""
    found = []
    for matrix in _hermite_forms(sites):
        flat = tuple(int(x) for x in matrix.ravel())
        turned = [_hermite(matrix @ turn) for turn in _point_group(lattice)]
        if min(tuple(int(x) for x in one.ravel()) for one in turned) != flat:
            continue
        cells, shifts = _sites(matrix), _shifts(matrix)
        kept = [t for t, one in zip(_point_group(lattice), turned, strict=True) if (one == matrix).all()]
        moves = np.unique(np.concatenate([shifts[:, _index(matrix, cells @ turn)] for turn in kept]), axis=0)
        every = np.array(list(itertools.product(range(count), repeat=sites)))
        weight = count ** np.arange(sites - 1, -1, -1)
        least = np.full(len(every), count**sites)
        for move in moves:
            least = np.minimum(least, every[:, np.argsort(move)] @ weight)
        for code, colours in zip(every @ weight, every, strict=True):
            if code <= least[code] and len(set(colours)) == count and not _repeats(colours, shifts):
                found.append((flat, tuple(int(c) for c in colours)))
    return found


def _shifts(matrix: Integers) -> Integers:
    """Return where every lattice translation takes every site, (n, n)."""
    cells = _sites(matrix)
    return np.array([_index(matrix, cells + shift) for shift in cells])


def _repeats(colours: Integers, shifts: Integers) -> bool:
    """Return whether a translation leaves the colouring as it is: its primitive cell is smaller."""
    return any((colours[move] == colours).all() for move in shifts[1:])


@cache
def _known(species: tuple[str, ...]) -> dict[Key, str]:
    """Return the names of prototypes with these species, by key; a name stands for every order of the species."""
    made: dict[Key, str] = {}
    for name, (lattice, rows, given) in PROTOTYPES.items():
        if len(given) != len(species) - 1:
            continue
        inverse = np.linalg.inv(LATTICES[lattice])
        matrix = _hermite(np.rint(np.array(rows) @ inverse).astype(np.int64))
        for order in itertools.permutations(range(len(species))):
            colours = np.full(len(_sites(matrix)), order[-1])
            for which, places in zip(order, given, strict=False):
                colours[_index(matrix, np.rint(np.array(places) @ inverse).astype(np.int64))] = which
            flat, least = ordering_key(lattice, matrix, [int(c) for c in colours])
            made.setdefault((lattice, flat, tuple(species[c] for c in least)), name)
    return made


def _reduced(colours: Sequence[str]) -> str:
    return str(Atoms(list(colours)).symbols.formula.reduce()[0].format("hill"))


def _structure(key: Key, name: str, volumes: Mapping[str, float] | None) -> Atoms:
    """Return the structure of a key in a compact cell whose volume is the sum of its atoms'."""
    lattice, flat, colours = key
    matrix = np.array(flat).reshape(3, 3)
    primitive = LATTICES[lattice].astype(float)
    _, operation = niggli_reduce_cell(matrix @ primitive)
    cell = np.rint(operation).astype(int).T @ matrix @ primitive  # rows are vectors of the same superlattice, compact
    if np.linalg.det(cell) < 0:
        cell = -cell
    atoms = Atoms(list(colours), positions=_sites(matrix) @ primitive, cell=cell, pbc=True)
    volume = sum(_volume(symbol, volumes) for symbol in colours)
    atoms.set_cell(cell * (volume / atoms.cell.volume) ** (1 / 3), scale_atoms=True)
    atoms.wrap()
    words = f"{lattice} {' '.join(str(x) for x in flat)} {''.join(colours)}"
    atoms.info |= {"name": name, "lattice": lattice, "ordering": words}
    return atoms


def _element(symbol: str, kind: str, volumes: Mapping[str, float] | None) -> Atoms:
    volume = _volume(symbol, volumes)
    if kind == "hcp":
        a = (volume * 2 / np.sqrt(2)) ** (1 / 3)  # ideal c/a: V = a³/√2
        atoms = bulk(symbol, "hcp", a=a, c=np.sqrt(8 / 3) * a)
    else:
        atoms = bulk(symbol, kind, a=((4 if kind == "fcc" else 2) * volume) ** (1 / 3))
    atoms.info |= {"name": f"{kind} {symbol}", "lattice": kind}
    return atoms


def _volume(symbol: str, volumes: Mapping[str, float] | None) -> float:
    """Return the volume of one atom in Å³: as given, of the element's fcc, bcc or hcp crystal, or of its radius."""
    if volumes is not None:
        if symbol not in volumes:
            raise InputError(f"volumes: expected one for {symbol}, got {sorted(volumes)}.")
        return float(volumes[symbol])
    state = reference_states[atomic_numbers[symbol]] or {}
    if state.get("symmetry") in ("fcc", "bcc", "hcp"):
        crystal = bulk(symbol)
        return float(crystal.cell.volume / len(crystal))
    return float(4 * np.sqrt(2) * covalent_radii[atomic_numbers[symbol]] ** 3)  # touching spheres, closely packed
