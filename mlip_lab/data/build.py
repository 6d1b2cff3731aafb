"""Building structures: crystals, supercells, defects, strains, molecules and slabs.

Each function has an annotated signature, from which a form is drawn, and gives a new structure; what it is given stays
as it is. They are thin doors to `ase.build` that check what is put in and say in words what is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, get_args

import numpy as np
from ase import Atoms
from ase.build import bulk, surface
from ase.build import molecule as ase_molecule
from ase.collections import g2
from ase.data import atomic_masses, atomic_numbers, reference_states
from numpy.typing import NDArray

from mlip_lab.core.checks import as_integer, one_of
from mlip_lab.core.errors import InputError
from mlip_lab.core.quantities import Count, Quantity, Seed, validated
from mlip_lab.data.whole import MOST_ATOMS, plain, whole

Prototype = Literal[
    "diamond", "fcc", "bcc", "sc", "hcp", "rocksalt", "zincblende", "wurtzite", "cesiumchloride", "fluorite",
    "perovskite", "L1_0", "L1_2",
]  # fmt: skip
Length = Annotated[float, Quantity("Å", low=1.0, high=50.0)]
Ratio = Annotated[float, Quantity("", low=0.1, high=10.0)]
Repeats = Annotated[int, Quantity("", low=1, high=100)]
AtomIndex = Annotated[int, Quantity("", low=0)]
SmallStrain = Annotated[float, Quantity("", low=-0.3, high=0.3)]
Displacement = Annotated[float, Quantity("Å", low=0.0, high=2.0)]
Miller = Annotated[int, Quantity("", low=-9, high=9)]
Layers = Annotated[int, Quantity("", low=1, high=200)]
Vacuum = Annotated[float, Quantity("Å", low=2.0, high=100.0)]

SITES = {  # places of each kind in the formula unit; one kind where it is not listed
    "rocksalt": (1, 1), "zincblende": (1, 1), "wurtzite": (1, 1), "cesiumchloride": (1, 1), "fluorite": (1, 2),
    "perovskite": (1, 1, 3), "L1_0": (1, 1), "L1_2": (1, 3),
}  # fmt: skip
STRETCHED = ("hcp", "wurtzite", "L1_0")  # these have a ratio c/a


@validated
def crystal(
    prototype: Prototype = "diamond",
    elements: str = "Si",
    lattice_constant: Length | None = None,
    *,
    c_over_a: Ratio | None = None,
    cubic: bool = True,
) -> Atoms:
    """A crystal of a common structure.

    Args:
        prototype: Kind of structure.
        elements: Symbols in the order of their places, such as Si, Na Cl, Ca F, Ca Ti O (perovskite A B X) or Au Cu
            (L1_2: corner, faces); or a formula whose numbers tell the places, such as CaF2, SrTiO3 or Cu3Au.
        lattice_constant: Edge a of the conventional cell. Without it, an element in its own structure takes the
            measured one.
        c_over_a: Ratio of c to a, for hcp, wurtzite and L1_0. Without it the measured one goes with a measured a;
            else the one of closest packing, and for L1_0 one.
        cubic: Take the conventional cube where there is one, else the smallest cell.

    Raises:
        InputError: If elements and structure do not go together, or the lattice constant is not known.
    """
    one_of("prototype", prototype, get_args(Prototype))
    _switch("cubic", cubic)
    symbols = _places(prototype, elements)
    if c_over_a is not None and prototype not in STRETCHED:
        raise InputError(f"c_over_a: {prototype} is a cube and has none. Leave it empty.")
    a, measured = (lattice_constant, None) if lattice_constant is not None else _measured(prototype, symbols)
    ratio = c_over_a or measured or (1.0 if prototype == "L1_0" else np.sqrt(8.0 / 3.0))
    if prototype in ("perovskite", "L1_0", "L1_2"):
        return whole(_ordered(prototype, symbols, a, ratio))
    name = f"{symbols[0]}{symbols[1]}2" if prototype == "fluorite" else "".join(symbols)
    if prototype in STRETCHED:
        return whole(bulk(name, prototype, a=a, c=ratio * a))
    return whole(bulk(name, prototype, a=a, cubic=cubic and prototype not in ("sc", "cesiumchloride")))


def _ordered(prototype: str, symbols: Sequence[str], a: float, ratio: float) -> Atoms:
    corner, centre = (0, 0, 0), (0.5, 0.5, 0.5)
    faces = [(0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)]
    kinds = [0, 1, 1, 1]  # L1_2
    places = [corner, *faces]
    if prototype == "L1_0":  # along c, layers of one element and of the other
        kinds = [0, 0, 1, 1]
    elif prototype == "perovskite":
        places, kinds = [corner, centre, *faces], [0, 1, 2, 2, 2]
    cell = [a, a, ratio * a if prototype == "L1_0" else a]
    return Atoms([symbols[k] for k in kinds], scaled_positions=places, cell=cell, pbc=True)


@validated
def supercell(atoms: Atoms, *, a: Repeats = 2, b: Repeats = 2, c: Repeats = 2) -> Atoms:
    """The structure repeated along its cell vectors.

    Args:
        atoms: The structure.
        a: Times along the first vector.
        b: Times along the second vector.
        c: Times along the third vector.

    Raises:
        InputError: If there is no cell vector to repeat along, or it would hold too many atoms.
    """
    _checked(atoms)
    times = [as_integer(name, value) for name, value in (("a", a), ("b", b), ("c", c))]
    for name, value, length in zip("abc", times, atoms.cell.lengths(), strict=True):
        if value > 1 and length == 0.0:
            raise InputError(f"{name}: the structure has no cell vector {name} to repeat along. Take 1.")
    if len(atoms) * np.prod(times) > MOST_ATOMS:
        raise InputError(f"a, b, c: {len(atoms) * np.prod(times)} atoms are too many; at most {MOST_ATOMS}.")
    return whole(_carried(lambda: atoms.repeat(times)))


@validated
def vacancy(atoms: Atoms, *, index: AtomIndex = 0) -> Atoms:
    """The structure without one of its atoms.

    Args:
        atoms: The structure.
        index: Which atom, counted from 0.

    Raises:
        InputError: If there is no such atom, or it is the only one.
    """
    _has(atoms, index)
    if len(atoms) == 1:
        raise InputError("atoms: without its only atom nothing is left. Build a supercell first.")
    return whole(_carried(lambda: atoms[[i for i in range(len(atoms)) if i != index]]))


@validated
def substitute(
    atoms: Atoms,
    *,
    element: str = "Ge",
    index: AtomIndex | None = None,
    count: Count | None = None,
    seed: Seed = 0,
) -> Atoms:
    """The structure with some atoms replaced by another element.

    Args:
        atoms: The structure.
        element: Symbol of the new element.
        index: Which atom, counted from 0; without index and count the first one.
        count: In place of an index: so many atoms of other elements, chosen at random.
        seed: Which ones.

    Raises:
        InputError: If there are no such atoms, or no such element.
    """
    (symbol,) = _symbols("element", element, 1)
    if index is not None and count is not None:
        raise InputError("index, count: expected one of them, got both. Leave one empty.")
    if count is None:
        chosen = np.array([index or 0])
        _has(atoms, index or 0)
    else:
        _checked(atoms)
        others = np.flatnonzero(atoms.numbers != atomic_numbers[symbol])
        count = as_integer("count", count, low=1)
        if count > len(others):
            raise InputError(f"count: only {len(others)} atoms are not {symbol}, got {count}.")
        _given(seed=seed)
        chosen = np.random.default_rng(seed).choice(others, count, replace=False)
    out: Atoms = atoms.copy()
    out.symbols[chosen] = symbol
    if out.has("masses"):
        out.arrays["masses"][chosen] = atomic_masses[atomic_numbers[symbol]]
    return whole(out)


@validated
def strain(
    atoms: Atoms,
    *,
    xx: SmallStrain = 0.0,
    yy: SmallStrain = 0.0,
    zz: SmallStrain = 0.0,
    yz: SmallStrain = 0.0,
    xz: SmallStrain = 0.0,
    xy: SmallStrain = 0.0,
) -> Atoms:
    """The structure under a homogeneous strain, atoms carried along.

    Args:
        atoms: The structure.
        xx: Stretch along x.
        yy: Stretch along y.
        zz: Stretch along z.
        yz: Engineering shear, twice the tensor's component.
        xz: Engineering shear.
        xy: Engineering shear.

    Raises:
        InputError: If there is no cell to strain.
    """
    _checked(atoms)
    if atoms.cell.rank == 0:
        raise InputError("atoms: a molecule without a cell cannot be strained. Choose a crystal.")
    _given(xx=xx, yy=yy, zz=zz, yz=yz, xz=xz, xy=xy)
    deformation = np.eye(3) + np.array([[xx, xy / 2, xz / 2], [xy / 2, yy, yz / 2], [xz / 2, yz / 2, zz]])
    out: Atoms = atoms.copy()
    out.set_cell(atoms.cell.array @ deformation, apply_constraint=False)
    out.positions = atoms.positions @ deformation
    return whole(out)


@validated
def rattle(atoms: Atoms, *, displacement: Displacement = 0.05, seed: Seed = 0) -> Atoms:
    """The structure with every atom displaced at random.

    Args:
        atoms: The structure.
        displacement: Standard deviation of each coordinate.
        seed: Which displacements.

    Raises:
        InputError: If two atoms come too close.
    """
    _checked(atoms)
    _given(displacement=displacement, seed=seed)
    out: Atoms = atoms.copy()
    out.positions += np.random.default_rng(seed).normal(scale=displacement, size=out.positions.shape)
    return whole(out)


@validated
def molecule(name: str = "H2O", *, vacuum: Vacuum | None = None) -> Atoms:
    """A molecule of the G2 set.

    Args:
        name: Its formula or name there, such as H2O, CH4, C6H6.
        vacuum: Space around it in a box; without it there is no cell.

    Raises:
        InputError: If there is none of that name.
    """
    if name not in g2.names:
        alike = [known for known in g2.names if known.lower().startswith(str(name)[:2].lower())]
        near = ", ".join(sorted(alike, key=lambda known: (abs(len(known) - len(str(name))), known))[:8])
        raise InputError(f"name: no molecule {name!r} in the G2 set. " + (f"Near it: {near}." if near else "Try H2O."))
    return whole(ase_molecule(name) if vacuum is None else ase_molecule(name, vacuum=vacuum))


@validated
def slab(
    atoms: Atoms,
    *,
    h: Miller = 1,
    k: Miller = 0,
    l: Miller = 0,
    layers: Layers = 6,
    vacuum: Vacuum = 10.0,
    periodic: bool = False,
) -> Atoms:
    """A slab of a crystal with the given face up and down, cut where the fewest bonds break, in vacuum.

    Args:
        atoms: The crystal, in its conventional cell.
        h: First Miller index.
        k: Second Miller index.
        l: Third Miller index.
        layers: Thickness in unit layers.
        vacuum: Space above and below.
        periodic: Repeat it across the vacuum, too, as plane-wave codes need. Without, there is no stress.

    Raises:
        InputError: If the indices are all zero or the structure is no crystal.
    """
    _checked(atoms)
    if not atoms.pbc.all() or atoms.cell.rank < 3:
        raise InputError("atoms: a slab is cut from a crystal, periodic in three directions. Choose one.")
    indices = [as_integer(name, value) for name, value in (("h", h), ("k", k), ("l", l))]
    if not any(indices):
        raise InputError("h, k, l: at least one Miller index must not be zero.")
    layers = as_integer("layers", layers)
    if len(atoms) * layers > MOST_ATOMS:
        raise InputError(f"layers: {len(atoms) * layers} atoms are too many; at most {MOST_ATOMS}.")
    still = plain(atoms)  # it turns, so what has a direction stays behind
    still.set_constraint()
    for name in ("momenta", "initial_magmoms"):
        still.arrays.pop(name, None)
    _switch("periodic", periodic)
    _given(vacuum=vacuum)
    face = np.array(indices) // np.gcd.reduce(indices)
    _put_cut_in_widest_gap(still, face)
    out = surface(still, tuple(face), layers, vacuum=vacuum)
    out.pbc = (True, True, bool(periodic))
    return whole(out)


def _put_cut_in_widest_gap(crystal: Atoms, face: NDArray[np.int64]) -> None:
    """Move a crystal so that its cut, at height 0, lies where its planes are farthest apart and fewest bonds break.

    The height of an atom at r, in units of the distance of equal planes, is r·G with G = h b₁ + k b₂ + l b₃, bᵢ the
    reciprocal vectors without 2π.
    """
    normal = face @ crystal.cell.reciprocal()
    heights = np.sort(crystal.positions @ normal % 1.0)
    gaps = np.diff(heights, append=heights[0] + 1.0)
    widest = int(np.argmax(gaps > gaps.max() - 1e-6))  # the first of those that are equal but for rounding
    crystal.positions -= (heights[widest] + gaps[widest] / 2) * normal / (normal @ normal)


def _places(prototype: str, text: str) -> list[str]:
    """The element on each kind of place."""
    sites, text = SITES.get(prototype, (1,)), str(text)
    if not re.search(r"\d", text):
        return _symbols("elements", text, len(sites), f" for {prototype}")
    found = re.findall(r"([A-Z][a-z]?)([1-9]?)", text)
    counts = {symbol: int(number or 1) for symbol, number in found}
    symbols = _symbols("elements", " ".join(counts), len(sites), f" for {prototype}")
    rest = re.sub(r"[A-Z][a-z]?[1-9]?|[\s,-]", "", text)
    if rest or len(found) != len(counts) or sorted(counts.values()) != sorted(sites):
        raise InputError(f"elements: {prototype} has places as {' to '.join(map(str, sites))}, got {text!r}.")
    chosen: list[str] = []
    for number in sites:
        chosen.append(next(symbol for symbol in symbols if counts[symbol] == number and symbol not in chosen))
    return chosen


def _symbols(name: str, text: Any, needed: int, what: str = "") -> list[str]:
    found = re.findall(r"[A-Z][a-z]?|[^\s,-]", str(text))
    if len(found) != needed or any(symbol not in atomic_numbers or symbol == "X" for symbol in found):
        example = ("Si", "Na Cl", "Ca Ti O")[needed - 1]
        words = f"{needed} symbols such as {example}" if needed > 1 else f"one symbol such as {example}"
        raise InputError(f"{name}: expected {words}{what}, got {text!r}.")
    return found


def _measured(prototype: str, symbols: Sequence[str]) -> tuple[float, float | None]:
    """Lattice constant and ratio c/a of an element in its own structure."""
    states: Any = reference_states
    state = states[atomic_numbers[symbols[0]]] if len(symbols) == 1 else None
    if state is None or state.get("symmetry") != prototype or "a" not in state:
        what = " ".join(symbols)
        raise InputError(f"lattice_constant: none is known for {what} as {prototype}. Give one in Å.")
    return float(state["a"]), state.get("c/a")


def _given(**values: Any) -> None:
    for name, value in values.items():
        if value is None:
            raise InputError(f"{name}: expected a number, got None.")


def _switch(name: str, value: Any) -> None:
    if not isinstance(value, bool | np.bool_):
        raise InputError(f"{name}: expected True or False, got {value!r}.")


def _checked(atoms: Any) -> None:
    if not isinstance(atoms, Atoms) or len(atoms) == 0:
        raise InputError(f"atoms: expected an ase.Atoms with at least one atom, got {type(atoms).__name__}.")


def _has(atoms: Any, index: int) -> None:
    _checked(atoms)
    as_integer("index", index, low=0, high=len(atoms) - 1)


def _carried(change: Callable[[], Any]) -> Any:
    """What `change` gives, unless the constraints do not go along."""
    try:
        return change()
    except (AttributeError, NotImplementedError, RuntimeError, TypeError) as error:
        raise InputError("atoms: its constraints cannot go along. Take them off: atoms.set_constraint().") from error


OPERATIONS = (crystal, molecule, supercell, vacancy, substitute, strain, rattle, slab)
