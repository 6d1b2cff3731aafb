"""Distribution of the momenta of quantum nuclei, as far as the kinetic energy fixes it.

A harmonic motion, classical or quantum, has a Gaussian distribution of momenta, and all that quantum mechanics changes
is its width. With the mean kinetic energy K of a nucleus, here that of the centroid virial,

    n(p) = 4π p² (2π σ²)^(−3/2) exp(−p²/2σ²),    σ² = ⟨p²⟩/3 = 2 m K/3,

is what deep inelastic neutron scattering sees of an isotropic harmonic nucleus. What anharmonic motion and direction
add to that takes paths that are open, which is not done here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlip_lab.core.late import plotted
from mlip_lab.core.units import BOLTZMANN, HBAR
from mlip_lab.dynamics.statistics import Estimate

Floats = NDArray[np.float64]

FURTHEST, POINTS = 5.0, 200  # of the curves, in widths


@dataclass(frozen=True, eq=False)
class MomentumDistribution:
    """Distribution of |p| of one nucleus in the harmonic and isotropic form.

    Attributes:
        symbol: The element.
        momenta: |p|/ħ in 1/Å, (n,).
        density: Its probability density in Å, (n,).
        classical: That of a classical nucleus at the same temperature, (n,).
        width: σ/ħ in 1/Å with its standard error.
        classical_width: sqrt(m kT)/ħ in 1/Å.
    """

    symbol: str
    momenta: Floats
    density: Floats
    classical: Floats
    width: Estimate
    classical_width: float

    def plot(self) -> Any:
        """As a matplotlib Figure."""
        return plotted("pimd", "momentum_distribution", self)


def momentum_distribution(symbol: str, mass: float, kinetic: Estimate, temperature: float) -> MomentumDistribution:
    """The distribution from a mean kinetic energy.

    Args:
        symbol: The element.
        mass: amu.
        kinetic: Mean kinetic energy of a nucleus in eV.
        temperature: K.
    """
    value = float(np.sqrt(2.0 * mass * kinetic.value / 3.0)) / HBAR
    width = Estimate(value, 0.5 * value * kinetic.error / kinetic.value)
    classical = float(np.sqrt(mass * BOLTZMANN * temperature)) / HBAR
    p = np.linspace(0.0, FURTHEST * max(value, classical), POINTS)
    return MomentumDistribution(symbol, p, _maxwell(p, value), _maxwell(p, classical), width, classical)


def _maxwell(p: Floats, width: float) -> Floats:
    return np.asarray(4.0 * np.pi * p**2 * (2.0 * np.pi * width**2) ** -1.5 * np.exp(-0.5 * (p / width) ** 2))
