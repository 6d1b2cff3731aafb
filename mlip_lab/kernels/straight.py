"""Straight-line code for the loops over neighbours, channels and atoms of the running path.

Up to as many atoms of one species as a vector (vectors.py) has places are done together: a block. They lie side by side
in all vectors, from neighbours to forces, so nothing is ever summed up across a vector or turned over. Each has its
neighbours of one species in slots, one behind the other; where an atom has fewer than the others of its block, a slot
holds a point beyond the cutoff. What is summed over within one turn of a loop is written out, term by term, and stays
in registers.

Rows of a slot in `s`: unit vector, 1/r, r, x, h, and the slope of the repulsion, with x the argument of the Chebyshev
polynomials and f_c = h³ (see radial.py). Rows of a slot in `t`, scratch for RUN slots: g_k, then Y_lm.

The recursion g_k = 2x g_{k-1} - g_{k-2} holds with the cutoff function in it, and so does its derivative
g'_k = 2x' g_{k-1} + 2x g'_{k-1} - g'_{k-2}. Harmonics are Y_lm = Q_lm(z) c_m(x, y) and Q_lm(z) s_m(x, y) (harmonics.py)
with Q_lm written as a polynomial, so that the gradient of a sum needs only, for each m, the sums over l of w_lm Q_lm
and w_lm Q'_lm.

What bought what, in µs an atom for silicon, default preset, float64, on one core with AVX-512, old and new in turn:
sums that may be reordered (harmonics.FAST), without which nothing is a vector instruction; a loop that the compiler
sees to begin at zero, because Numba wraps negative indices. From 4.8 on an Intel Xeon:

- registers of 64 bytes in place of 32, which LLVM prefers: 4.2;
- atoms side by side through mixing, invariants and readout, in place of channels: no vector is half empty, a weight is
  fetched once for all of them, and constants of the invariants are kept for 16 turns of a loop, not for two: 3.5;
- 83 different constants of the invariants in place of 208 that differ by rounding only: they no longer fill the stack;
- a stack that is aligned to 64 bytes. Without it every vector that leaves a register lies on two cache lines: the
  gradient of the invariants took 500 ns a channel, and takes 220; with scratch arrays aligned, 2.8 in all.

On an AMD EPYC, where that took 2.03: atoms side by side also where loops run over neighbours, in place of the
neighbours of one atom: 1.83, and for four species, whose neighbours filled vectors badly, 3.8 to 3.4.

Instructions of that call, which are counted in vectors of 32 bytes (tests/benchmarks/instructions.py): 53 000 an atom,
29 000 in single precision; 121 000 for an ensemble of four.

Tried without gain: two rows of `mix` at a time, all channels in one run through the readout, 24 sums at once.

An ensemble of four with radial channels in common takes 2.3 to 2.5 times as long as one, 2.9 times with channels of
their own, and 3.2 with the forces of each member in double precision. Two blocks of atoms side by side in vectors of
single precision (members.py.txt) took it from 2.5 to 2.3: contrasts of one block, two by two, leave one of four places
empty, and the weights of each member are fetched once for both blocks.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlip_lab.kernels.vectors import BYTES

Floats = NDArray[np.float64]
RUN = 8  # slots whose radial functions and harmonics are kept at once
TERMS = 16  # of a sum, whose values are kept in registers
SUMS = 20 if BYTES == 64 else 10  # kept in registers
ROWS = 8  # of s
UX, UY, UZ, INVERSE, DISTANCE, X, H, HARD = range(ROWS)


@dataclass(frozen=True)
class Sizes:
    """What the code is written for.

    Attributes:
        n_radial: Radial functions of the densities.
        n_pair: Radial functions of the pair term.
        lmax: Largest degree.
        n_channels: Radial channels.
        lanes: Numbers in a vector.
    """

    n_radial: int
    n_pair: int
    lmax: int
    n_channels: int
    lanes: int

    @property
    def n_lm(self) -> int:
        """Number of harmonics."""
        return (self.lmax + 1) ** 2

    @property
    def n_rows(self) -> int:
        """Densities g_k Y_lm, and what of the pair term is left out of them."""
        return self.n_lm * self.n_radial + self.n_pair - self.n_radial


def source(sizes: Sizes) -> str:
    """Python source of the functions, in the order in which the running path calls them."""
    parts = (_basis, _project, _mix, unmix, pull)
    return "\n\n".join(part(sizes) for part in parts)


def _function(name: str, arguments: str, doc: str, body: Iterable[str]) -> str:
    lines = "\n".join(f"    {line}" if line else "" for line in body)
    head = f'@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy", **UNWRAPPED)\ndef {name}({arguments}):'
    return f'{head}\n    """{doc}"""\n    whole_vectors()\n{lines}\n'


def indented(lines: Iterable[str]) -> list[str]:
    """One level deeper."""
    return [f"    {line}" for line in lines]


def number(value: float) -> str:
    """A constant in the precision of the module."""
    return f"real({float(value)!r})"


def added(terms: Sequence[str]) -> str:
    """Sum, or zero."""
    return " + ".join(terms) if terms else number(0.0)


def legendre(lmax: int) -> dict[tuple[int, int], Floats]:
    """Coefficients of Q_lm(z) by power of z (recursion and factors: harmonics.legendre_factors)."""
    table: dict[tuple[int, int], Floats] = {}
    start = 1.0
    for m in range(lmax + 1):
        start *= math.sqrt((2.0 * m + 1.0) / (2.0 * m)) if m > 0 else 1.0
        table[m, m] = np.array([start * math.sqrt(2.0) if m > 0 else start])
        for l in range(m + 1, lmax + 1):
            a = math.sqrt((4.0 * l * l - 1.0) / (l * l - m * m))
            up = a * np.concatenate([[0.0], table[l - 1, m]])
            if l > m + 1:
                b = math.sqrt(((l - 1.0) ** 2 - m * m) / (4.0 * (l - 1.0) ** 2 - 1.0))
                up[: len(table[l - 2, m])] -= a * b * table[l - 2, m]
            table[l, m] = up
    return table


def harmonics(u: Floats, lmax: int) -> Floats:
    """Y_lm of unit vectors (3, n), (n_lm, n): what the emitted code is to give, and what its tables are made with."""
    x, y, z = u
    found = np.empty(((lmax + 1) ** 2, u.shape[1]))
    for (l, m), coefficients in legendre(lmax).items():
        row = np.polynomial.polynomial.polyval(z, coefficients) * (x + 1j * y) ** m
        found[l * l + l + m] = row.real
        if m > 0:
            found[l * l + l - m] = row.imag
    return found


def single_assignment(lines: Iterable[str]) -> list[str]:
    """Straight-line code in which a name means one value: the compiler's own way there takes quadratic time."""
    version: dict[str, int] = {}

    def latest(name: re.Match[str]) -> str:
        number = version.get(name[0], 0)
        return f"{name[0]}_{number}" if number else name[0]

    def current(expression: str) -> str:
        return re.sub(r"\b[a-z]\w*", latest, expression)

    found = []
    for line in lines:
        if line.startswith("store("):
            found.append(current(line))
            continue
        target, how, expression = re.split(r" ([+-]?=) ", line, maxsplit=1)
        value = current(expression)
        if "[" in target:
            found.append(f"{target} {how} {value}")
            continue
        if how != "=":
            value = f"{current(target)} {how[0]} ({value})"
        for name in target.split(", "):
            version[name] = version.get(name, -1) + 1
        found.append(f"{current(target)} = {value}")
    return found


