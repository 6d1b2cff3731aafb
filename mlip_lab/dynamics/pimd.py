"""Nuclei as quantum particles: path integrals by molecular dynamics of ring polymers, with any ASE calculator.

Hamiltonian, its convention and the step: `kernels/ring_polymer.py`. The beads move at the temperature P·T with the
potential summed over them. Averages over positions are those of the quantum canonical ensemble at T as P grows, for
distinguishable particles: exchange of identical nuclei is not part of it. The same dynamics without a bath, or with
one on the internal modes alone, approximates correlation functions in time (RPMD and TRPMD).

Estimators, with ⟨…⟩ over beads, r̄ the centroid and f the free degrees of freedom (3N, less three for a fixed centre):

    potential         V = Σ_k E(r_k)/P
    centroid virial   K = f kT/2 + Σ_k (r_k − r̄)·∇E(r_k)/2P        (Herman, Bruskin and Berne, DOI 10.1063/1.442815)
    primitive         K = (3NP − 3N + f) kT/2 − Σ_k ½ m ω_P² |r_k − r_{k+1}|²/P
    heat capacity     C/k = f/2 + (⟨(V+K_v)(V+K_p)⟩ − ⟨V+K_v⟩⟨V+K_p⟩)/(kT)²
                      from −kβ² d⟨V+K_v⟩/dβ (Glaesemann and Fried, DOI 10.1063/1.1460861)
"""

from __future__ import annotations

import math
import time
from concurrent.futures import Executor
from typing import Annotated, Any, Literal

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from mlip_lab.core.checks import as_floats, as_integer, one_of
from mlip_lab.core.errors import CalculationError, Cancelled, InputError
from mlip_lab.core.progress import Progress, silent
from mlip_lab.core.quantities import Count, Quantity, Seed, TimeStep, validated
from mlip_lab.core.units import BOLTZMANN, FEMTOSECOND, HBAR
from mlip_lab.dynamics.beads import Beads, bead_forces
from mlip_lab.dynamics.momenta import degrees_of_freedom, draw_momenta, inverse_masses
from mlip_lab.dynamics.pimd_result import PIMDResult
from mlip_lab.dynamics.start import checked_start
from mlip_lab.kernels import integrators, ring_polymer
from mlip_lab.kernels.ring_polymer import Ring

Floats = NDArray[np.float64]
BeadCount = Annotated[int, Quantity("", low=1, high=1024, whole=True)]
Warm = Annotated[float, Quantity("K", low=0.0, high=1e5, open_low=True)]
BathTime = Annotated[float, Quantity("fs", low=1.0, high=1e6)]
Motion = Literal["pile-l", "pile-g", "trpmd", "rpmd"]

REPORT_EVERY = 0.2  # s
POSITIONS, MOMENTA = "bead_positions", "bead_momenta"  # arrays beside the atoms, so that a run can go on
STEP_KEY = "pimd_step"  # in atoms.info: steps done so far, for fresh noise
MOTIONS = ("pile-l", "pile-g", "trpmd", "rpmd")
DAMPING = {"pile-l": 1.0, "pile-g": 1.0, "trpmd": 0.5, "rpmd": 0.0}  # λ: friction 2λω_k on an internal mode


@validated
def pimd(
    atoms: Any,
    calculator: Any,
    *,
    steps: Count,
    beads: BeadCount = 16,
    temperature: Warm = 300.0,
    time_step: TimeStep = 0.5,
    motion: Motion = "pile-l",
    bath_time: BathTime = 100.0,
    fix_center_of_mass: bool = True,
    seed: Seed = 0,
    sample_every: Count = 10,
    executor: Executor | None = None,
    progress: Progress = silent,
) -> PIMDResult:
    """Run path-integral molecular dynamics; the atoms given are not changed.

    `pimd(result.atoms, ...)` goes on where a run of as many beads ended, with fresh noise.

    Args:
        atoms: Structure to start from, all beads at its places. Constraints are refused.
        calculator: Any ASE calculator. A compiled potential gets all beads in one call.
        steps: Number of steps.
        beads: Number P of beads; 1 is classical.
        temperature: K.
        time_step: fs, shorter than half a period of the stiffest spring of the ring.
        motion: "pile-l" couples every mode of every ring to its own bath, "pile-g" all centroids to one; both sample
            the canonical ensemble. "trpmd" leaves the centroids alone, "rpmd" everything: for motion in time.
        bath_time: Time in which the centroids' bath answers in fs.
        fix_center_of_mass: Keep the centre of mass of the centroids at rest.
        seed: Which momenta and noise.
        sample_every: Keep the beads' positions at the start and after every so many steps.
        executor: Where beads are calculated without a compiled potential; None is here.
        progress: Called about five times a second with steps done, steps in all, `time` (fs), `potential` and
            `kinetic` (eV), `positions` of the centroids (Å, (n_atoms, 3)) and `so_far`, a function that gives the part
            done. If it raises Cancelled, the part done is returned.

    Returns:
        Estimators at every step, sampled beads and the last state.

    Raises:
        InputError: If an argument cannot be used.
        CalculationError: If the calculator fails or the motion blows up.
    """
    one_of("motion", motion, MOTIONS)
    structure = checked_start(atoms, calculator)
    if structure.constraints:
        raise InputError("constraints: ring polymers move freely; remove constraints with atoms.set_constraint().")
    inverse = inverse_masses(structure)
    degrees = degrees_of_freedom(inverse, fix_center_of_mass)
    k_t, step = BOLTZMANN * temperature, time_step * FEMTOSECOND
    omega = beads * k_t / HBAR
    omegas = ring_polymer.mode_frequencies(beads, omega)
    if omegas.max() * step >= np.pi:
        longest = np.pi / omegas.max() / FEMTOSECOND
        raise InputError(
            f"time_step: expected less than half a period of the stiffest spring of the ring, {longest:.3g} fs with "
            f"{beads} beads at {temperature:g} K, got {time_step:g} fs. Take a shorter step or fewer beads."
        )
    frictions = 2.0 * DAMPING[motion] * omegas
    frictions[0] = 1.0 / (bath_time * FEMTOSECOND) if motion in ("pile-l", "pile-g") else 0.0
    ring = Ring(step, beads * k_t, fix_center_of_mass, motion == "pile-g", degrees, seed)
    state = _first(structure, inverse, ring, beads)
    forces = bead_forces(structure, calculator, beads, executor)
    return _Run(structure, inverse, ring, omegas, np.exp(-frictions * step), state, forces, steps, sample_every).finish(
        progress
    )


