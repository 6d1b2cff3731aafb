"""The names under which energy, forces and stress are found, and what their values must look like.

A name is taken without regard to case, with `-` as `_`, bare or behind REF_ or DFT_. Where a frame carries
several names of one quantity the first in this order wins: REF_ before DFT_ before the bare name, and within each
the order of `NAMES`. What was passed over is counted and told.

Conventions: stress is ASE's, (1/V) ∂E/∂ε, tension positive, eV/Å³; a virial is -∂E/∂ε in eV, so stress = -virial/V.
Six numbers are Voigt components xx, yy, zz, yz, xz, xy.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from mlip_lab.core.errors import DataError

Floats = NDArray[np.float64]

PREFIXES = ("ref_", "dft_", "")
NAMES = {
    "energy": ("energy", "total_energy", "free_energy"),
    "forces": ("forces", "force"),
    "stress": ("stress", "virial_stress", "virial", "virials"),
}
RANKS = {
    prefix + name: (quantity, PREFIXES.index(prefix) * len(names) + names.index(name))
    for quantity, names in NAMES.items()
    for prefix in PREFIXES
    for name in names
}
_VOIGT = np.array([[0, 5, 4], [5, 1, 3], [4, 3, 2]])
# No matter has as much in eV, eV/Å or eV/Å³, nor in the other units in use: not a number of this kind at all.
_LARGEST = {"energy": 1e9, "forces": 1e7, "stress": 1e9}
_TELLING = ("energ", "force", "stress", "virial")


@dataclass
class Labels:
    """What one frame carries.

    Attributes:
        energy: eV, or None.
        forces: eV/Å (n_atoms, 3), or None.
        stress: eV/Å³ (3, 3), or None.
        names: Quantity to the name it was found under.
        passed_over: (quantity, name taken, name passed over) to the largest difference between the two.
        unknown: Names that speak of energy, force, stress or virial but are not among the recognised.
        remarks: What was done to a value, in words.
    """

    energy: float | None = None
    forces: Floats | None = None
    stress: Floats | None = None
    names: dict[str, str] = field(default_factory=dict)
    passed_over: dict[tuple[str, str, str], float] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)
    remarks: list[str] = field(default_factory=list)


def find_labels(atoms: Atoms) -> Labels:
    """Find the labels of one structure in its calculator, info and arrays.

    Args:
        atoms: A structure as ASE read it.

    Returns:
        The labels with their names.

    Raises:
        DataError: If a recognised name holds something that cannot be its quantity.
    """
    labels = Labels()
    found: dict[str, list[tuple[int, str, Any]]] = {}
    for name, value in _entries(atoms):
        quantity, rank = RANKS.get(name.lower().replace("-", "_"), ("", 0))
        if quantity:
            found.setdefault(quantity, []).append((rank, name, value))
        elif any(part in name.lower() for part in _TELLING) and not isinstance(value, (str, bool)):
            labels.unknown.add(name)
    for quantity, candidates in found.items():
        candidates.sort(key=lambda candidate: candidate[0])
        values = [_convert(quantity, name, value, atoms, labels) for _, name, value in candidates]
        kept = [(name, value) for (_, name, _), value in zip(candidates, values, strict=True) if value is not None]
        if not kept:
            continue
        name, value = kept[0]
        labels.names[quantity] = name
        setattr(labels, quantity, value)
        for other, another in kept[1:]:
            labels.passed_over[quantity, name, other] = float(np.max(np.abs(np.subtract(another, value)), initial=0.0))
    return labels


def _entries(atoms: Atoms) -> Iterator[tuple[str, Any]]:
    """Every named value; ASE moves the names it knows from a file into the calculator."""
    if atoms.calc is not None:
        yield from _named(getattr(atoms.calc, "results", {}))
    yield from _named(atoms.info)
    for inner in ("key_value_pairs", "data"):  # what a row of an ASE database carries
        yield from _named(atoms.info.get(inner))
    yield from _named(atoms.arrays)


def _named(entries: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(entries, dict):
        yield from ((name, value) for name, value in entries.items() if isinstance(name, str) and value is not None)


def _convert(quantity: str, name: str, value: Any, atoms: Atoms, labels: Labels) -> Any:
    if quantity == "energy":
        array = _numbers(name, value, "one number in eV", _LARGEST[quantity] * len(atoms))
        if array.size != 1:
            raise DataError(f"{name}: expected one number in eV, got shape {array.shape}. Give the total energy.")
        return float(array.reshape(()))
    if quantity == "forces":
        wanted = f"({len(atoms)}, 3) numbers in eV/Å"
        array = _numbers(name, value, wanted, _LARGEST[quantity])
        if array.shape != (len(atoms), 3):
            raise DataError(f"{name}: expected {wanted}, got shape {array.shape}. Give a vector for each atom.")
        return array
    return _stress(name, _numbers(name, value, "3×3 or 6 numbers", _LARGEST[quantity]), atoms, labels)


def _numbers(name: str, value: Any, wanted: str, largest: float) -> Floats:
    try:
        array = np.array(value)
        if array.dtype.kind not in "fiu":
            raise TypeError
        array = array.astype(np.float64)
    except (TypeError, ValueError) as error:
        shown = repr(value) if len(repr(value)) < 40 else type(value).__name__
        raise DataError(f"{name}: expected {wanted}, got {shown}. Correct or delete the entry.") from error
    if not np.isfinite(array).all():
        bad = "NaN" if np.isnan(array).any() else "infinity"
        raise DataError(f"{name}: {bad} among the numbers. Delete the entry if the label is missing.")
    if np.abs(array).max(initial=0.0) > largest:
        raise DataError(f"{name}: {np.abs(array).max():.3g} is no such quantity in any unit. Correct the entry.")
    return array


def _stress(name: str, array: Floats, atoms: Atoms, labels: Labels) -> Floats | None:
    if array.shape not in ((6,), (9,), (3, 3)):
        raise DataError(f"{name}: expected shape (3, 3), (9,) or (6,), got {array.shape}. Correct or delete the entry.")
    full = array[_VOIGT] if array.size == 6 else array.reshape(3, 3)
    if not atoms.pbc.all():
        labels.remarks.append(f"{name} left out: stress has no meaning unless all three directions are periodic")
        return None
    if not full.any():
        labels.remarks.append(f"{name} of exactly zero taken as missing")
        return None
    if np.abs(full - full.T).max() > 1e-3 * np.abs(full).max():
        labels.remarks.append(f"{name} not symmetric: its symmetric part is used")
    symmetric: Floats = 0.5 * (full + full.T)
    if "virial" in name.lower() and "stress" not in name.lower():
        volume = abs(float(np.linalg.det(atoms.cell[:])))
        if volume < 1e-6:
            raise DataError(f"{name}: the cell has no volume to divide by. Correct Lattice or pbc.")
        labels.remarks.append(f"stress = -{name}/V")
        return -symmetric / volume
    return symmetric
