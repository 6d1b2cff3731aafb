"""Energy and spread of an ensemble over volume, and the labelled crystals to hold it against."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator
from ase.calculators.emt import EMT

from mlip_lab.core.errors import InputError
from mlip_lab.core.frame import Frame
from mlip_lab.properties.energy_spread import energy_spread, labelled_volumes

COPPER = bulk("Cu", a=3.6, cubic=True)


class Doubtful(Calculator):
    """Energy 2 V and spread V/10 of a cell of volume V."""

    implemented_properties = ["energy"]  # noqa: RUF012 - as ASE declares it

    def calculate(self, atoms: Any = None, properties: Any = None, system_changes: Any = None) -> None:
        super().calculate(atoms, properties, system_changes)
        volume = self.atoms.cell.volume
        self.results = {"energy": 2 * volume, "energy_spread": volume / 10}


def test_energy_and_spread_are_per_atom() -> None:
    scan = energy_spread(COPPER, Doubtful(), smallest=0.5, largest=2.0, points=4)
    assert scan.volumes == pytest.approx(3.6**3 / 4 * np.array([0.5, 1.0, 1.5, 2.0]))
    assert scan.energies == pytest.approx(2 * scan.volumes)
    assert scan.spreads == pytest.approx(scan.volumes / 10)
    assert scan.within(0.0, 18.0) == pytest.approx(scan.volumes[2] / 10)
    assert scan.within(0.0, 1.0) == 0.0


def test_what_is_not_usable_is_refused() -> None:
    with pytest.raises(InputError, match="ensemble"):
        energy_spread(COPPER, EMT())
    with pytest.raises(InputError, match="smallest"):
        energy_spread(COPPER, Doubtful(), smallest=1.2, largest=1.1)
    with pytest.raises(InputError, match="not periodic"):
        energy_spread(Atoms("Cu"), Doubtful())


def frame(atoms: Any, energy: float | None) -> Frame:
    return Frame(atoms.numbers.astype(np.int64), atoms.positions, atoms.cell.array, atoms.pbc, energy=energy)


def test_only_the_same_crystal_at_another_volume_is_found() -> None:
    def scaled(factor: float) -> Any:
        atoms = COPPER.copy()
        atoms.set_cell(COPPER.cell.array * factor, scale_atoms=True)
        return atoms

    sheared, displaced, shifted = scaled(1.0), scaled(1.0), scaled(0.9)
    sheared.set_cell(COPPER.cell.array @ [[1, 0.01, 0], [0, 1, 0], [0, 0, 1]], scale_atoms=True)
    displaced.positions[1] += 0.01
    shifted.positions += scaled(0.9).cell[0]  # the same crystal: an atom's image
    frames = [
        frame(scaled(1.1), -3.0),
        frame(sheared, -1.0),
        frame(displaced, -1.0),
        frame(shifted, -2.0),
        frame(scaled(1.2), None),
        frame(bulk("Cu", a=3.6), -1.0),
    ]
    volumes, energies = labelled_volumes(frames, COPPER)
    assert volumes == pytest.approx(3.6**3 / 4 * np.array([0.9**3, 1.1**3]))
    assert energies == pytest.approx([-0.5, -0.75])
    assert labelled_volumes([], COPPER)[0].shape == (0,)
