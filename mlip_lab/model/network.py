"""The neural readout: learned radial mixing, and a small network on the standardised invariants.

E_i = e(z_i) + p_{z_i}·P_i + w_{z_i}·x_i + w₂·φ(W₁ᵀ Q x_i + b₁), with x = (B - mean) / scale, Q the principal axes of x
and φ(x) = x/2 · (1 + x/√(1 + x²)), a smooth ramp like SiLU that compiles to vector instructions.

Invariants are correlated: most of x lies along a few axes. Along those each weight is learned by itself, with a step of
Adam's own; by the single invariants, steps along the other axes drown.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mlip_lab.model.bridge import Mechanics, beside, invariants
from mlip_lab.model.config import PotentialConfig
from mlip_lab.model.features import RADIAL_DECAY, n_features, n_invariants
from mlip_lab.model.samples import Sample

Floats = NDArray[np.float64]


class Network(nn.Module):
    """Energies, forces and virials of a batch of structures."""

    decay: torch.Tensor
    degrees: torch.Tensor
    axes: torch.Tensor
    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, config: PotentialConfig, mixing: Floats, rng: np.random.Generator) -> None:
        """Start from given mixing and from zero energy: the last weights are zero.

        The learned mixing is a parameter times a decay with the radial order, so that Adam, whose steps are of one
        size, changes high orders less: the prior that radial functions are smooth.
        """
        super().__init__()
        self.config = config
        s, h, (n_p, n_b) = config.n_species, config.n_hidden, n_features(config)
        decay = np.tile(np.exp(-RADIAL_DECAY * np.arange(config.n_radial)), s)[:, None]
        self.register_buffer("decay", torch.from_numpy(decay))
        self.radial = nn.Parameter(torch.from_numpy(mixing / decay))
        self.pair = nn.Parameter(torch.zeros(s, n_p, dtype=torch.float64))
        self.linear = nn.Parameter(torch.zeros(s, n_b, dtype=torch.float64))
        self.e0 = nn.Parameter(torch.zeros(s, dtype=torch.float64))
        self.w1 = nn.Parameter(torch.from_numpy(rng.normal(size=(s, n_b, h)) / np.sqrt(n_b)))
        self.b1 = nn.Parameter(torch.from_numpy(rng.normal(size=(s, h)) * 0.1))
        self.w2 = nn.Parameter(torch.zeros(s, h, dtype=torch.float64))
        self.register_buffer("axes", torch.eye(n_b, dtype=torch.float64).repeat(s, 1, 1))
        self.register_buffer("mean", torch.zeros(s, n_b, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(s, n_b, dtype=torch.float64))
        degrees = np.repeat(np.arange(config.lmax + 1), 2 * np.arange(config.lmax + 1) + 1)
        self.register_buffer("degrees", torch.from_numpy(degrees), persistent=False)

    def mixing(self) -> torch.Tensor:
        """Mixing of the radial functions (S, lmax+1, zk, C)."""
        return self.radial * self.decay

    def invariants(self, a: torch.Tensor, z: int) -> torch.Tensor:
        """Invariants (n, F) of atoms of species z from their densities (lm, n, zk)."""
        n = a.shape[1]
        mixed = torch.bmm(a, self.mixing()[z][self.degrees])
        b = invariants(mixed.reshape(mixed.shape[0], -1), self.config)
        return b.reshape(n_invariants(self.config), n, -1).transpose(0, 1).reshape(n, -1)

    def atomic(self, a: torch.Tensor, p: torch.Tensor, z: int) -> torch.Tensor:
        """Energies of atoms of species z."""
        x = (self.invariants(a, z) - self.mean[z]) / self.scale[z]
        h = _phi(torch.addmm(self.b1[z], x, self.axes[z] @ self.w1[z]))
        return self.e0[z] + p @ self.pair[z] + x @ self.linear[z] + h @ self.w2[z]

    def energies(self, a: torch.Tensor, p: torch.Tensor, species: torch.Tensor) -> torch.Tensor:
        """Energies of all atoms (n,)."""
        if self.config.n_species == 1:
            return self.atomic(a, p, 0)
        total = p.new_zeros(p.shape[0])
        for z in range(self.config.n_species):
            index = torch.nonzero(species == z)[:, 0]
            if index.numel():
                total = total.index_copy(0, index, self.atomic(a[:, index], p[index], z))
        return total

    def forward(self, samples: Sequence[Sample]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Energies (n_frames,), forces (n, 3) and virials ∂E/∂strain (n_frames, 3, 3)."""
        a = torch.cat([s.a for s in samples], dim=1).requires_grad_()
        p = torch.cat([s.p for s in samples]).requires_grad_()
        species = beside(np.concatenate([s.structure.species for s in samples]), a)
        frame = beside(np.repeat(np.arange(len(samples)), [s.structure.n_atoms for s in samples]), a)
        atoms = self.energies(a, p, species)
        energies = a.new_zeros(len(samples)).index_add(0, frame, atoms)
        da, dp = torch.autograd.grad(atoms.sum(), (a, p), create_graph=True)
        gradient, virials = Mechanics.apply(da, dp, [s.structure for s in samples], self.config)
        return energies, -gradient, virials


def _phi(x: torch.Tensor) -> torch.Tensor:
    return 0.5 * x * (1.0 + x * torch.rsqrt(1.0 + x * x))
