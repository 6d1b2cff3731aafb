"""Distances and angles between atoms, in words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from ase.geometry import find_mic

from mlip_lab.core.errors import InputError

CLOSER = 0.01  # Å by which an image must be closer to be worth a word


def parse_atoms(text: str, n_atoms: int) -> tuple[int, ...]:
    """Atom indices from what a person typed, "0 5 7" or "0, 5, 7".

    Raises:
        InputError: If they are not whole numbers of atoms that exist, one is named twice, or there are more than 3.
    """
    try:
        found = tuple(int(part) for part in text.replace(",", " ").split())
    except ValueError as error:
        raise InputError(f"Atoms to measure: expected numbers such as 0 5 7, got {text!r}.") from error
    return check_atoms(found, n_atoms)


def check_atoms(found: Sequence[int], n_atoms: int) -> tuple[int, ...]:
    """Indices of up to three different atoms that exist."""
    if len(found) > 3 or len(set(found)) < len(found):
        raise InputError(f"Atoms to measure: expected two or three different atoms, got {list(found)}.")
    if any(not 0 <= index < n_atoms for index in found):
        raise InputError(f"Atoms to measure: expected numbers from 0 to {n_atoms - 1}, got {list(found)}.")
    return tuple(int(index) for index in found)


def in_words(atoms: Atoms, chosen: Sequence[int]) -> str:
    """The distance between two atoms in Å, or the angle in degrees at the second of three, as they are drawn."""
    names = [f"{chemical_symbols[atoms.numbers[index]]} {index}" for index in chosen]
    if len(chosen) == 1:
        x, y, z = atoms.positions[chosen[0]]
        return f"{names[0]} at ({x:.3f}, {y:.3f}, {z:.3f}) Å. Choose a second atom for a distance."
    if len(chosen) == 2:
        vector = atoms.positions[chosen[1]] - atoms.positions[chosen[0]]
        distance = float(np.linalg.norm(vector))
        words = f"{names[0]} to {names[1]}: {distance:.3f} Å"
        if atoms.pbc.any():
            nearest = float(find_mic(vector, atoms.cell, atoms.pbc)[1])
            if nearest < distance - CLOSER:
                words += f" as drawn, {nearest:.3f} Å to the nearest periodic image"
        return f"{words}."
    if len(chosen) == 3:
        first, corner, last = atoms.positions[list(chosen)]
        one, two = first - corner, last - corner
        lengths = np.linalg.norm(one), np.linalg.norm(two)
        if min(lengths) < 1e-9:
            return f"{' – '.join(names)}: no angle, two of these atoms are in the same place."
        # Exact also near 0 and 180 degrees, where the arc cosine is not
        angle = np.degrees(np.arctan2(np.linalg.norm(np.cross(one, two)), one @ two))
        return f"Angle {' – '.join(names)}, at {names[1]}: {angle:.2f}°."
    return ""
