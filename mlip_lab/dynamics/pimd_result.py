"""What a run of ring polymers gives back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from mlip_lab.core.errors import InputError
from mlip_lab.core.late import plotted
from mlip_lab.core.quantities import Quantity, validated
from mlip_lab.core.units import BOLTZMANN
from mlip_lab.dynamics import statistics
from mlip_lab.dynamics.momentum_distribution import MomentumDistribution, momentum_distribution
from mlip_lab.dynamics.statistics import Estimate

Floats = NDArray[np.float64]
Part = Annotated[float, Quantity("", low=0.0, high=0.99)]
DISCARD = 0.2  # of a run that starts with all beads in one place


@dataclass(frozen=True, eq=False)
class PIMDResult:
    """A run of path-integral molecular dynamics. Energies are those of the quantum system, not of the rings.

    Attributes:
        times: fs, (n_steps + 1,).
        potential_energy: Σ E(r_k)/P in eV, (n_steps + 1,).
        virial_kinetic: Centroid-virial estimator of the kinetic energy in eV, (n_steps + 1,).
        primitive_kinetic: Primitive estimator in eV, (n_steps + 1,): the same mean with more noise.
        conserved_energy: Energy of the rings less the heat from their baths in eV, (n_steps + 1,).
        bead_temperature: Kinetic temperature of the beads over P in K, (n_steps + 1,).
        gyration_squares: Mean of Σ_k |r_k − r̄|²/P over the atoms of each element in Å², (n_steps + 1, n_species).
        species_kinetic: Mean kinetic energy of an atom of each element by the centroid virial in eV,
            (n_steps + 1, n_species).
        species: Symbols of the elements.
        sample_times: fs, (n_samples,).
        positions: Sampled beads in Å, not wrapped, (n_samples, P, n_atoms, 3).
        atoms: Centroids of the last state, with the beads beside them; `pimd(result.atoms, ...)` goes on from it.
        beads: P.
        temperature: K.
        degrees_of_freedom: Momenta of the centroids that are free.
        stopped: Whether the run was stopped before all steps were done.
    """

    times: Floats
    potential_energy: Floats
    virial_kinetic: Floats
    primitive_kinetic: Floats
    conserved_energy: Floats
    bead_temperature: Floats
    gyration_squares: Floats
    species_kinetic: Floats
    species: tuple[str, ...]
    sample_times: Floats
    positions: Floats
    atoms: Atoms
    beads: int
    temperature: float
    degrees_of_freedom: int
    stopped: bool

    def plot(self) -> Any:
        """Energies, size of the rings and where the beads are, as a matplotlib Figure."""
        return plotted("pimd", "pimd", self)

    @property
    def classical_kinetic(self) -> float:
        """Kinetic energy of a classical system in eV."""
        return 0.5 * self.degrees_of_freedom * BOLTZMANN * self.temperature

    @validated
    def kinetic(self, discard: Part = DISCARD) -> Estimate:
        """Mean kinetic energy in eV by the centroid virial, and its standard error."""
        return statistics.mean(self.virial_kinetic[self._from(discard) :])

    @validated
    def total(self, discard: Part = DISCARD) -> Estimate:
        """Mean energy in eV, and its standard error."""
        return statistics.mean((self.potential_energy + self.virial_kinetic)[self._from(discard) :])

    @validated
    def gyration(self, symbol: str, discard: Part = DISCARD) -> Estimate:
        """Radius of gyration of the rings of an element, sqrt(⟨Σ_k |r_k − r̄|²/P⟩), in Å, and its standard error."""
        series = self.gyration_squares[self._from(discard) :, self._element(symbol)]
        value, error = statistics.mean(series)
        radius = float(np.sqrt(max(value, 0.0)))
        return Estimate(radius, 0.5 * error / radius if radius > 0.0 else 0.0)

    @validated
    def heat_capacity(self, discard: Part = DISCARD) -> Estimate:
        """Heat capacity at constant volume in units of k, and its standard error, from fluctuations of the energy."""
        begin = self._from(discard)
        virial = (self.potential_energy + self.virial_kinetic)[begin:]
        primitive = (self.potential_energy + self.primitive_kinetic)[begin:]
        products = (virial - virial.mean()) * (primitive - primitive.mean()) / (BOLTZMANN * self.temperature) ** 2
        value, error = statistics.mean(products)
        return Estimate(0.5 * self.degrees_of_freedom + value, error)

    @validated
    def momentum_distribution(self, symbol: str, discard: Part = DISCARD) -> MomentumDistribution:
        """How the momenta of an element's nuclei are distributed, as far as its kinetic energy tells.

        Args:
            symbol: The element.
            discard: Part of the run to leave out at the start.

        Raises:
            InputError: If there is no such element, or the run is too short.
        """
        kinetic = statistics.mean(self.species_kinetic[self._from(discard) :, self._element(symbol)])
        mass = float(self.atoms.get_masses()[np.array(self.atoms.get_chemical_symbols()) == symbol].mean())
        return momentum_distribution(symbol, mass, kinetic, self.temperature)

    def _element(self, symbol: str) -> int:
        if symbol not in self.species:
            raise InputError(f"symbol: expected one of {', '.join(self.species)}; got {symbol!r}.")
        return self.species.index(symbol)

    def _from(self, discard: float) -> int:
        return int(discard * len(self.times))
