"""Equation of state: energy against volume, with the equilibrium volume and the bulk modulus."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, get_args

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from mlip_lab.core.checks import one_of
from mlip_lab.core.errors import CalculationError
from mlip_lab.core.late import plotted
from mlip_lab.core.progress import Progress, silent
from mlip_lab.core.quantities import Force, Quantity, validated
from mlip_lab.properties.attach import attached, energy_of, largest_force
from mlip_lab.properties.fan_out import fan_out
from mlip_lab.properties.relax import relax as relax_structure
from mlip_lab.properties.volume_curves import Form, VolumeFit, fit_curve

VolumeRange = Annotated[float, Quantity("", low=0.005, high=0.3)]
Points = Annotated[int, Quantity("", low=5, high=1001, whole=True)]
RECENTRINGS = 5  # ±6 % each: reaches a minimum some 30 % away in volume


@dataclass(frozen=True, eq=False)
class EquationOfState:
    """Energies over volume and the curve through them.

    Attributes:
        volumes: Volumes computed in Å³ per atom, (points,).
        energies: Their energies in eV per atom, (points,).
        fit: The curve per atom, its parameters with standard errors.
        lattice_constant: Edge of the conventional cube in Å if the given cell is simple, face- or body-centred
            cubic, else None. For a supercell it is the supercell's.
        max_force: Largest force left on an atom at the smallest energy, in eV/Å.
    """

    volumes: NDArray[np.float64]
    energies: NDArray[np.float64]
    fit: VolumeFit
    lattice_constant: float | None
    max_force: float

    @property
    def volume(self) -> float:
        """Equilibrium volume in Å³ per atom."""
        return self.fit.volume

    @property
    def energy(self) -> float:
        """Energy there in eV per atom."""
        return self.fit.energy

    @property
    def bulk_modulus(self) -> float:
        """Bulk modulus there in GPa."""
        return self.fit.bulk_modulus

    @property
    def bulk_modulus_derivative(self) -> float:
        """Its derivative by pressure, without unit."""
        return self.fit.derivative

    @property
    def residual(self) -> float:
        """Root mean square distance of the energies from the curve in eV per atom."""
        return self.fit.residual

    def fitted(self, form: Form) -> VolumeFit:
        """A curve of another form through the same points."""
        return self.fit if form == self.fit.form else fit_curve(self.volumes, self.energies, form)

    def plot(self, **options: Any) -> Any:
        """The result as a matplotlib Figure; options as in `mlip_lab.plots.equation_of_state.equation_of_state`."""
        return plotted("equation_of_state", "equation_of_state", self, **options)

    def curve(self, volumes: NDArray[np.float64]) -> NDArray[np.float64]:
        """Energies of the fitted curve in eV per atom at volumes in Å³ per atom."""
        return self.fit.curve(volumes)


@validated
def equation_of_state(
    atoms: Atoms,
    calculator: Any,
    *,
    volume_range: VolumeRange = 0.06,
    points: Points = 13,
    form: Form = "birch-murnaghan",
    relax: bool = True,
    force: Force = 1e-3,
    executor: Executor | None = None,
    progress: Progress = silent,
) -> EquationOfState:
    """Scale the cell uniformly over a range of volumes and fit a curve.

    Where the minimum falls outside the range, the range is moved to it. The cell keeps its shape.

    Args:
        atoms: A crystal; it is not changed.
        calculator: Any ASE calculator.
        volume_range: Largest change of the volume, as a fraction, to either side.
        points: Number of volumes.
        form: Curve that is fitted, Birch–Murnaghan of third order or Vinet's.
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
    one_of("form", form, get_args(Form))
    crystal = attached(atoms, calculator, crystal=True)
    energy_at = partial(_energy_at, atoms=crystal, calculator=calculator, relax=relax, force=force)
    centre = crystal.cell.volume / len(crystal)
    for _ in range(RECENTRINGS):
        volumes = centre * np.linspace(1 - volume_range, 1 + volume_range, points)
        energies, forces = np.array(fan_out(energy_at, volumes.tolist(), executor, progress)).T
        lowest = int(np.argmin(energies))
        if 0 < lowest < points - 1:
            fit = fit_curve(volumes, energies, form)
            edge = _cube_edge(crystal, fit.volume * len(crystal))
            return EquationOfState(volumes, energies, fit, edge, float(forces[lowest]))
        centre = volumes[lowest]
    raise CalculationError(
        f"No minimum of the energy within {volumes[0]:.3g} to {volumes[-1]:.3g} Å³ per atom. Start nearer to it: "
        "relax(atoms, calculator) gives such a cell."
    )


def _energy_at(
    volume_per_atom: float, *, atoms: Atoms, calculator: Any, relax: bool, force: float
) -> tuple[float, float]:
    """Energy in eV per atom and the largest force in eV/Å."""
    scaled: Atoms = atoms.copy()
    factor = (volume_per_atom * len(atoms) / float(atoms.cell.volume)) ** (1 / 3)
    scaled.set_cell(atoms.cell.array * factor, scale_atoms=True)
    if relax:
        found = relax_structure(scaled, calculator, force=force, cell=False)
        return found.energy / len(atoms), found.max_force
    scaled.calc = calculator
    return energy_of(scaled) / len(atoms), largest_force(scaled)


def _cube_edge(atoms: Atoms, volume: float) -> float | None:
    lattice = atoms.cell.get_bravais_lattice(eps=1e-3)
    per_cube = {"CUB": 1, "BCC": 2, "FCC": 4}.get(lattice.name)
    return None if per_cube is None else float((per_cube * volume) ** (1 / 3))
