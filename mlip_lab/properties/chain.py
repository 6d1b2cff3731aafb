"""A chain of equal atoms on a line: the smallest crystal with phonons, solved on paper and by numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from numpy.typing import NDArray

from mlip_lab.core.checks import as_integer
from mlip_lab.core.errors import InputError
from mlip_lab.core.quantities import Quantity, validated
from mlip_lab.core.units import FEMTOSECOND
from mlip_lab.properties.attach import attached

Floats = NDArray[np.float64]
Spring = Annotated[float, Quantity("eV/Å²", low=-20.0, high=50.0)]
Spacing = Annotated[float, Quantity("Å", low=1.0, high=6.0)]
Mass = Annotated[float, Quantity("amu", low=1.0, high=300.0)]
ACROSS = 20.0  # Å of empty space about a chain
THZ = 1000 * FEMTOSECOND / (2 * np.pi)  # THz in one √(eV/Å²/amu)
STEP = 1e-3  # Å of the displacement that a Hessian is made with


@dataclass(frozen=True)
class Chain:
    """Springs between atoms on a line, in its harmonic energy.

    E = Σ_n ½ k₁ (u_{n+1} − u_n)² + ½ k₂ (u_{n+2} − u_n)² + ½ k₃ (u_{n+1} − 2 u_n + u_{n−1})²

    The last term is one of three bodies: it is the difference of the two bonds of an atom, squared.

    Attributes:
        nearest: k₁ in eV/Å², between neighbours.
        next_nearest: k₂ in eV/Å², between every atom and the one after the next.
        three_body: k₃ in eV/Å².
        spacing: Distance of neighbours in Å.
        mass: Mass of an atom in amu.
    """

    nearest: float = 5.0
    next_nearest: float = 0.0
    three_body: float = 0.0
    spacing: float = 2.5
    mass: float = 28.0

    def frequencies(self, wave_vectors: Floats) -> Floats:
        """ω(k)/2π in THz at wave vectors in 1/Å, imaginary ones negative, of the shape of `wave_vectors`.

        m ω² = 2 k₁ (1 − cos ka) + 2 k₂ (1 − cos 2ka) + 4 k₃ (1 − cos ka)²
        """
        phase = np.asarray(wave_vectors) * self.spacing
        once, twice = 1 - np.cos(phase), 1 - np.cos(2 * phase)
        squares = (2 * self.nearest * once + 2 * self.next_nearest * twice + 4 * self.three_body * once**2) / self.mass
        return signed_root(squares)

    def sound(self) -> float:
        """Speed of long waves in km/s, √((k₁ + 4 k₂)/m) a: the three-body term does not enter.

        Raises:
            InputError: If long waves are not stable.
        """
        stiffness = self.nearest + 4 * self.next_nearest
        if stiffness < 0:
            raise InputError("chain: it gives way to a stretch, so that it has no speed of sound.")
        return float(0.1 * 2 * np.pi * THZ * np.sqrt(stiffness / self.mass) * self.spacing)

    def ring(self, count: int = 12) -> Atoms:
        """So many atoms along x, periodic along x."""
        as_integer("count", count, low=5, high=1000)
        positions = np.zeros((count, 3))
        positions[:, 0] = self.spacing * np.arange(count)
        positions[:, 1:] = ACROSS / 2
        cell = [self.spacing * count, ACROSS, ACROSS]
        return Atoms(f"Si{count}", positions, cell=cell, pbc=(True, False, False), masses=[self.mass] * count)

    def calculator(self) -> ChainCalculator:
        """An ASE calculator of this energy, for rings in which every atom is near its place."""
        return ChainCalculator(self)


class ChainCalculator(Calculator):
    """Energy and forces of a `Chain` on a ring whose atoms are in order along x; motion across it costs nothing."""

    implemented_properties: list[str] = ["energy", "forces"]  # noqa: RUF012 - as ASE declares it

    def __init__(self, chain: Chain) -> None:
        """Wrap a chain."""
        super().__init__()
        self.chain = chain

    def calculate(
        self, atoms: Atoms | None = None, properties: Any = None, system_changes: Any = tuple(all_changes)
    ) -> None:
        """See ASE's Calculator."""
        super().calculate(atoms, properties, list(system_changes))
        assert self.atoms is not None
        place = self.chain.spacing * np.arange(len(self.atoms))
        u = self.atoms.positions[:, 0] - place
        one = np.roll(u, -1) - u
        two = np.roll(u, -2) - u
        bend = np.roll(u, -1) - 2 * u + np.roll(u, 1)
        k1, k2, k3 = self.chain.nearest, self.chain.next_nearest, self.chain.three_body
        energy = 0.5 * float(k1 * one @ one + k2 * two @ two + k3 * bend @ bend)
        forces = np.zeros((len(u), 3))
        forces[:, 0] = (
            k1 * (one - np.roll(one, 1))
            + k2 * (two - np.roll(two, 2))
            + k3 * (2 * bend - np.roll(bend, 1) - np.roll(bend, -1))
        )
        self.results = {"energy": energy, "forces": forces}


def hessian_row(ring: Atoms, calculator: Any, step: float = STEP) -> Floats:
    """∂²E/∂x₀∂x_j in eV/Å² of a ring of equal atoms by central differences of the forces, (n_atoms,).

    Args:
        ring: Atoms in order along x, as `Chain.ring` gives them.
        calculator: Any ASE calculator.
        step: How far atom 0 is moved, Å.
    """
    forces = []
    for sign in (1, -1):
        moved = attached(ring, calculator)
        moved.positions[0, 0] += sign * step
        forces.append(moved.get_forces()[:, 0])
    return np.asarray((forces[1] - forces[0]) / (2 * step), dtype=np.float64)


def ring_frequencies(row: Floats, mass: float, spacing: float, wave_vectors: Floats) -> Floats:
    """THz at wave vectors in 1/Å from a row of the Hessian: m ω² = Σ_j Φ_0j cos(k a j).

    Distances are the shorter ones round the ring, so that wave vectors that do not fit into it are interpolated.
    """
    count = len(row)
    away = np.arange(count)
    away = np.minimum(away, count - away)  # cos does not tell left from right
    return signed_root(np.cos(np.multiply.outer(np.asarray(wave_vectors), away) * spacing) @ row / mass)


def signed_root(squares: Floats) -> Floats:
    """Frequencies in THz from ω² in eV/Å²/amu, those of negative ω² negative."""
    return np.asarray(np.sign(squares) * np.sqrt(np.abs(squares)) * THZ, dtype=np.float64)


@validated
def chain_of(
    *,
    nearest: Spring = 5.0,
    next_nearest: Spring = 0.0,
    three_body: Spring = 0.0,
    spacing: Spacing = 2.5,
    mass: Mass = 28.0,
) -> Chain:
    """A chain with checked values; see `Chain`."""
    return Chain(nearest, next_nearest, three_body, spacing, mass)


def wave_vectors(spacing: float, count: int = 101) -> Floats:
    """From Γ to the edge of the Brillouin zone, π/a, in 1/Å."""
    return np.linspace(0, np.pi / spacing, count)
