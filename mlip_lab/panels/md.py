"""Molecular dynamics by clicks."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ase import Atoms
from ase.io.extxyz import write_xyz
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mlip_lab.dynamics.md import ISOBARIC, MDResult, md
from mlip_lab.dynamics.statistics import mean as mean_of
from mlip_lab.panels.base.capability import Capability
from mlip_lab.panels.base.record import Number, Verdict
from mlip_lab.plots import md as pictures

FEW = 40  # steps before an error can be estimated


def _verdicts(run: MDResult) -> list[Verdict]:
    """The certificate in one line, and what stands behind it."""
    if len(run.times) < FEW:
        return [Verdict("warning", f"{len(run.times) - 1} steps are too few for an error estimate.")]
    found = run.certificate()
    return [Verdict(found.level, found.line, str(found))]


def _numbers(run: MDResult) -> list[Number]:
    time = Number("time", float(run.times[-1]) / 1000, "ps")
    if len(run.times) < FEW:
        return [time, Number("temperature now", float(run.temperature[-1]), "K")]
    mean, slope = run.mean_temperature(), run.energy_drift()
    potential = run.potential_energy / len(run.atoms)
    return [
        time,
        Number("mean temperature", mean.value, "K", mean.error),
        Number("mean potential energy", float(potential.mean()), "eV/atom"),
        Number("drift of conserved energy", slope.value, "eV/atom/ns", slope.error),
        Number("independent samples", run.certificate().equilibration.samples),
        *_volume(run),
    ]


def _volume(run: MDResult) -> list[Number]:
    if run.volume is None:
        return []
    volume = mean_of(run.volume / len(run.atoms))
    return [Number("mean volume", volume.value, "Å³/atom", volume.error)]


def _live(live: Mapping[str, Any]) -> Figure | None:
    run = live["so_far"]()
    return pictures.overview(run) if len(run.times) > 1 else None


def _data(run: MDResult) -> dict[str, Any]:
    return {
        "times_fs": run.times.tolist(),
        "volume_ang3": None if run.volume is None else run.volume.tolist(),
        "temperature_k": run.temperature.tolist(),
        "potential_energy_ev": run.potential_energy.tolist(),
        "kinetic_energy_ev": run.kinetic_energy.tolist(),
        "conserved_energy_ev": run.conserved_energy.tolist(),
    }


def _trajectory(run: MDResult) -> dict[str, bytes]:
    frames = []
    cells = [run.atoms.cell] * len(run.positions) if run.cells is None else run.cells
    for time, positions, cell in zip(run.sample_times, run.positions, cells, strict=True):
        frame = Atoms(numbers=run.atoms.numbers, positions=positions, cell=cell, pbc=run.atoms.pbc)
        frame.info["time_fs"] = float(time)
        frames.append(frame)
    text = io.StringIO()
    write_xyz(text, frames)
    return {".extxyz": text.getvalue().encode()}


def _frames(run: MDResult) -> tuple[Atoms, NDArray[Any]]:
    return run.atoms, run.positions


def _shown(values: Mapping[str, Any]) -> list[str]:
    ensemble = values["ensemble"]
    bath: tuple[str, ...] = () if ensemble == "nve" else ("temperature", "final_temperature")
    bath += ("friction",) if ensemble in ("langevin", "obabo") else ()
    bath += ("bath_time",) if ensemble in ("bussi", "nose-hoover", *ISOBARIC) else ()
    bath += ("pressure", "compressibility", "barostat_time") if ensemble in ISOBARIC else ()
    always = ("atoms", "calculator", "steps", "time_step", "ensemble", "initial_temperature", "sample_every", "seed")
    return [*always, *bath, "exact_temperature", "fix_center_of_mass", "stability", "trajectory"]


def _needs(values: Mapping[str, Any]) -> str:
    atoms = values["atoms"]
    if values["ensemble"] != "nve" and values["temperature"] is None:
        return "Give the temperature of the bath in K."
    if values["ensemble"] == "nve" and values["initial_temperature"] is None and not atoms.has("momenta"):
        return "The atoms are at rest: give an initial temperature in K."
    if values["ensemble"] in ISOBARIC and not atoms.pbc.all():
        return "Constant pressure needs a cell periodic in three directions. Choose another structure or ensemble."
    path = values["trajectory"]
    if path is not None and Path(path).exists():
        return f"The file {path} exists and is not overwritten. Choose another name."
    return ""


def _resume(partial: MDResult, arguments: Mapping[str, Any], progress: Callable[..., None]) -> MDResult:
    """Take the steps that are left, and join the parts into one run.

    The first part goes as far as the next sample was to be taken, so that samples stay evenly spaced.
    """
    total, every, path = arguments["steps"], arguments["sample_every"], arguments["trajectory"]
    run = partial
    while (done := len(run.times) - 1) < total:
        left = {**arguments, "atoms": run.atoms, "initial_temperature": None, "stability": "ignore"}
        ahead = min(-done % every or total, total - done)
        left |= {"steps": ahead, "sample_every": min(every, ahead) if done % every else every}
        left["trajectory"] = None if path is None else _next(Path(path))
        if (last := arguments.get("final_temperature")) is not None:  # each part has its piece of the way
            first = arguments["temperature"]
            left["temperature"], left["final_temperature"] = (
                first + (last - first) * at / total for at in (done, done + ahead)
            )

        def report(more: int, _: int, /, *, run: MDResult = run, done: int = done, **live: Any) -> None:
            so_far = live["so_far"]
            progress(done + more, total, **{**live, "so_far": lambda: run.then(so_far())})

        run = run.then(md(**left, progress=report))
        if run.stopped:
            break
    return run


def _next(path: Path) -> Path:
    """A free name for the part of a trajectory that comes after a stop."""
    names = (path.with_stem(f"{path.stem}-part{n}") for n in range(2, 10_000))
    return next(name for name in names if not name.exists())


MD = Capability(
    function=md,
    title="Molecular dynamics",
    meaning="Newton's equations step by step: how the atoms move, and whether the energy is kept as it must be.",
    shows="temperature, energies and g(r) while the atoms move",
    group="Motion",
    formula=(
        "$$m_i\\ddot{\\mathbf r}_i=-\\frac{\\partial E}{\\partial\\mathbf r_i}$$ "
        "Velocity Verlet keeps the total energy of an isolated system up to small fluctuations (nve). "
        "Langevin dynamics adds friction $\\gamma$ and noise of a heat bath at $T$, integrated as BAOAB "
        "(Leimkuhler and Matthews, <a href='https://doi.org/10.1093/amrx/abs010'>10.1093/amrx/abs010</a>) or OBABO; "
        "the baths of Bussi and of Nosé and Hoover act on all velocities together. Npt moves the cell as well, "
        "npt-flexible also its shape. "
        "In a crystal that starts at rest in its minimum, half of the first kinetic energy turns into potential energy."
    ),
    picture=pictures.overview,
    live=_live,
    verdicts=_verdicts,
    numbers=_numbers,
    data=_data,
    files=_trajectory,
    frames=_frames,
    needs=_needs,
    shown=_shown,
    resume=_resume,
    defaults={"steps": 2000, "initial_temperature": 600.0, "temperature": 300.0},
    labels={
        "atoms": "Structure",
        "calculator": "Potential",
        "trajectory": "Trajectory file",
        "stability": "An unstable time step",
        "bath_time": "Time of the bath",
        "barostat_time": "Time of the barostat",
    },
    left_out=("checkpoint",),
    advanced=(
        "sample_every",
        "seed",
        "exact_temperature",
        "fix_center_of_mass",
        "final_temperature",
        "compressibility",
        "barostat_time",
        "stability",
        "trajectory",
    ),
)
