"""Energy of a crystal far from its volume, with the spread of an ensemble: where data end, members part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from mlip_lab.core.checks import as_integer
from mlip_lab.core.errors import InputError
from mlip_lab.core.frame import Frame
from mlip_lab.core.late import plotted
from mlip_lab.core.quantities import Quantity, validated
from mlip_lab.properties.attach import attached, energy_of

Floats = NDArray[np.float64]
Ratio = Annotated[float, Quantity("", low=0.2, high=5.0)]
Points = Annotated[int, Quantity("", low=3, high=1001)]


@dataclass(frozen=True, eq=False)
class EnergySpread:
    """Mean and spread of an ensemble's energies over volume.

    Attributes:
        volumes: In Å³ per atom, (points,).
        energies: Mean of the members in eV per atom, (points,).
        spreads: Standard deviation among the members in eV per atom, (points,).
    """

    volumes: Floats
    energies: Floats
    spreads: Floats

    def plot(self, **options: Any) -> Any:
        """As a matplotlib Figure; options as in `mlip_lab.plots.energy_spread.energy_spread`."""
        return plotted("energy_spread", "energy_spread", self, **options)

    def within(self, low: float, high: float) -> float:
        """Largest spread in eV per atom at volumes from `low` to `high`; zero where there are none."""
        chosen = (self.volumes >= low) & (self.volumes <= high)
        return float(self.spreads[chosen].max(initial=0.0))


@validated
def energy_spread(
    atoms: Atoms, calculator: Any, *, smallest: Ratio = 0.6, largest: Ratio = 1.6, points: Points = 81
) -> EnergySpread:
    """Scale a crystal uniformly, ions at their fractional places, and ask an ensemble each time.

    Args:
        atoms: A crystal; it is not changed.
        calculator: One that leaves `energy_spread` in its results, as that of an ensemble does.
        smallest: Smallest volume, as a ratio to that of the crystal.
        largest: Largest volume, as a ratio.
        points: Number of volumes.

    Raises:
        InputError: If an argument is not usable or the calculator has no spread.
    """
    if smallest >= largest:
        raise InputError(f"smallest: expected less than largest = {largest:g}, got {smallest:g}.")
    crystal = attached(atoms, calculator, crystal=True)
    cell, volume, n = atoms.cell.array, atoms.cell.volume, len(atoms)
    ratios = np.linspace(smallest, largest, as_integer("points", points))
    energies, spreads = np.empty(len(ratios)), np.empty(len(ratios))
    for k, ratio in enumerate(ratios):
        crystal.set_cell(cell * ratio ** (1 / 3), scale_atoms=True)
        energies[k] = energy_of(crystal) / n
        if "energy_spread" not in calculator.results:
            raise InputError("calculator: expected that of an ensemble, got one without energy_spread. Train members.")
        spreads[k] = calculator.results["energy_spread"] / n
    return EnergySpread(ratios * volume / n, energies, spreads)


def labelled_volumes(frames: Sequence[Frame], atoms: Atoms) -> tuple[Floats, Floats]:
    """Volumes (Å³ per atom) and energies (eV per atom) of the frames that are this crystal at another volume."""
    cell, places = _shape(atoms.cell.array), atoms.get_scaled_positions()
    found = []
    for frame in frames:
        if frame.energy is None or frame.volume == 0.0 or not np.array_equal(frame.numbers, atoms.numbers):
            continue
        fractions = np.linalg.solve(frame.cell.T, frame.positions.T).T
        off = fractions - places
        if np.allclose(_shape(frame.cell), cell, atol=1e-6) and np.allclose(off - np.round(off), 0.0, atol=1e-6):
            found.append((frame.volume / len(places), frame.energy / len(places)))
    volumes, energies = np.array(sorted(found)).reshape(-1, 2).T
    return volumes, energies


def _shape(cell: Floats) -> Floats:
    return np.asarray(cell / abs(np.linalg.det(cell)) ** (1 / 3))