State = tuple[Floats, Floats, int]


def _first(atoms: Atoms, inverse: Floats, ring: Ring, beads: int) -> State:
    """Positions and momenta of the beads, (P, n_atoms, 3), and the number of the first step.

    Beads that the atoms bring from an earlier run count if there are as many and the atoms still are their centroids.
    """
    n, shape = len(atoms), (beads, len(atoms), 3)
    if all(atoms.has(name) and atoms.arrays[name].shape == (n, 3 * beads) for name in (POSITIONS, MOMENTA)):
        brought = [_by_bead(as_floats(name, atoms.arrays[name], (n, 3 * beads))) for name in (POSITIONS, MOMENTA)]
        if np.allclose(brought[0].mean(axis=0), atoms.positions, atol=1e-6):
            step = as_integer(f"atoms.info[{STEP_KEY!r}]", atoms.info.get(STEP_KEY, 0), low=0)
            return brought[0], brought[1], step
    positions = np.broadcast_to(atoms.positions, shape).copy()
    # momenta of modes are independent, as those of beads are; only the centroid's total is taken out
    momenta = np.empty(shape)
    for k in range(beads):
        momenta[k] = draw_momenta(
            inverse, ring.k_t / BOLTZMANN, fix_center=ring.fix_center and k == 0, exact=False, seed=ring.seed, step=k
        )
    return positions, ring_polymer.to_modes(np.ascontiguousarray(ring_polymer.mode_matrix(beads).T), momenta), 0


def _by_bead(array: Floats) -> Floats:
    """(n_atoms, 3 P) as it stands beside the atoms → (P, n_atoms, 3)."""
    return np.ascontiguousarray(array.reshape(len(array), -1, 3).transpose(1, 0, 2))


def _by_atom(array: Floats) -> Floats:
    """(P, n_atoms, 3) → (n_atoms, 3 P)."""
    return np.ascontiguousarray(array.transpose(1, 0, 2).reshape(array.shape[1], -1))


