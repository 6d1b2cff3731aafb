"""How kinetic energy is shared among kinds of atoms and directions."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from numpy.typing import NDArray

from mlip_lab.core.units import BOLTZMANN

Floats = NDArray[np.float64]


class Shares:
    """Kinetic temperature of each element in each direction.

    With the centre of mass at rest, ⟨p²/m⟩ of an atom is kT (1 − m/M) in each direction, so an element's temperature is
    Σ p²/m over Σ (1 − m/M).

    Attributes:
        species: Symbols of the elements that move.
    """

    def __init__(self, atoms: Atoms, inverse_masses: Floats, fix_center: bool) -> None:
        """Take note of masses; those of held atoms are given as zero inverse ones."""
        free = inverse_masses > 0.0
        kinds = sorted(set(atoms.numbers[free].tolist()))
        self.species = tuple(chemical_symbols[z] for z in kinds)
        self._inverse = inverse_masses
        self._members = np.array([(atoms.numbers == z) & free for z in kinds], dtype=np.float64)
        masses = np.where(free, 1.0 / np.where(free, inverse_masses, 1.0), 0.0)
        part = 1.0 - masses / masses.sum() if fix_center else np.ones(len(atoms))
        self._count = self._members @ part

    def temperatures(self, momenta: Floats) -> Floats:
        """K, (n_species, 3)."""
        return np.asarray(self._members @ (momenta**2 * self._inverse[:, None]) / self._count[:, None] / BOLTZMANN)