def _polynomial(coefficients: Floats) -> str:
    """Horner's scheme in z·z, for a polynomial of even or odd powers."""
    odd = (len(coefficients) - 1) % 2
    terms = [float(c) for c in coefficients[odd::2]]
    expression = number(terms[-1])
    for c in terms[-2::-1]:
        expression = f"({number(c)} + zz * {expression})"
    return f"z * {expression}" if odd else expression


def _powers(lmax: int) -> list[str]:
    """c_m + i s_m = (x + iy)^m."""
    lines = ["c1 = x", "s1 = y"] if lmax > 0 else []
    for m in range(2, lmax + 1):
        lines += [f"c{m} = x * c{m - 1} - y * s{m - 1}", f"s{m} = x * s{m - 1} + y * c{m - 1}"]
    return lines


def _basis(sizes: Sizes) -> str:
    doc = "Rows of t: radial functions and harmonics of the vectors in the first three rows of s, slot by slot."
    row, write = "load(s, at + {} * LANES)", "store({}, to + {} * LANES, {})"
    lines = [f"x, y, z = {row.format(UX)}, {row.format(UY)}, {row.format(UZ)}", "square = x * x + y * y + z * z"]
    lines += ["inverse = one / root(square)", "h = positive(one - square * per_cutoff)"]
    lines += ["t0 = scale / (one + square * per_r0)", "x2 = t0 + offset"]
    lines += ["ux, uy, uz = x * inverse, y * inverse, z * inverse"]
    kept = {INVERSE: "inverse", DISTANCE: "square * inverse", H: "h", X: "x2", UX: "ux", UY: "uy", UZ: "uz"}
    lines += [f"store(s, at + {place} * LANES, {value})" for place, value in kept.items()]
    lines += ["x = x2", "x2 = x + x", "g0 = h * h * h", "g1 = x * g0"]
    lines += [f"g{k} = x2 * g{k - 1} - g{k - 2}" for k in range(2, sizes.n_pair)]
    lines += [write.format("t", k, f"g{k}") for k in range(sizes.n_pair)]
    lines += ["x, y, z = ux, uy, uz", "zz = z * z", *_powers(sizes.lmax)]
    for (l, m), q in legendre(sizes.lmax).items():
        to = sizes.n_pair + l * l + l
        if m == 0:
            lines += [write.format("t", to, _polynomial(q) if l > 0 else "full(one)")]
        else:
            lines += [f"q = {_polynomial(q)}"]
            lines += [write.format("t", to + m, f"q * c{m}"), write.format("t", to - m, f"q * s{m}")]
    place = f"at, to = j * ROWS * LANES, j * {sizes.n_pair + sizes.n_lm} * LANES"
    body = ["one = real(1.0)", *_transform(), "for j in range(n):", f"    {place}", *indented(single_assignment(lines))]
    return _function("basis", "s, t, n, r0, cutoff", doc, body)


