"""First momenta of a run, and how many degrees of freedom they have."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.constraints import FixAtoms
from numpy.typing import NDArray

from mlip_lab.core.checks import as_floats
from mlip_lab.core.errors import InputError
from mlip_lab.core.units import BOLTZMANN
from mlip_lab.kernels import integrators

Floats = NDArray[np.float64]


def inverse_masses(atoms: Atoms) -> Floats:
    """Inverse masses in 1/amu, (n_atoms,); zero for the atoms that a FixAtoms constraint holds.

    Raises:
        InputError: If a mass is not positive, every atom is held, or there is a constraint other than FixAtoms.
    """
    masses = as_floats("masses", atoms.get_masses(), (None,))
    if (masses <= 0.0).any():
        raise InputError(f"masses: expected positive numbers, got {masses.min():g}; set them with atoms.set_masses().")
    inverse = 1.0 / masses
    for constraint in atoms.constraints:
        if not isinstance(constraint, FixAtoms):
            raise InputError(
                f"constraints: expected FixAtoms only, got {type(constraint).__name__}; "
                "remove it with atoms.set_constraint() or hold whole atoms instead."
            )
        inverse[constraint.get_indices()] = 0.0
    if not inverse.any():
        raise InputError("constraints: expected an atom that is free to move, but FixAtoms holds them all.")
    return inverse


def degrees_of_freedom(inverse: Floats, fix_center: bool) -> int:
    """Three for each atom that moves, less three for a centre of mass at rest.

    Raises:
        InputError: If nothing is left.
    """
    count = 3 * int(np.count_nonzero(inverse)) - (3 if fix_center else 0)
    if count == 0:
        raise InputError(
            "atoms: one atom cannot move while its centre of mass is fixed; set fix_center_of_mass=False, "
            "or repeat the cell."
        )
    return count


def draw_momenta(
    inverse: Floats, temperature: float, *, fix_center: bool, exact: bool, seed: int, step: int = 0
) -> Floats:
    """Momenta from the Maxwell-Boltzmann distribution.

    Args:
        inverse: Inverse masses in 1/amu, (n_atoms,), zero for atoms that are held.
        temperature: K.
        fix_center: Whether to leave the centre of mass at rest.
        exact: Whether to scale the momenta so that their kinetic temperature is exactly `temperature`; otherwise it
            scatters about it as in a canonical ensemble.
        seed: Which draw.
        step: Number of steps the run has behind it, so that a continued run draws anew.

    Returns:
        Momenta in sqrt(amu eV), (n_atoms, 3).
    """
    momenta = np.zeros((len(inverse), 3))
    integrators.draw_momenta(momenta, inverse, BOLTZMANN * temperature, fix_center, seed, step)
    if exact and temperature > 0.0:
        kinetic = integrators.kinetic_energy(momenta, inverse)
        target = 0.5 * degrees_of_freedom(inverse, fix_center) * BOLTZMANN * temperature
        momenta *= np.sqrt(target / kinetic)
    return momenta
