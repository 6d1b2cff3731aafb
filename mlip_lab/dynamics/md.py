"""Molecular dynamics at constant energy or in a heat bath, with any ASE calculator.

The steps are those of `kernels/integrators.py`: velocity Verlet, or BAOAB for Langevin dynamics. A calculator with a
compiled potential runs in one compiled loop; any other is called from Python between the same half steps.
"""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any, Literal

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from numpy.typing import NDArray

from mlip_lab.core.checks import as_floats, as_integer, one_of
from mlip_lab.core.errors import CalculationError, Cancelled, InputError
from mlip_lab.core.progress import Progress, silent
from mlip_lab.core.quantities import Count, Friction, Seed, Temperature, TimeStep, validated
from mlip_lab.core.units import BOLTZMANN, FEMTOSECOND
from mlip_lab.dynamics.engines import Engine, Scheme, make_engine
from mlip_lab.dynamics.momenta import degrees_of_freedom, draw_momenta, inverse_masses
from mlip_lab.dynamics.result import MDResult
from mlip_lab.dynamics.trajectory import TrajectoryFile
from mlip_lab.kernels import integrators

Floats = NDArray[np.float64]
Ensemble = Literal["nve", "langevin"]

REPORT_EVERY = 0.2  # s
STEP_KEY = "md_step"  # in atoms.info: steps done so far, so that a continued run goes on with fresh noise

__all__ = ["MDResult", "md"]


@validated
def md(
    atoms: Atoms,
    calculator: Any,
    *,
    steps: Count,
    time_step: TimeStep = 1.0,
    ensemble: Ensemble = "nve",
    temperature: Temperature | None = None,
    friction: Friction = 5.0,
    initial_temperature: Temperature | None = None,
    exact_temperature: bool = False,
    fix_center_of_mass: bool = True,
    seed: Seed = 0,
    sample_every: Count = 10,
    trajectory: str | Path | None = None,
    progress: Progress = silent,
) -> MDResult:
    """Run molecular dynamics; the atoms given are not changed.

    The same call gives the same run on the same machine. `md(result.atoms, ...)` goes on where a run ended, with fresh
    noise.

    Args:
        atoms: Structure to start from. FixAtoms constraints are kept, others refused.
        calculator: Any ASE calculator.
        steps: Number of steps.
        time_step: fs; the period of the fastest vibration divided by ten is the most that makes sense.
        ensemble: "nve" keeps the energy (velocity Verlet), "langevin" is coupled to a bath (BAOAB, DOI
            10.1093/amrx/abs010).
        temperature: Temperature of the bath in K; for "langevin" only.
        friction: Strength of the coupling to the bath in 1/ps; for "langevin" only.
        initial_temperature: Draw the first momenta at this temperature in K. A crystal at rest in its minimum takes
            half of it up as potential energy. None keeps the momenta of `atoms`; if it has none, "langevin" draws them
            at `temperature`.
        exact_temperature: Scale drawn momenta so that their kinetic temperature is exact.
        fix_center_of_mass: Keep the centre of mass at rest, taking its motion and the total force out. Without effect
            when FixAtoms holds some atoms, which do that job.
        seed: Which momenta and noise.
        sample_every: Keep positions (and write a frame) at the start and after every so many steps. Energies are kept
            for every step.
        trajectory: A new .extxyz, .xyz or .traj file. Whole frames reach the disk about every second and survive a
            kill. Only .traj keeps all digits for a run to continue from.
        progress: Called about five times a second with steps done, steps in all, and `time` (fs), `temperature` (K),
            `potential`, `kinetic`, `total` and `conserved` (eV), `positions` (Å, (n_atoms, 3)) and `so_far`, a function
            that gives the part done as an MDResult. If it raises Cancelled, the part done is returned.

    Returns:
        Energies, sampled positions and the last state.

    Raises:
        InputError: If an argument cannot be used.
        CalculationError: If the calculator fails or the motion blows up. The frames before are in `trajectory`.
    """
    _check_ensemble(ensemble, temperature)
    start = _checked(atoms, calculator)
    step = as_integer(f"atoms.info[{STEP_KEY!r}]", start.info.get(STEP_KEY, 0), low=0)
    inverse = inverse_masses(start)
    scheme = Scheme(
        time_step=time_step * FEMTOSECOND,
        decay=math.exp(-friction * time_step * 1e-3) if ensemble == "langevin" else 1.0,
        k_t=BOLTZMANN * (temperature or 0.0),
        fix_center=bool(fix_center_of_mass) and bool(inverse.all()),
        seed=seed,
    )
    degrees_of_freedom(inverse, scheme.fix_center)  # refuses an atom that cannot move
    drawn = temperature if initial_temperature is None and not start.has("momenta") else initial_temperature
    if drawn is None:
        momenta = _own_momenta(start, inverse, scheme.fix_center)
    else:
        momenta = draw_momenta(
            inverse, drawn, fix_center=scheme.fix_center, exact=exact_temperature, seed=seed, step=step
        )
    file = None if trajectory is None else TrajectoryFile(trajectory)
    try:
        engine = make_engine(start, calculator, momenta, inverse, scheme, step)
        return _Run(engine, start, inverse, scheme, steps, sample_every, file).finish(progress)
    finally:
        if file is not None:
            file.close()