def _transform() -> list[str]:
    """Constants of x = scale / (1 + (r/r0)²) + offset."""
    return [
        "per_cutoff, per_r0 = one / (cutoff * cutoff), one / (r0 * r0)",
        "end = one / (one + cutoff * cutoff * per_r0)",
        "scale = real(2.0) / (one - end)",
        "offset = -scale * end - one",
    ]


def _project(sizes: Sizes) -> str:
    doc = "raw[row] += Σ_j g_k Y_lm, and Σ_j g_k for those left out of the densities."
    n = sizes.n_radial
    run = max(1, SUMS // n)  # harmonics
    whole = sizes.n_lm // run * run
    rows = [(k, lm) for lm in range(run) for k in range(n)]
    rest = [(k, lm) for lm in range(whole, sizes.n_lm) for k in range(n)]
    rest += [(k, 0) for k in range(n, sizes.n_pair)]
    body = [f"for lm in range(0, {whole}, {run}):", *indented(_sums(sizes, rows, "lm"))]
    return _function("project", "t, n, raw", doc, [*body, *_sums(sizes, rest, "0", whole * n)])


def _sums(sizes: Sizes, rows: Sequence[tuple[int, int]], lm: str, begin: int = 0) -> list[str]:
    """Lines that add Σ_j g_k Y of each (k, harmonic after lm) to the rows from lm on and begin."""
    body = []
    for first in range(0, len(rows), SUMS):
        tile = rows[first : first + SUMS]
        at = f"({begin + first} + {lm} * {sizes.n_radial}"
        body += [f"a{i} = load(raw, {at} + {i}) * BLOCK)" for i in range(len(tile))]
        inner = [f"at = j * {sizes.n_pair + sizes.n_lm}"]
        inner += [f"g{k} = load(t, (at + {k}) * LANES)" for k in sorted({k for k, _ in tile})]
        inner += [f"y{m} = load(t, (at + {sizes.n_pair + m} + {lm}) * LANES)" for m in sorted({m for _, m in tile})]
        inner += [f"a{i} = a{i} + g{k} * y{m}" for i, (k, m) in enumerate(tile)]
        body += ["for j in range(n):", *indented(inner)]
        body += [f"store(raw, {at} + {i}) * BLOCK, a{i})" for i in range(len(tile))]
    return body


def _mix(sizes: Sizes) -> str:
    doc = "a[c, lm] += Σ_yk raw[y, lm, k] mixing[y, l, c, k] for a block of atoms."
    inner, outer = (sizes.n_radial, "y * {n_rows} + lm * {n} + {i}"), (sizes.n_channels, "j * {n_lm} + lm")
    return _by_degree("mix", "raw, mixing, a", doc, sizes, inner, outer, fresh=False)


def unmix(sizes: Sizes) -> str:
    """Source of `unmix`."""
    doc = "raw[y, lm, k] = Σ_c da[c, lm] unmixing[y, l, k, c] for a block of atoms."
    inner, outer = (sizes.n_channels, "{i} * {n_lm} + lm"), (sizes.n_radial, "y * {n_rows} + lm * {m} + j")
    return _by_degree("unmix", "da, unmixing, raw", doc, sizes, inner, outer, fresh=True)


def _by_degree(
    name: str, arguments: str, doc: str, sizes: Sizes, inner: tuple[int, str], outer: tuple[int, str], *, fresh: bool
) -> str:
    """y[j] = Σ_i w[l, j, i] x[i] for each lm and species met, or += where it is not fresh.

    As many i at a time as registers hold. Places of x[i] and y[j] are given with the numbers of i and j.
    """
    source, weights, target = arguments.split(", ")
    (n, x), (m, y) = inner, outer
    counts = {"n": n, "m": m, "n_lm": sizes.n_lm, "n_rows": sizes.n_rows}
    loops = [f"for l in range({sizes.lmax + 1}):", "    for lm in range(l * l, (l + 1) * (l + 1)):"]
    body = []
    for begin in range(0, n, TERMS):
        terms = range(begin, min(n, begin + TERMS))
        loads = [f"x{i} = load({source}, ({x.format(i=i, **counts)}) * BLOCK)" for i in terms]
        before = [] if fresh and begin == 0 else [f"load({target}, at)"]
        row = [f"for j in range({m}):", f"    w = ((y * {sizes.lmax + 1} + l) * {m} + j) * {n}"]
        row += [f"    at = ({y.format(**counts)}) * BLOCK"]
        row += [f"    store({target}, at, {added(before + [f'x{i} * splat({weights}, w + {i})' for i in terms])})"]
        own = "y *" in x  # what is read belongs to a species; else one reading serves all
        each = ["for y in range(met.size):", "    if met[y] > 0:", *indented(indented([*(loads if own else []), *row]))]
        body += [*loops, *indented(indented([*([] if own else loads), *each]))]
    return _function(name, f"met, {arguments}", doc, body)


def pull(sizes: Sizes) -> str:
    """Source of `pull`."""
    doc = (
        "Gradient of the energies of a block by each pair vector (rows of out), from draw = ∂E/∂raw. With w_lm "
        "= Σ_k draw[lm, k] g_k and v_lm = Σ_k draw[lm, k] g'_k, the energy changes as Σ_lm w_lm dY_lm + v_lm Y_lm dr."
    )
    row, n = "load(s, at + {} * LANES)", sizes.n_radial
    lines = [f"h, x, r = {row.format(H)}, {row.format(X)}, {row.format(DISTANCE)}", "t0 = x - offset"]
    lines += ["x2 = x + x", "dx = slope * r * t0 * t0", "dx2 = dx + dx", "g0 = h * h * h", "d0 = edge * r * h * h"]
    lines += ["g1 = x * g0", "d1 = dx * g0 + x * d0"]
    for k in range(2, sizes.n_pair):
        lines += [f"g{k} = x2 * g{k - 1} - g{k - 2}", f"d{k} = dx2 * g{k - 1} + x2 * d{k - 1} - d{k - 2}"]
    lines += [f"radial = {added([f'load(weights, {k} * LANES) * d{k}' for k in range(n, sizes.n_pair)])}"]
    lines += [f"x, y, z = {row.format(UX)}, {row.format(UY)}, {row.format(UZ)}", "zz = z * z", *_powers(sizes.lmax)]
    table = legendre(sizes.lmax)
    for m in range(sizes.lmax + 1):
        for sign, c, s in ((1, "c", "s"), (-1, "s", "c")):
            if m == 0 and sign < 0:
                continue
            for l in range(m, sizes.lmax + 1):
                lm, q = l * l + l + sign * m, table[l, m]
                lines += [f"f{k} = load(draw, {lm * n + k} * LANES)" for k in range(n)]
                lines += [f"v = {added([f'f{k} * d{k}' for k in range(n)])}"]
                how = "=" if l == m else "+="
                lines += [f"q = {_polynomial(q)}", f"sv {how} q * v"]
                if l > 0:
                    lines += [f"w = {added([f'f{k} * g{k}' for k in range(n)])}"]
                if m > 0:
                    lines += [f"sw {how} q * w"]
                if l > m:
                    derivative = q[1:] * np.arange(1.0, q.size)
                    lines += [f"sd {'=' if l == m + 1 else '+='} {_polynomial(derivative)} * w"]
            factor = "" if m == 0 else f" * {c}{m}"
            lines += [f"radial += sv{factor}"]
            if m < sizes.lmax:
                lines += [f"gz {'=' if (m, sign) == (0, 1) else '+='} sd{factor}"]
            if m == 1:
                lines += ["gx = sw"] if sign > 0 else ["gy = sw"]
            elif m > 1:
                lines += [f"sw = {number(m)} * sw", f"gx += sw * {c}{m - 1}"]
                lines += [f"gy {'-' if sign > 0 else '+'}= sw * {s}{m - 1}"]
    if sizes.lmax == 0:
        lines += ["gx, gy, gz = real(0.0) * x, real(0.0) * x, real(0.0) * x"]
    lines += [f"inverse = {row.format(INVERSE)}", "along = radial - (x * gx + y * gy + z * gz) * inverse"]
    for k, (g, u) in enumerate((("gx", "x"), ("gy", "y"), ("gz", "z"))):
        lines += [f"store(out, to + {k} * LANES, {g} * inverse + along * {u})"]
    head = ["one = real(1.0)", *_transform(), "slope, edge = real(-2.0) * per_r0 / scale, real(-6.0) * per_cutoff"]
    place = "at, to = j * ROWS * LANES, 3 * j * LANES"
    body = [*head, "for j in range(n):", f"    {place}", *indented(single_assignment(lines))]
    return _function("pull", "s, n, r0, cutoff, draw, weights, out", doc, body)
