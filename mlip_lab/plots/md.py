"""Pictures of a molecular dynamics run: energies, temperature, g(r) and where the atoms are."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.visualize.plot import plot_atoms
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mlip_lab.dynamics.md import MDResult
from mlip_lab.plots.style import OTHER, OURS, QUIET, REFERENCE, describe, legend, new_figure, rounded
from mlip_lab.properties.radial_distribution import RadialDistribution
from mlip_lab.properties.radial_distribution import radial_distribution as count_pairs


def energies(run: MDResult) -> Figure:
    """Energies per atom over time, and the conserved one enlarged below with its slope."""
    figure, axes = new_figure(2, 1, size=(5.0, 4.4), sharex=True)
    above, below = axes[:, 0]
    picoseconds, atoms = run.times / 1000, len(run.atoms)
    for values, color, name in (
        (run.potential_energy, OURS, "potential"),
        (run.kinetic_energy, OTHER, "kinetic"),
    ):
        above.plot(picoseconds, 1000 * (values - values[0]) / atoms, color=color, lw=1, label=name)
    above.set_ylabel("change of energy\n(meV/atom)")
    legend(above)
    conserved = 1e6 * (run.conserved_energy - run.conserved_energy[0]) / atoms
    below.plot(picoseconds, conserved, color=QUIET, lw=0.6, label="conserved")
    slope = run.energy_drift()
    line = np.poly1d(np.polyfit(picoseconds, conserved, 1))
    below.plot(picoseconds, line(picoseconds), color=REFERENCE, lw=1.2, label="its straight line")
    below.set_xlabel("time (ps)")
    below.set_ylabel("change of conserved\nenergy (µeV/atom)")
    legend(below)
    words = f"The conserved energy of {atoms} atoms drifts by {rounded(slope.value, slope.error)} eV/atom/ns"
    return describe(figure, f"{words} while potential and kinetic energy fluctuate.")


POINTS = 2000  # per curve; more cannot be told apart and take long to draw
STRUCTURES = 12  # samples that g(r) is made of: enough to be smooth, few enough to be drawn while a run goes on


def overview(run: MDResult) -> Figure:
    """Temperature, energies, conserved energy and g(r) of a run, or of the part of a run that is done."""
    figure, axes = new_figure(2, 2, size=(8.0, 5.2))
    heat, energy, conserved, structure = axes.flat
    step = max(1, len(run.times) // POINTS)
    picoseconds, atoms = run.times[::step] / 1000, len(run.atoms)
    counts = np.arange(1, len(run.times) + 1)
    for ax, values, name in (
        (heat, run.temperature, "temperature (K)"),
        (
            conserved,
            1e6 * (run.conserved_energy - run.conserved_energy[0]) / atoms,
            "conserved energy,\nchange (µeV/atom)",
        ),
    ):
        mean = np.cumsum(values) / counts
        ax.plot(picoseconds, values[::step], color=OURS, lw=0.6, alpha=0.6, label="each step")
        ax.plot(picoseconds, mean[::step], color=REFERENCE, lw=1.4, label="running mean")
        ax.set_ylabel(name)
    for values, color, name in ((run.potential_energy, OURS, "potential"), (run.kinetic_energy, OTHER, "kinetic")):
        energy.plot(picoseconds, 1000 * (values - values[0])[::step] / atoms, color=color, lw=0.8, label=name)
    energy.set_ylabel("change of energy\n(meV/atom)")
    for ax in (heat, energy, conserved):
        ax.set_xlabel("time (ps)")
        legend(ax)
    _structure(structure, run)
    words = f"After {run.times[-1] / 1000:.3g} ps the temperature is {run.temperature[-1]:.0f} K"
    if len(run.times) > 40:
        found = run.mean_temperature()
        words += f", {rounded(found.value, found.error)} K on average"
    return describe(figure, f"{words}; {atoms} atoms.")


def _structure(ax: Axes, run: MDResult) -> None:
    """g(r) over the later half of what was sampled; the height of the atoms over time where there is no density."""
    later = run.positions[len(run.positions) // 2 :]
    if not run.atoms.pbc.all():
        spread = np.linalg.norm(run.positions - run.positions[0], axis=2).mean(axis=1)
        ax.plot(run.sample_times / 1000, spread, color=OURS, lw=1.2)
        ax.set_xlabel("time (ps)")
        ax.set_ylabel("mean distance from\nthe start (Å)")
        return
    found = count_pairs(run.atoms, later[:: max(1, len(later) // STRUCTURES)], radius=6.0, bins=120)
    ax.plot(found.distances, found.values, color=OURS, lw=1.4)
    ax.axhline(1, color=QUIET, lw=0.8, ls=":")
    ax.set_xlim(0, 6.0)
    ax.set_xlabel("distance (Å)")
    ax.set_ylabel("g(r)")


def temperature(run: MDResult) -> Figure:
    """Temperature over time with its running mean."""
    figure, axes = new_figure()
    ax = axes[0, 0]
    values = run.temperature
    mean = np.cumsum(values) / np.arange(1, len(values) + 1)
    ax.plot(run.times / 1000, values, color=OURS, lw=0.6, alpha=0.6, label="each step")
    ax.plot(run.times / 1000, mean, color=REFERENCE, lw=1.4, label="running mean")
    ax.set_xlabel("time (ps)")
    ax.set_ylabel("temperature (K)")
    legend(ax)
    found = run.mean_temperature()
    return describe(figure, f"The temperature fluctuates about {rounded(found.value, found.error)} K.")


def radial_distribution(result: RadialDistribution) -> Figure:
    """g(r) with the number of neighbours."""
    figure, axes = new_figure()
    ax = axes[0, 0]
    ax.plot(result.distances, result.values, color=OURS, lw=1.4)
    ax.axhline(1, color=QUIET, lw=0.8, ls=":")
    ax.set_xlim(0, float(result.distances[-1]))
    ax.set_xlabel("distance (Å)")
    ax.set_ylabel("g(r)")
    peak = int(np.argmax(result.values))
    words = f"g(r) has its highest peak, {result.values[peak]:.1f}, at {result.distances[peak]:.2f} Å"
    return describe(figure, f"{words}; mean of {result.frames} frames.")


def snapshot(atoms: Atoms) -> Figure:
    """The atoms as seen a little from the side, with their cell."""
    figure, axes = new_figure(size=(4.4, 4.4))
    ax = axes[0, 0]
    wrapped = atoms.copy()
    wrapped.wrap()
    plot_atoms(wrapped, ax, rotation="10x,-15y,0z", radii=0.45)
    ax.set_axis_off()
    return describe(figure, f"{len(atoms)} atoms, {atoms.get_chemical_formula()}, in their cell.")