class _Run:
    """The record of a run while it grows."""

    def __init__(
        self,
        engine: Engine,
        start: Atoms,
        inverse: Floats,
        scheme: Scheme,
        steps: int,
        sample_every: int,
        file: TrajectoryFile | None,
    ) -> None:
        self.engine, self.start, self.scheme, self.file = engine, start, scheme, file
        self.steps, self.sample_every = steps, sample_every
        self.degrees_of_freedom = degrees_of_freedom(inverse, scheme.fix_center)
        self.done = 0
        try:
            self.potential, self.kinetic, self.heat, self.square = (np.zeros(steps + 1) for _ in range(4))
            self.samples = np.empty((steps // sample_every + 1, len(start), 3))
        except MemoryError as error:
            raise InputError(
                f"steps: {steps} steps with samples every {sample_every} do not fit into memory; "
                "raise sample_every or run in parts."
            ) from error
        self.potential[0] = engine.potential
        self.kinetic[0] = integrators.kinetic_energy(engine.momenta, inverse)
        self.square[0] = integrators.force_square(engine.forces, inverse, scheme.fix_center)
        self._sample()

    def finish(self, progress: Progress) -> MDResult:
        """Take all steps in chunks of about a fifth of a second, unless progress stops them."""
        chunk, reported = 1, time.perf_counter()
        going = self._reports(progress)
        while going and self.done < self.steps:
            began = time.perf_counter()
            n = min(chunk, self.steps - self.done, self.sample_every - self.done % self.sample_every)
            self._advance(n)
            now = time.perf_counter()
            chunk = max(1, int(n * REPORT_EVERY / max(now - began, 1e-9)))
            if now - reported > REPORT_EVERY or self.done == self.steps:
                reported = now
                going = self._reports(progress)
        return self._result()

    def _advance(self, n: int) -> None:
        new = slice(self.done + 1, self.done + 1 + n)
        advanced = self.engine.advance(self.potential[new], self.kinetic[new], self.heat[new], self.square[new])
        if advanced < n:
            raise self._blown_up(self.done + advanced + 1)
        self.done += n
        if self.done % self.sample_every == 0:
            self._sample()

    def _sample(self) -> None:
        self.samples[self.done // self.sample_every] = self.engine.positions
        if self.file is not None:
            frame = self._state()
            frame.calc = SinglePointCalculator(
                frame, energy=float(self.potential[self.done]), forces=self.engine.forces.copy()
            )
            self.file.add(frame)

    def _state(self) -> Atoms:
        state: Atoms = self.start.copy()
        state.positions[:] = self.engine.positions
        state.set_momenta(self.engine.momenta, apply_constraint=False)
        state.info[STEP_KEY] = self.engine.step
        return state

    def _reports(self, progress: Progress) -> bool:
        """Tell where the run is; False if it is to stop."""
        potential, kinetic = float(self.potential[self.done]), float(self.kinetic[self.done])
        total = potential + kinetic
        try:
            progress(
                self.done,
                self.steps,
                time=self.done * self.scheme.time_step / FEMTOSECOND,
                temperature=2.0 * kinetic / (self.degrees_of_freedom * BOLTZMANN),
                potential=potential,
                kinetic=kinetic,
                total=total,
                conserved=total - float(self.heat[: self.done + 1].sum()),
                positions=self.engine.positions.copy(),
                so_far=self._so_far,
            )
        except Cancelled:
            return False
        return True

    def _so_far(self) -> MDResult:
        """The part done. It may be asked for on another thread: the arrays grow, what is in them stays."""
        return self._result(whole=False)

    def _result(self, *, whole: bool = True) -> MDResult:
        n = self.done + 1
        n_samples = self.done // self.sample_every + 1
        times: Floats = np.arange(n, dtype=np.float64) * (self.scheme.time_step / FEMTOSECOND)
        return MDResult(
            times=times,
            potential_energy=self.potential[:n].copy() if whole else self.potential[:n],
            kinetic_energy=self.kinetic[:n].copy() if whole else self.kinetic[:n],
            heat=np.cumsum(self.heat[:n]),
            force_square=self.square[:n] * FEMTOSECOND**2,
            sample_times=times[:: self.sample_every].copy(),
            positions=self.samples[:n_samples].copy() if whole and self.done < self.steps else self.samples[:n_samples],
            atoms=self._state(),
            degrees_of_freedom=self.degrees_of_freedom,
            stopped=self.done < self.steps,
        )

    def _blown_up(self, step: int) -> CalculationError:
        kept = "" if self.file is None else f" The frames before are in {self.file.path}."
        return CalculationError(
            f"The motion blew up at step {step} of {self.steps}: an atom would move further than "
            f"{integrators.LARGEST_MOVE:g} Å in one step, or the energy is not finite. Take a smaller time_step (now "
            f"{self.scheme.time_step / FEMTOSECOND:g} fs), relax the structure first, or check that the calculator was "
            f"made for structures like this one.{kept}"
        )


def _check_ensemble(ensemble: str, temperature: float | None) -> None:
    one_of("ensemble", ensemble, ("nve", "langevin"))
    if ensemble == "langevin" and temperature is None:
        raise InputError('temperature: the ensemble "langevin" needs the temperature of its bath in K, got None.')
    if ensemble == "nve" and temperature is not None:
        raise InputError(
            f'temperature: the ensemble "nve" has no bath, got {temperature} K; give initial_temperature for the first '
            'momenta, or ensemble="langevin".'
        )


def _checked(atoms: Any, calculator: Any) -> Atoms:
    """A copy of the atoms, after a look at what integration relies on."""
    if not isinstance(atoms, Atoms):
        raise InputError(f"atoms: expected an ase.Atoms, got {type(atoms).__name__}.")
    if len(atoms) == 0:
        raise InputError("atoms: expected at least one atom, got none.")
    if not hasattr(calculator, "get_forces"):
        raise InputError(f"calculator: expected an ASE calculator, got {type(calculator).__name__}.")
    as_floats("positions", atoms.positions, (len(atoms), 3))
    as_floats("cell", atoms.cell.array, (3, 3))
    copy: Atoms = atoms.copy()
    return copy


def _own_momenta(atoms: Atoms, inverse: Floats, fix_center: bool) -> Floats:
    if not atoms.has("momenta"):
        raise InputError(
            "initial_temperature: the atoms have no momenta and none is given; give the temperature in K that the "
            "momenta are drawn at, or set them with atoms.set_momenta()."
        )
    momenta = as_floats("momenta", atoms.get_momenta(), (len(atoms), 3)).copy()
    momenta[inverse == 0.0] = 0.0
    if fix_center:
        integrators.remove_center_motion(momenta, inverse)
    return momenta
