"""Thermal expansion in the quasi-harmonic approximation: phonons that change with the volume."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from mlip_lab.core.errors import CalculationError
from mlip_lab.core.late import plotted
from mlip_lab.core.progress import Progress, silent
from mlip_lab.core.quantities import Force, Quantity, Temperature, validated
from mlip_lab.properties.fan_out import fan_out
from mlip_lab.properties.force_constants import Repeats, harmonic, mesh_states, supercell_for
from mlip_lab.properties.phonons import Displacement, MeshLength, Reach
from mlip_lab.properties.relax import relax as relax_structure
from mlip_lab.properties.relaxed_start import relaxed_start
from mlip_lab.properties.symmetry import primitive
from mlip_lab.properties.vibrational import STILL, vibrations
from mlip_lab.properties.volume_curves import fit_curve

Floats = NDArray[np.float64]
Volumes = Annotated[int, Quantity("", low=5, high=101, whole=True)]
Swell = Annotated[float, Quantity("", low=0.01, high=0.3)]
TEMPERATURES = 101


@dataclass(frozen=True, eq=False)
class ThermalExpansion:
    """A crystal without pressure over temperature.

    Attributes:
        volumes: Volumes at which phonons were computed, Å³ per atom, (n,).
        energies: Energies there without vibrations, eV per atom, (n,).
        free_energies: Energies and harmonic free energies there, eV per atom, (temperatures, n).
        temperatures: K, as far as the volume stays within the range, (m,).
        volume: Volume of least free energy in Å³ per atom, (m,).
        bulk_modulus: Isothermal bulk modulus in GPa, (m,).
        expansion: Volumetric thermal expansion coefficient in 1e-6/K, (m,); a third of it is the linear one of a cube.
        stopped_at: Temperature in K at which the volume leaves the range; None if it does not.
    """

    volumes: Floats
    energies: Floats
    free_energies: Floats
    temperatures: Floats
    volume: Floats
    bulk_modulus: Floats
    expansion: Floats
    stopped_at: float | None

    def plot(self, **options: Any) -> Any:
        """As a matplotlib Figure; options as in `mlip_lab.plots.thermal_expansion.thermal_expansion`."""
        return plotted("thermal_expansion", "thermal_expansion", self, **options)


@validated
def thermal_expansion(
    atoms: Atoms,
    calculator: Any,
    *,
    shrink: Swell = 0.02,
    swell: Swell = 0.05,
    points: Volumes = 7,
    highest_temperature: Temperature = 1000.0,
    reach: Reach = 10.0,
    displacement: Displacement = 0.01,
    mesh: MeshLength = 40.0,
    relax_first: bool = False,
    force: Force = 1e-4,
    executor: Executor | None = None,
    progress: Progress = silent,
) -> ThermalExpansion:
    """The volume of least E(V) + F_vib(V, T), with harmonic phonons at each volume.

    The cell keeps its shape, which is exact for cubic crystals. What phonons do to each other at one volume is left
    out: trust it to about half the melting temperature.

    Args:
        atoms: A crystal with relaxed ions and cell; it is not changed.
        calculator: Any ASE calculator with stress.
        shrink: Smallest volume, as a fraction below that of the crystal.
        swell: Largest volume, as a fraction above it.
        points: Number of volumes.
        highest_temperature: Up to which to go, K.
        reach: Least distance between opposite faces of the supercell, Å.
        displacement: How far an atom is moved, Å.
        mesh: Length that the mesh in the Brillouin zone stands for, Å.
        relax_first: Whether to relax the crystal first, its symmetry kept; otherwise one that is not is refused.
        force: Largest force to be left when ions relax, eV/Å.
        executor: Where the volumes are computed; None is here. It must run processes.
        progress: Called after every volume.

    Raises:
        InputError: If an argument is unusable, or the crystal is not relaxed.
        CalculationError: If phonons are imaginary at one of the volumes, or there is no least free energy.
    """
    start = relaxed_start(atoms, calculator, relax_first=relax_first, force=force)
    cell = primitive(start.atoms)
    repeats = supercell_for(cell, reach)
    here = float(cell.cell.volume) / len(cell)
    volumes = here * np.linspace(1 - shrink, 1 + swell, points)
    temperatures = np.linspace(0, highest_temperature, TEMPERATURES)
    one = partial(
        _at_volume,
        cell=cell,
        calculator=calculator,
        repeats=repeats,
        displacement=displacement,
        mesh=mesh,
        force=force,
        temperatures=temperatures,
    )
    found = np.array(fan_out(one, volumes.tolist(), executor, progress))  # energy, then F at each temperature
    energies, free = found[:, 0], found[:, :1].T + found[:, 1:].T
    least = _least(volumes, free)
    if len(least) < 3:
        raise CalculationError("The crystal has no least free energy in this range of volumes. Take a larger swell.")
    volume, bulk_modulus = least.T
    warm = temperatures[: len(least)]
    return ThermalExpansion(
        volumes=volumes,
        energies=energies,
        free_energies=free,
        temperatures=warm,
        volume=volume,
        bulk_modulus=bulk_modulus,
        expansion=1e6 * np.gradient(volume, warm, edge_order=2) / volume,
        stopped_at=float(temperatures[len(least)]) if len(least) < len(temperatures) else None,
    )


def _least(volumes: Floats, free: Floats) -> Floats:
    """Volume and bulk modulus of least free energy at each temperature, as long as it lies within the range."""
    found = []
    for curve in free:
        try:
            fit = fit_curve(volumes, curve)
        except CalculationError:
            break
        found.append((fit.volume, fit.bulk_modulus))
    return np.array(found).reshape(-1, 2)


def _at_volume(
    volume: float,
    *,
    cell: Atoms,
    calculator: Any,
    repeats: Repeats,
    displacement: float,
    mesh: float,
    force: float,
    temperatures: Floats,
) -> Floats:
    """Energy and, for each temperature, harmonic free energy of one volume (Å³ per atom), eV per atom."""
    scaled: Atoms = cell.copy()
    factor = (volume * len(cell) / float(cell.cell.volume)) ** (1 / 3)
    scaled.set_cell(cell.cell.array * factor, scale_atoms=True)
    still = relax_structure(scaled, calculator, cell=False, symmetry=True, force=force)
    (waves,) = harmonic(
        still.atoms, calculator, [repeats], displacement=displacement, executor=None, progress=lambda *_, **__: None
    )
    states = mesh_states(waves, mesh)
    if states.frequencies.min() < -STILL:
        raise CalculationError(
            f"At {volume:.3g} Å³ per atom a mode is imaginary ({-states.frequencies.min():.2g}i THz), so there is no "
            "harmonic free energy. Take a smaller range of volumes, or look at phonons(atoms, calculator)."
        )
    free = vibrations(states.frequencies, states.weights, len(cell), temperatures).free_energy
    return np.array([still.energy / len(cell), *free])
