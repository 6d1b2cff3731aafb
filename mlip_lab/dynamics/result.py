"""What a molecular dynamics run gives back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from mlip_lab.core.errors import InputError
from mlip_lab.core.late import plotted
from mlip_lab.core.quantities import Quantity, validated
from mlip_lab.core.units import BOLTZMANN
from mlip_lab.dynamics import statistics
from mlip_lab.dynamics.statistics import Estimate

if TYPE_CHECKING:
    from mlip_lab.dynamics.certificate import Certificate

Floats = NDArray[np.float64]
Part = Annotated[float, Quantity("", low=0.0, high=0.99)]


@dataclass(frozen=True, eq=False)
class MDResult:
    """A run of molecular dynamics, from its first state to the last one reached.

    Attributes:
        times: Time since the start of this run in fs, (n_steps + 1,).
        potential_energy: eV, (n_steps + 1,).
        kinetic_energy: eV, (n_steps + 1,).
        heat: Energy taken from the bath since the start in eV, (n_steps + 1,); zero without a bath.
        force_square: Σ F²/m in eV/fs², (n_steps + 1,).
        sample_times: Times of the sampled positions in fs, (n_samples,).
        positions: Sampled positions in Å, not wrapped into the cell, (n_samples, n_atoms, 3).
        atoms: Last state with its momenta; `md(result.atoms, ...)` goes on from it.
        degrees_of_freedom: Number of momenta that are free.
        stopped: Whether the run was stopped before all steps were done.
        bath_temperature: Temperature of the bath in K; None without one, or where it changed.
        species: Symbols of the elements that move.
        species_temperatures: Kinetic temperature of each element in each direction in K at `sample_times`,
            (n_samples, n_species, 3).
        volume: Å³, (n_steps + 1,); None where it is constant.
        cells: Å at `sample_times`, (n_samples, 3, 3); None where they are those of `atoms`.
    """

    times: Floats
    potential_energy: Floats
    kinetic_energy: Floats
    heat: Floats
    force_square: Floats
    sample_times: Floats
    positions: Floats
    atoms: Atoms
    degrees_of_freedom: int
    stopped: bool
    bath_temperature: float | None = None
    species: tuple[str, ...] = ()
    species_temperatures: Floats | None = None
    volume: Floats | None = None
    cells: Floats | None = None

    def plot(self) -> Any:
        """Temperature, energies and g(r) as a matplotlib Figure."""
        return plotted("md", "overview", self)

    def certificate(self, calculator: Any = None, *, two_steps: bool = False) -> Certificate:
        """What the run proves of itself (see `dynamics.certificate.certificate`)."""
        from mlip_lab.dynamics.certificate import certificate  # it lies above: it knows runs

        return certificate(self, calculator, two_steps=two_steps)

    def then(self, later: MDResult) -> MDResult:
        """This run and the one that `md(self.atoms, ...)` made from its end, as one run.

        Samples stay at the times they were taken: a run that was stopped between two goes on counting from there.

        Raises:
            InputError: If the two are not of the same atoms.
        """
        if not np.array_equal(self.atoms.numbers, later.atoms.numbers):
            raise InputError("later: expected a run of the same atoms, got one of others.")

        def joined(mine: Floats, theirs: Floats) -> Floats:
            return np.concatenate([mine, theirs[1:]])

        def joined_if(mine: Floats | None, theirs: Floats | None) -> Floats | None:
            return None if mine is None or theirs is None else joined(mine, theirs)

        return MDResult(
            times=joined(self.times, self.times[-1] + later.times),
            potential_energy=joined(self.potential_energy, later.potential_energy),
            kinetic_energy=joined(self.kinetic_energy, later.kinetic_energy),
            heat=joined(self.heat, self.heat[-1] + later.heat),
            force_square=joined(self.force_square, later.force_square),
            sample_times=joined(self.sample_times, self.times[-1] + later.sample_times),
            positions=joined(self.positions, later.positions),
            atoms=later.atoms,
            degrees_of_freedom=later.degrees_of_freedom,
            stopped=later.stopped,
            bath_temperature=self.bath_temperature if self.bath_temperature == later.bath_temperature else None,
            species=later.species,
            species_temperatures=joined_if(self.species_temperatures, later.species_temperatures),
            volume=joined_if(self.volume, later.volume),
            cells=joined_if(self.cells, later.cells),
        )

    @property
    def total_energy(self) -> Floats:
        """Potential and kinetic energy in eV, (n_steps + 1,)."""
        return self.potential_energy + self.kinetic_energy

    @property
    def conserved_energy(self) -> Floats:
        """Total energy less the heat from the bath in eV, (n_steps + 1,): constant for a perfect integrator."""
        return self.total_energy - self.heat

    @property
    def temperature(self) -> Floats:
        """Kinetic temperature in K, (n_steps + 1,)."""
        return 2.0 * self.kinetic_energy / (self.degrees_of_freedom * BOLTZMANN)

    @property
    def shadow_energy(self) -> Floats:
        """What the integrator itself keeps constant, in eV at times[1:-1], (n_steps - 1,).

        Velocity Verlet follows not H = K + U exactly but, to second order in the time step,

            H + Δt²/24 (2 Σ v·∇∇U·v − Σ F²/m) = H + (U(t+Δt) − 2 U(t) + U(t−Δt))/12 + Δt²/24 Σ F²/m

        (Skeel and Hardy, DOI 10.1137/S106482750138318X). Its difference to H is bounded, so both drift alike, but its
        fluctuations are smaller by orders of magnitude. With a bath there is no such quantity: then this is
        `conserved_energy`.
        """
        if self.heat.any():
            return self.conserved_energy[1:-1]
        time_step = self.times[1] - self.times[0] if len(self.times) > 1 else 0.0
        correction = np.diff(self.potential_energy, 2) / 12.0 + time_step**2 / 24.0 * self.force_square[1:-1]
        return np.asarray(self.total_energy[1:-1] + correction)

    @validated
    def energy_drift(self, discard: Part = 0.0) -> Estimate:
        """Slope of the energy in time, and its standard error.

        A straight line through `shadow_energy`, whose slope is that of the total energy (with a bath: that of
        `conserved_energy`) without the fluctuations that velocity Verlet adds to it. The error accounts for correlation
        in time (`dynamics/statistics.py`).

        Args:
            discard: Part of the run to leave out at the start.

        Returns:
            (value, error) in eV/atom/ns.

        Raises:
            InputError: If fewer than 20 steps are left.
        """
        energy = self.shadow_energy
        skip = int(discard * len(energy))
        per_atom = (energy[skip:] - energy[skip : skip + 1]) / len(self.atoms)
        return statistics.slope(self.times[1:-1][skip:] * 1e-6, per_atom)

    @validated
    def mean_temperature(self, discard: Part = 0.0) -> Estimate:
        """Mean kinetic temperature and its standard error, which accounts for correlation in time.

        Args:
            discard: Part of the run to leave out at the start.

        Returns:
            (value, error) in K. With BAOAB it lies below that of the bath, by a part (ω time_step/2)² in a mode of
            frequency ω, although the positions are distributed as they should be.

        Raises:
            InputError: If fewer than 20 steps are left.
        """
        return statistics.mean(self.temperature[int(discard * len(self.times)) :])
