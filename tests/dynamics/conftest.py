"""A potential small enough to check by hand, as a generated module and as a plain ASE calculator."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes
from numpy.typing import NDArray

import mlip_lab.kernels
from mlip_lab.kernels.neighbors import build_pairs

# Lennard-Jones times (1 - r²/c²)³, whose energy, forces and their slope vanish at the cutoff c.
TOY = """
import math
import numpy as np
from numba import njit
from mlip_lab.kernels.neighbors import build_pairs


@njit(cache=True, nogil=True)
def evaluate(theta, species, positions, cell, first, neighbor, shift, energies, forces, virial):
    epsilon, sigma, cutoff = theta[0]
    energies[:] = 0.0
    forces[:] = 0.0
    virial[:] = 0.0
    r = np.empty(3)
    for i in range(len(species)):
        for p in range(first[i], first[i + 1]):
            square = 0.0
            for d in range(3):
                r[d] = positions[neighbor[p], d] - positions[i, d]
                for k in range(3):
                    r[d] += shift[p, k] * cell[k, d]
                square += r[d] * r[d]
            if square >= cutoff * cutoff:
                continue
            x = (sigma * sigma / square) ** 3
            s = 1.0 - square / cutoff**2
            energies[i] += 2.0 * epsilon * (x * x - x) * s**3
            # dE/d(r²) of the whole pair, half of it in each direction
            slope = 2.0 * epsilon * (-(6.0 * x * x - 3.0 * x) / square * s**3 - 3.0 * (x * x - x) * s * s / cutoff**2)
            for d in range(3):
                forces[i, d] += 4.0 * slope * r[d]
                for k in range(3):
                    virial[d, k] += 2.0 * slope * r[d] * r[k]
"""

# The plain Lennard-Jones fluid in units of itself, cut at theta and with the usual mean field beyond the cut.
FLUID = """
import numpy as np
from numba import njit
from mlip_lab.kernels.neighbors import build_pairs


@njit(cache=True, nogil=True)
def evaluate(theta, species, positions, cell, first, neighbor, shift, energies, forces, virial):
    cutoff = theta[0][0]
    volume = abs(np.linalg.det(cell))
    density = len(species) / volume
    x = cutoff**-3
    energies[:] = 8.0 / 3.0 * np.pi * density * (x**3 / 3.0 - x)
    forces[:] = 0.0
    virial[:] = 0.0
    for d in range(3):
        virial[d, d] = -volume * 16.0 / 3.0 * np.pi * density**2 * (2.0 / 3.0 * x**3 - x)
    for i in range(len(species)):
        for p in range(first[i], first[i + 1]):
            j, s0, s1, s2 = neighbor[p], shift[p, 0], shift[p, 1], shift[p, 2]
            r0 = positions[j, 0] - positions[i, 0] + s0 * cell[0, 0] + s1 * cell[1, 0] + s2 * cell[2, 0]
            r1 = positions[j, 1] - positions[i, 1] + s0 * cell[0, 1] + s1 * cell[1, 1] + s2 * cell[2, 1]
            r2 = positions[j, 2] - positions[i, 2] + s0 * cell[0, 2] + s1 * cell[1, 2] + s2 * cell[2, 2]
            square = r0 * r0 + r1 * r1 + r2 * r2
            if square >= cutoff * cutoff:
                continue
            y = square**-3
            energies[i] += 2.0 * (y * y - y)
            slope = -2.0 * (6.0 * y * y - 3.0 * y) / square
            forces[i, 0] += 4.0 * slope * r0
            forces[i, 1] += 4.0 * slope * r1
            forces[i, 2] += 4.0 * slope * r2
            virial[0, 0] += 2.0 * slope * r0 * r0
            virial[1, 1] += 2.0 * slope * r1 * r1
            virial[2, 2] += 2.0 * slope * r2 * r2
            virial[0, 1] += 2.0 * slope * r0 * r1
            virial[0, 2] += 2.0 * slope * r0 * r2
            virial[1, 2] += 2.0 * slope * r1 * r2
    virial[1, 0], virial[2, 0], virial[2, 1] = virial[0, 1], virial[0, 2], virial[1, 2]
"""


@dataclass(frozen=True)
class Compiled:
    module: ModuleType
    theta: tuple[NDArray[np.float64], ...]
    cutoff: float

    def species_of(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.zeros(len(numbers), dtype=np.int64)


class ToyCalculator(Calculator):
    """Drives the module's `evaluate` through ASE; `compiled` can be taken away."""

    implemented_properties = ("energy", "forces", "stress")

    def __init__(self, compiled: Compiled, fast: bool) -> None:
        super().__init__()
        self._toy = compiled
        if fast:
            self.compiled = compiled

    def calculate(self, atoms: Any = None, properties: Any = ("energy",), system_changes: Any = all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        toy = self._toy
        positions = atoms.get_positions()
        pairs = build_pairs(positions, atoms.cell.array, atoms.pbc, toy.cutoff)
        energies, forces, virial = np.empty(len(atoms)), np.empty((len(atoms), 3)), np.empty((3, 3))
        species = toy.species_of(atoms.numbers)
        toy.module.evaluate(toy.theta, species, positions, atoms.cell.array, *pairs, energies, forces, virial)
        self.results = {"energy": energies.sum(), "forces": forces}
        if atoms.pbc.all():
            self.results["stress"] = (virial / atoms.get_volume()).reshape(9)[[0, 4, 8, 5, 2, 1]]


def generated(source: str, path: Path) -> ModuleType:
    """A module with the loop of molecular dynamics around an `evaluate`; the file is written if it is not there."""
    if not path.exists():
        template = Path(mlip_lab.kernels.__file__).parent / "templates" / "md_chunk.py.txt"
        path.write_text(source + template.read_text())
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # the cache of compiled code asks for it
    spec.loader.exec_module(module)
    return module


def argon_from(path: Path) -> Compiled:
    """The toy potential of argon, its module at `path`."""
    cutoff = 6.0
    return Compiled(generated(TOY, path), (np.array([0.0104, 3.4, cutoff]),), cutoff)


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    return argon_from(tmp_path_factory.mktemp("generated") / "toy_potential.py")


@pytest.fixture(scope="session")
def fluid(tmp_path_factory: pytest.TempPathFactory) -> ToyCalculator:
    module = generated(FLUID, tmp_path_factory.mktemp("generated") / "toy_fluid.py")
    return ToyCalculator(Compiled(module, (np.array([3.0]),), 3.0), fast=True)


@pytest.fixture
def fast(toy: Compiled) -> ToyCalculator:
    return ToyCalculator(toy, fast=True)


@pytest.fixture
def slow(toy: Compiled) -> ToyCalculator:
    return ToyCalculator(toy, fast=False)


@pytest.fixture
def argon() -> Atoms:
    return bulk("Ar", cubic=True, a=5.3) * 2


class Springs(Calculator):
    """Every atom on its own spring: E = Σ ½ k (x − x0)²."""

    implemented_properties = ("energy", "forces")

    def __init__(self, centers: NDArray[np.float64], stiffness: float) -> None:
        super().__init__()
        self.centers, self.stiffness = centers, stiffness

    def calculate(self, atoms: Any = None, properties: Any = ("energy",), system_changes: Any = all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        away = atoms.positions - self.centers
        self.results = {"energy": 0.5 * self.stiffness * (away**2).sum(), "forces": -self.stiffness * away}


@pytest.fixture
def springs() -> type[Springs]:
    return Springs
