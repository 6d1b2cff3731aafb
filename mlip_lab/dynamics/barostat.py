"""Constant pressure by stochastic cell rescaling, of the volume or of all cell vectors.

After Bernetti and Bussi (DOI 10.1063/5.0020514) and Del Tatto and others (DOI 10.3390/app12031139). A move strains
positions and cell by exp(ε) and momenta by exp(−ε), with ε symmetric, so that nothing turns: a multiple of the unit
matrix where the cell keeps its shape, else any. Cells h = exp(ε) h₀ are counted evenly by dh/V³, which no strain
changes. Beside that measure the isobaric ensemble is exp(−𝓕/kT) with

    𝓕 = K + U + P₀ V − kT ln V,    −∂𝓕/∂ε = V (P − P₀) + kT,    V P = Σ p pᵀ/m − ∂E/∂ε

(the volume V with the weight dV, and all shapes of the same volume alike), and

    dε = −D/kT ∂𝓕/∂ε dt + sqrt(2D) dW,    D = kT β/(3 V₀ τ),

leaves it as it is. β is the compressibility, τ the time in which the cell answers, and V₀ the volume that a run started
from, so that the noise does not depend on the state. Every few steps ε makes one step of that equation, and forces are
calculated anew. What the step is off from detailed balance,

    Δ𝓕 + kT ln [p(ε)/p'(−ε)],

vanishes for small steps and is the part of the change in energy that is not heat, so that the effective energy tells
whether steps are small enough.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from mlip_lab.core.checks import as_floats
from mlip_lab.core.errors import CalculationError
from mlip_lab.dynamics.engines import Engine
from mlip_lab.kernels import integrators
from mlip_lab.kernels.noise import normals

Floats = NDArray[np.float64]

SHORTEST = 10  # steps between two moves, each of which costs a force call,
MOVES = 25  # or more, as long as there are that many moves in the barostat's time
VOLUME_KEY = "md_volume"  # in atoms.info: V₀, so that a continued run goes on with it
LARGEST = 0.1  # relative change of a length in one move; more means that the run has blown up


def reference_volume(atoms: Atoms) -> float:
    """V₀ in Å³: the one that the atoms bring, if theirs is not quite another by now, else their volume."""
    volume = float(atoms.get_volume())
    brought = as_floats(f"atoms.info[{VOLUME_KEY!r}]", atoms.info.get(VOLUME_KEY, volume), ())
    return float(brought) if 0.5 < brought / volume < 2.0 else volume


@dataclass(frozen=True)
class Barostat:
    """How the cell moves.

    Attributes:
        pressure: P₀ in eV/Å³.
        rate: β/(3 V₀ τ) in 1/eV over Å sqrt(amu/eV).
        every: Steps between two moves.
        flexible: Whether the cell may change its shape.
    """

    pressure: float
    rate: float
    every: int
    flexible: bool

    def move(self, engine: Engine, inverse_masses: Floats, scheme: integrators.Scheme, potential: float) -> float:
        """Let the cell take its step after the engine's last one, which ended at a potential energy in eV.

        Returns:
            Heat taken from the barostat in eV.

        Raises:
            CalculationError: If the cell would change by more than a tenth.
        """
        step, interval = engine.step - 1, self.every * scheme.time_step
        k_t = integrators.bath_temperature(scheme, step)
        kinetic = integrators.kinetic_energy(engine.momenta, inverse_masses)
        volume, drift = self._law(engine, inverse_masses, k_t)
        diffusion = self.rate * k_t
        strain = drift * interval + math.sqrt(2.0 * diffusion * interval) * self._noise(scheme.seed, step)
        stretches, axes = np.linalg.eigh(strain)
        if not np.abs(stretches).max() < LARGEST:
            raise CalculationError(
                f"The barostat would change lengths by {100 * stretches[np.abs(stretches).argmax()]:.0f} % in one move "
                f"at step {step}: the pressure is far from the one asked for. Relax the cell first, or take a longer "
                "barostat_time."
            )
        engine.deform((axes * np.exp(stretches)) @ axes.T, (axes * np.exp(-stretches)) @ axes.T)
        new_volume, back = self._law(engine, inverse_masses, k_t)
        gain = engine.potential - potential + integrators.kinetic_energy(engine.momenta, inverse_masses) - kinetic
        free = gain + self.pressure * (new_volume - volume) - k_t * math.log(new_volume / volume)
        there, again = ((strain - drift * interval) ** 2).sum(), ((strain + back * interval) ** 2).sum()
        return float(gain - (free + k_t * (again - there) / (4.0 * diffusion * interval)))

    def _law(self, engine: Engine, inverse_masses: Floats, k_t: float) -> tuple[float, Floats]:
        """Volume in Å³, and drift −D/kT ∂𝓕/∂ε over Å sqrt(amu/eV), (3, 3)."""
        volume = float(abs(np.linalg.det(engine.cell)))
        virial = engine.virial()
        slope = engine.momenta.T @ (engine.momenta * inverse_masses[:, None]) - 0.5 * (virial + virial.T)
        slope += (k_t - self.pressure * volume) * np.eye(3)
        return volume, self.rate * (slope if self.flexible else np.trace(slope) / 3.0 * np.eye(3))

    def _noise(self, seed: int, step: int) -> Floats:
        """A random symmetric matrix of unit variance along every direction that a strain may take, (3, 3)."""
        if not self.flexible:
            return normals(seed, step, 0, integrators.VOLUME)[0] / math.sqrt(3.0) * np.eye(3)
        xx, yy, zz = normals(seed, step, 0, integrators.VOLUME)
        yz, xz, xy = (x / math.sqrt(2.0) for x in normals(seed, step, 1, integrators.VOLUME))
        return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
