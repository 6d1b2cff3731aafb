"""Relaxation: the nearest structure without forces, and without stress if the cell may change."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixSymmetry
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS, LBFGS
from numpy.typing import NDArray

from mlip_lab.core.errors import CalculationError, InputError
from mlip_lab.core.late import plotted
from mlip_lab.core.progress import Progress, silent
from mlip_lab.core.quantities import Count, Force, Pressure, validated
from mlip_lab.core.units import GPA
from mlip_lab.properties.attach import attached, energy_of, largest_force, stress_of
from mlip_lab.properties.symmetry import SYMMETRY_TOLERANCE, space_group

DENSE_HESSIAN = 128  # atoms up to which BFGS's (3N)³ algebra is cheap


@dataclass(frozen=True, eq=False)
class RelaxResult:
    """A relaxed structure.

    Attributes:
        atoms: The structure, holding its energy, forces and (where there is one) stress.
        energy: Potential energy in eV.
        steps: Optimiser steps taken.
        max_force: Largest force left on an atom in eV/Å.
        stress: Stress left in GPa, Voigt order xx, yy, zz, yz, xz, xy, tension positive; None if the cell was kept.
        energies: Energy at each step in eV, (steps + 1,).
        max_forces: Largest force on an atom at each step in eV/Å, (steps + 1,).
        kept_symmetry: Space group that was kept, as "Fd-3m (227)"; None if that was not asked for.
    """

    atoms: Atoms
    energy: float
    steps: int
    max_force: float
    stress: NDArray[np.float64] | None
    energies: NDArray[np.float64]
    max_forces: NDArray[np.float64]
    kept_symmetry: str | None = None

    def plot(self) -> Any:
        """Energy and largest force over the steps, as a matplotlib Figure."""
        return plotted("relax", "relax", self)


@validated
def relax(
    atoms: Atoms,
    calculator: Any,
    *,
    force: Force = 1e-3,
    pressure: Pressure = 0.0,
    cell: bool = True,
    symmetry: bool = False,
    steps: Count = 1000,
    progress: Progress = silent,
) -> RelaxResult:
    """Relax positions, and the cell too unless `cell` is False, down to the nearest minimum.

    Quasi-Newton steps on the positions and the logarithm of the deformation gradient (ase.filters.FrechetCellFilter).
    Converged when every force, and the virial per atom divided by 1 Å, is below `force`.

    Args:
        atoms: The structure; it is not changed. Its constraints hold.
        calculator: Any ASE calculator.
        force: Largest force to be left, eV/Å.
        pressure: Pressure on the cell in GPa, compression positive.
        cell: Whether the cell relaxes too.
        symmetry: Whether the crystal keeps the space group it has (to 0.01 Å); every step is then made symmetric, and
            it may end on a saddle that only an asymmetric step would leave.
        steps: Steps after which to give up.
        progress: Called after every step with `energy` (eV) and `max_force` (eV/Å).

    Returns:
        The relaxed structure and how well it is relaxed.

    Raises:
        InputError: If an argument is unusable, or the cell cannot relax (not periodic, no stress).
        CalculationError: If it did not converge or the calculator gave no finite numbers.
    """
    if pressure != 0 and not cell:
        raise InputError(f"pressure: {pressure} GPa has no effect on a fixed cell. Use cell=True or leave it out.")
    moving = attached(atoms, calculator, crystal=cell or symmetry)
    group = space_group(moving) if symmetry else None
    if symmetry:
        moving.set_constraint([*moving.constraints, FixSymmetry(moving, symprec=SYMMETRY_TOLERANCE)])
    if cell:
        stress_of(moving)  # refuses in words before the first step
    target: Any = FrechetCellFilter(moving, scalar_pressure=pressure * GPA) if cell else moving
    kind: Any = BFGS if len(moving) <= DENSE_HESSIAN else LBFGS
    optimizer = kind(target, logfile=None)
    converged, history = False, []
    with warnings.catch_warnings():
        # scipy speaks of 1e-12 in the logarithm of a matrix within rounding of the unit matrix
        warnings.filterwarnings("ignore", "logm result may be inaccurate", RuntimeWarning)
        for state in optimizer.irun(fmax=force, steps=steps):
            converged = state
            history.append((energy_of(moving), largest_force(moving)))
            progress(optimizer.nsteps, steps, energy=history[-1][0], max_force=history[-1][1])
    if not converged:
        raise CalculationError(
            f"Not relaxed after {steps} steps: a force of {largest_force(moving):.2g} eV/Å is left, {force:g} was "
            "asked for. Raise steps, loosen force, or start from a structure nearer to the minimum."
        )
    stress = stress_of(moving) if cell else None
    energies, max_forces = np.array(history).T
    return RelaxResult(
        atoms=_with_results(moving, atoms.constraints),
        energy=energy_of(moving),
        steps=optimizer.nsteps,
        max_force=largest_force(moving),
        stress=stress,
        energies=energies,
        max_forces=max_forces,
        kept_symmetry=group,
    )


def _with_results(atoms: Atoms, constraints: Any) -> Atoms:
    """A copy with the constraints it came with, its results but not the calculator: it can be stored and sent."""
    copy: Atoms = atoms.copy()
    copy.set_constraint(constraints)
    results = {name: atoms.calc.results[name] for name in ("energy", "forces", "stress") if name in atoms.calc.results}
    copy.calc = SinglePointCalculator(copy, **results)
    return copy
