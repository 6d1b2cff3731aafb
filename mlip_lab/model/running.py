"""The running path: a compiled module, its parameters, and force calls on one or several cores."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlip_lab.core.checks import one_of
from mlip_lab.kernels import generated, neural
from mlip_lab.kernels.straight import Sizes
from mlip_lab.model.config import PotentialConfig

Floats = NDArray[np.float64]
Weights = Mapping[str, Floats]

ATOMS_PER_THREAD = 256  # fewer are done before another thread has started
_ONE_AT_A_TIME = threading.Lock()  # two parallel force calls would only get into each other's way


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Energy and its derivatives of one structure.

    Attributes:
        energies: Energy of each atom in eV (n,).
        forces: In eV/Å (n, 3).
        virial: ∂E/∂strain in eV (3, 3); divided by the volume it is the stress.
        closest: Least distance in the list of pairs in Å; infinite without pairs.
    """

    energies: Floats
    forces: Floats
    virial: Floats
    closest: float

    @property
    def energy(self) -> float:
        """Total energy in eV."""
        return float(self.energies.sum())


@dataclass(frozen=True, eq=False)
class Compiled:
    """What runs a potential: a compiled module and its parameters.

    Attributes:
        module: Generated module with `evaluate` and `md_chunk`.
        theta: Parameters for them.
        config: The configuration.
    """

    module: ModuleType
    theta: tuple[Any, ...]
    config: PotentialConfig

    @property
    def cutoff(self) -> float:
        """Cutoff in Å."""
        return self.config.cutoff

    def species_of(self, numbers: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
        """Species index of each atom; InputError for an element that was not trained."""
        return self.config.species_of(numbers)

    def evaluate(
        self, species: NDArray[np.int64], positions: Floats, cell: Floats, pairs: tuple[Any, ...], threads: int = 1
    ) -> Evaluation:
        """Energies, forces and virial; the same to the last bit whenever the number of threads is the same.

        Args:
            species: Species index (n,).
            positions: In Å (n, 3).
            cell: In Å (3, 3).
            pairs: From `build_pairs`, with this cutoff or a larger one.
            threads: How many to use at most; few atoms use fewer.
        """
        n = species.size
        threads = max(1, min(threads, n // ATOMS_PER_THREAD))
        energies = np.empty(n)
        given = (self.theta, species, positions, cell, *pairs)
        if threads == 1:
            forces, virial = np.empty((n, 3)), np.empty((3, 3))
            square = self.module.evaluate(*given, energies, forces, virial)
            return Evaluation(energies, forces, virial, float(np.sqrt(square)))
        order = self.module.by_species(species, self.config.n_species)
        ends = np.linspace(0, n, threads + 1).astype(int)

        def part(k: int) -> tuple[Floats, Floats, float]:
            forces, virial = np.zeros((n, 3)), np.zeros((3, 3))
            square = self.module.evaluate_part(*given, order, ends[k], ends[k + 1], energies, forces, virial)
            return forces, virial, square

        with _ONE_AT_A_TIME, ThreadPoolExecutor(threads - 1) as pool:
            others = [pool.submit(part, k) for k in range(1, threads)]
            forces, virial, square = part(0)
            for other in others:  # in order: sums of floating-point numbers depend on it
                more_forces, more_virial, more_square = other.result()
                forces += more_forces
                virial += more_virial
                square = min(square, more_square)
        return Evaluation(energies, forces, virial, float(np.sqrt(square)))


def default_threads() -> int:
    """NUMBA_NUM_THREADS or OMP_NUM_THREADS where set to a number, else the cores this process may run on."""
    for name in ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS"):
        value = os.environ.get(name, "")
        if value.isdecimal() and int(value) > 0:
            return int(value)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def compile_weights(c: PotentialConfig, weights: Weights, precision: str) -> Compiled:
    """Module and parameters of a configuration and its weights; compiles at the first call, if at all."""
    one_of("precision", precision, ("float64", "float32"))
    hidden = -(-c.n_hidden // neural.TILE) * neural.TILE
    sizes = Sizes(c.n_radial, c.n_pair, c.lmax, c.n_channels)
    module = generated.running_module(sizes, c.body_order, c.readout, hidden, precision)
    return Compiled(module, (_frame(c, weights, sizes, precision), _readout(c, weights, hidden, precision)), c)


def _frame(c: PotentialConfig, w: Weights, sizes: Sizes, precision: str) -> tuple[Any, ...]:
    """Everything but the readout as the fused kernel reads it, filled up with zeros to its sizes."""
    s, k, channels, degrees = c.n_species, c.n_radial, c.n_channels, c.lmax + 1
    mixing = np.asarray(w["mixing"]).reshape(s, degrees, s, k, channels).transpose(0, 2, 1, 3, 4)
    unmixing = np.zeros((s, s, degrees, channels, sizes.padded))
    unmixing[..., :k] = mixing.swapaxes(3, 4)
    return (
        float(c.cutoff),
        np.array(c.r0),
        np.array(w["e0"]),
        _cast(np.asarray(w["pair"]).reshape(s, s, c.n_pair), precision),
        _cast(mixing.reshape(s, s, -1), precision),
        _cast(unmixing.reshape(s, s, -1), precision),
        np.array(c.numbers, dtype=float),
        np.array(c.inner),
        np.array(c.outer) if c.repulsion else np.zeros((s, s)),
    )


def _readout(c: PotentialConfig, w: Weights, hidden: int, precision: str) -> tuple[Any, ...]:
    arrays = [w["linear"]]
    if c.readout == "kernel":
        arrays += [w[name] for name in ("mean", "q", "points", "alpha")]
    if c.readout == "neural":
        more = (0, hidden - c.n_hidden)
        b1, b2, w3 = (np.pad(w[name], ((0, 0), more)) for name in ("b1", "b2", "w3"))
        w1, w2 = np.pad(w["w1"], ((0, 0), (0, 0), more)), np.pad(w["w2"], ((0, 0), more, more))
        arrays += [w1.swapaxes(1, 2).reshape(c.n_species, -1), b1, w2, w2.swapaxes(1, 2), b2, w3]
    return tuple(_cast(array, precision) for array in arrays)


def _cast(array: Any, precision: str) -> NDArray[Any]:
    return np.ascontiguousarray(array, dtype=precision)
