"""Straight-line code for the neural readout of a block of atoms.

The hidden layer and its transpose are matrix products of a few atoms with many weights. A tile of TILE hidden units and
BLOCK atoms keeps its sums in registers, so a weight that was fetched serves all atoms.
"""

from __future__ import annotations

from mlip_lab.kernels.straight import added, indented

BLOCK = 4  # atoms
TILE = 4  # hidden units


def source(n_features: int, n_hidden: int) -> str:
    """Python source of `work_size` and `readout`.

    Args:
        n_features: Invariants of an atom.
        n_hidden: Hidden units, a multiple of TILE (filled up with weights of zero).
    """
    atoms, units = range(BLOCK), range(TILE)
    dot = [f"v{q} = b[{q * n_features} + f]" for q in atoms]
    for u in units:
        dot += [f"weight = w1[first + {u * n_features} + f]", *(f"x{u}_{q} += weight * v{q}" for q in atoms)]
    forward = [f"first = h * {n_features}"]
    forward += [f"x{u}_{q} = b1[h + {u}]" for u in units for q in atoms]
    forward += [f"for f in range({n_features}):", *indented(dot)]
    forward += [f"x[{q * n_hidden} + h + {u}] = x{u}_{q}" for u in units for q in atoms]

    pull = [f"w_{u} = w1[first + {u * n_features} + f]" for u in units]
    pull += [f"db[{q * n_features} + f] += {added([f'd{u}_{q} * w_{u}' for u in units])}" for q in atoms]
    backward = [f"first = h * {n_features}"]
    backward += [f"d{u}_{q} = d[{q * n_hidden} + h + {u}]" for u in units for q in atoms]
    backward += [f"for f in range({n_features}):", *indented(pull)]

    linear = ["wf = w[f]"]
    for q in atoms:
        linear += [f"e{q} += wf * b[{q * n_features} + f]", f"db[{q * n_features} + f] = wf"]

    def lines(body: list[str]) -> str:
        return "\n".join(f"    {line}" for line in body)

    return _TEXT.format(
        hidden=n_hidden,
        block=BLOCK,
        flat=BLOCK * n_hidden,
        start=lines([f"e{q} = real(0.0)" for q in atoms]),
        linear=lines([f"for f in range({n_features}):", *indented(linear)]),
        forward=lines([f"for h in range(0, {n_hidden}, {TILE}):", *indented(forward)]),
        backward=lines([f"for h in range(0, {n_hidden}, {TILE}):", *indented(backward)]),
        finish=lines([f"energies[{q}] += e{q}" for q in atoms]),
    )


_TEXT = '''@njit(cache=True, nogil=True)
def work_size(weights):
    """Scratch that the readout asks for."""
    return 2 * {flat}


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy", **UNWRAPPED)
def activate(x, d):
    """x → φ(x) = x/2 (1 + x s), d → φ'(x) = 1/2 (1 + x (2 + x²) s³) with s = 1/√(1 + x²)."""
    half, one, two = real(0.5), real(1.0), real(2.0)
    for h in range(min(x.size, {flat})):
        v = x[h]
        s = one / math.sqrt(one + v * v)
        x[h] = half * v * (one + v * s)
        d[h] = half * (one + v * (two + v * v) * s * s * s)


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy", **UNWRAPPED)
def readout(weights, m, z, b, db, work, energies):
    """Energies of a block of atoms: w·b + w₂·φ(W₁ᵀ b + b₁), and their gradients by b."""
    w, w1, b1, w2 = weights[0][m, z], weights[1][m, z], weights[2][m, z], weights[3][m, z]
    x, d = work[:{flat}], work[{flat} :]
{start}
{linear}
{forward}
    activate(x, d)
    for q in range({block}):
        energy = real(0.0)
        for h in range({hidden}):
            energy += w2[h] * x[q * {hidden} + h]
            d[q * {hidden} + h] *= w2[h]
        energies[q] = energy
{backward}
{finish}
'''
