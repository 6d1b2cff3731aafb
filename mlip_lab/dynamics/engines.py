"""Two ways to take the same steps: one compiled loop for a potential that has one, a Python loop for any calculator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from mlip_lab.core.checks import as_floats
from mlip_lab.core.errors import CalculationError, InputError, MlipError
from mlip_lab.kernels import integrators
from mlip_lab.kernels.integrators import Scheme
from mlip_lab.kernels.neighbors import build_pairs, check_geometry
from mlip_lab.kernels.noise import normal_pair

Floats = NDArray[np.float64]

BATH_KEY = "md_bath"  # in atoms.info: a Nosé-Hoover chain, so that a continued run goes on with it
SKIN = 0.5  # Å; further is fewer lists but more pairs in each


class CompiledPotential(Protocol):
    """What a calculator offers as its `compiled` attribute when it can run without Python.

    Attributes:
        module: Generated module with `evaluate` and `md_chunk`.
        theta: Parameters for them.
        cutoff: Å.
    """

    @property
    def module(self) -> Any: ...  # noqa: D102 - the class says it

    @property
    def theta(self) -> Any: ...  # noqa: D102 - the class says it

    @property
    def cutoff(self) -> float: ...  # noqa: D102 - the class says it

    def species_of(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Species index of each atomic number."""
        ...


class Kept(NamedTuple):
    """Room for states on the way.

    Attributes:
        due: Number of steps until the first is kept.
        every: Steps from one to the next.
        positions: Å, (n_kept, n_atoms, 3).
        momenta: sqrt(amu eV), (n_kept, n_atoms, 3).
    """

    due: int
    every: int
    positions: Floats
    momenta: Floats


