"""The start of a property that is defined at a minimum of the energy only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from mlip_lab.core.errors import InputError
from mlip_lab.properties.attach import attached, largest_force, stress_of
from mlip_lab.properties.relax import relax

LARGEST_STRESS = 0.1  # GPa; at stress σ the definitions of elastic constants differ by about σ
LARGEST_FORCE = 0.02  # eV/Å; ions must start from their minimum


@dataclass(frozen=True, eq=False)
class RelaxedStart:
    """A crystal in its minimum, and how well it is there.

    Attributes:
        atoms: The crystal with the calculator attached.
        stress: Stress in GPa, Voigt order, (6,).
        max_force: Largest force on an atom in eV/Å.
    """

    atoms: Atoms
    stress: NDArray[np.float64]
    max_force: float


def relaxed_start(atoms: Atoms, calculator: Any, *, relax_first: bool = False, force: float = 1e-4) -> RelaxedStart:
    """Check that a crystal is relaxed, or relax it.

    Args:
        atoms: A crystal; it is not changed.
        calculator: Any ASE calculator with stress.
        relax_first: Whether to relax ions and cell now, its symmetry kept, instead of refusing what is not relaxed.
        force: Largest force to be left when it is relaxed now, eV/Å.

    Raises:
        InputError: If it is not a crystal, is under stress, or its ions feel a force.
        CalculationError: If it could not be relaxed.
    """
    crystal = attached(atoms, calculator, crystal=True)
    if relax_first:
        found = relax(crystal, calculator, force=force, symmetry=True)
        crystal = attached(found.atoms, calculator)
    stress, left = stress_of(crystal), largest_force(crystal)
    if np.abs(stress).max() > LARGEST_STRESS:
        raise InputError(
            f"atoms: expected a relaxed cell, got a stress of {stress[np.abs(stress).argmax()]:.3g} GPa (at most "
            f"{LARGEST_STRESS} GPa). Use relax(atoms, calculator).atoms, or relax_first=True."
        )
    if left > LARGEST_FORCE:
        raise InputError(
            f"atoms: expected relaxed ions, got a force of {left:.3g} eV/Å (at most {LARGEST_FORCE} eV/Å). "
            "Use relax(atoms, calculator).atoms, or relax_first=True."
        )
    return RelaxedStart(crystal, stress, left)
