"""Molecular dynamics in several ensembles, with any ASE calculator.

The steps are those of `kernels/integrators.py`. A calculator with a compiled potential runs in one compiled loop; any
other is called from Python between the same parts of a step.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from mlip_lab.core.checks import as_floats, as_integer, one_of
from mlip_lab.core.errors import InputError
from mlip_lab.core.progress import Progress, silent
from mlip_lab.core.quantities import Count, Friction, Pressure, Quantity, Seed, Temperature, TimeStep, validated
from mlip_lab.core.units import BOLTZMANN, FEMTOSECOND, GPA
from mlip_lab.dynamics import checkpoint as checkpoints
from mlip_lab.dynamics.barostat import MOVES, SHORTEST, VOLUME_KEY, Barostat, reference_volume
from mlip_lab.dynamics.engines import make_engine
from mlip_lab.dynamics.momenta import degrees_of_freedom, draw_momenta, inverse_masses
from mlip_lab.dynamics.result import MDResult
from mlip_lab.dynamics.run import Run
from mlip_lab.dynamics.start import checked_start
from mlip_lab.dynamics.step_check import WORTH_IT, unstable_words
from mlip_lab.dynamics.trajectory import STEP_KEY, TrajectoryFile
from mlip_lab.kernels import integrators
from mlip_lab.kernels.integrators import Scheme

Floats = NDArray[np.float64]
Ensemble = Literal["nve", "langevin", "obabo", "bussi", "nose-hoover", "npt", "npt-flexible"]
Stability = Literal["refuse", "warn", "ignore"]
BathTime = Annotated[float, Quantity("fs", low=1.0, high=1e6)]
Compressibility = Annotated[float, Quantity("1/GPa", low=0.0, high=1e3, open_low=True)]

SCHEMES = {  # ensemble: code of its step, and the splitting whose stability it has
    "nve": (integrators.BAOAB, "velocity Verlet"),
    "langevin": (integrators.BAOAB, "BAOAB"),
    "obabo": (integrators.OBABO, "OBABO"),
    "bussi": (integrators.RESCALING, "velocity Verlet"),
    "nose-hoover": (integrators.CHAIN, "velocity Verlet"),
    "npt": (integrators.RESCALING, "velocity Verlet"),
    "npt-flexible": (integrators.RESCALING, "velocity Verlet"),
}

ISOBARIC = ("npt", "npt-flexible")

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
    final_temperature: Temperature | None = None,
    friction: Friction = 5.0,
    bath_time: BathTime = 100.0,
    pressure: Pressure = 0.0,
    compressibility: Compressibility = 0.01,
    barostat_time: BathTime = 1000.0,
    initial_temperature: Temperature | None = None,
    exact_temperature: bool = False,
    fix_center_of_mass: bool = True,
    stability: Stability = "refuse",
    seed: Seed = 0,
    sample_every: Count = 10,
    trajectory: str | Path | None = None,
    checkpoint: str | Path | None = None,
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
        ensemble: "nve" keeps the energy (velocity Verlet). The others are coupled to a bath: "langevin" by friction
            and noise (BAOAB, DOI 10.1093/amrx/abs010), "obabo" the same in another order, "bussi" by rescaling all
            velocities at random (DOI 10.1063/1.2408420), "nose-hoover" by a chain of thermostats without noise (DOI
            10.1080/00268979600100761). "npt" keeps temperature (as "bussi") and pressure (stochastic cell rescaling,
            DOI 10.1063/5.0020514) in a cell that keeps its shape; with "npt-flexible" lengths and angles of the cell
            move one by one (DOI 10.3390/app12031139). A liquid has no shape to keep: its cell would shear on and on.
        temperature: Temperature of the bath in K.
        final_temperature: Temperature of the bath at the end in K, to which it changes evenly; None keeps it.
        friction: Strength of the coupling to the bath in 1/ps; for "langevin" and "obabo".
        bath_time: Time in which the bath answers in fs; for "bussi", "nose-hoover" and at constant pressure.
        pressure: Pressure in GPa; for "npt" and "npt-flexible", as the two that follow.
        compressibility: Roughly that of the material in 1/GPa; it sets how fast the cell moves.
        barostat_time: Time in which the cell answers in fs; it moves every 25th of it, or every tenth step.
        initial_temperature: Draw the first momenta at this temperature in K. A crystal at rest in its minimum takes
            half of it up as potential energy. None keeps the momenta of `atoms`; if it has none, they are drawn at
            `temperature`.
        exact_temperature: Scale drawn momenta so that their kinetic temperature is exact.
        fix_center_of_mass: Keep the centre of mass at rest, taking its motion and the total force out. Without effect
            when FixAtoms holds some atoms, which do that job.
        stability: What to do where the fastest vibration of the first structure makes `time_step` unstable: "refuse",
            "warn" or "ignore". Runs shorter than 1000 steps are not looked at; the look costs 24 force calls.
        seed: Which momenta and noise.
        sample_every: Keep positions (and write a frame) at the start and after every so many steps. Energies are kept
            for every step.
        trajectory: A new .extxyz, .xyz, .traj or .h5 file, the last H5MD 1.1 in compressed chunks, for many frames.
            Whole frames reach the disk about every second (.h5: every five) and survive a kill. Only .traj keeps all
            digits for a run to continue from.
        checkpoint: A file that holds all of the run so far, written every few seconds. The same call goes on from it,
            after a stop or a kill, to the result that it would have had: bit for bit with a compiled potential. The
            trajectory then loses no frame and holds none twice.
        progress: Called about five times a second with steps done, steps in all, and `time` (fs), `temperature` (K),
            `potential`, `kinetic`, `total` and `conserved` (eV), `positions` (Å, (n_atoms, 3)) and `so_far`, a function
            that gives the part done as an MDResult. If it raises Cancelled, the part done is returned.

    Returns:
        Energies, sampled positions and the last state.

    Raises:
        InputError: If an argument cannot be used.
        CalculationError: If the calculator fails or the motion blows up. The frames before are in `trajectory`.
        FileFormatError: If the checkpoint cannot be read.
    """
    given = {name: value for name, value in locals().items() if isinstance(value, str | int | float | None)}
    _check_ensemble(ensemble, temperature, final_temperature)
    one_of("stability", stability, ("refuse", "warn", "ignore"))
    start = checked_start(atoms, calculator)
    step = as_integer(f"atoms.info[{STEP_KEY!r}]", start.info.get(STEP_KEY, 0), low=0)
    inverse = inverse_masses(start)
    scheme = _scheme(given, inverse, step)
    barostat = None
    if ensemble in ISOBARIC:
        _check_isobaric(ensemble, start, inverse)
        start.info[VOLUME_KEY] = reference_volume(start)
        barostat = Barostat(
            pressure=pressure * GPA,
            rate=compressibility / GPA / (3.0 * reference_volume(start) * barostat_time * FEMTOSECOND),
            every=max(SHORTEST, round(barostat_time / (MOVES * time_step))),
            flexible=ensemble == "npt-flexible",
        )
    if stability != "ignore" and steps >= WORTH_IT:
        _check_step(start, calculator, inverse, scheme, SCHEMES[ensemble][1], stability)
    drawn = temperature if initial_temperature is None and not start.has("momenta") else initial_temperature
    if drawn is None:
        momenta = _own_momenta(start, inverse, scheme.fix_center)
    else:
        momenta = draw_momenta(
            inverse, drawn, fix_center=scheme.fix_center, exact=exact_temperature, seed=seed, step=step
        )
    # without a checkpoint the name is taken before the first force call, with one only when there is a checkpoint
    file = TrajectoryFile(trajectory) if trajectory is not None and checkpoint is None else None
    try:
        engine = make_engine(start, calculator, momenta, inverse, scheme, step)
        if barostat is not None:
            engine.virial()  # a calculator without stress is refused now
        run = Run(engine, start, inverse, scheme, steps, sample_every, barostat)
        if checkpoint is not None:
            run.keep(Path(checkpoint), checkpoints.description(start, given), trajectory)
            file = None if trajectory is None else TrajectoryFile(trajectory, resume=True)
        run.begin(file)
        return run.finish(progress)
    finally:
        if file is not None:
            file.close()


