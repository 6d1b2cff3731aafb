"""Picture of what changes and what stays when a structure is turned, shifted or renumbered."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from ase.data.colors import jmol_colors
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from mlip_lab.plots.style import OTHER, OURS, REFERENCE, describe, legend, new_figure
from mlip_lab.properties.descriptors import Descriptors


def descriptors(now: Descriptors, *, before: Descriptors | None = None, atom: int = 0, count: int = 18) -> Figure:
    """The atoms, their list of coordinates, and the first invariants of one of them.

    Args:
        now: Of the structure as it is.
        before: Of the same structure written down differently; shown as open marks. None compares with itself.
        atom: Whose invariants.
        count: How many coordinates and how many invariants.
    """
    before = now if before is None else before
    figure, axes = new_figure(1, 3, size=(11.0, 3.4), width_ratios=(1, 1.3, 1.3))
    _draw_atoms(axes[0, 0], now.atoms, atom)
    old, new = (d.atoms.positions.ravel()[:count] for d in (before, now))
    _bars(axes[0, 1], new, old, "coordinates of the atoms in order (Å)", OTHER)
    axes[0, 1].set_xlabel("x, y, z of atom 0, of atom 1, …")
    old, new = (_evened(d.values[atom], before.values[atom]) for d in (before, now))
    shown = np.flatnonzero(np.abs(old) > 0.02)[:count]
    _bars(axes[0, 2], new[shown], old[shown], f"invariants of atom {atom}\n± √(size / largest)", OURS)
    axes[0, 2].set_xlabel("number of the invariant")
    axes[0, 1].set_ylim(-3.5, 5.5)
    axes[0, 2].set_ylim(-0.7, 1.5)
    for ax in axes[0, 1:]:
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        legend(ax, loc="upper left", ncols=2)
    moved = float(np.abs(now.atoms.positions - before.atoms.positions).max())
    words = f"Coordinates have changed by up to {moved:.2g} Å, the invariants of atom {atom} by "
    return describe(figure, f"{words}{now.change(before, atom):.1g} of the largest.")


def _evened(values: NDArray[np.float64], unit: NDArray[np.float64]) -> NDArray[np.float64]:
    """Invariants one radial function after the other, with their root taken so that small ones are seen."""
    relative = values.T.ravel() / np.abs(unit).max()
    return np.asarray(np.sign(relative) * np.sqrt(np.abs(relative)))


def _bars(ax: Axes, now: NDArray[np.float64], before: NDArray[np.float64], label: str, color: str) -> None:
    places = np.arange(len(now))
    ax.bar(places, now, 0.7, color=color, label="now")
    ax.plot(places, before, "o", ms=5, mfc="none", mec=REFERENCE, label="before")
    ax.axhline(0, color=REFERENCE, lw=0.6)
    ax.set_ylabel(label)


def _draw_atoms(ax: Axes, atoms: Atoms, chosen: int) -> None:
    """Atoms from above with their numbers, in a frame that stays."""
    order = np.argsort(atoms.positions[:, 2])
    x, y = atoms.positions[order, :2].T
    sizes = 900 * covalent_radii[atoms.numbers[order]] ** 2
    edges = [OURS if i == chosen else "0.3" for i in order]
    widths = [2.5 if i == chosen else 0.7 for i in order]
    ax.scatter(x, y, s=sizes, c=jmol_colors[atoms.numbers[order]], edgecolors=edges, linewidths=widths)
    for i in order:
        ax.text(atoms.positions[i, 0], atoms.positions[i, 1], str(i), ha="center", va="center", fontsize=8)
    ax.set(aspect="equal", xlim=(-3.5, 4.5), ylim=(-3.5, 4.5), xlabel="x (Å)", ylabel="y (Å)")
