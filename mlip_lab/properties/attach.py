"""The door of every property: checked atoms with the calculator attached, and results that are finite."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError
from numpy.typing import NDArray

from mlip_lab.core.errors import CalculationError, InputError
from mlip_lab.core.units import GPA


def attached(atoms: Atoms, calculator: Any, *, crystal: bool = False) -> Atoms:
    """A copy of the atoms with the calculator attached; the given atoms stay as they are.

    Args:
        atoms: The structure.
        calculator: Any ASE calculator.
        crystal: Whether three periodic directions with a finite volume are needed.

    Raises:
        InputError: If there are no atoms, a position is not finite, the calculator is none, or `crystal` is not met.
    """
    if not isinstance(atoms, Atoms):
        raise InputError(f"atoms: expected an ase.Atoms, got {type(atoms).__name__}.")
    if len(atoms) == 0:
        raise InputError("atoms: expected at least one atom, got none.")
    if not (np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell.array).all()):
        raise InputError("atoms: expected finite positions and cell, got NaN or infinity.")
    if isinstance(calculator, type) or not hasattr(calculator, "get_potential_energy"):
        raise InputError(f"calculator: expected an ASE calculator such as EMT(), got {calculator!r}.")
    if crystal:
        _check_crystal(atoms)
    copy: Atoms = atoms.copy()
    copy.calc = calculator
    return copy


def _check_crystal(atoms: Atoms) -> None:
    open_directions = [name for name, periodic in zip("abc", atoms.pbc, strict=True) if not periodic]
    if open_directions:
        raise InputError(
            f"atoms: this cell is not periodic along {', '.join(open_directions)}, so its stress is undefined. "
            "Choose a crystal (pbc=True)."
        )
    lengths = atoms.cell.lengths()
    if lengths.min() <= 0 or atoms.cell.volume < 1e-6 * lengths.prod():
        raise InputError("atoms: expected a cell with a volume, got one whose vectors lie in a plane.")


def energy_of(atoms: Atoms) -> float:
    """Energy in eV; a calculator that gives no finite number is a CalculationError."""
    energy = float(atoms.get_potential_energy())
    if not np.isfinite(energy):
        raise CalculationError(f"The calculator gave the energy {energy} for {atoms.get_chemical_formula()}.")
    return energy


def largest_force(atoms: Atoms) -> float:
    """Length of the largest force on an atom in eV/Å."""
    forces = atoms.get_forces()
    if not np.isfinite(forces).all():
        raise CalculationError(f"The calculator gave forces that are not finite for {atoms.get_chemical_formula()}.")
    return float(np.linalg.norm(forces, axis=1).max())


def stress_of(atoms: Atoms) -> NDArray[np.float64]:
    """Stress in GPa, Voigt order xx, yy, zz, yz, xz, xy, tension positive."""
    try:
        stress = atoms.get_stress()
    except PropertyNotImplementedError as error:
        raise InputError(
            f"calculator: {type(atoms.calc).__name__} gives no stress, which is needed here. "
            "Use a calculator with stress."
        ) from error
    if not np.isfinite(stress).all():
        raise CalculationError(f"The calculator gave a stress that is not finite for {atoms.get_chemical_formula()}.")
    return np.asarray(stress, dtype=np.float64) / GPA
