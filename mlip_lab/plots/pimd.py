"""Pictures of ring polymers: energies, their size, and how energies converge with the number of beads."""

from __future__ import annotations

import numpy as np
from ase.data import atomic_masses, atomic_numbers
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mlip_lab.core.units import BOLTZMANN, HBAR
from mlip_lab.dynamics.bead_convergence import BeadConvergence
from mlip_lab.dynamics.momentum_distribution import MomentumDistribution
from mlip_lab.dynamics.pimd_result import PIMDResult
from mlip_lab.plots.style import BAND, COLORS, OTHER, OURS, QUIET, REFERENCE, describe, legend, new_figure, rounded

POINTS = 2000  # per curve
ENOUGH = 40  # steps that a mean with an error needs


def pimd(run: PIMDResult) -> Figure:
    """Kinetic and total energy, radius of gyration, and distance of beads from their centroid."""
    figure, axes = new_figure(2, 2, size=(8.0, 5.2))
    kinetic, total, size, cloud = axes.flat
    step, skip, atoms = max(1, len(run.times) // POINTS), len(run.times) // 10, len(run.atoms)
    picoseconds, counts = run.times / 1000, np.arange(1, len(run.times) + 1)
    for values, color, name in (
        (run.virial_kinetic, OURS, "centroid virial"),
        (run.primitive_kinetic, OTHER, "primitive"),
    ):
        # all beads start in one place, which the first tenth of a run forgets
        mean = 1000 * np.cumsum(values[skip:]) / counts[: len(values) - skip] / atoms
        kinetic.plot(picoseconds[skip::step], mean[::step], color=color, lw=1.3, label=f"{name}, running mean")
    kinetic.axhline(1000 * run.classical_kinetic / atoms, color=QUIET, ls=":", label="classical")
    kinetic.set_ylabel("kinetic energy\n(meV/atom)")
    energy = 1000 * (run.potential_energy + run.virial_kinetic) / atoms
    total.plot(picoseconds[::step], (energy - energy[0])[::step], color=OURS, lw=0.6, alpha=0.6, label="each step")
    total.plot(
        picoseconds[::step],
        (np.cumsum(energy) / counts - energy[0])[::step],
        color=REFERENCE,
        lw=1.4,
        label="running mean",
    )
    total.set_ylabel("change of energy\n(meV/atom)")
    for k, symbol in enumerate(run.species):
        color = COLORS[k % len(COLORS)]
        size.plot(picoseconds[::step], np.sqrt(run.gyration_squares[::step, k]), color=color, lw=1, label=symbol)
        size.axhline(free_radius(symbol, run.temperature, run.beads), color=color, ls=":", lw=0.8)
    size.set_ylabel("radius of the rings (Å)\ndotted: free particle")
    for ax in (kinetic, total, size):
        ax.set_xlabel("time (ps)")
        legend(ax)
    _cloud(cloud, run)
    words = f"{run.beads} beads at {run.temperature:g} K"
    if len(run.times) < ENOUGH:
        return describe(figure, f"{words}, after {run.times[-1]:.3g} fs.")
    found, classical = run.kinetic(), run.classical_kinetic
    share = rounded(1000 * found.value / atoms, 1000 * found.error / atoms)
    words += f": the kinetic energy is {share} meV/atom, {1000 * classical / atoms:.1f} in classical mechanics"
    radii = ", ".join(f"{symbol} {rounded(*run.gyration(symbol))} Å" for symbol in run.species)
    return describe(figure, f"{words}. Radius of the rings: {radii}." if run.beads > 1 else f"{words}.")


def free_radius(symbol: str, temperature: float, beads: int) -> float:
    """Radius of gyration of a free ring, sqrt(ħ²/(4 m kT) (1 − 1/P²)), in Å."""
    mass = float(atomic_masses[atomic_numbers[symbol]])
    return float(np.sqrt(HBAR**2 / (4.0 * mass * BOLTZMANN * temperature) * (1.0 - 1.0 / beads**2)))


def momentum_distribution(result: MomentumDistribution) -> Figure:
    """Distribution of |p| beside that of a classical nucleus."""
    figure, axes = new_figure()
    ax = axes[0, 0]
    ax.plot(result.momenta, result.density, color=OURS, lw=1.5, label="quantum, if harmonic")
    ax.plot(result.momenta, result.classical, color=QUIET, lw=1.2, ls="--", label="classical")
    ax.set(xlabel="momentum p/ħ (1/Å)", ylabel="density (Å)", xlim=(0, None), ylim=(0, None))
    legend(ax)
    width = rounded(*result.width)
    words = f"Momenta of {result.symbol} have a width of {width} 1/Å, classically {result.classical_width:.2f} 1/Å."
    return describe(figure, words)


def _cloud(ax: Axes, run: PIMDResult) -> None:
    """Distances of beads from their centroids in the later samples, by element."""
    later = run.positions[len(run.positions) // 5 :]
    away = np.linalg.norm(later - later.mean(axis=1, keepdims=True), axis=3)
    symbols = np.array(run.atoms.get_chemical_symbols())
    if run.beads > 1 and float(away.max()) > 0.0:
        for k, symbol in enumerate(run.species):
            values = away[:, :, symbols == symbol].ravel()
            counts, edges = np.histogram(values, 60, range=(0.0, float(away.max())), density=True)
            ax.plot(0.5 * (edges[1:] + edges[:-1]), counts, color=COLORS[k % len(COLORS)], lw=1.3, label=symbol)
    ax.set(xlabel="distance of a bead from its centroid (Å)", ylabel="density (1/Å)")
    legend(ax)


def convergence(result: BeadConvergence) -> Figure:
    """Energy over the number of beads, with the limit and the tolerance as a band."""
    figure, axes = new_figure()
    ax = axes[0, 0]
    limit, error = 1000 * result.limit.value, 1000 * result.limit.error
    ax.errorbar(
        result.beads, 1000 * result.energies, 1000 * result.errors, color=OURS, marker="o", ls="", label="measured"
    )
    fine = np.geomspace(result.beads[len(result.beads) // 2], 2 * result.beads[-1], 100)
    ax.plot(fine, limit + 1000 * result.slope / fine**2, color=OURS, lw=1, label="E + a/P²")
    ax.axhline(limit, color=REFERENCE, lw=1, label="infinitely many")
    ax.axhspan(limit - result.tolerance, limit + result.tolerance, color=QUIET, alpha=BAND, lw=0)
    ax.set(xscale="log", xlabel="number of beads P", ylabel="energy (meV/atom)")
    ax.set_xticks(result.beads, [str(n) for n in result.beads], minor=False)
    ax.minorticks_off()
    legend(ax, loc="lower right")
    words = f"{result.recommended} beads are within {result.tolerance:g} meV/atom of the limit"
    return describe(figure, f"{words}, {rounded(limit, error)} meV/atom.")