class _Run:
    """The record of a run while it grows."""

    def __init__(
        self,
        atoms: Atoms,
        inverse: Floats,
        ring: Ring,
        omegas: Floats,
        decays: Floats,
        state: State,
        calculate: Beads,
        steps: int,
        sample_every: int,
    ) -> None:
        self.atoms, self.inverse, self.ring, self.omegas, self.decays = atoms, inverse, ring, omegas, decays
        self.positions, self.momenta, self.step = state
        self.calculate, self.steps, self.sample_every, self.done = calculate, steps, sample_every, 0
        beads, n = self.positions.shape[:2]
        self.matrix = ring_polymer.mode_matrix(beads)
        self.omega = ring.k_t / HBAR
        self.species = tuple(sorted(set(atoms.get_chemical_symbols())))
        symbols = np.array(atoms.get_chemical_symbols())
        members = np.array([symbols == symbol for symbol in self.species], dtype=np.float64)
        self.members = np.ascontiguousarray((members / members.sum(axis=1, keepdims=True)).T)
        masses = 1.0 / inverse
        free = 1.0 - masses / masses.sum() if ring.fix_center else np.ones(n)
        self.classical = 1.5 * ring.k_t / beads * free @ self.members  # eV, of an atom of each element
        self.heavy = np.tile(inverse, beads)
        try:
            self.record = np.empty((5, steps + 1))
            self.gyration, self.virials = (np.empty((steps + 1, len(self.species))) for _ in range(2))
            self.samples = np.empty((steps // sample_every + 1, beads, n, 3))
        except MemoryError as error:
            raise InputError(
                f"steps: {steps} steps of {beads} beads with samples every {sample_every} do not fit into memory; "
                "raise sample_every or run in parts."
            ) from error
        self.heat = 0.0
        self.energies, self.forces = self.calculate(self.positions)
        if not (np.isfinite(self.energies).all() and np.isfinite(self.forces).all()):
            raise CalculationError(
                "The calculator gives an energy or a force that is not finite for the first structure; look for atoms "
                "that overlap or that it was not made for."
            )
        self._note()

    def finish(self, progress: Progress) -> PIMDResult:
        """Take all steps unless progress stops them."""
        going, reported = self._reports(progress), time.perf_counter()
        while going and self.done < self.steps:
            self._advance()
            if time.perf_counter() - reported > REPORT_EVERY or self.done == self.steps:
                going, reported = self._reports(progress), time.perf_counter()
        return self._result()

    def _advance(self) -> None:
        ring = self.ring
        self.heat += ring_polymer.begin_step(
            self.positions, self.momenta, self.forces, self.inverse, ring, self.matrix, self.omegas, self.decays,
            self.step,
        )  # fmt: skip
        if not integrators.moves_are_small(self.momenta.reshape(-1, 3), self.heavy, ring.time_step):
            raise self._blown_up(self.done + 1)
        self.energies, self.forces = self.calculate(self.positions)
        ring_polymer.end_step(self.momenta, self.forces, ring)
        self.done, self.step = self.done + 1, self.step + 1
        self._note()
        if not math.isfinite(self.record[0, self.done]):
            raise self._blown_up(self.done)

    def _note(self) -> None:
        """The estimators of the present state."""
        beads, n = self.positions.shape[:2]
        ring, k = self.ring, self.done
        k_t = ring.k_t / beads
        found, virial, springs, kinetic = ring_polymer.observe(
            self.positions, self.momenta, self.forces, self.inverse, self.omega
        )
        total = float(self.energies.sum())
        free = 3 * n * (beads - 1) + ring.degrees
        self.record[:, k] = (
            total / beads,
            0.5 * ring.degrees * k_t + 0.5 * virial,
            0.5 * free * k_t - springs / beads,
            total + springs + kinetic - self.heat,
            2.0 * kinetic / (free * BOLTZMANN * beads),
        )
        self.virials[k], self.gyration[k] = found @ self.members
        if k % self.sample_every == 0:
            self.samples[k // self.sample_every] = self.positions

    def _reports(self, progress: Progress) -> bool:
        k = self.done
        try:
            progress(
                k,
                self.steps,
                time=k * self.ring.time_step / FEMTOSECOND,
                potential=float(self.record[0, k]),
                kinetic=float(self.record[1, k]),
                positions=self.positions.mean(axis=0),
                so_far=self._result,
            )
        except Cancelled:
            return False
        return True

    def _result(self) -> PIMDResult:
        n = self.done + 1
        potential, virial, primitive, conserved, temperature = self.record[:, :n].copy()
        times: Floats = np.arange(n, dtype=np.float64) * (self.ring.time_step / FEMTOSECOND)
        centroids = self.atoms.copy()
        centroids.positions[:] = self.positions.mean(axis=0)
        for name, beads in ((POSITIONS, self.positions), (MOMENTA, self.momenta)):
            centroids.set_array(name, None)  # of another run, perhaps with another number of beads
            centroids.set_array(name, _by_atom(beads))
        centroids.info[STEP_KEY] = self.step
        return PIMDResult(
            times=times,
            potential_energy=potential,
            virial_kinetic=virial,
            primitive_kinetic=primitive,
            conserved_energy=conserved,
            bead_temperature=temperature,
            gyration_squares=self.gyration[:n].copy(),
            species_kinetic=self.classical + 0.5 * self.virials[:n],
            species=self.species,
            sample_times=times[:: self.sample_every].copy(),
            positions=self.samples[: self.done // self.sample_every + 1].copy(),
            atoms=centroids,
            beads=len(self.positions),
            temperature=self.ring.k_t / len(self.positions) / BOLTZMANN,
            degrees_of_freedom=self.ring.degrees,
            stopped=self.done < self.steps,
        )

    def _blown_up(self, step: int) -> CalculationError:
        return CalculationError(
            f"The motion blew up at step {step} of {self.steps}: a bead would move further than "
            f"{integrators.LARGEST_MOVE:g} Å in one step, or the energy is not finite. Take a smaller time_step (now "
            f"{self.ring.time_step / FEMTOSECOND:g} fs), or check that the calculator was made for structures like "
            "this one."
        )
