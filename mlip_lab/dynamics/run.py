"""The record of a run while it grows, and the checkpoints it can be taken up from."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from numpy.typing import NDArray

from mlip_lab.core.errors import CalculationError, Cancelled, InputError
from mlip_lab.core.progress import Progress
from mlip_lab.core.units import BOLTZMANN, FEMTOSECOND
from mlip_lab.dynamics import checkpoint
from mlip_lab.dynamics.barostat import Barostat
from mlip_lab.dynamics.engines import BATH_KEY, Engine, Kept
from mlip_lab.dynamics.result import MDResult
from mlip_lab.dynamics.shares import Shares
from mlip_lab.dynamics.trajectory import STEP_KEY, TIME_KEY, TrajectoryFile
from mlip_lab.kernels import integrators
from mlip_lab.kernels.integrators import Scheme

Floats = NDArray[np.float64]

REPORT_EVERY = 0.2  # s
SAVE_EVERY = 5.0  # s between checkpoints,
SAVE_SHARE = 0.02  # and at most this part of the time


class Run:
    """Steps, samples and files of one call of `md`."""

    def __init__(
        self,
        engine: Engine,
        start: Atoms,
        inverse: Floats,
        scheme: Scheme,
        steps: int,
        sample_every: int,
        barostat: Barostat | None = None,
    ) -> None:
        """Take note of the first state."""
        self.engine, self.start, self.inverse, self.scheme = engine, start, inverse, scheme
        self.steps, self.sample_every, self.barostat = steps, sample_every, barostat
        self.file: TrajectoryFile | None = None
        self.done = 0
        n_samples = steps // sample_every + 1
        self.shares = Shares(start, inverse, scheme.fix_center)
        try:
            self.potential, self.kinetic, self.heat, self.square = (np.zeros(steps + 1) for _ in range(4))
            self.samples = np.empty((n_samples, len(start), 3))
            self.kinds = np.empty((n_samples, len(self.shares.species), 3))
            self.volume = np.empty(steps + 1 if barostat else 0)
            self.cells = np.empty((n_samples if barostat else 0, 3, 3))
        except MemoryError as error:
            raise InputError(
                f"steps: {steps} steps with samples every {sample_every} do not fit into memory; "
                "raise sample_every or run in parts."
            ) from error
        self.potential[0] = engine.potential
        self.kinetic[0] = integrators.kinetic_energy(engine.momenta, inverse)
        self.square[0] = integrators.force_square(engine.forces, inverse, scheme.fix_center)
        self._saves: tuple[Path, dict[str, Any]] | None = None
        self._saved, self._saving = time.perf_counter(), 0.0

    def keep(self, path: Path, about: dict[str, Any], trajectory: str | Path | None) -> None:
        """Write checkpoints to a file from now on, or go on from the one that is there.

        Raises:
            InputError: If it belongs to another run, or there is none and the trajectory is there.
            FileFormatError: If it cannot be read.
        """
        self._saves = (path, about)
        if path.exists():
            self._restore(checkpoint.load(path, about))
            return
        if trajectory is not None and Path(trajectory).exists():
            raise InputError(
                f"trajectory: {trajectory} exists, but not the checkpoint {path} to go on from; choose another name."
            )
        self._save()

    def begin(self, file: TrajectoryFile | None) -> None:
        """Take the first sample, unless the run goes on.

        Raises:
            InputError: If the trajectory lacks frames from before the checkpoint.
        """
        self.file = file
        if self.done == 0:
            self._sample()
        elif file is not None:
            file.seen = self._n_samples
            if file.n_written < file.seen:
                raise InputError(
                    f"trajectory: {file.path} holds {file.n_written} of the {file.seen} frames before the checkpoint; "
                    "restore it, or remove the checkpoint to begin again."
                )

    def finish(self, progress: Progress) -> MDResult:
        """Take all steps in chunks of about a fifth of a second, unless progress stops them."""
        chunk, reported = 1, time.perf_counter()
        going = self._reports(progress)
        while going and self.done < self.steps:
            began = time.perf_counter()
            n = min(chunk, self.steps - self.done)
            if not self._samples_inside:
                n = min(n, self.sample_every - self.done % self.sample_every)
            if self.barostat is not None:
                n = min(n, self.barostat.every - self.engine.step % self.barostat.every)
            self._advance(n)
            now = time.perf_counter()
            chunk = max(1, int(n * REPORT_EVERY / max(now - began, 1e-9)))
            if self._saves is not None and now - self._saved > max(SAVE_EVERY, self._saving / SAVE_SHARE):
                self._save()
            if now - reported > REPORT_EVERY or self.done == self.steps:
                reported = now
                going = self._reports(progress)
        if self._saves is not None:
            self._save()
        return self._result()

    @property
    def _samples_inside(self) -> bool:
        """Whether the engine keeps the samples: a frame of a file needs its forces, and a barostat moves the atoms."""
        return self.file is None and self.barostat is None

    @property
    def _n_samples(self) -> int:
        return self.done // self.sample_every + 1

    def _advance(self, n: int) -> None:
        new = slice(self.done + 1, self.done + 1 + n)
        within = slice(self._n_samples, (self.done + n) // self.sample_every + 1 if self._samples_inside else 0)
        due = self.sample_every - self.done % self.sample_every
        kept = Kept(due, self.sample_every, self.samples[within], np.empty_like(self.samples[within]))
        advanced = self.engine.advance(self.potential[new], self.kinetic[new], self.heat[new], self.square[new], kept)
        if advanced < n:
            raise self._blown_up(self.done + advanced + 1)
        for k, momenta in enumerate(kept.momenta, start=self._n_samples):
            self.kinds[k] = self.shares.temperatures(momenta)
        self.done += n
        if self.barostat is not None:
            self.volume[new] = abs(np.linalg.det(self.engine.cell))
            if self.engine.step % self.barostat.every == 0:
                self._move_cell()
        if self.done % self.sample_every == 0 and not self._samples_inside:
            self._sample()

    def _move_cell(self) -> None:
        assert self.barostat is not None
        k = self.done
        self.heat[k] += self.barostat.move(self.engine, self.inverse, self.scheme, float(self.potential[k]))
        self.potential[k] = self.engine.potential
        self.kinetic[k] = integrators.kinetic_energy(self.engine.momenta, self.inverse)
        self.square[k] = integrators.force_square(self.engine.forces, self.inverse, self.scheme.fix_center)
        self.volume[k] = abs(np.linalg.det(self.engine.cell))

    def _sample(self) -> None:
        at = self.done // self.sample_every
        self.samples[at] = self.engine.positions
        self.kinds[at] = self.shares.temperatures(self.engine.momenta)
        if self.barostat is not None:
            self.cells[at] = self.engine.cell
            self.volume[self.done] = abs(np.linalg.det(self.engine.cell))
        if self.file is not None:
            frame = self._state()
            frame.info[TIME_KEY] = self.engine.step * self.scheme.time_step / FEMTOSECOND
            frame.calc = SinglePointCalculator(
                frame, energy=float(self.potential[self.done]), forces=self.engine.forces.copy()
            )
            self.file.add(frame)

    def _state(self) -> Atoms:
        state: Atoms = self.start.copy()
        if self.barostat is not None:
            state.set_cell(self.engine.cell)
        state.positions[:] = self.engine.positions
        state.set_momenta(self.engine.momenta, apply_constraint=False)
        state.info[STEP_KEY] = self.engine.step
        if self.scheme.ensemble == integrators.CHAIN:
            state.info[BATH_KEY] = self.engine.bath.copy()
        return state

    def _save(self) -> None:
        """Write a checkpoint; the frames that belong to it reach the disk before."""
        assert self._saves is not None
        if self.file is not None:
            self.file.flush()
        began, n = time.perf_counter(), self.done + 1
        arrays = {f"engine {name}": value for name, value in self.engine.state().items()}
        for name in ("potential", "kinetic", "heat", "square", "volume"):
            arrays[name] = getattr(self, name)[:n]
        for name in ("samples", "kinds", "cells"):
            arrays[name] = getattr(self, name)[: self._n_samples]
        checkpoint.save(*self._saves, arrays)
        self._saved = time.perf_counter()
        self._saving = self._saved - began

    def _restore(self, arrays: dict[str, NDArray[Any]]) -> None:
        self.engine.restore({name[7:]: value for name, value in arrays.items() if name.startswith("engine ")})
        self.done = len(arrays["potential"]) - 1
        for name in ("potential", "kinetic", "heat", "square", "volume", "samples", "kinds", "cells"):
            getattr(self, name)[: len(arrays[name])] = arrays[name]

    def _reports(self, progress: Progress) -> bool:
        """Tell where the run is; False if it is to stop."""
        potential, kinetic = float(self.potential[self.done]), float(self.kinetic[self.done])
        total = potential + kinetic
        try:
            progress(
                self.done,
                self.steps,
                time=self.done * self.scheme.time_step / FEMTOSECOND,
                temperature=2.0 * kinetic / (self.scheme.degrees * BOLTZMANN),
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
        n, n_samples = self.done + 1, self._n_samples
        times: Floats = np.arange(n, dtype=np.float64) * (self.scheme.time_step / FEMTOSECOND)
        isobaric = self.barostat is not None
        return MDResult(
            times=times,
            potential_energy=self.potential[:n].copy() if whole else self.potential[:n],
            kinetic_energy=self.kinetic[:n].copy() if whole else self.kinetic[:n],
            heat=np.cumsum(self.heat[:n]),
            force_square=self.square[:n] * FEMTOSECOND**2,
            sample_times=times[:: self.sample_every].copy(),
            positions=self.samples[:n_samples].copy() if whole and self.done < self.steps else self.samples[:n_samples],
            atoms=self._state(),
            degrees_of_freedom=self.scheme.degrees,
            stopped=self.done < self.steps,
            bath_temperature=self._bath(),
            species=self.shares.species,
            species_temperatures=self.kinds[:n_samples].copy(),
            volume=self.volume[:n].copy() if isobaric else None,
            cells=self.cells[:n_samples].copy() if isobaric else None,
        )

    def _bath(self) -> float | None:
        """Temperature of the bath in K; None without one, or where it changes."""
        s = self.scheme
        alone = s.ensemble != integrators.CHAIN and s.decay == 1.0
        return None if alone or s.k_t_slope != 0.0 else s.k_t / BOLTZMANN

    def _blown_up(self, step: int) -> CalculationError:
        kept = "" if self.file is None else f" The frames before are in {self.file.path}."
        return CalculationError(
            f"The motion blew up at step {step} of {self.steps}: an atom would move further than "
            f"{integrators.LARGEST_MOVE:g} Å in one step, or the energy is not finite. Take a smaller time_step (now "
            f"{self.scheme.time_step / FEMTOSECOND:g} fs), relax the structure first, or check that the calculator was "
            f"made for structures like this one.{kept}"
        )