class Engine(Protocol):
    """State of a run, and how to take it further.

    Attributes:
        positions: Å, (n_atoms, 3), not wrapped.
        momenta: sqrt(amu eV), (n_atoms, 3).
        forces: eV/Å at the positions, (n_atoms, 3).
        bath: Positions and velocities of a Nosé-Hoover chain, (2 LINKS,).
        potential: Potential energy at the start and after `deform`, eV.
        step: Number of the next step; the noise depends on it.
    """

    positions: Floats
    momenta: Floats
    forces: Floats
    bath: Floats
    potential: float
    step: int

    @property
    def cell(self) -> Floats:
        """Å, (3, 3)."""
        ...

    def advance(self, potential: Floats, kinetic: Floats, heat: Floats, square: Floats, kept: Kept) -> int:
        """Take as many steps as the arrays hold and fill them: energies in eV, Σ F²/m in eV per squared unit of time.

        Long calls of the compiled loop spare a small cell the return to Python at every sample, and the wait for the
        interpreter there while a picture is drawn.

        Returns:
            Steps done; fewer than asked when the state has blown up, and then the state is not to be used.
        """
        ...

    def virial(self) -> Floats:
        """∂E/∂strain at the present positions in eV, (3, 3)."""
        ...

    def deform(self, matrix: Floats, inverse: Floats) -> None:
        """Multiply positions and cell by a symmetric matrix, (3, 3), momenta by its inverse, and calculate anew."""
        ...

    def state(self) -> dict[str, NDArray[Any]]:
        """All that a run needs to go on to the same last bit."""
        ...

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go back to a state."""
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
        self.bath = first_bath(scheme, step, atoms)
        self.step = step
        self.potential, self.forces = self._calculate()
        if not np.isfinite(self.potential) or not np.isfinite(self.forces).all():
            raise CalculationError(
                "The calculator gives an energy or a force that is not finite for the first structure; "
                "look for atoms that overlap or that it was not made for."
            )

    def advance(self, potential: Floats, kinetic: Floats, heat: Floats, square: Floats, kept: Kept) -> int:
        """Take as many steps as the arrays hold (see Engine)."""
        inverse, s, k = self.inverse_masses, self.scheme, 0
        for n in range(len(potential)):
            heat[n] = integrators.begin_step(
                self.positions, self.momenta, self.forces, inverse, s, self.bath, self.step
            )
            if not integrators.moves_are_small(self.momenta, inverse, s.time_step):
                return n
            potential[n], self.forces = self._calculate()
            heat[n] += integrators.end_step(self.momenta, self.forces, inverse, s, self.bath, self.step)
            kinetic[n] = integrators.kinetic_energy(self.momenta, inverse)
            square[n] = integrators.force_square(self.forces, inverse, s.fix_center)
            if not (np.isfinite(potential[n]) and integrators.moves_are_small(self.momenta, inverse, s.time_step)):
                return n
            self.step += 1
            if k < len(kept.positions) and n + 1 == kept.due + k * kept.every:
                kept.positions[k], kept.momenta[k] = self.positions, self.momenta
                k += 1
        return len(potential)

    @property
    def cell(self) -> Floats:
        """Å, (3, 3)."""
        return np.asarray(self.atoms.cell.array)

    def virial(self) -> Floats:
        """∂E/∂strain at the present positions in eV, (3, 3), from the calculator's stress."""
        try:
            return np.asarray(self.atoms.get_stress(voigt=False, apply_constraint=False) * self.atoms.get_volume())
        except MlipError:
            raise
        except Exception as error:
            raise InputError(
                f"calculator: {type(self.atoms.calc).__name__} gives no stress, which a barostat needs ({error}). "
                "Use a calculator with stress, or another ensemble."
            ) from error

    def deform(self, matrix: Floats, inverse: Floats) -> None:
        """Multiply positions and cell by a symmetric matrix, (3, 3), momenta by its inverse, and calculate anew."""
        self.positions, self.momenta = self.positions @ matrix, self.momenta @ inverse
        self.atoms.set_cell(self.atoms.cell.array @ matrix)
        self.potential, self.forces = self._calculate()

    def state(self) -> dict[str, NDArray[Any]]:
        """All that a run needs to go on; the calculator's own memory is not among it."""
        names = ("positions", "momenta", "forces", "bath", "cell", "potential", "step")
        return {name: np.array(getattr(self, name)) for name in names}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go back to a state."""
        self.atoms.set_cell(state["cell"])
        self.atoms.positions[:] = state["positions"]
        self.positions, self.momenta, self.forces, self.bath = (
            state[name].copy() for name in ("positions", "momenta", "forces", "bath")
        )
        self.potential, self.step = float(state["potential"]), int(state["step"])

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
        self.momenta, self.bath = start.momenta, start.bath
        self.positions, cell, self._pbc, self._reach = check_geometry(
            start.positions, atoms.cell.array, atoms.pbc, compiled.cutoff + SKIN
        )
        self.cell: Floats = cell.copy()
        self._species = compiled.species_of(atoms.numbers)
        self._energies = np.empty(len(atoms))
        self.forces = np.empty((len(atoms), 3))
        self._virial = np.empty((3, 3))
        self._reference = self.positions.copy()
        self._calculate()

    def _calculate(self) -> None:
        """A new list of pairs, and energy, forces and virial."""
        self._reference[:] = self.positions
        self._pairs = build_pairs(self._reference, self.cell, self._pbc, self._reach)
        self.compiled.module.evaluate(
            self.compiled.theta, self._species, self.positions, self.cell, *self._pairs,
            self._energies, self.forces, self._virial,
        )  # fmt: skip
        self.potential = float(as_floats("potential energy", self._energies.sum(), ()))

    def advance(self, potential: Floats, kinetic: Floats, heat: Floats, square: Floats, kept: Kept) -> int:
        """Take as many steps as the arrays hold (see Engine)."""
        done, *pairs = self.compiled.module.md_chunk(
            self.compiled.theta, self._species, self.cell, self._pbc, self.compiled.cutoff, SKIN,
            self.inverse_masses, self.scheme, self.bath, self.step,
            self.positions, self.momenta, self._energies, self.forces, self._virial, self._reference, *self._pairs,
            potential, kinetic, heat, square, *kept,
        )  # fmt: skip
        self._pairs = tuple(pairs)
        self.step += done
        return int(done)

    def virial(self) -> Floats:
        """∂E/∂strain at the present positions in eV, (3, 3)."""
        return self._virial

    def deform(self, matrix: Floats, inverse: Floats) -> None:
        """Multiply positions and cell by a symmetric matrix, (3, 3), momenta by its inverse, and calculate anew."""
        self.positions[:] = self.positions @ matrix
        self.momenta[:] = self.momenta @ inverse
        self.cell[:] = self.cell @ matrix
        self._calculate()

    def state(self) -> dict[str, NDArray[Any]]:
        """All that a run needs to go on to the same last bit, the structure that the list was made for among it."""
        names = ("positions", "momenta", "forces", "bath", "cell", "potential", "step", "_reference", "_virial")
        return {name: np.array(getattr(self, name)) for name in names}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go back to a state."""
        for name in ("positions", "momenta", "forces", "bath", "cell", "_reference", "_virial"):
            getattr(self, name)[:] = state[name]
        self.potential, self.step = float(state["potential"]), int(state["step"])
        self._pairs = build_pairs(self._reference, self.cell, self._pbc, self._reach)


def first_bath(scheme: Scheme, step: int, atoms: Atoms) -> Floats:
    """Positions and velocities of a chain, (2 LINKS,): as the atoms bring them, else velocities drawn.

    Raises:
        InputError: If the atoms bring something else.
    """
    bath = np.zeros(2 * integrators.LINKS)
    if scheme.ensemble != integrators.CHAIN:
        return bath
    if BATH_KEY in atoms.info:
        return as_floats(f"atoms.info[{BATH_KEY!r}]", atoms.info[BATH_KEY], bath.shape).copy()
    masses = integrators.chain_masses(scheme.degrees, scheme.k_t, scheme.bath_time)
    noise = [normal_pair(scheme.seed, step, k, integrators.CHAIN_START)[0] for k in range(integrators.LINKS)]
    bath[integrators.LINKS :] = np.sqrt(scheme.k_t / masses) * noise
    return bath
