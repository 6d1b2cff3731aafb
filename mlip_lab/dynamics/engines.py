"""Two ways to take the same steps: one compiled loop for a potential that has one, a Python loop for any calculator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from mlip_lab.core.checks import as_floats
from mlip_lab.core.errors import CalculationError, MlipError
from mlip_lab.kernels import integrators
from mlip_lab.kernels.neighbors import build_pairs, check_geometry

Floats = NDArray[np.float64]

SKIN = 0.5  # Å; further is fewer lists but more pairs in each


class CompiledPotential(Protocol):
    """What a calculator offers as its `compiled` attribute when it can run without Python.

    Attributes:
        module: Generated module with `evaluate` and `md_chunk`.
        theta: Parameters for them.
        cutoff: Å.
    """

    @property
    def module(self) -> Any: ...  # noqa: D102

    @property
    def theta(self) -> Any: ...  # noqa: D102

    @property
    def cutoff(self) -> float: ...  # noqa: D102

    def species_of(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Species index of each atomic number."""
        ...


@dataclass(frozen=True)
class Scheme:
    """How to integrate, in Å, eV and amu.

    Attributes:
        time_step: Å sqrt(amu/eV).
        decay: exp(−friction time_step), 1 for constant energy.
        k_t: Temperature of the bath in eV.
        fix_center: Whether the centre of mass is kept from moving.
        seed: Which noise.
    """

    time_step: float
    decay: float
    k_t: float
    fix_center: bool
    seed: int


class Engine(Protocol):
    """State of a run, and how to take it further.

    Attributes:
        positions: Å, (n_atoms, 3), not wrapped.
        momenta: sqrt(amu eV), (n_atoms, 3).
        forces: eV/Å at the positions, (n_atoms, 3).
        potential: Potential energy at the start in eV.
        step: Number of the next step; the noise depends on it.
    """

    positions: Floats
    momenta: Floats
    forces: Floats
    potential: float
    step: int

    def advance(self, potential: Floats, kinetic: Floats, heat: Floats, square: Floats) -> int:
        """Take as many steps as the arrays hold and fill them: energies in eV, Σ F²/m in eV per squared unit of time.

        Returns:
            Steps done; fewer than asked when the state has blown up, and then the state is not to be used.
        """
        ...


def make_engine(
    atoms: Atoms, calculator: Any, momenta: Floats, inverse_masses: Floats, scheme: Scheme, step: int
) -> Engine:
    """Choose the compiled loop if the calculator has one, else the Python loop."""
    compiled = getattr(calculator, "compiled", None)
    python = PythonEngine(atoms, calculator, momenta, inverse_masses, scheme, step)  # the calculator may refuse
    return python if compiled is None else CompiledEngine(python, compiled)


class PythonEngine:
    """Steps around the force calls of any ASE calculator."""

    def __init__(
        self, atoms: Atoms, calculator: Any, momenta: Floats, inverse_masses: Floats, scheme: Scheme, step: int
    ) -> None:
        """Take a copy of the state and calculate its forces."""
        self.atoms = atoms.copy()
        self.atoms.calc = calculator
        self.positions: Floats = atoms.get_positions()
        self.momenta = momenta.copy()
        self.inverse_masses = inverse_masses
        self.scheme = scheme
        self.step = step
        self.potential, self.forces = self._calculate()
        if not np.isfinite(self.potential) or not np.isfinite(self.forces).all():
            raise CalculationError(
                "The calculator gives an energy or a force that is not finite for the first structure; "
                "look for atoms that overlap or that it was not made for."
            )

    def advance(self, potential: Floats, kinetic: Floats, heat: Floats, square: Floats) -> int:
        """Take as many steps as the arrays hold (see Engine)."""
        inverse, s = self.inverse_masses, self.scheme
        for n in range(len(potential)):
            heat[n] = integrators.begin_step(
                self.positions, self.momenta, self.forces, inverse,
                s.time_step, s.decay, s.k_t, s.fix_center, s.seed, self.step,
            )  # fmt: skip
            if not integrators.moves_are_small(self.momenta, inverse, s.time_step):
                return n
            potential[n], self.forces = self._calculate()
            integrators.end_step(self.momenta, self.forces, inverse, s.time_step, s.fix_center)
            kinetic[n] = integrators.kinetic_energy(self.momenta, inverse)
            square[n] = integrators.force_square(self.forces, inverse, s.fix_center)
            if not (np.isfinite(potential[n]) and integrators.moves_are_small(self.momenta, inverse, s.time_step)):
                return n
            self.step += 1
        return len(potential)

    def _calculate(self) -> tuple[float, Floats]:
        self.atoms.positions[:] = self.positions
        try:
            forces = np.array(self.atoms.get_forces(apply_constraint=False), dtype=np.float64)
            energy = self.atoms.get_potential_energy(apply_constraint=False)
        except MlipError:
            raise
        except Exception as error:
            raise CalculationError(f"The calculator failed at step {self.step}: {error}") from error
        if forces.shape != self.positions.shape:
            raise CalculationError(f"The calculator gave forces of shape {forces.shape} for {len(self.atoms)} atoms.")
        # With smeared electrons the forces are the slope of the free energy.
        free_energy = getattr(self.atoms.calc, "results", {}).get("free_energy")
        return float(energy if free_energy is None else free_energy), np.ascontiguousarray(forces)


class CompiledEngine:
    """Steps inside one compiled loop that holds no lock on the interpreter."""

    def __init__(self, start: PythonEngine, compiled: CompiledPotential) -> None:
        """Take over the state of `start`."""
        atoms, self.scheme, self.step = start.atoms, start.scheme, start.step
        self.compiled = compiled
        self.inverse_masses = start.inverse_masses
        self.momenta = start.momenta
        self.positions, self._cell, self._pbc, self._reach = check_geometry(
            start.positions, atoms.cell.array, atoms.pbc, compiled.cutoff + SKIN
        )
        self._species = compiled.species_of(atoms.numbers)
        self._energies = np.empty(len(atoms))
        self.forces = np.empty((len(atoms), 3))
        self._virial = np.empty((3, 3))
        self._reference = self.positions.copy()
        self._pairs = build_pairs(self.positions, self._cell, self._pbc, self._reach)
        compiled.module.evaluate(
            compiled.theta, self._species, self.positions, self._cell, *self._pairs,
            self._energies, self.forces, self._virial,
        )  # fmt: skip
        self.potential = float(as_floats("potential energy", self._energies.sum(), ()))

    def advance(self, potential: Floats, kinetic: Floats, heat: Floats, square: Floats) -> int:
        """Take as many steps as the arrays hold (see Engine)."""
        s = self.scheme
        done, *pairs = self.compiled.module.md_chunk(
            self.compiled.theta, self._species, self._cell, self._pbc, self.compiled.cutoff, SKIN,
            self.inverse_masses, s.time_step, s.decay, s.k_t, s.fix_center, s.seed, self.step,
            self.positions, self.momenta, self._energies, self.forces, self._virial, self._reference, *self._pairs,
            potential, kinetic, heat, square,
        )  # fmt: skip
        self._pairs = tuple(pairs)
        self.step += done
        return int(done)
