"""Elastic constants from stress under small strains, with clamped and with relaxed ions."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from mlip_lab.core.errors import CalculationError, InputError
from mlip_lab.core.late import plotted
from mlip_lab.core.progress import Progress, silent
from mlip_lab.core.quantities import Force, Strain, validated
from mlip_lab.properties.attach import attached, largest_force, stress_of
from mlip_lab.properties.fan_out import fan_out
from mlip_lab.properties.relax import relax as relax_structure

VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
LARGEST_STRESS = 0.1  # GPa; at stress σ the definitions of C differ by about σ
LARGEST_FORCE = 0.02  # eV/Å; clamped ions must start from their minimum


@dataclass(frozen=True)
class Averages:
    """Moduli of a polycrystal of random grains in GPa: Voigt's and Reuss's bounds and Hill's mean.

    R. Hill, DOI 10.1088/0370-1298/65/5/307.
    """

    bulk_voigt: float
    bulk_reuss: float
    shear_voigt: float
    shear_reuss: float

    @property
    def bulk(self) -> float:
        """Hill's bulk modulus in GPa."""
        return (self.bulk_voigt + self.bulk_reuss) / 2

    @property
    def shear(self) -> float:
        """Hill's shear modulus in GPa."""
        return (self.shear_voigt + self.shear_reuss) / 2


@dataclass(frozen=True, eq=False)
class ElasticResult:
    """Elastic constants in the axes of the given cell; Voigt order xx, yy, zz, yz, xz, xy.

    Attributes:
        clamped: Constants with the ions carried along by the strain, GPa, (6, 6).
        relaxed: Constants with the ions relaxed at each strain, GPa, (6, 6): what an experiment sees. None if they
            were not asked for.
        strain: Amplitude of the strains.
        asymmetry: Largest |C_ij − C_ji| before both were replaced by their mean, GPa: the numerical error.
        stress: Stress of the unstrained cell in GPa, Voigt.
        max_force: Largest force in the unstrained cell in eV/Å.
    """

    clamped: NDArray[np.float64]
    relaxed: NDArray[np.float64] | None
    strain: float
    asymmetry: float
    stress: NDArray[np.float64]
    max_force: float

    def plot(self, **options: Any) -> Any:
        """The result as a matplotlib Figure; options as in `mlip_lab.plots.elastic.elastic`."""
        return plotted("elastic", "elastic", self, **options)

    @property
    def constants(self) -> NDArray[np.float64]:
        """The relaxed constants, or the clamped ones if only they were asked for; GPa, (6, 6)."""
        return self.clamped if self.relaxed is None else self.relaxed

    @cached_property
    def eigenvalues(self) -> NDArray[np.float64]:
        """Eigenvalues of `constants` in GPa, ascending, (6,)."""
        return np.asarray(np.linalg.eigvalsh(self.constants), dtype=np.float64)

    @property
    def stable(self) -> bool:
        """Born's criterion for any crystal class: every eigenvalue positive, DOI 10.1103/PhysRevB.90.224104."""
        return bool(self.eigenvalues[0] > 0)

    @property
    def averages(self) -> Averages:
        """Moduli of a polycrystal; CalculationError if the crystal is not stable."""
        if not self.stable:
            raise CalculationError(
                f"The crystal is not stable (smallest eigenvalue {self.eigenvalues[0]:.3g} GPa): it has no averages."
            )
        return averages(self.constants)


@validated
def elastic(
    atoms: Atoms,
    calculator: Any,
    *,
    strain: Strain = 0.005,
    relax: bool = True,
    force: Force = 1e-4,
    executor: Executor | None = None,
    progress: Progress = silent,
) -> ElasticResult:
    """Elastic constants of a relaxed crystal, C_ij = ∂σ_i/∂ε_j by central differences.

    Args:
        atoms: A crystal with relaxed ions and cell; it is not changed.
        calculator: Any ASE calculator with stress.
        strain: Amplitude of each of the six strains (engineering strain for the three shears).
        relax: Whether to give constants with relaxed ions beside those with clamped ions. They differ wherever a
            strain pushes on an internal coordinate, as a shear does in diamond.
        force: Largest force to be left when the ions relax, eV/Å.
        executor: Where the twelve strained cells are computed; None is here. It must run processes.
        progress: Called after every strained cell.

    Returns:
        The constants, clamped and relaxed, in the axes of the cell.

    Raises:
        InputError: If an argument is unusable, or the crystal is under stress or its ions feel a force.
        CalculationError: If ions could not be relaxed or the calculator gave no finite numbers.
    """
    crystal = attached(atoms, calculator, crystal=True)
    stress, left = stress_of(crystal), largest_force(crystal)
    _check_relaxed(stress, left)
    stresses_at = partial(_stresses, atoms=crystal, calculator=calculator, relax=relax, force=force)
    strains = [sign * strain * unit for unit in np.eye(6) for sign in (1, -1)]
    stresses = np.array(fan_out(stresses_at, strains, executor, progress))  # (12, clamped and relaxed, 6)
    derivatives = (stresses[0::2] - stresses[1::2]).transpose(1, 2, 0) / (2 * strain)
    symmetric = (derivatives + derivatives.transpose(0, 2, 1)) / 2
    return ElasticResult(
        clamped=symmetric[0],
        relaxed=symmetric[1] if relax else None,
        strain=strain,
        asymmetry=float(2 * np.abs(derivatives - symmetric).max()),
        stress=stress,
        max_force=left,
    )


