"""A trained potential: configuration, weights and training report, ready to run without torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mlip_lab.core.errors import FileFormatError, InputError
from mlip_lab.kernels.neighbors import build_pairs
from mlip_lab.model.config import PotentialConfig
from mlip_lab.model.features import n_features
from mlip_lab.model.running import Compiled, Evaluation, Runner, Weights, compile_weights

if TYPE_CHECKING:
    from mlip_lab.calculators.mlip import MLIPCalculator

Floats = NDArray[np.float64]


def weight_shapes(config: PotentialConfig) -> dict[str, tuple[int, ...]]:
    """Name and shape of every weight array that a configuration needs to run."""
    s, (n_p, n_b) = config.n_species, n_features(config)
    shapes: dict[str, tuple[int, ...]] = {
        "e0": (s,),
        "pair": (s, n_p),
        "mixing": (s, config.lmax + 1, s * config.n_radial, config.n_channels),
        "linear": (s, n_b),
    }
    if config.readout == "neural":
        h = config.n_hidden
        shapes |= {"w1": (s, n_b, h), "b1": (s, h), "w2": (s, h)}
    if config.readout == "kernel":
        d, m = config.n_components, config.n_points
        shapes |= {"mean": (s, n_b), "q": (s, n_b, d), "points": (s, m, d), "alpha": (s, m)}
    return shapes


@dataclass(frozen=True, eq=False)
class Potential:
    """A trained potential.

    Attributes:
        config: Architecture, with what it took from the data.
        members: Weights of each member; more than one make an ensemble.
        report: What training reported: errors, data hash, time.
        posterior: For linear and kernel readouts, columns R of the posterior covariance R Rᵀ of all weights, and the
            noise; empty otherwise.
    """

    config: PotentialConfig
    members: tuple[Weights, ...]
    report: Mapping[str, Any] = field(default_factory=dict)
    posterior: Weights = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse weights that do not fit the configuration."""
        if not self.members:
            raise InputError("members: expected at least one set of weights, got none.")
        wanted = weight_shapes(self.config)
        for weights in self.members:
            found = {name: tuple(array.shape) for name, array in weights.items()}
            if found != wanted:
                raise FileFormatError(f"weights: expected {wanted}, got {found}. The file was edited or is damaged.")
            for name, array in weights.items():
                if not np.isfinite(array).all():
                    raise FileFormatError(f"weights: {name} holds NaN or infinity. Train again.")

    @property
    def n_parameters(self) -> int:
        """Number of weights of one member."""
        return sum(int(array.size) for array in self.members[0].values())

    @property
    def elements(self) -> tuple[int, ...]:
        """Atomic numbers that the potential knows."""
        return self.config.numbers

    def compiled(self, member: int = 0, *, precision: str = "float64") -> Compiled:
        """Module and parameters of one member for the running path.

        Args:
            member: Which member of an ensemble.
            precision: "float64", or "float32": faster, with forces rounded to some 1e-5 eV/Å. Positions, and sums of
                energies and forces, are float64 either way.
        """
        return compile_weights(self.config, self.members[member : member + 1], precision)

    def runner(self, *, precision: str = "float64", device: str | None = None) -> Runner:
        """What evaluates all members at once, sharing what depends on positions alone.

        Args:
            precision: "float64" or "float32".
            device: None for the fused kernel; a torch device ("cpu", "cuda") for plain tensor operations there.
        """
        if device is None:
            return compile_weights(self.config, self.members, precision)
        from mlip_lab.model.torch_running import on_device

        return on_device(self.config, self.members, device, precision)

    def evaluate(
        self, numbers: NDArray[np.int64], positions: Floats, cell: Floats, pbc: NDArray[np.bool_], *, member: int = 0
    ) -> Evaluation:
        """Energy, forces and virial of a structure by the fused kernel.

        Args:
            numbers: Atomic numbers (n,).
            positions: In Å (n, 3).
            cell: Rows in Å (3, 3).
            pbc: Periodic directions (3,).
            member: Which member of an ensemble.

        Raises:
            InputError: For an element that was not trained.
        """
        compiled = self.compiled(member)
        positions, cell = np.ascontiguousarray(positions, dtype=float), np.ascontiguousarray(cell, dtype=float)
        pairs = build_pairs(positions, cell, np.asarray(pbc, dtype=bool), compiled.cutoff)
        return compiled.evaluate(compiled.species_of(numbers), positions, cell, pairs)

    def calculator(
        self,
        *,
        skin: float = 0.5,
        precision: str = "float64",
        threads: int | None = None,
        device: str | None = None,
    ) -> MLIPCalculator:
        """An ASE calculator of this potential.

        Args:
            skin: How much further than the cutoff, in Å, the pair list reaches so that it can be used again.
            precision: "float64" or "float32" (see `compiled`).
            threads: How many cores a force call of many atoms may use; None takes NUMBA_NUM_THREADS or
                OMP_NUM_THREADS, else one for each core of the process.
            device: None for the compiled kernel; a torch device such as "cuda" for tensor operations there.
        """
        from mlip_lab.calculators.mlip import MLIPCalculator

        return MLIPCalculator(self, skin=skin, precision=precision, threads=threads, device=device)

    def save(self, folder: str | Path) -> Path:
        """Write the potential as one folder: weights.safetensors, config.json, report.json."""
        from mlip_lab.model.files import save

        return save(self, folder)


def ensemble(potentials: Sequence[Potential]) -> Potential:
    """Join potentials of one architecture into an ensemble; its mean is the prediction, its spread the doubt.

    Raises:
        InputError: If there are fewer than two, or their configurations differ.
    """
    if len(potentials) < 2:
        raise InputError(f"potentials: an ensemble needs at least two, got {len(potentials)}.")
    first = potentials[0]
    if any(p.config != first.config for p in potentials):
        raise InputError("potentials: expected one configuration and one data set for all members of an ensemble.")
    members = tuple(weights for p in potentials for weights in p.members)
    return Potential(first.config, members, {**first.report, "members": len(members)})
