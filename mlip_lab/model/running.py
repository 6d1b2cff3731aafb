"""The running path: a compiled module, its parameters, and force calls on one or several cores."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mlip_lab.core.checks import one_of
from mlip_lab.kernels import generated, neural
from mlip_lab.kernels.straight import Sizes
from mlip_lab.kernels.vectors import lanes
from mlip_lab.model.config import PotentialConfig

Floats = NDArray[np.float64]
Weights = Mapping[str, Floats]

ATOMS_PER_THREAD = 256  # fewer are done before another thread has started
PARTS = 4  # of the atoms for each thread, which takes the next when it is done: cores are not equally fast
_ONE_AT_A_TIME = threading.Lock()  # two parallel force calls would only get into each other's way


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Energy and its derivatives of one structure; the mean over members for an ensemble.

    Attributes:
        energies: Energy of each atom in eV (n,).
        forces: In eV/Å (n, 3).
        virial: ∂E/∂strain in eV (3, 3); divided by the volume it is the stress.
        closest: Least distance in the list of pairs in Å; infinite without pairs.
        energy_spread: Standard deviation of the total energy over members in eV; None for one member.
        forces_spread: Of the forces, root of the sum of the variances of the components, in eV/Å (n,), likewise.
    """

    energies: Floats
    forces: Floats
    virial: Floats
    closest: float
    energy_spread: float | None = None
    forces_spread: Floats | None = None

    @property
    def energy(self) -> float:
        """Total energy in eV."""
        return float(self.energies.sum())


def joined(energies: Floats, forces: Floats, virials: Floats, closest: float) -> Evaluation:
    """Mean and spread of members: energies (members, n), forces (members, n, 3), virials (members, 3, 3)."""
    if len(energies) == 1:
        return Evaluation(energies[0], forces[0], virials[0], closest)
    forces_spread = np.sqrt(forces.var(axis=0, ddof=1).sum(axis=1))
    energy_spread = float(energies.sum(axis=1).std(ddof=1))
    mean, force, virial = energies.mean(axis=0), forces.mean(axis=0), virials.mean(axis=0)
    return Evaluation(mean, force, virial, closest, energy_spread, forces_spread)


