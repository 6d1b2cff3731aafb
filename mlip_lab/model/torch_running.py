"""The running path in plain tensor operations, on any torch device.

The formulas of the fused kernel (kernels/straight.py, templates/evaluate.py.txt) for a block of atoms of one species,
whose neighbours lie in one padded table: g_k(r), Y_lm, densities A = Σ_j g_k Y_lm and pair sums P by matrix
products, invariants from a table of monomials, and the readout. torch differentiates twice in a row: the energy by
(A, P), then (A, P) by the pair vectors. Members of an ensemble share everything up to (A, P).

The list of pairs comes from the linked cells of kernels/neighbors.py. On one core the fused kernel is many times
faster; this path is for devices that it cannot run on, and for checking it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mlip_lab.core.checks import one_of
from mlip_lab.core.errors import InputError
from mlip_lab.kernels import couplings
from mlip_lab.kernels.straight import legendre
from mlip_lab.kernels.zbl import COULOMB, SCREENING
from mlip_lab.model.config import PotentialConfig
from mlip_lab.model.running import Evaluation, Weights, joined

Floats = NDArray[np.float64]
Tensors = Mapping[str, torch.Tensor]
# Atoms in a block, about 100 kB each: as many as a cache likes, and on a GPU enough to hide the launch of its kernels.
ATOMS = 2048
ATOMS_ON_GPU = 32768


@lru_cache
def monomials(lmax: int, body_order: int) -> tuple[NDArray[np.int64], Floats]:
    """Every monomial of the invariants once: its factors (T, order), and its coefficient in each of them (T, B).

    A monomial of fewer factors than the longest is filled up with the index (lmax+1)², which stands for one.
    """
    polynomials = couplings.invariants(lmax, body_order)
    keys = sorted({key for p in polynomials for key in p})
    order = max(len(key) for key in keys)
    factors = np.array([key + ((lmax + 1) ** 2,) * (order - len(key)) for key in keys])
    return factors, np.array([[p.get(key, 0.0) for p in polynomials] for key in keys])


def invariants(a: torch.Tensor, config: PotentialConfig) -> torch.Tensor:
    """Invariants (B, columns) of densities (lm, columns), column by column; torch can differentiate it again."""
    factors, coefficients = monomials(config.lmax, config.body_order)
    rows = torch.cat([a, torch.ones_like(a[:1])])
    index = torch.from_numpy(factors).to(a.device)
    product = rows[index[:, 0]]
    for column in range(1, index.shape[1]):
        product = product * rows[index[:, column]]
    return torch.from_numpy(coefficients).to(a).T @ product


def radial(r: torch.Tensor, r0: torch.Tensor, cutoff: float, count: int) -> torch.Tensor:
    """g_k(r) = T_k(x) (1 - (r/r_c)²)³ in a new last dimension; x(r) as in kernels/radial.py."""
    y, end = 1.0 / (1.0 + (r / r0) ** 2), 1.0 / (1.0 + (cutoff / r0) ** 2)
    x = 2.0 * (y - end) / (1.0 - end) - 1.0
    h = torch.clamp(1.0 - (r / cutoff) ** 2, min=0.0)
    found = [h**3, x * h**3]
    for _ in range(2, count):
        found.append(2.0 * x * found[-1] - found[-2])
    return torch.stack(found[:count], dim=-1)


def harmonics(u: torch.Tensor, lmax: int) -> torch.Tensor:
    """Y_lm = Q_lm(z) Re, Im (x + iy)^m of unit vectors (..., 3) in the last dimension (kernels/harmonics.py)."""
    x, y, z = u.unbind(-1)
    cosines, sines = [torch.ones_like(x)], [torch.zeros_like(x)]
    for _ in range(lmax):
        c, s = cosines[-1], sines[-1]
        cosines.append(x * c - y * s)
        sines.append(x * s + y * c)
    rows: dict[int, torch.Tensor] = {}
    for (l, m), coefficients in legendre(lmax).items():
        q = torch.full_like(z, float(coefficients[-1]))
        for c in coefficients[-2::-1]:
            q = q * z + float(c)
        rows[l * l + l + m] = q * cosines[m]
        if m > 0:
            rows[l * l + l - m] = q * sines[m]
    return torch.stack([rows[lm] for lm in range((lmax + 1) ** 2)], dim=-1)


def repulsion(r: torch.Tensor, zi: float, zj: torch.Tensor, inner: torch.Tensor, outer: torch.Tensor) -> torch.Tensor:
    """Energy of pairs in eV: Ziegler–Biersack–Littmark with its switch (kernels/zbl.py)."""
    x = r / (0.46850 / (zi**0.23 + zj**0.23))
    phi = sum(c * torch.exp(-d * x) for c, d in SCREENING)
    t = torch.clamp((r - inner) / (outer - inner), 0.0, 1.0)
    return COULOMB * zi * zj / r * phi * (1.0 - t**3 * (10.0 - 15.0 * t + 6.0 * t * t))


def activation(x: torch.Tensor) -> torch.Tensor:
    """φ(x) = x/2 (1 + x/√(1 + x²))."""
    return 0.5 * x * (1.0 + x * torch.rsqrt(1.0 + x * x))


def readout(b: torch.Tensor, w: Tensors, z: int) -> torch.Tensor:
    """Learned energies (n,) of atoms of species z from their invariants (n, F)."""
    energy = b @ w["linear"][z]
    if "alpha" in w:
        u, points = (b - w["mean"][z]) @ w["q"][z], w["points"][z]
        square = (u * u).sum(1, keepdim=True) + (points * points).sum(1) - 2.0 * u @ points.T
        energy = energy + (1.0 / (1.0 + 0.5 * square)) ** 2 @ w["alpha"][z]
    if "w2" in w:
        energy = energy + activation(b @ w["w1"][z] + w["b1"][z]) @ w["w2"][z]
    return energy


@dataclass(frozen=True, eq=False)
class Pairs:
    """A structure and its list of pairs on the device.

    Attributes:
        species: Species index (n,).
        positions: In Å, float64 (n, 3).
        cell: In Å, float64 (3, 3).
        first: Begin of each atom's pairs (n+1,).
        neighbor: Neighbour of each pair, and one more entry that padding may point to.
        shift: Cell shift of each pair, likewise.
    """

    species: torch.Tensor
    positions: torch.Tensor
    cell: torch.Tensor
    first: torch.Tensor
    neighbor: torch.Tensor
    shift: torch.Tensor


@dataclass(frozen=True, eq=False)
class OnDevice:
    """A potential on a torch device; `evaluate` does what that of running.Compiled does.

    Attributes:
        config: The configuration.
        members: Weights of each member on the device.
        device: Where everything is computed.
        dtype: Of everything but positions, pair vectors and sums.
    """

    config: PotentialConfig
    members: tuple[Tensors, ...]
    device: torch.device
    dtype: torch.dtype

    def species_of(self, numbers: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
        """Species index of each atom; InputError for an element that was not trained."""
        return self.config.species_of(numbers)

    def evaluate(
        self, species: NDArray[np.int64], positions: Floats, cell: Floats, pairs: tuple[Any, ...], threads: int = 1
    ) -> Evaluation:
        """Energies, forces and virial, and the spread of an ensemble.

        Args:
            species: Species index (n,).
            positions: In Å (n, 3).
            cell: In Å (3, 3).
            pairs: From `build_pairs`, with this cutoff or a larger one.
            threads: Not used: torch has its own.
        """
        first, neighbor, shift = pairs
        more = [
            np.concatenate([array, np.zeros_like(array, shape=(1, *array.shape[1:]))]) for array in (neighbor, shift)
        ]
        given = Pairs(*(self.put(array) for array in (species, positions, cell, first.astype(np.int64), *more)))
        atoms = ATOMS if self.device.type == "cpu" else ATOMS_ON_GPU
        blocks = list(blocks_of(species, np.diff(first), self.config.n_species, atoms))
        energies, forces, virials, closest = self.sums(given, blocks)
        return joined(energies.cpu().numpy(), forces.cpu().numpy(), virials.cpu().numpy(), float(closest))

    def put(self, array: NDArray[Any]) -> torch.Tensor:
        """A copy on the device."""
        return torch.tensor(array, device=self.device)

    def sums(
        self, given: Pairs, blocks: Sequence[tuple[int, NDArray[np.int64], int]]
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Energies (members, n), forces (members, n, 3), virials (members, 3, 3) and the least distance of the list."""
        k, n = len(self.members), given.species.shape[0]
        energies = torch.zeros((k, n), dtype=torch.float64, device=self.device)
        forces, virials = energies.new_zeros((k, n, 3)), energies.new_zeros((k, 3, 3))
        closest = energies.new_full((), torch.inf)
        for z, chosen, most in blocks:
            center = self.put(chosen)
            vectors, neighbor, inside = self._vectors(given, center, most)
            distances = torch.linalg.vector_norm(vectors, dim=-1)
            closest = torch.minimum(closest, torch.where(inside, distances, torch.inf).min())
            for m, (energy, slope) in enumerate(self._members(vectors, given.species[neighbor], z)):
                energies[m, center] = energy
                forces[m].index_add_(0, center, slope.sum(1))
                forces[m].index_add_(0, neighbor.reshape(-1), -slope.reshape(-1, 3))
                virials[m] += torch.einsum("nja,njb->ab", slope, vectors)
        return energies, forces, virials, closest

    def _vectors(
        self, given: Pairs, center: torch.Tensor, most: int
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Pair vectors (n, most, 3), neighbours, and where they are no padding, which lies beyond the cutoff."""
        place = given.first[center][:, None] + torch.arange(most, device=self.device)
        inside = place < given.first[center + 1][:, None]
        place = torch.where(inside, place, given.neighbor.shape[0] - 1)
        neighbor = given.neighbor[place].long()
        shift = given.shift[place].to(torch.float64) @ given.cell
        vectors = given.positions[neighbor] - given.positions[center][:, None] + shift
        far = torch.tensor([0.0, 0.0, 2.0 * self.config.cutoff], dtype=torch.float64, device=self.device)
        return torch.where(inside[..., None], vectors, far), neighbor, inside

    def _members(
        self, vectors: torch.Tensor, others: torch.Tensor, z: int
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Energies (n,) of atoms of species z, and their slopes by the pair vectors, of each member; both float64."""
        moved = vectors.detach().to(self.dtype).requires_grad_()
        a, p, hard = self._densities(moved, others, z)
        leaves = a.detach().requires_grad_(), p.detach().requires_grad_()
        for w in self.members:
            energy = self._energies(*leaves, w, z)
            da, dp = torch.autograd.grad(energy.sum(), leaves)
            (slope,) = torch.autograd.grad((a, p, hard), moved, (da, dp, torch.ones_like(hard)), retain_graph=True)
            total = energy.detach().double() + hard.detach().double() + w["e0"][z].double()
            yield total, slope.double()

    def _densities(
        self, vectors: torch.Tensor, others: torch.Tensor, z: int
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """A (n, lm, zk), P (n, zk) and half the repulsion (n,)."""
        c = self.config
        r = torch.linalg.vector_norm(vectors, dim=-1)
        r0, numbers = self._table(c.r0[z])[others], self._table(c.numbers)[others]
        g = radial(r, r0, c.cutoff, c.n_pair)
        y = harmonics(vectors / r[..., None], c.lmax)
        a, p = [], []
        for species in range(c.n_species):
            mine = g * (others == species)[..., None] if c.n_species > 1 else g
            a.append(y.transpose(1, 2) @ mine[..., : c.n_radial])
            p.append(mine.sum(1))
        hard = torch.zeros_like(r).sum(1)
        if c.repulsion:
            inner, outer = self._table(c.inner[z])[others], self._table(c.outer[z])[others]
            hard = 0.5 * repulsion(r, float(c.numbers[z]), numbers, inner, outer).sum(1)
        return torch.cat(a, dim=2), torch.cat(p, dim=1), hard

    def _energies(self, a: torch.Tensor, p: torch.Tensor, w: Tensors, z: int) -> torch.Tensor:
        """Learned energies (n,) from densities and pair sums, without e0."""
        c = self.config
        degrees = [l for l in range(c.lmax + 1) for _ in range(2 * l + 1)]
        mixed = torch.einsum("nlk,lkc->lnc", a, w["mixing"][z][degrees])
        n = a.shape[0]
        b = invariants(mixed.reshape(mixed.shape[0], -1), c).reshape(-1, n, c.n_channels)
        return p @ w["pair"][z] + readout(b.transpose(0, 1).reshape(n, -1), w, z)

    def _table(self, values: Sequence[float]) -> torch.Tensor:
        return torch.tensor(values, dtype=self.dtype, device=self.device)


def blocks_of(
    species: NDArray[np.int64], counts: NDArray[np.int64], n_species: int, atoms: int
) -> Iterator[tuple[int, NDArray[np.int64], int]]:
    """Atoms of one species, so many at a time, with the most neighbours that one has: (species, atoms, most)."""
    for z in range(n_species):
        mine = np.flatnonzero(species == z)
        for begin in range(0, mine.size, atoms):
            chosen = mine[begin : begin + atoms]
            yield z, chosen, max(1, int(counts[chosen].max()))


def usable_device(name: str) -> torch.device:
    """The torch device of that name; InputError if torch has no such device, or it cannot hold float64."""
    try:
        device = torch.device(name)
        torch.zeros(1, dtype=torch.float64, device=device)
    except (RuntimeError, AssertionError, TypeError) as error:
        why = str(error).splitlines()[0]
        raise InputError(
            f"device: expected one that torch can use here, as cpu or cuda; got {name!r} ({why})."
        ) from error
    return device


def on_device(config: PotentialConfig, members: Sequence[Weights], device: str, precision: str) -> OnDevice:
    """Put the weights of a potential on a device.

    Args:
        config: The configuration.
        members: Weights of each member.
        device: As torch names it: "cpu", "cuda", "cuda:1".
        precision: "float64" or "float32".

    Raises:
        InputError: If torch has no such device, or it cannot hold float64.
    """
    one_of("precision", precision, ("float64", "float32"))
    place = usable_device(device)
    dtype = torch.float64 if precision == "float64" else torch.float32
    kept = [{name: torch.tensor(array, dtype=dtype, device=place) for name, array in w.items()} for w in members]
    for tensors, w in zip(kept, members, strict=True):
        tensors["e0"] = torch.tensor(w["e0"], dtype=torch.float64, device=place)
    return OnDevice(config, tuple(kept), place, dtype)