def _scheme(given: Mapping[str, Any], inverse: Floats, step: int) -> Scheme:
    """The arguments of a run in Å, eV and amu."""
    ensemble, time_step = given["ensemble"], given["time_step"]
    part = {"langevin": 1.0, "nve": 0.0, "nose-hoover": 0.0}.get(ensemble, 0.5)  # of a step, each time the bath acts
    rate = 1e-3 * given["friction"] if ensemble in ("langevin", "obabo") else 1.0 / given["bath_time"]
    k_t = BOLTZMANN * (given["temperature"] or 0.0)
    last = k_t if given["final_temperature"] is None else BOLTZMANN * given["final_temperature"]
    fix_center = bool(given["fix_center_of_mass"]) and bool(inverse.all())
    return Scheme(
        ensemble=SCHEMES[ensemble][0],
        time_step=time_step * FEMTOSECOND,
        decay=math.exp(-part * rate * time_step),
        k_t=k_t,
        k_t_slope=(last - k_t) / given["steps"],
        first_step=step,
        fix_center=fix_center,
        seed=given["seed"],
        degrees=degrees_of_freedom(inverse, fix_center),
        bath_time=given["bath_time"] * FEMTOSECOND,
    )


def _check_step(start: Atoms, calculator: Any, inverse: Floats, scheme: Scheme, name: str, stability: str) -> None:
    words = unstable_words(
        start, calculator, inverse, fix_center=scheme.fix_center, scheme=name, time_step=scheme.time_step
    )
    if words and stability == "refuse":
        raise InputError(words)
    if words:
        warnings.warn(words, RuntimeWarning, stacklevel=4)


def _check_ensemble(ensemble: str, temperature: float | None, final_temperature: float | None) -> None:
    one_of("ensemble", ensemble, tuple(SCHEMES))
    if ensemble == "nve":
        for name, value in (("temperature", temperature), ("final_temperature", final_temperature)):
            if value is not None:
                raise InputError(
                    f'{name}: the ensemble "nve" has no bath, got {value} K; give initial_temperature for the first '
                    'momenta, or ensemble="langevin".'
                )
        return
    if temperature is None:
        raise InputError(f'temperature: the ensemble "{ensemble}" needs the temperature of its bath in K, got None.')
    if ensemble in ("nose-hoover", *ISOBARIC) and (temperature == 0.0 or final_temperature == 0.0):
        raise InputError(f'temperature: the ensemble "{ensemble}" needs a temperature above 0 K; use "langevin".')


def _check_isobaric(ensemble: str, atoms: Atoms, inverse: Floats) -> None:
    if not atoms.pbc.all() or abs(np.linalg.det(atoms.cell.array)) < 1e-6:
        raise InputError(
            f'atoms: the ensemble "{ensemble}" needs a cell that is periodic in three directions, got pbc '
            f"{atoms.pbc.tolist()}. Choose a crystal or a liquid."
        )
    if not inverse.all():
        raise InputError(f'constraints: the ensemble "{ensemble}" moves all atoms with the cell; remove FixAtoms.')


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
