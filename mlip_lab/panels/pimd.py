"""Path integrals by clicks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from ase import Atoms
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mlip_lab.core.units import BOLTZMANN, FEMTOSECOND, HBAR
from mlip_lab.dynamics.pimd import pimd
from mlip_lab.dynamics.pimd_result import PIMDResult
from mlip_lab.dynamics.statistics import mean as mean_of
from mlip_lab.panels.base.capability import Capability
from mlip_lab.panels.base.record import Number, Verdict
from mlip_lab.plots import pimd as pictures
from mlip_lab.plots.style import rounded

FEW = 40  # steps before an error can be estimated
SURE = 4.0  # standard errors between two estimators of the same number
MOST_SHOWN = 4000  # points in the viewer


def _verdicts(run: PIMDResult) -> list[Verdict]:
    if len(run.times) < FEW:
        return [Verdict("warning", f"{len(run.times) - 1} steps are too few for an error estimate.")]
    begin = int(0.2 * len(run.times))
    heat = float(run.bead_temperature[begin:].mean())
    found = []
    virial = run.kinetic()
    primitive = run.primitive_kinetic[begin:]
    spread = float(np.hypot(virial.error, _error(primitive)))
    words = f"centroid virial {rounded(*virial)} eV, primitive {rounded(float(primitive.mean()), _error(primitive))} eV"
    if abs(primitive.mean() - virial.value) < SURE * spread:
        found.append(Verdict("good", "Two estimators of the kinetic energy agree.", words))
    else:
        text = "Two estimators of the kinetic energy disagree: not in equilibrium yet, or the step is too long."
        found.append(Verdict("warning", text, words))
    words = f"{heat:.4g} K, asked for {run.temperature:g} K"
    close = abs(heat - run.temperature) < 0.05 * run.temperature
    text = "Beads have the temperature of the bath." if close else "Beads have another temperature than was asked for."
    found.append(Verdict("good" if close else "warning", text, words))
    return found


def _error(values: NDArray[np.float64]) -> float:
    return mean_of(values).error


def _numbers(run: PIMDResult) -> list[Number]:
    time = Number("time", float(run.times[-1]) / 1000, "ps")
    if len(run.times) < FEW:
        return [time]
    n = len(run.atoms)
    kinetic, total, capacity = run.kinetic(), run.total(), run.heat_capacity()
    classical = 1000 * run.classical_kinetic / n
    found = [
        time,
        Number(
            "kinetic energy", 1000 * kinetic.value / n, "meV/atom", 1000 * kinetic.error / n, classical, "classical"
        ),
        Number("energy", total.value / n, "eV/atom", total.error / n),
        Number("heat capacity", capacity.value / n, "k per atom", capacity.error / n, 3.0, "Dulong and Petit"),
    ]
    for symbol in run.species if run.beads > 1 else ():
        radius = run.gyration(symbol)
        free = pictures.free_radius(symbol, run.temperature, run.beads)
        found.append(Number(f"radius of {symbol}", radius.value, "Å", radius.error, free, "free particle"))
    return found


def _live(live: Mapping[str, Any]) -> Figure | None:
    run = live["so_far"]()
    return pictures.pimd(run) if len(run.times) > 1 else None


def _data(run: PIMDResult) -> dict[str, Any]:
    return {
        "beads": run.beads,
        "temperature_k": run.temperature,
        "times_fs": run.times.tolist(),
        "potential_energy_ev": run.potential_energy.tolist(),
        "virial_kinetic_ev": run.virial_kinetic.tolist(),
        "primitive_kinetic_ev": run.primitive_kinetic.tolist(),
        "conserved_energy_ev": run.conserved_energy.tolist(),
        "gyration_squares_ang2": {s: run.gyration_squares[:, k].tolist() for k, s in enumerate(run.species)},
    }


def _frames(run: PIMDResult) -> tuple[Atoms, NDArray[Any]]:
    """All beads, as clouds around their centroids; every so many where they are too many to show."""
    every = -(-run.beads * len(run.atoms) // MOST_SHOWN)
    shown = run.positions[:, ::every]
    samples, beads, n, _ = shown.shape
    cloud = Atoms(np.tile(run.atoms.numbers, beads), cell=run.atoms.cell, pbc=run.atoms.pbc)
    cloud.positions = shown[-1].reshape(-1, 3)
    return cloud, shown.reshape(samples, beads * n, 3)


def _needs(values: Mapping[str, Any]) -> str:
    beads, temperature, step = values["beads"], values["temperature"], values["time_step"]
    if values["atoms"].constraints:
        return "Ring polymers move freely, and this structure has atoms that are held. Choose another."
    stiffest = 2.0 * np.sin(np.pi * (beads // 2) / beads) * beads * BOLTZMANN * temperature / HBAR
    if stiffest * step * FEMTOSECOND >= np.pi:
        return f"The step is too long for {beads} beads: take less than {np.pi / stiffest / FEMTOSECOND:.2g} fs."
    return ""


def _resume(partial: PIMDResult, arguments: Mapping[str, Any], progress: Callable[..., None]) -> PIMDResult:
    """Take the steps that are left, and join the parts into one run."""
    total, done = arguments["steps"], len(partial.times) - 1
    if done == 0 or done == total:
        return pimd(**arguments, progress=progress)

    def report(more: int, _: int, /, **live: Any) -> None:
        so_far = live["so_far"]
        progress(done + more, total, **{**live, "so_far": lambda: _joined(partial, so_far())})

    return _joined(partial, pimd(**{**arguments, "atoms": partial.atoms, "steps": total - done}, progress=report))


def _joined(first: PIMDResult, later: PIMDResult) -> PIMDResult:
    def both(name: str, shift: float = 0.0) -> NDArray[np.float64]:
        return np.concatenate([getattr(first, name), getattr(later, name)[1:] + shift])

    return replace(
        later,
        times=both("times", float(first.times[-1])),
        potential_energy=both("potential_energy"),
        virial_kinetic=both("virial_kinetic"),
        primitive_kinetic=both("primitive_kinetic"),
        # heat is counted from each start
        conserved_energy=both("conserved_energy", float(first.conserved_energy[-1] - later.conserved_energy[0])),
        bead_temperature=both("bead_temperature"),
        gyration_squares=both("gyration_squares"),
        species_kinetic=both("species_kinetic"),
        sample_times=both("sample_times", float(first.times[-1])),
        positions=both("positions"),
    )


PIMD = Capability(
    function=pimd,
    title="Path integrals",
    meaning="Nuclei as quantum particles: each is a ring of beads, and the ring's size is its uncertainty.",
    shows="energies and the size of the rings while they move",
    group="Motion",
    formula=(
        "$$H_P=\\sum_{k=1}^{P}\\left[\\frac{p_k^2}{2m}+\\frac12 m\\omega_P^2(r_k-r_{k+1})^2+E(r_k)\\right],\\qquad "
        "\\omega_P=\\frac{P\\,k_BT}{\\hbar}$$ at the temperature $P\\,T$. Averages over the beads are those of quantum "
        "mechanics as $P$ grows, for nuclei that are told apart. Free rings are solved exactly, and each mode "
        "of a ring has its own bath (Ceriotti and others, <a href='https://doi.org/10.1063/1.3489925'>10.1063/1.3489925</a>)."
    ),
    picture=pictures.pimd,
    live=_live,
    verdicts=_verdicts,
    numbers=_numbers,
    data=_data,
    frames=_frames,
    needs=_needs,
    resume=_resume,
    defaults={"steps": 1000, "beads": 8},
    labels={
        "atoms": "Structure",
        "calculator": "Potential",
        "motion": "Bath",
        "bath_time": "Time of the centroids' bath",
    },
    advanced=("bath_time", "fix_center_of_mass", "seed", "sample_every"),
)
