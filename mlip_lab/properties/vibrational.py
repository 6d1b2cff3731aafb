"""Thermodynamics of harmonic vibrations: a sum over independent oscillators."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlip_lab.core.units import BOLTZMANN

Floats = NDArray[np.float64]
PLANCK = 4.135667662e-3  # eV/THz; CODATA 2014 as in `core.units`
JOULE_PER_MOL = 96485.33289  # one eV per particle
STILL = 1e-3  # THz; below it a mode is a shift of the whole crystal


@dataclass(frozen=True, eq=False)
class Vibrations:
    """Harmonic thermodynamics per atom over temperature.

    Attributes:
        temperatures: K, (n,).
        free_energy: Helmholtz free energy of the vibrations in eV per atom, zero-point energy included, (n,).
        entropy: J/(mol K), per mole of atoms, (n,).
        heat_capacity: At constant volume in J/(mol K), per mole of atoms, (n,).
    """

    temperatures: Floats
    free_energy: Floats
    entropy: Floats
    heat_capacity: Floats


def vibrations(frequencies: Floats, weights: Floats, n_atoms: int, temperatures: Floats) -> Vibrations:
    """F = Σ ħω/2 + kT ln(1 − e^{−ħω/kT}) and its derivatives, summed over modes.

    Args:
        frequencies: THz at the points of a mesh, (n_points, 3 n_atoms); none may be imaginary.
        weights: How often each point stands in the full mesh, (n_points,).
        n_atoms: Atoms in the primitive cell.
        temperatures: K, (n,), from 0.
    """
    share = weights / weights.sum() / n_atoms
    quanta = np.where(frequencies > STILL, frequencies, np.inf) * PLANCK
    moving = np.isfinite(quanta)
    zero_point = float(np.einsum("q,qb->", share, np.where(moving, quanta, 0.0)) / 2)
    free, entropy, capacity = (np.zeros(len(temperatures)) for _ in range(3))
    for k, temperature in enumerate(temperatures):
        if temperature == 0:
            continue
        thermal = BOLTZMANN * temperature
        x = np.minimum(quanta / thermal, 700.0)  # e^−700 is zero to every digit
        below = np.log1p(-np.exp(-x))
        occupied = 1 / np.expm1(x)
        free[k] = thermal * np.einsum("q,qb->", share, below)
        entropy[k] = BOLTZMANN * np.einsum("q,qb->", share, x * occupied - below)
        capacity[k] = BOLTZMANN * np.einsum("q,qb->", share, x**2 * occupied * (occupied + 1))
    return Vibrations(
        np.asarray(temperatures, dtype=np.float64),
        free + zero_point,
        entropy * JOULE_PER_MOL,
        capacity * JOULE_PER_MOL,
    )
