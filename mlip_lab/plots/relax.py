"""Picture of a relaxation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mlip_lab.plots.style import OURS, describe, new_figure
from mlip_lab.properties.relax import RelaxResult


def relax(result: RelaxResult) -> Figure:
    """Energy above the end and the largest force, step by step."""
    return descent(result.energies, result.max_forces, len(result.atoms))


def descent(
    energies: NDArray[np.float64] | Sequence[float], max_forces: NDArray[np.float64] | Sequence[float], n_atoms: int
) -> Figure:
    """The same of a relaxation that is under way.

    Args:
        energies: eV, one a step.
        max_forces: eV/Å, one a step.
        n_atoms: Number of atoms.
    """
    figure, axes = new_figure(1, 2, size=(8.0, 3.2))
    left, right = axes[0]
    per_atom = 1000 * (np.asarray(energies) - energies[-1]) / n_atoms
    left.plot(per_atom, "-o", color=OURS, ms=3, lw=1.2)
    left.set_ylabel("energy above the last step\n(meV/atom)")
    right.plot(np.maximum(max_forces, 1e-12), "-o", color=OURS, ms=3, lw=1.2)
    right.set_yscale("log")
    right.set_ylabel("largest force (eV/Å)")
    for ax in (left, right):
        ax.set_xlabel("step")
    words = f"In {len(energies) - 1} steps the energy falls by {per_atom[0]:.3g} meV/atom"
    return describe(figure, f"{words} and the largest force from {max_forces[0]:.2g} to {max_forces[-1]:.2g} eV/Å.")
