"""Straight-line code for the loops over neighbours and channels of the running path.

Every function works on flat arrays whose rows lie a constant apart, so that the compiler sees without a check at run
time that rows do not overlap, and turns the loop over neighbours (or channels) into vector instructions. What is summed
over within one turn of the loop is written out, term by term, and stays in registers.

Rows of `s`, kept for each chunk of up to CHUNK neighbours of one species: unit vector, 1/r, r, x and h, with
x the argument of the Chebyshev polynomials and f_c = h³ (see radial.py). Rows of `t`, scratch: g_k, then Y_lm.

The recursion g_k = 2x g_{k-1} - g_{k-2} holds with the cutoff function in it, and so does its derivative
g'_k = 2x' g_{k-1} + 2x g'_{k-1} - g'_{k-2}. Harmonics are Y_lm = Q_lm(z) c_m(x, y) and Q_lm(z) s_m(x, y) (harmonics.py)
with Q_lm written as a polynomial, so that the gradient of a sum needs only, for each m, the sums over l of w_lm Q_lm
and w_lm Q'_lm.

What bought what, in instructions an atom (callgrind, default preset, silicon, float64, compiled for AVX2, which
callgrind can read; with AVX-512 vectors are twice as long and fewer sums spill), before the last steps below: 90.8
thousand, 174.7 thousand without the freedom to reorder sums (harmonics.FAST), which lets every loop over neighbours,
channels and features become vector instructions; 91.6 thousand where a division by zero is checked for (error_model);
84.5 thousand with atoms one by one through the readout, which fetches its weights four times as often instead. 56.5
thousand in float32. Four members of an ensemble take 284.4 thousand, 3.1 times one: 26.2 thousand depend on positions
alone and are done once, 64.5 thousand on weights. Invariants by reverse mode over shared products, sums in registers
over two harmonics and all radial functions, and gradients of harmonics summed by m cannot be switched off, and were not
counted one by one; together with the above they took 18.4 µs an atom to 6.6. The pair term costs next to nothing: its
lower functions ride on the densities of l = 0. Loops whose index the compiler cannot prove positive (Numba wraps
negative ones) do not vectorise: hence the min(n, CHUNK), and the slices in `mix` and `unmix`. Then it was seen
that `mix` had been scalar, and to fetch the weights of a degree once for a block of atoms: 7.2 to 6.1 µs an atom, 4.9
to 4.2 in float32, and 13.2 to 9.9 with four species, whose weights do not fit in the first-level cache (old and new in
turn on one core, least of many calls). At last a network of one layer in place of two, and every inner function copied
into its caller (harmonics.FAST says why): 64.6 thousand, 45.0 thousand in float32, 205.9 thousand with four members,
4.6 µs an atom. Tried without gain: two rows of `mix` at a time, and every degree written out, which takes five seconds
longer to compile.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
CHUNK = 64  # neighbours in one run of the loops; an atom with more has several chunks
LANES = {"float64": 8, "float32": 16}  # chunks are filled up to a multiple: one vector of 64 bytes
ROWS = 7  # of s
UX, UY, UZ, INVERSE, DISTANCE, X, H = range(ROWS)


@dataclass(frozen=True)
class Sizes:
    """What the code is written for.

    Attributes:
        n_radial: Radial functions of the densities.
        n_pair: Radial functions of the pair term.
        lmax: Largest degree.
        n_channels: Radial channels.
    """

    n_radial: int
    n_pair: int
    lmax: int
    n_channels: int

    @property
    def n_lm(self) -> int:
        """Number of harmonics."""
        return (self.lmax + 1) ** 2

    @property
    def n_even(self) -> int:
        """Number of harmonics, filled up to an even one."""
        return self.n_lm + self.n_lm % 2

    @property
    def padded(self) -> int:
        """n_radial filled up to whole vectors."""
        return -(-self.n_radial // 8) * 8


def source(sizes: Sizes) -> str:
    """Python source of the functions, in the order in which the running path calls them."""
    parts = (_basis, _project, _mix, _unmix, _slopes, _combine, _pull)
    return "\n\n".join(part(sizes) for part in parts)


def _function(name: str, arguments: str, doc: str, body: Iterable[str]) -> str:
    lines = "\n".join(f"    {line}" if line else "" for line in body)
    head = f'@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy", **UNWRAPPED)\ndef {name}({arguments}):'
    return f'{head}\n    """{doc}"""\n{lines}\n'


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
    doc = "Radial functions and harmonics of the vectors in the first three rows of s; sums of the g_k left out of t."
    rest = range(sizes.n_radial, sizes.n_pair)
    row = "s[{} * CHUNK + j]"
    store = [f"t[{k} * CHUNK + j] = g{k}" for k in range(sizes.n_radial)]
    recursion = ["g0 = h * h * h", "g1 = x * g0"]
    recursion += [f"g{k} = x2 * g{k - 1} - g{k - 2}" for k in range(2, sizes.n_pair)]
    lines = [f"x, y, z = {row.format(UX)}, {row.format(UY)}, {row.format(UZ)}", "square = x * x + y * y + z * z"]
    lines += ["inverse = one / math.sqrt(square)", "h = one - square * per_cutoff", "h = h if h > zero else zero"]
    lines += ["t0 = scale / (one + square * per_r0)", "x2 = t0 + offset"]
    lines += [f"{row.format(INVERSE)} = inverse", f"{row.format(DISTANCE)} = square * inverse"]
    lines += [f"{row.format(H)} = h", f"{row.format(X)} = x2"]
    lines += ["ux, uy, uz = x * inverse, y * inverse, z * inverse"]
    lines += [f"{row.format(UX)} = ux", f"{row.format(UY)} = uy", f"{row.format(UZ)} = uz"]
    lines += ["x = x2", "x2 = x + x", *recursion, *store]
    lines += [f"p{k} += g{k}" for k in rest]
    lines += ["x, y, z = ux, uy, uz", "zz = z * z", *_powers(sizes.lmax)]
    table = legendre(sizes.lmax)
    for (l, m), q in table.items():
        at = sizes.n_radial + l * l + l
        if l == 0:
            lines += [f"t[{at} * CHUNK + j] = one"]
        elif m == 0:
            lines += [f"t[{at} * CHUNK + j] = {_polynomial(q)}"]
        else:
            lines += [f"q = {_polynomial(q)}"]
            lines += [f"t[{at + m} * CHUNK + j] = q * c{m}", f"t[{at - m} * CHUNK + j] = q * s{m}"]
    head = ["one, zero = real(1.0), real(0.0)", *_transform(), *(f"p{k} = real(0.0)" for k in rest)]
    body = [*head, "for j in range(min(n, CHUNK)):", *indented(lines)]
    body += [f"sums[{k - sizes.n_radial}] += p{k}" for k in rest]
    return _function("basis", "s, t, n, r0, cutoff, sums", doc, body)


def _transform() -> list[str]:
    """Constants of x = scale / (1 + (r/r0)²) + offset."""
    return [
        "per_cutoff, per_r0 = one / (cutoff * cutoff), one / (r0 * r0)",
        "end = one / (one + cutoff * cutoff * per_r0)",
        "scale = real(2.0) / (one - end)",
        "offset = -scale * end - one",
    ]


def _project(sizes: Sizes) -> str:
    doc = "raw[lm, k] += Σ_j g_k Y_lm, for two harmonics at a time."
    n, names = sizes.n_radial, [f"{a}{k}" for a in "ab" for k in range(sizes.n_radial)]
    inner = ["y, z = t[first + j], t[first + CHUNK + j]"]
    for k in range(n):
        inner += [f"g = t[{k} * CHUNK + j]", f"a{k} += g * y", f"b{k} += g * z"]
    tile = [f"first = ({n} + lm) * CHUNK", *(f"{name} = real(0.0)" for name in names)]
    tile += ["for j in range(min(n, CHUNK)):", *indented(inner), f"row = lm * {n}"]
    tile += [f"raw[row + {i}] += {name}" for i, name in enumerate(names)]
    return _function("project", "t, n, raw", doc, [f"for lm in range(0, {sizes.n_lm}, 2):", *indented(tile)])


def _mix(sizes: Sizes) -> str:
    doc = "a[q, lm, c] += Σ_k raw[q, lm, k] mixing[l, k, c] for the atoms q of a block."
    return _by_degree("mix", "raw, mixing, a", doc, sizes, ("raw", sizes.n_radial), ("a", sizes.n_channels), "+=")


def _unmix(sizes: Sizes) -> str:
    doc = "raw[q, lm, k] = Σ_c da[q, lm, c] mixing[l, c, k]; here k is filled up to whole vectors."
    return _by_degree("unmix", "da, mixing, raw", doc, sizes, ("da", sizes.n_channels), ("raw", sizes.padded), "=")


def _by_degree(
    name: str, arguments: str, doc: str, sizes: Sizes, x: tuple[str, int], y: tuple[str, int], how: str
) -> str:
    """y[q, lm, j] = Σ_i x[q, lm, i] mixing[l, i, j]: weights of a degree are fetched once for a block of atoms.

    Over slices, in which the compiler sees that no index is negative.
    """
    (source, n), (target, c) = x, y
    row = [f"x{i} = x[lm * {n} + {i}]" for i in range(n)]
    row += [f"row = y[lm * {c} : (lm + 1) * {c}]", f"for j in range(min(row.size, {c})):"]
    row += [f"    row[j] {how} {added([f'x{i} * w[{i * c} + j]' for i in range(n)])}"]
    atom = [f"x, y = {source}[q], {target}[q]", "for lm in range(l * l, (l + 1) * (l + 1)):", *indented(row)]
    body = [f"w = mixing[l * {n * c} : (l + 1) * {n * c}]", "for q in range(block):", *indented(atom)]
    return _function(name, f"{arguments}, block", doc, [f"for l in range({sizes.lmax + 1}):", *indented(body)])


def _slopes(sizes: Sizes) -> str:
    doc = "Rows of t: g_k of the densities, and after them the derivatives of all g_k."
    row = "s[{} * CHUNK + j]"
    lines = [f"h, x, r = {row.format(H)}, {row.format(X)}, {row.format(DISTANCE)}", "t0 = x - offset"]
    lines += ["x2 = x + x", "dx = slope * r * t0 * t0", "dx2 = dx + dx", "g0 = h * h * h", "d0 = edge * r * h * h"]
    lines += ["g1 = x * g0", "d1 = dx * g0 + x * d0"]
    for k in range(2, sizes.n_pair):
        lines += [f"g{k} = x2 * g{k - 1} - g{k - 2}", f"d{k} = dx2 * g{k - 1} + x2 * d{k - 1} - d{k - 2}"]
    lines += [f"t[{k} * CHUNK + j] = g{k}" for k in range(sizes.n_radial)]
    lines += [f"t[{sizes.n_radial + k} * CHUNK + j] = d{k}" for k in range(sizes.n_pair)]
    head = ["one = real(1.0)", *_transform(), "slope, edge = real(-2.0) * per_r0 / scale, real(-6.0) * per_cutoff"]
    body = [*head, "for j in range(min(n, CHUNK)):", *indented(lines)]
    return _function("slopes", "s, n, r0, cutoff, t", doc, body)


def _combine(sizes: Sizes) -> str:
    doc = (
        "Rows of w: Σ_k raw[lm, k] g_k, and after them Σ_k raw[lm, k] g'_k, for two harmonics at a time; row 0 of out: "
    )
    doc += "Σ_k weights[k] g'_k of the g_k left out of the densities."
    n, width = sizes.n_radial, sizes.padded
    terms = [(f"t[{k} * CHUNK + j]", f"t[{n + k} * CHUNK + j]", k) for k in range(n)]
    inner = []
    for g, d, k in terms:
        inner += [f"g, d = {g}, {d}"]
        how = "=" if k == 0 else "+="
        inner += [f"w0 {how} a{k} * g", f"w1 {how} b{k} * g", f"v0 {how} a{k} * d", f"v1 {how} b{k} * d"]
    inner += ["w[first + j] = w0", "w[first + CHUNK + j] = w1"]
    inner += [f"w[first + {sizes.n_even} * CHUNK + j] = v0", f"w[first + {sizes.n_even + 1} * CHUNK + j] = v1"]
    tile = [f"a{k}, b{k} = raw[lm * {width} + {k}], raw[(lm + 1) * {width} + {k}]" for k in range(n)]
    tile += ["first = lm * CHUNK", "for j in range(min(n, CHUNK)):", *indented(inner)]
    rest = added([f"weights[{k}] * t[{n + k} * CHUNK + j]" for k in range(n, sizes.n_pair)])
    first = ["for j in range(min(n, CHUNK)):", f"    out[j] = {rest}"]
    body = [*first, f"for lm in range(0, {sizes.n_lm}, 2):", *indented(tile)]
    return _function("combine", "t, n, raw, weights, w, out", doc, body)


def _pull(sizes: Sizes) -> str:
    doc = "Gradient of the energy by each pair vector (rows of out), from the sums over k."
    row = "s[{} * CHUNK + j]"
    lines = [f"x, y, z = {row.format(UX)}, {row.format(UY)}, {row.format(UZ)}", "zz = z * z", *_powers(sizes.lmax)]
    lines += ["gx = real(0.0)", "gy = real(0.0)", "gz = real(0.0)", "radial = out[j]"]
    table = legendre(sizes.lmax)
    for m in range(sizes.lmax + 1):
        for sign, c, s in ((1, "c", "s"), (-1, "s", "c")):
            if m == 0 and sign < 0:
                continue
            for l in range(m, sizes.lmax + 1):
                lm, q = l * l + l + sign * m, table[l, m]
                how = "=" if l == m else "+="
                lines += [f"q = {_polynomial(q)}", f"sv {how} q * w[{sizes.n_even + lm} * CHUNK + j]"]
                if l > 0:
                    lines += [f"w0 = w[{lm} * CHUNK + j]"]
                if m > 0:
                    lines += [f"sw {how} q * w0"]
                if l > m:
                    derivative = q[1:] * np.arange(1.0, q.size)
                    lines += [f"sd {'=' if l == m + 1 else '+='} {_polynomial(derivative)} * w0"]
            factor = "" if m == 0 else f" * {c}{m}"
            lines += [f"radial += sv{factor}"]
            if m < sizes.lmax:
                lines += [f"gz += sd{factor}"]
            if m == 1:
                lines += ["gx += sw"] if sign > 0 else ["gy += sw"]
            elif m > 1:
                lines += [f"sw = {number(m)} * sw", f"gx += sw * {c}{m - 1}"]
                lines += [f"gy {'-' if sign > 0 else '+'}= sw * {s}{m - 1}"]
    lines += [f"inverse = {row.format(INVERSE)}", "along = radial - (x * gx + y * gy + z * gz) * inverse"]
    lines += ["out[j] = gx * inverse + along * x", "out[CHUNK + j] = gy * inverse + along * y"]
    lines += ["out[2 * CHUNK + j] = gz * inverse + along * z"]
    body = ["for j in range(min(n, CHUNK)):", *indented(single_assignment(lines))]
    return _function("pull", "s, n, w, out", doc, body)
