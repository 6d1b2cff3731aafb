"""Training data with their densities, computed once and kept, or again whenever they are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from mlip_lab.core.frame import Frame
from mlip_lab.model.config import PotentialConfig
from mlip_lab.model.structures import Structure, prepare, project


@dataclass(frozen=True, eq=False)
class Sample:
    """A structure with its densities, and what is left to learn of its labels: NaN where there are none.

    Attributes:
        structure: Pairs and labels.
        a: Densities A (lm, n, zk).
        p: Pair sums P (n, zk).
        energy: In eV ().
        forces: In eV/Å (n, 3).
        virial: ∂E/∂strain in eV (3, 3).
    """

    structure: Structure
    a: torch.Tensor
    p: torch.Tensor
    energy: torch.Tensor
    forces: torch.Tensor
    virial: torch.Tensor

    @property
    def n_bytes(self) -> int:
        """Memory of its arrays."""
        s = self.structure
        tensors = sum(t.nbytes for t in (self.a, self.p, self.energy, self.forces, self.virial))
        return tensors + sum(x.nbytes for x in (s.species, s.first, s.neighbor, s.vectors, s.forces, s.virial))


def sample(structure: Structure, config: PotentialConfig, device: str = "cpu") -> Sample:
    """Compute the densities of a structure, and put them on a torch device."""
    s, frame, nan = structure, structure.frame, np.nan
    a, p = project(structure, config)
    stress = frame.stress if frame.volume > 0.0 else None
    arrays = (
        np.ascontiguousarray(a.transpose(1, 0, 2)),
        p,
        np.array(nan if frame.energy is None else frame.energy - s.energy),
        np.full((s.n_atoms, 3), nan) if frame.forces is None else frame.forces - s.forces,
        np.full((3, 3), nan) if stress is None else frame.volume * stress - s.virial,
    )
    return Sample(structure, *(torch.from_numpy(array).to(device) for array in arrays))


class Samples:
    """The samples of frames.

    Args:
        frames: Labelled frames.
        config: Of the potential.
        streamed: Whether a sample is computed each time it is asked for: slower, and no memory is needed.
        device: Of torch, where the densities are kept.
    """

    def __init__(
        self, frames: Sequence[Frame], config: PotentialConfig, *, streamed: bool = False, device: str = "cpu"
    ) -> None:
        """Compute nothing yet."""
        self.frames, self.config, self.streamed, self.device = frames, config, streamed, device
        self.kept: dict[int, Sample] = {}

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.frames)

    def __getitem__(self, index: int) -> Sample:
        """The sample of one frame."""
        if index in self.kept:
            return self.kept[index]
        made = sample(prepare(self.frames[index], self.config), self.config, self.device)
        if not self.streamed:
            self.kept[index] = made
        return made

    def __iter__(self) -> Iterator[Sample]:
        """One sample after another."""
        return (self[index] for index in range(len(self)))
