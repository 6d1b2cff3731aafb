"""Equation of state: energy against volume, with the equilibrium volume and the bulk modulus."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import numpy as np
from ase import Atoms
from numpy.polynomial import Polynomial
from numpy.typing import NDArray

from mlip_lab.core.errors import CalculationError
from mlip_lab.core.late import plotted
from mlip_lab.core.progress import Progress, silent
from mlip_lab.core.quantities import Force, Quantity, validated
from mlip_lab.core.units import GPA
from mlip_lab.properties.attach import attached, energy_of
from mlip_lab.properties.fan_out import fan_out
from mlip_lab.properties.relax import relax as relax_structure

VolumeRange = Annotated[float, Quantity("", low=0.005, high=0.3)]
Points = Annotated[int, Quantity("", low=5, high=1001, whole=True)]
RECENTRINGS = 5  # ±6 % each: reaches a minimum some 30 % away in volume


@dataclass(frozen=True, eq=False)
class EquationOfState:
    """Energies over volume and the third-order Birch–Murnaghan curve through them.

    Attributes:
        volumes: Volumes computed in Å³ per atom, (points,).
        energies: Their energies in eV per atom, (points,).
        volume: Equilibrium volume in Å³ per atom.
        energy: Energy there in eV per atom.
        bulk_modulus: Bulk modulus there in GPa.
        bulk_modulus_derivative: Its derivative by pressure, without unit.
        lattice_constant: Edge of the conventional cube in Å if the given cell is simple, face- or body-centred
            cubic, else None. For a supercell it is the supercell's.
        residual: Root mean square distance of the energies from the curve in eV per atom.
    """

    volumes: NDArray[np.float64]
    energies: NDArray[np.float64]
    volume: float
    energy: float
    bulk_modulus: float
    bulk_modulus_derivative: float
    lattice_constant: float | None
    residual: float

    def plot(self, **options: Any) -> Any:
        """The result as a matplotlib Figure; options as in `mlip_lab.plots.equation_of_state.equation_of_state`."""
        return plotted("equation_of_state", "equation_of_state", self, **options)

    def curve(self, volumes: NDArray[np.float64]) -> NDArray[np.float64]:
        """Energies of the fitted curve in eV per atom at volumes in Å³ per atom."""
        return birch_murnaghan(volumes, self.volume, self.energy, self.bulk_modulus, self.bulk_modulus_derivative)


@validated
def equation_of_state(
    atoms: Atoms,
    calculator: Any,
    *,
    volume_range: VolumeRange = 0.06,
    points: Points = 13,
    relax: bool = True,
    force: Force = 1e-3,
    executor: Executor | None = None,
    progress: Progress = silent,
) -> EquationOfState:
    """Scale the cell uniformly over a range of volumes and fit a Birch–Murnaghan curve.

    Where the minimum falls outside the range, the range is moved to it. The cell keeps its shape.

    Args:
        atoms: A crystal; it is not changed.
        calculator: Any ASE calculator.
        volume_range: Largest change of the volume, as a fraction, to either side.
        points: Number of volumes.
        relax: Whether the ions relax at each volume.
        force: Largest force to be left when they do, eV/Å.
        executor: Where the volumes are computed; None is here, one after the other. It must run processes.
        progress: Called after every volume.

    Returns:
        The points and the curve.

    Raises:
        InputError: If an argument is unusable or the structure is not a crystal.
        CalculationError: If no minimum was found.
    """
    crystal = attached(atoms, calculator, crystal=True)
    energy_at = partial(_energy_at, atoms=crystal, calculator=calculator, relax=relax, force=force)
    centre = crystal.cell.volume / len(crystal)
    for _ in range(RECENTRINGS):
        volumes = centre * np.linspace(1 - volume_range, 1 + volume_range, points)
        energies = np.array(fan_out(energy_at, volumes.tolist(), executor, progress))
        inside = 0 < np.argmin(energies) < points - 1
        if inside:
            return _fitted(crystal, volumes, energies)
        centre = volumes[np.argmin(energies)]
    raise CalculationError(
        f"No minimum of the energy within {volumes[0]:.3g} to {volumes[-1]:.3g} Å³ per atom. Start nearer to it: "
        "relax(atoms, calculator) gives such a cell."
    )


def birch_murnaghan(
    volumes: NDArray[np.float64], volume: float, energy: float, bulk_modulus: float, derivative: float
) -> NDArray[np.float64]:
    """Energy of the third-order Birch–Murnaghan equation, DOI 10.1103/PhysRev.71.809.

    E(V) = E₀ + 9 V₀B/16 · {[(V₀/V)^⅔ − 1]³ B' + [(V₀/V)^⅔ − 1]² [6 − 4 (V₀/V)^⅔]}

    Args:
        volumes: V in Å³.
        volume: V₀ in Å³.
        energy: E₀ in eV.
        bulk_modulus: B in GPa.
        derivative: B', without unit.
    """
    eta = (volume / np.asarray(volumes)) ** (2 / 3)
    shape: NDArray[np.float64] = (eta - 1) ** 3 * derivative + (eta - 1) ** 2 * (6 - 4 * eta)
    return energy + 9 / 16 * volume * bulk_modulus * GPA * shape


def fit_birch_murnaghan(
    volumes: NDArray[np.float64], energies: NDArray[np.float64]
) -> tuple[float, float, float, float]:
    """V₀ (Å³), E₀ (eV), B (GPa) and B' of the curve nearest to the points.

    The equation is a cubic in x = V^(−⅔), so this is linear least squares and needs no starting guess.

    Raises:
        CalculationError: If the curve has no minimum among the points.
    """
    x = volumes ** (-2 / 3)
    cubic = Polynomial.fit(x, energies, 3)
    slope, curvature, third = cubic.deriv(1), cubic.deriv(2), cubic.deriv(3)
    roots = [float(root.real) for root in slope.roots() if np.isreal(root)]
    minima = [root for root in roots if curvature(root) > 0 and x.min() <= root <= x.max()]
    if len(minima) != 1:
        raise CalculationError("The energies over volume have no single minimum. Look at them for jumps.")
    x0 = minima[0]
    volume = x0 ** (-3 / 2)
    # E_VV and E_VVV by the chain rule at E_x = 0
    x_v, x_vv = -2 / 3 * volume ** (-5 / 3), 10 / 9 * volume ** (-8 / 3)
    e_vv = float(curvature(x0)) * x_v**2
    e_vvv = float(third(x0)) * x_v**3 + 3 * float(curvature(x0)) * x_v * x_vv
    return volume, float(cubic(x0)), volume * e_vv / GPA, -1 - volume * e_vvv / e_vv


def _fitted(atoms: Atoms, volumes: NDArray[np.float64], energies: NDArray[np.float64]) -> EquationOfState:
    volume, energy, bulk_modulus, derivative = fit_birch_murnaghan(volumes, energies)
    residual = energies - birch_murnaghan(volumes, volume, energy, bulk_modulus, derivative)
    return EquationOfState(
        volumes=volumes,
        energies=energies,
        volume=volume,
        energy=energy,
        bulk_modulus=bulk_modulus,
        bulk_modulus_derivative=derivative,
        lattice_constant=_cube_edge(atoms, volume * len(atoms)),
        residual=float(np.sqrt(np.mean(residual**2))),
    )


def _energy_at(volume_per_atom: float, *, atoms: Atoms, calculator: Any, relax: bool, force: float) -> float:
    scaled: Atoms = atoms.copy()
    factor = (volume_per_atom * len(atoms) / float(atoms.cell.volume)) ** (1 / 3)
    scaled.set_cell(atoms.cell.array * factor, scale_atoms=True)
    if relax:
        return relax_structure(scaled, calculator, force=force, cell=False).energy / len(atoms)
    scaled.calc = calculator
    return energy_of(scaled) / len(atoms)


def _cube_edge(atoms: Atoms, volume: float) -> float | None:
    lattice = atoms.cell.get_bravais_lattice(eps=1e-3)
    per_cube = {"CUB": 1, "BCC": 2, "FCC": 4}.get(lattice.name)
    return None if per_cube is None else float((per_cube * volume) ** (1 / 3))
