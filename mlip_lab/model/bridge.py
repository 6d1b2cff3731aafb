"""Where torch meets the kernels: geometry and invariants as functions that torch can differentiate twice.

Forces are -Jᵀ·∂E/∂A, with Jᵀ a kernel; its transpose J is all that training on forces needs of the geometry. The
invariants are polynomials: their gradient, and the derivatives of that gradient, are emitted kernels. torch never
differentiates through positions, and the kernels never see a weight.

Kernels run on the processor. With tensors on another device, `invariants` are tensor operations there, and what goes
through `Mechanics` is copied to the processor and back, 2 to 10 kB an atom.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mlip_lab.kernels import generated
from mlip_lab.model import torch_running
from mlip_lab.model.config import PotentialConfig
from mlip_lab.model.structures import Structure, pull, push


def on_host(tensor: torch.Tensor) -> NDArray[np.float64]:
    """The numbers of a tensor as an array for a kernel; a copy only where it is needed."""
    return np.ascontiguousarray(tensor.detach().cpu().numpy())


def beside(array: NDArray[Any], tensor: torch.Tensor) -> torch.Tensor:
    """An array as a tensor on the device of another one."""
    return torch.from_numpy(array).to(tensor.device)


def invariants(a: torch.Tensor, config: PotentialConfig) -> torch.Tensor:
    """A (lm, columns) to B (n_invariants, columns), column by column: by kernels on the processor, else by torch."""
    if a.device.type == "cpu":
        found: torch.Tensor = Invariants.apply(a, generated.learning_module(config.lmax, config.body_order))
        return found
    return torch_running.invariants(a, config)


class Invariants(torch.autograd.Function):
    """A (lm, columns) to B (n_invariants, columns), column by column."""

    @staticmethod
    def forward(ctx: Any, a: torch.Tensor, module: ModuleType) -> torch.Tensor:
        """Evaluate the polynomials."""
        ctx.save_for_backward(a)
        ctx.module = module
        b = np.empty((module.N_INVARIANTS, a.shape[1]))
        module.invariants(a.detach().numpy(), b)
        return torch.from_numpy(b)

    @staticmethod
    def backward(ctx: Any, db: torch.Tensor) -> tuple[torch.Tensor, None]:
        """Pull a gradient back, differentiably."""
        (a,) = ctx.saved_tensors
        return InvariantsGradient.apply(a, db, ctx.module), None


class InvariantsGradient(torch.autograd.Function):
    """(A, ∂E/∂B) to ∂E/∂A."""

    @staticmethod
    def forward(ctx: Any, a: torch.Tensor, db: torch.Tensor, module: ModuleType) -> torch.Tensor:
        """Σ_b ∂E/∂B_b ∂B_b/∂A."""
        db = db.contiguous()
        ctx.save_for_backward(a, db)
        ctx.module = module
        da = np.empty(tuple(a.shape))
        module.invariants_vjp(a.detach().numpy(), db.detach().numpy(), da)
        return torch.from_numpy(da)

    @staticmethod
    def backward(ctx: Any, t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None]:
        """The change of that gradient along t is symmetric in A, and linear in ∂E/∂B."""
        a, db = ctx.saved_tensors
        t = t.contiguous()
        da, b = np.empty(tuple(a.shape)), np.empty(tuple(db.shape))
        module: ModuleType = ctx.module
        module.invariants_hvp(a.detach().numpy(), db.detach().numpy(), t.detach().numpy(), da)
        module.invariants_jvp(a.detach().numpy(), t.detach().numpy(), b)
        return torch.from_numpy(da), torch.from_numpy(b), None


class Mechanics(torch.autograd.Function):
    """(∂E/∂A, ∂E/∂P) of a batch to ∂E/∂positions and ∂E/∂strain: Jᵀ forward, J backward."""

    @staticmethod
    def forward(
        ctx: Any, da: torch.Tensor, dp: torch.Tensor, structures: Sequence[Structure], config: PotentialConfig
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return gradients (n, 3) and virials (n_frames, 3, 3); da is (lm, n, zk)."""
        ctx.structures, ctx.config = structures, config
        a, p = on_host(da.transpose(0, 1)), on_host(dp)
        begin, gradients, virials = 0, [], []
        for s in structures:
            end = begin + s.n_atoms
            gradient, virial = pull(s, config, a[begin:end], p[begin:end])
            gradients.append(gradient)
            virials.append(virial)
            begin = end
        return beside(np.concatenate(gradients), da), beside(np.stack(virials), da)

    @staticmethod
    def backward(ctx: Any, moves: torch.Tensor, strains: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None, None]:
        """Push the gradient by forces and virials forward to densities."""
        begin, changes, sums = 0, [], []
        moves_n, strains_n = on_host(moves), on_host(strains)
        for k, s in enumerate(ctx.structures):
            end = begin + s.n_atoms
            a, p = push(s, ctx.config, moves_n[begin:end], strains_n[k])
            changes.append(a)
            sums.append(p)
            begin = end
        da = beside(np.concatenate(changes), moves).transpose(0, 1).contiguous()
        return da, beside(np.concatenate(sums), moves), None, None
