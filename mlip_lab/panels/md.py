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

from mlip_lab.dynamics.md import MDResult, md
from mlip_lab.panels.base.capability import Capability
from mlip_lab.panels.base.record import Number, Verdict
from mlip_lab.plots import md as pictures
from mlip_lab.plots.style import rounded

STEADY = 1e-3  # eV/atom/ns: a µeV per atom and ps
FEW = 40  # steps before an error can be estimated


def _drift(run: MDResult) -> Verdict | None:
    if len(run.times) < FEW:
        return None
    slope = run.energy_drift()
    words = f"{rounded(slope.value, slope.error)} eV/atom/ns"
    if abs(slope.value) + 2 * slope.error < STEADY:
        return Verdict("good", "The conserved energy does not drift: forces and time step fit together.", words)
    if abs(slope.value) - 2 * slope.error > STEADY:
        return Verdict(
            "warning", "The conserved energy drifts. Take a smaller time step, or check the potential.", words
        )
    return Verdict("warning", "Too short to tell whether the conserved energy drifts. Run longer.", words)


def _verdicts(run: MDResult) -> list[Verdict]:
    found = [drift] if (drift := _drift(run)) else []
    if len(run.times) < FEW:
        found.append(Verdict("warning", f"{len(run.times) - 1} steps are too few for an error estimate."))
    if run.heat.any() and len(run.times) >= FEW:
        mean = run.mean_temperature(0.2)
        words = f"mean over the last four fifths: {rounded(mean.value, mean.error)} K"
        found.append(Verdict("good", "Coupled to a bath: the temperature should fluctuate about the bath's.", words))
    return found


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
    ]


def _live(live: Mapping[str, Any]) -> Figure | None:
    run = live["so_far"]()
    return pictures.overview(run) if len(run.times) > 1 else None


def _data(run: MDResult) -> dict[str, Any]:
    return {
        "times_fs": run.times.tolist(),
        "temperature_k": run.temperature.tolist(),
        "potential_energy_ev": run.potential_energy.tolist(),
        "kinetic_energy_ev": run.kinetic_energy.tolist(),
        "conserved_energy_ev": run.conserved_energy.tolist(),
    }


def _trajectory(run: MDResult) -> dict[str, bytes]:
    frames = []
    for time, positions in zip(run.sample_times, run.positions, strict=True):
        frame = Atoms(numbers=run.atoms.numbers, positions=positions, cell=run.atoms.cell, pbc=run.atoms.pbc)
        frame.info["time_fs"] = float(time)
        frames.append(frame)
    text = io.StringIO()
    write_xyz(text, frames)
    return {".extxyz": text.getvalue().encode()}


def _frames(run: MDResult) -> tuple[Atoms, NDArray[Any]]:
    return run.atoms, run.positions


def _shown(values: Mapping[str, Any]) -> list[str]:
    bath = ("temperature", "friction") if values["ensemble"] == "langevin" else ()
    always = ("atoms", "calculator", "steps", "time_step", "ensemble", "initial_temperature", "sample_every", "seed")
    return [*always, *bath, "exact_temperature", "fix_center_of_mass", "trajectory"]


def _needs(values: Mapping[str, Any]) -> str:
    atoms = values["atoms"]
    if values["ensemble"] == "langevin" and values["temperature"] is None:
        return "Give the temperature of the bath in K."
    if values["ensemble"] == "nve" and values["initial_temperature"] is None and not atoms.has("momenta"):
        return "The atoms are at rest: give an initial temperature in K."
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
        left = {**arguments, "atoms": run.atoms, "initial_temperature": None}
        ahead = min(-done % every or total, total - done)
        left |= {"steps": ahead, "sample_every": min(every, ahead) if done % every else every}
        left["trajectory"] = None if path is None else _next(Path(path))

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
        "(Leimkuhler and Matthews, <a href='https://doi.org/10.1093/amrx/abs010'>10.1093/amrx/abs010</a>). "
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
    labels={"atoms": "Structure", "calculator": "Potential", "trajectory": "Trajectory file"},
    advanced=("sample_every", "seed", "exact_temperature", "fix_center_of_mass", "trajectory"),
)