def averages(constants: NDArray[np.float64]) -> Averages:
    """Voigt's and Reuss's averages of constants in GPa, (6, 6), that are positive definite."""
    compliances = np.asarray(np.linalg.inv(constants), dtype=np.float64)
    c_axial, c_mixed, c_shear = _sums(constants)
    s_axial, s_mixed, s_shear = _sums(compliances)
    return Averages(
        bulk_voigt=(c_axial + 2 * c_mixed) / 9,
        bulk_reuss=1 / (s_axial + 2 * s_mixed),
        shear_voigt=(c_axial - c_mixed + 3 * c_shear) / 15,
        shear_reuss=15 / (4 * s_axial - 4 * s_mixed + 3 * s_shear),
    )


def cubic_constants(constants: NDArray[np.float64]) -> tuple[float, float, float]:
    """C11, C12 and C44 in GPa of a cubic crystal whose cube axes are the axes of the cell.

    Raises:
        CalculationError: If the constants, (6, 6), do not have the form of a cubic crystal to 2 % of the largest.
    """
    axial, mixed, shear = _sums(constants)
    c11, c12, c44 = axial / 3, mixed / 3, shear / 3
    form = np.zeros((6, 6))
    form[:3, :3] = c12
    np.fill_diagonal(form, [c11] * 3 + [c44] * 3)
    off = float(np.abs(constants - form).max())
    if off > 0.02 * np.abs(constants).max():
        raise CalculationError(
            f"These are not the constants of a cubic crystal along x, y and z: they differ by {off:.3g} GPa from "
            "that form. Rotate the cell so that the cube's edges lie along the axes."
        )
    return c11, c12, c44


def _sums(tensor: NDArray[np.float64]) -> tuple[float, float, float]:
    """Sums over 11, 22, 33; over 12, 13, 23; over 44, 55, 66."""
    return (
        float(np.trace(tensor[:3, :3])),
        float(tensor[0, 1] + tensor[0, 2] + tensor[1, 2]),
        float(np.trace(tensor[3:, 3:])),
    )


def _check_relaxed(stress: NDArray[np.float64], force: float) -> None:
    if np.abs(stress).max() > LARGEST_STRESS:
        raise InputError(
            f"atoms: expected a relaxed cell, got a stress of {stress[np.abs(stress).argmax()]:.3g} GPa (at most "
            f"{LARGEST_STRESS} GPa). Use relax(atoms, calculator).atoms."
        )
    if force > LARGEST_FORCE:
        raise InputError(
            f"atoms: expected relaxed ions, got a force of {force:.3g} eV/Å (at most {LARGEST_FORCE} eV/Å). "
            "Use relax(atoms, calculator).atoms."
        )


def _stresses(
    voigt: NDArray[np.float64], *, atoms: Atoms, calculator: Any, relax: bool, force: float
) -> list[NDArray[np.float64]]:
    """Stress in GPa under one Voigt strain: with clamped ions and, if asked for, with relaxed ions."""
    deformation = np.eye(3)
    for (i, j), value in zip(VOIGT, voigt, strict=True):
        deformation[i, j] += value if i == j else value / 2
        deformation[j, i] = deformation[i, j]
    strained = attached(atoms, calculator)
    strained.set_cell(atoms.cell.array @ deformation, scale_atoms=True)
    found = [stress_of(strained)]
    if relax:
        strained.positions = relax_structure(strained, calculator, force=force, cell=False).atoms.positions
        found.append(stress_of(strained))
    return found
