"""Straight-line code for the neural readout of a block of atoms, which lie side by side in a vector.

The hidden layer and its transpose are matrix products of a few atoms with many weights. They are done channel by
channel, as soon as its invariants are known and until its gradients are used: those of all channels would not stay in
the first-level cache. A tile of hidden units keeps its sums in registers, so that an invariant that was fetched serves
all of them, and a weight all atoms.
"""

from __future__ import annotations

from mlip_lab.kernels import vectors
from mlip_lab.kernels.straight import added, indented

TILE = 8  # hidden units; two tiles at once where there are twice as many registers
_HEAD = '@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy", **UNWRAPPED)'


def source(n_invariants: int, n_hidden: int) -> str:
    """Python source of `work_size`, `begin`, `take`, `finish` and `give`.

    Args:
        n_invariants: Invariants of a channel.
        n_hidden: Hidden units, a multiple of TILE (filled up with weights of zero).
    """
    tile = 2 * TILE if vectors.BYTES == 64 and n_hidden % (2 * TILE) == 0 else TILE
    take, give = ["energy = load(work, N_HIDDEN * LANES)"], []
    for begin in range(0, n_hidden, tile):
        units = range(begin, begin + tile)
        products = [f"    v, at = load(b, f * LANES), (c * N_INVARIANTS + f) * {n_hidden}"]
        products += [f"    x{u} = x{u} + v * splat(w1, at + {u})" for u in units]
        slope = "load(db, f * LANES)" if begin else "splat(w, c * N_INVARIANTS + f)"
        if begin == 0:
            products += [f"    energy = energy + v * {slope}"]
        take += [f"x{u} = load(work, {u} * LANES)" for u in units]
        take += [f"for f in range({n_invariants}):", *products]
        take += [f"store(work, {u} * LANES, x{u})" for u in units]
        terms = added([slope, *(f"d{u} * splat(w1, at + {u})" for u in units)])
        give += [f"d{u} = load(work, {u} * LANES)" for u in units]
        give += [f"for f in range({n_invariants}):", f"    at = (c * N_INVARIANTS + f) * {n_hidden}"]
        give += [f"    store(db, f * LANES, {terms})"]
    take += ["store(work, N_HIDDEN * LANES, energy)"]
    text = _TEXT.replace("N_HIDDEN", str(n_hidden)).replace("HEAD", _HEAD)
    for name, body in (("TAKE", take), ("GIVE", give)):
        lines = "\n".join(indented(body)).replace("N_HIDDEN", str(n_hidden))
        text = text.replace(f"    {name}", lines)
    return text


_TEXT = '''# Readout of a block of atoms: w·b + w₂·φ(W₁ᵀ b + b₁), with φ(x) = x/2 (1 + x s) and s = 1/√(1 + x²). It
# takes the invariants b channel by channel, and gives their gradients so. Scratch: W₁ᵀ b + b₁, then w₂ φ', and the
# energy.


@njit(cache=True, nogil=True)
def work_size(weights):
    """Vectors of scratch that the readout asks for."""
    return N_HIDDEN + 1


HEAD
def begin(weights, m, z, work):
    """Before the first channel."""
    b1 = weights[2][m, z]
    for h in range(N_HIDDEN):
        store(work, h * LANES, splat(b1, h))
    store(work, N_HIDDEN * LANES, full(real(0.0)))


HEAD
def take(weights, m, z, c, b, work):
    """Add a channel."""
    w, w1 = weights[0][m, z], weights[1][m, z]
    TAKE


HEAD
def finish(weights, m, z, work, energies):
    """Energies of the atoms; φ'(x) = 1/2 (1 + x (2 + x²) s³)."""
    w2 = weights[3][m, z]
    half, one, two = real(0.5), real(1.0), real(2.0)
    energy = load(work, N_HIDDEN * LANES)
    for h in range(N_HIDDEN):
        x, weight = load(work, h * LANES), half * splat(w2, h)
        s = one / root(one + x * x)
        energy = energy + weight * x * (one + x * s)
        store(work, h * LANES, weight * (one + x * (two + x * x) * s * s * s))
    store(energies, 0, energy)


HEAD
def give(weights, m, z, c, work, db):
    """Gradients by the invariants of a channel."""
    w, w1 = weights[0][m, z], weights[1][m, z]
    GIVE
'''