class Runner(Protocol):
    """What evaluates a potential, one or several members of it."""

    def species_of(self, numbers: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
        """Species index of each atom; InputError for an element that was not trained."""
        ...

    def evaluate(
        self, species: NDArray[np.int64], positions: Floats, cell: Floats, pairs: tuple[Any, ...], threads: int = 1
    ) -> Evaluation:
        """Energies, forces and virial of a structure with its list of pairs."""
        ...


class _Sum:
    """Sum of parts in their order, on which floating-point numbers depend; few of them wait in memory for others."""

    def __init__(self) -> None:
        """Of nothing yet."""
        self.so_far: tuple[NDArray[Any], ...] = ()
        self._waiting: dict[int, tuple[NDArray[Any], ...]] = {}
        self._next, self._lock = 0, threading.Lock()

    def add(self, number: int, part: tuple[NDArray[Any], ...]) -> None:
        """Add a part, and those that waited for it."""
        with self._lock:
            self._waiting[number] = part
            while self._next in self._waiting:
                part = self._waiting.pop(self._next)
                if self._next == 0:
                    self.so_far = part
                else:
                    for array, more in zip(self.so_far, part, strict=True):
                        array += more
                self._next += 1


@dataclass(frozen=True, eq=False)
class Compiled:
    """What runs a potential: a compiled module and its parameters.

    Attributes:
        module: Generated module with `evaluate_part`, `evaluate` and `md_chunk`, or for several members with
            `evaluate_members`.
        theta: Parameters for them.
        config: The configuration.
        members: How many sets of weights.
    """

    module: ModuleType
    theta: tuple[Any, ...]
    config: PotentialConfig
    members: int = 1

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
        parts = 1 if threads == 1 else PARTS * threads
        energies = np.empty((self.members, n))
        order = self.module.by_species(species, self.config.n_species)
        ends = [round(k * n / parts) for k in range(parts + 1)]
        todo, squares, whole = deque(range(parts)), [], _Sum()

        def work() -> None:
            """Energies of some atoms, and what their pairs add to forces, contrasts and virial; then of others."""
            while todo:
                try:
                    k = todo.popleft()
                except IndexError:  # another thread was faster
                    return
                forces, virial = np.zeros((n, 3)), np.zeros((3, 3))
                contrasts = np.zeros((n, 3 * (self.members - 1)), dtype=np.float32)
                place = species, positions, cell, *pairs, order, ends[k], ends[k + 1]
                if self.members == 1:
                    square = self.module.evaluate_part(self.theta, *place, energies[0], forces, virial)
                else:
                    turn = mean_and_contrasts(self.members)
                    square = self.module.evaluate_members(self.theta, turn, *place, energies, forces, contrasts, virial)
                squares.append(square)
                whole.add(k, (forces, contrasts, virial))

        if threads == 1:
            work()
        else:
            with _ONE_AT_A_TIME:
                helpers = [_helpers(threads - 1, os.getpid()).submit(work) for _ in range(1, threads)]
                work()
                for helper in helpers:
                    helper.result()
        forces, contrasts, virial = whole.so_far
        return self._evaluation(energies, forces, contrasts, virial, min(squares))

    def _evaluation(
        self, energies: Floats, forces: Floats, contrasts: NDArray[np.float32], virial: Floats, square: float
    ) -> Evaluation:
        """With the spread: squares of the contrasts sum up to those of the deviations from the mean."""
        closest = float(np.sqrt(square))
        if self.members == 1:
            return Evaluation(energies[0], forces, virial, closest)
        energy_spread = float(energies.sum(axis=1).std(ddof=1))
        squares = (contrasts.astype(np.float64) ** 2).sum(axis=1)
        forces_spread = np.sqrt(squares / (self.members - 1))
        return Evaluation(energies.mean(axis=0), forces, virial, closest, energy_spread, forces_spread)


@lru_cache(maxsize=1)
def _helpers(count: int, process: int) -> ThreadPoolExecutor:
    """Threads that are kept: to start one takes as long as 100 atoms. A process that was forked has none of them."""
    return ThreadPoolExecutor(count)


@lru_cache
def mean_and_contrasts(members: int) -> Floats:
    """Row 0 takes the mean; the others are orthonormal to it and to each other (Helmert).

    (members, members), and as many columns of zeros as make their number a multiple of four.
    """
    turn = np.tril(np.ones((members, members)), -1) - np.diag(np.arange(members))
    turn[0] = 1.0
    norms = np.linalg.norm(turn, axis=1, keepdims=True)
    norms[0] = members
    return np.pad(turn / norms, ((0, 0), (0, -members % 4)))


def default_threads() -> int:
    """NUMBA_NUM_THREADS or OMP_NUM_THREADS where set to a number, else the cores this process may run on."""
    for name in ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS"):
        value = os.environ.get(name, "")
        if value.isdecimal() and int(value) > 0:
            return int(value)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def compile_weights(c: PotentialConfig, members: Sequence[Weights], precision: str) -> Compiled:
    """Module and parameters of a configuration and its members; compiles at the first call, if at all."""
    one_of("precision", precision, ("float64", "float32"))
    hidden = -(-c.n_hidden // neural.TILE) * neural.TILE
    sizes = Sizes(c.n_radial, c.n_pair, c.lmax, c.n_channels, lanes(precision))
    kind = None
    if len(members) > 1:
        same = all(np.array_equal(members[0]["mixing"], weights["mixing"]) for weights in members[1:])
        kind = "shared_channels" if same else "own_channels"
    module = generated.running_module(sizes, c.body_order, c.readout, hidden, precision, members=kind)
    w = {name: np.stack([weights[name] for weights in members]) for name in members[0]}
    theta = (_frame(c, w, precision), _readout(c, w, hidden, precision))
    return Compiled(module, theta, c, len(members))


def _frame(c: PotentialConfig, w: Weights, precision: str) -> tuple[Any, ...]:
    """Everything but the readout as the fused kernel reads it, filled up with zeros to its sizes."""
    s, k, channels, degrees, members = c.n_species, c.n_radial, c.n_channels, c.lmax + 1, len(w["e0"])
    unmixing = w["mixing"].reshape(members, s, degrees, s, k, channels).transpose(0, 1, 3, 2, 4, 5)
    return (
        float(c.cutoff),
        np.array(c.r0),
        w["e0"],
        _cast(w["pair"].reshape(members, s, s, c.n_pair), precision),
        _cast(unmixing.swapaxes(4, 5).reshape(members, s, s, -1), precision),
        _cast(unmixing.reshape(members, s, s, -1), precision),
        np.array(c.numbers, dtype=float),
        np.array(c.inner),
        np.array(c.outer) if c.repulsion else np.zeros((s, s)),
    )


def _readout(c: PotentialConfig, w: Weights, hidden: int, precision: str) -> tuple[Any, ...]:
    """What the readout reads, with the invariants of a channel side by side."""

    def by_channel(array: Floats) -> Floats:
        members, species, _, *rest = array.shape
        blocks = array.reshape(members, species, -1, c.n_channels, *rest)
        return blocks.swapaxes(2, 3).reshape(array.shape)

    arrays = [by_channel(w["linear"])]
    if c.readout == "kernel":
        arrays += [by_channel(w["mean"]), by_channel(w["q"]), w["points"], w["alpha"]]
    if c.readout == "neural":
        none, more = (0, 0), (0, hidden - c.n_hidden)
        b1, w2 = (np.pad(w[name], (none, none, more)) for name in ("b1", "w2"))
        w1 = by_channel(np.pad(w["w1"], (none, none, none, more)))
        arrays += [w1.reshape(*b1.shape[:2], -1), b1, w2]
    return tuple(_cast(array, precision) for array in arrays)


def _cast(array: Any, precision: str) -> NDArray[Any]:
    return np.ascontiguousarray(array, dtype=precision)
