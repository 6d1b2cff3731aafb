"""Pictures of phonons: bands beside their density, and how they follow from the supercell."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mlip_lab.plots.style import BAND, OTHER, OURS, QUIET, REFERENCE, describe, legend, new_figure
from mlip_lab.properties.phonon_path import BandPath
from mlip_lab.properties.phonons import PhononResult, SupercellConvergence

Floats = NDArray[np.float64]
DULONG_PETIT = 3 * 8.314459848  # J/(mol K)
TOLERANCE = 0.05  # THz; a supercell within it is large enough for a picture
ABOVE: dict[str, Any] = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0), "ncols": 4}


def phonons(result: PhononResult, *, reference: Floats | None = None, name: str = "DFT") -> Figure:
    """Frequencies along the path beside the density of states.

    Args:
        result: From `properties.phonons`.
        reference: Other frequencies on the same path in THz, (n_points, 3 n_atoms), as from
            `workflows.phonon_reference`.
        name: What to call the reference.
    """
    figure, axes = new_figure(1, 2, size=(8.0, 3.8), sharey=True, gridspec_kw={"width_ratios": (3.2, 1)})
    bands, states = axes[0]
    _bands(bands, result.path, result.frequencies, OURS, "this potential")
    if reference is not None:
        _bands(bands, result.path, reference, REFERENCE, name, lw=1.0, ls="--")
        bands.set_ylim(top=1.05 * max(result.frequencies.max(), reference.max()))
        legend(bands, **ABOVE)
    states.plot(result.dos, result.dos_frequencies, color=OURS, lw=1.2)
    states.fill_betweenx(result.dos_frequencies, result.dos, color=OURS, alpha=BAND, lw=0)
    states.set_xlabel("states (1/THz)")
    states.set_xlim(left=0)
    top = f"Frequencies reach {result.frequencies.max():.2f} THz"
    if reference is not None:
        top += f", {distance(result.frequencies, reference):.2f} THz from {name} along the path (RMS)"
    if not result.imaginary:
        return describe(figure, f"{top}; none is imaginary.")
    worst = result.imaginary[0]
    return describe(figure, f"{top}; the most imaginary one is {-worst.frequency:.2f}i THz at {worst.name}.")


def distance(frequencies: Floats, reference: Floats) -> float:
    """Root mean square difference of frequencies on one path, THz."""
    return float(np.sqrt(np.mean((frequencies - reference) ** 2)))


def band_at(result: PhononResult, figure: Figure, x: float, y: float) -> tuple[int, int] | None:
    """Number of the path's point and of the band that lie nearest to a place in the picture that `phonons` made.

    Args:
        result: That the picture is of.
        figure: The picture, after it was drawn.
        x: From 0 to 1 from its left.
        y: From 0 to 1 from its bottom.

    Returns:
        (point, band); None beside the bands' axes.
    """
    bands = figure.axes[0]
    place = figure.transFigure.transform((x, y))
    if not bands.bbox.contains(*place):
        return None
    distance, frequency = bands.transData.inverted().transform(place)
    point = int(np.argmin(abs(result.path.distances - distance)))
    return point, int(np.argmin(abs(result.frequencies[point] - frequency)))


def thermal(result: PhononResult) -> Figure:
    """Heat capacity and free energy of the vibrations over temperature.

    Args:
        result: Without imaginary modes, from `properties.phonons`.
    """
    figure, axes = new_figure(1, 2, size=(8.0, 3.2))
    left, right = axes[0]
    for ax in (left, right):
        ax.set_xlabel("temperature (K)")
    left.set_ylabel("heat capacity (J/(mol K))")
    right.set_ylabel("free energy (meV/atom)")
    known = result.vibrations
    if known is None:
        left.text(0.5, 0.5, "none while modes are imaginary", ha="center", transform=left.transAxes, color=QUIET)
        return describe(figure, "Modes are imaginary: there is no harmonic free energy.")
    left.plot(known.temperatures, known.heat_capacity, color=OURS, lw=1.4)
    left.axhline(DULONG_PETIT, color=REFERENCE, lw=0.8, ls=":", label="3 R, Dulong and Petit")
    left.set_ylim(bottom=0)
    legend(left, loc="lower right")
    right.plot(known.temperatures, 1000 * known.free_energy, color=OURS, lw=1.4)
    return describe(
        figure,
        f"Zero-point energy {1000 * known.free_energy[0]:.1f} meV/atom; the heat capacity rises to "
        f"{known.heat_capacity[-1]:.1f} J/(mol K) at {known.temperatures[-1]:.0f} K.",
    )


def supercell_convergence(result: SupercellConvergence) -> Figure:
    """Bands from each supercell, and their distance from those of the largest."""
    figure, axes = new_figure(1, 2, size=(8.0, 3.4), gridspec_kw={"width_ratios": (2.2, 1)})
    bands, changes = axes[0]
    for found, size in zip(result.frequencies[-2::-1][:2], result.supercells[-2::-1], strict=False):
        label = " × ".join(map(str, size))
        _bands(bands, result.path, found, OTHER if size == result.supercells[-2] else QUIET, label, lw=0.9)
    _bands(bands, result.path, result.frequencies[-1], OURS, " × ".join(map(str, result.supercells[-1])))
    legend(bands, **ABOVE)
    changes.axhspan(0, TOLERANCE, color=OURS, alpha=BAND, lw=0)
    changes.plot(result.reaches[:-1], result.changes, "-o", color=OURS, ms=4, lw=1.2)
    changes.set_yscale("log")
    changes.set_ylim(min(1e-3, result.changes.min() / 2))
    changes.set(xlabel="reach of the supercell (Å)", ylabel="RMS change of frequency (THz)")
    words = ", ".join(
        f"{' × '.join(map(str, size))}: {change:.2g} THz"
        for size, change in zip(result.supercells, result.changes, strict=False)
    )
    return describe(figure, f"Distance of the frequencies from those of the largest supercell: {words}.")


def _bands(
    ax: Axes, path: BandPath, frequencies: Floats, color: str, label: str, lw: float = 1.3, ls: str = "-"
) -> None:
    for number, segment in enumerate(path.segments):
        lines = ax.plot(path.distances[segment], frequencies[segment], color=color, lw=lw, ls=ls)
        if number == 0:
            lines[0].set_label(label)
    for _, place in path.labels:
        ax.axvline(place, color=QUIET, lw=0.5, zorder=0)
    ax.axhline(0, color=QUIET, lw=0.5, zorder=0)
    ax.set_xticks([place for _, place in path.labels], [label for label, _ in path.labels])
    ax.set_xlim(path.distances[0], path.distances[-1])
    if frequencies.min() > -1e-3:
        ax.set_ylim(bottom=0)
        ax.set_ylabel("frequency (THz)")
    else:
        ax.set_ylabel("frequency (THz), imaginary below 0")
