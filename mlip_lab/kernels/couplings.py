"""The invariants of one channel as polynomials in its density A_lm, and the code that evaluates them.

Body order 2: A_00. Body order 3: Σ_m A_lm². Body order 4: Σ C^{l1 l2 l3}_{m1 m2 m3} A_{l1 m1} A_{l2 m2} A_{l3 m3} for
l1 ≤ l2 ≤ l3 with an even sum that satisfies the triangle rule; C is the real Gaunt coefficient, which is proportional
to the coupling coefficient there. Body order 5: the products of two order-3 invariants.

Channel-wise products: Darby et al., DOI 10.1103/PhysRevLett.131.028001.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlip_lab.kernels.straight import harmonics, indented, single_assignment

Polynomial = dict[tuple[int, ...], float]  # sorted lm indices of each monomial → coefficient


@dataclass(frozen=True)
class Place:
    """How emitted code reads and writes a row of an array.

    Attributes:
        reads: By array, an expression of {row}.
        writes: By array, a line of {row} and {value}.
    """

    reads: dict[str, str]
    writes: dict[str, str]

    def get(self, name: str, row: int) -> str:
        """An expression."""
        return self.reads[name].format(row=row)

    def put(self, name: str, row: int, value: str) -> str:
        """A line."""
        return self.writes[name].format(row=row, value=value)


@lru_cache
def gaunt(lmax: int) -> NDArray[np.float64]:
    """Mean over the sphere of Y_a Y_b Y_c for all triples of real harmonics up to lmax, (n_lm, n_lm, n_lm).

    By Gauss–Legendre and trapezoidal quadrature, exact for polynomials of degree 3 lmax.
    """
    n_z, n_phi = (3 * lmax) // 2 + 1, 3 * lmax + 1
    z, weight = np.polynomial.legendre.leggauss(n_z)
    phi = 2.0 * np.pi * np.arange(n_phi) / n_phi
    s = np.sqrt(1.0 - z**2)
    u = np.stack([np.outer(s, np.cos(phi)), np.outer(s, np.sin(phi)), np.outer(z, np.ones(n_phi))]).reshape(3, -1)
    y = harmonics(u, lmax)
    w = np.repeat(weight / 2.0, n_phi) / n_phi
    table = np.einsum("an,bn,cn,n->abc", y, y, y, w, optimize=True)
    table[np.abs(table) < 1e-12] = 0.0
    return np.asarray(table)


@lru_cache
def invariants(lmax: int, body_order: int) -> tuple[Polynomial, ...]:
    """The invariants of one channel.

    Args:
        lmax: Largest degree, at most 6.
        body_order: 2 to 5.

    Returns:
        One polynomial an invariant.
    """
    polynomials: list[Polynomial] = [{(0,): 1.0}]
    power: list[Polynomial] = [
        {(lm, lm): (2.0 * l + 1.0) ** -0.5 for lm in range(l * l, (l + 1) ** 2)} for l in range(lmax + 1)
    ]
    if body_order >= 3:
        polynomials += power
    if body_order >= 4:
        table = gaunt(lmax)
        for l1 in range(lmax + 1):
            for l2 in range(l1, lmax + 1):
                for l3 in range(l2, min(lmax, l1 + l2) + 1):
                    if (l1 + l2 + l3) % 2 == 0:
                        polynomials.append(_triple(table, l1, l2, l3))
    if body_order >= 5:
        polynomials += [_product(power[l], power[k]) for l in range(lmax + 1) for k in range(l, lmax + 1)]
    return tuple(polynomials)


def _triple(table: NDArray[np.float64], l1: int, l2: int, l3: int) -> Polynomial:
    block = table[l1 * l1 : (l1 + 1) ** 2, l2 * l2 : (l2 + 1) ** 2, l3 * l3 : (l3 + 1) ** 2]
    norm = np.linalg.norm(block)
    polynomial: Polynomial = defaultdict(float)
    for a, b, c in np.argwhere(block):
        key = tuple(sorted((int(l1 * l1 + a), int(l2 * l2 + b), int(l3 * l3 + c))))
        polynomial[key] += float(block[a, b, c] / norm)
    return {key: _surd(value) for key, value in polynomial.items() if abs(value) > 1e-12}


def _surd(value: float) -> float:
    """The square root of a fraction that the value is but for rounding: of 208 constants at l = 4, 82 are different."""
    exact = math.copysign(math.sqrt(Fraction(value * value).limit_denominator(10**7)), value)
    assert abs(exact - value) < 1e-13
    return exact


def _product(first: Polynomial, second: Polynomial) -> Polynomial:
    product: Polynomial = defaultdict(float)
    for a, x in first.items():
        for b, y in second.items():
            product[tuple(sorted(a + b))] += x * y
    return dict(product)


def evaluate(polynomials: tuple[Polynomial, ...], a: NDArray[np.float64]) -> NDArray[np.float64]:
    """The invariants of A (n_lm, n_channels) by the plain sum, to test the emitted code against."""
    return np.array([sum(c * np.prod(a[list(key)], axis=0) for key, c in p.items()) for p in polynomials])


def source(lmax: int, body_order: int) -> str:
    """Python source of functions on A (n_lm, C), straight-line code for as many columns at once as a vector has places.

    - `invariants(a, b)`: b = B(a)
    - `invariants_vjp(a, db, da)`: da = Σ_b db_b ∂B_b/∂a
    - `invariants_jvp(a, t, b)`: b = ∂B/∂a · t
    - `invariants_hvp(a, db, t, da)`: da = Σ_b db_b ∂²B_b/∂a² · t
    """
    polynomials = invariants(lmax, body_order)
    n_lm = (lmax + 1) ** 2
    place = Place(
        {name: f"load(flat_{name}, {{row}} * width + c)" for name in ("a", "t", "db")},
        {name: f"store(flat_{name}, {{row}} * width + c, {{value}})" for name in ("b", "da")},
    )
    loads = {name: [f"{name}{i} = {place.get(name, i)}" for i in range(n_lm)] for name in "at"}
    weights = [f"w{b} = {place.get('db', b)}" for b in range(len(polynomials))]
    push = [place.put("b", b, _directional(p)) for b, p in enumerate(polynomials)]
    curve = [place.put("da", i, _curved(polynomials, i)) for i in range(n_lm)]
    return "\n\n".join(
        [
            _WIDENED,
            _function("invariants", ("a",), "b", _values(polynomials, lmax, place)),
            _function("invariants_vjp", ("a", "db"), "da", _gradients(polynomials, lmax, place)),
            _function("invariants_jvp", ("a", "t"), "b", loads["a"] + loads["t"] + push),
            _function("invariants_hvp", ("a", "db", "t"), "da", loads["a"] + loads["t"] + weights + curve),
        ]
    )


_WIDENED = '''@njit(cache=True, nogil=True)
def widened(rows):
    """Rows one behind the other, filled up to the length of a vector."""
    if rows.shape[1] >= LANES:
        return rows.reshape(-1)
    wide = np.zeros((rows.shape[0], LANES))
    wide[:, : rows.shape[1]] = rows
    return wide.reshape(-1)
'''


def _function(name: str, given: tuple[str, ...], result: str, body: list[str]) -> str:
    lines = "\n".join(indented(indented(single_assignment(body))))
    flat = "\n".join(f"    flat_{one} = widened({one})" for one in (*given, result))
    return f"""@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def {name}({", ".join((*given, result))}):
    whole_vectors()
    width = max({result}.shape[1], LANES)
{flat}
    for begin in range(0, width, LANES):
        c = min(begin, width - LANES)
{lines}
    if {result}.shape[1] < LANES:
        {result}[:] = flat_{result}.reshape({result}.shape[0], LANES)[:, : {result}.shape[1]]
"""


def fused_source(lmax: int, body_order: int) -> str:
    """Source of `invariants(a, first, b)` and `invariants_vjp(a, first, db, da)` for one channel of a block of atoms.

    Its densities begin at `first` of the flat arrays a and da, and b and db are those of this channel.
    """
    return _fused("invariants(a, first, b)", _values, lmax, body_order) + "\n\n" + fused_vjp(lmax, body_order)


def fused_vjp(lmax: int, body_order: int) -> str:
    """Source of `invariants_vjp` alone."""
    return _fused("invariants_vjp(a, first, db, da)", _gradients, lmax, body_order)


def _fused(
    name: str, lines: Callable[[tuple[Polynomial, ...], int, Place], list[str]], lmax: int, body_order: int
) -> str:
    reads = {"a": "load(a, first + {row} * LANES)", "db": "load(db, {row} * LANES)"}
    writes = {"b": "store(b, {row} * LANES, {value})", "da": "store(da, first + {row} * LANES, {value})"}
    body = single_assignment(lines(invariants(lmax, body_order), lmax, Place(reads, writes)))
    head = '@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy", **UNWRAPPED)\ndef '
    return f"{head}{name}:\n" + "\n".join(indented(body)) + "\n"


def _nested(polynomial: Polynomial) -> dict[int, dict[int, dict[int, float]]]:
    """A cubic form as Σ_i a_i Σ_j a_j Σ_k C_ijk a_k."""
    tree: dict[int, dict[int, dict[int, float]]] = {}
    for (i, j, k), coefficient in polynomial.items():
        tree.setdefault(i, {}).setdefault(j, {})[k] = coefficient
    return tree


def _scaled(terms: dict[int, float]) -> str:
    first, *rest = (f"{'-' if c < 0.0 else '+'} real({abs(c)!r}) * a{k}" for k, c in terms.items())
    return " ".join([first.removeprefix("+ ").replace("- ", "-"), *rest])


def _kinds(polynomials: tuple[Polynomial, ...], lmax: int) -> Iterator[tuple[int, str, Any]]:
    """Number and kind of each invariant: a_0, a power spectrum p_l, a_0 p_l, a cubic form, or a product p_l p_k."""
    n = lmax + 1
    for b, p in enumerate(polynomials):
        order = len(next(iter(p)))
        if order == 1:
            yield b, "density", None
        elif order == 2:
            yield b, "power", b - 1
        elif order == 3 and all(key[0] == 0 for key in p):
            l = int(max(key[2] for key in p) ** 0.5)
            yield b, "scaled", (l, p[0, l * l, l * l] * (2.0 * l + 1.0) ** 0.5)
        elif order == 3:
            yield b, "cubic", _nested(p)
        else:
            first = len(polynomials) - n * (n + 1) // 2
            yield b, "product", [(l, k) for l in range(n) for k in range(l, n)][b - first]


def _loads(lmax: int, place: Place) -> list[str]:
    """Densities and their power spectra p_l = Σ_m a_lm² / √(2l+1)."""
    lines = [f"a{i} = {place.get('a', i)}" for i in range((lmax + 1) ** 2)]
    for l in range(lmax + 1):
        squares = " + ".join(f"a{i} * a{i}" for i in range(l * l, (l + 1) ** 2))
        lines.append(f"p{l} = real({(2.0 * l + 1.0) ** -0.5!r}) * ({squares})")
    return lines


def _values(polynomials: tuple[Polynomial, ...], lmax: int, place: Place) -> list[str]:
    lines = _loads(lmax, place)
    for b, kind, about in _kinds(polynomials, lmax):
        if kind == "density":
            value = "a0"
        elif kind == "power":
            value = f"p{about}"
        elif kind == "scaled":
            value = f"real({about[1]!r}) * a0 * p{about[0]}"
        elif kind == "product":
            value = f"p{about[0]} * p{about[1]}"
        else:
            rows = [
                f"a{i} * ({' + '.join(f'a{j} * ({_scaled(terms)})' for j, terms in row.items())})"
                for i, row in about.items()
            ]
            value = " + ".join(rows)
        lines.append(place.put("b", b, value))
    return lines


def _gradients(polynomials: tuple[Polynomial, ...], lmax: int, place: Place) -> list[str]:
    """Reverse mode: each product of two densities is formed once, and each monomial costs two operations."""
    n_lm = (lmax + 1) ** 2
    lines = _loads(lmax, place)
    lines += [f"d{i} = real(0.0)" for i in range(n_lm)] + [f"q{l} = real(0.0)" for l in range(lmax + 1)]
    for b, kind, about in _kinds(polynomials, lmax):
        lines.append(f"w = {place.get('db', b)}")
        if kind == "density":
            lines.append("d0 += w")
        elif kind == "power":
            lines.append(f"q{about} += w")
        elif kind == "scaled":
            l, factor = about
            lines += [f"w = real({factor!r}) * w", f"d0 += w * p{l}", f"q{l} += w * a0"]
        elif kind == "product":
            l, k = about
            lines += [f"q{l} += w * p{k}", f"q{k} += w * p{l}"]
        else:
            for i, row in about.items():
                lines += [f"u = w * a{i}"]
                for number, (j, terms) in enumerate(row.items()):
                    lines += [f"v = {_scaled(terms)}", f"s = u * a{j}", f"d{j} += u * v"]
                    lines += [f"t {'+=' if number else '='} a{j} * v"]
                    lines += [f"d{k} {'-' if c < 0.0 else '+'}= real({abs(c)!r}) * s" for k, c in terms.items()]
                lines.append(f"d{i} += w * t")
    for l in range(lmax + 1):
        lines.append(f"q{l} = real({2.0 * (2.0 * l + 1.0) ** -0.5!r}) * q{l}")
        lines += [place.put("da", i, f"d{i} + q{l} * a{i}") for i in range(l * l, (l + 1) ** 2)]
    return lines


def _derivative(polynomial: Polynomial, i: int) -> Polynomial:
    derivative: Polynomial = defaultdict(float)
    for key, coefficient in polynomial.items():
        if i in key:
            rest = list(key)
            rest.remove(i)
            derivative[tuple(rest)] += coefficient * key.count(i)
    return dict(derivative)


def _sum(polynomial: Polynomial) -> str:
    """The polynomial factored by its leading variable, as an expression."""
    if not polynomial:
        return _constant(0.0)
    constant = polynomial.get(())
    terms = [] if constant is None else [_constant(constant)]
    by_leader: dict[int, Polynomial] = defaultdict(dict)
    for key, coefficient in polynomial.items():
        if key:
            by_leader[key[0]][key[1:]] = coefficient
    for leader, rest in by_leader.items():
        terms.append(f"a{leader} * {_sum(rest)}" if len(rest) == 1 else f"a{leader} * ({_sum(rest)})")
    return " + ".join(terms)


def _constant(value: float) -> str:
    return f"full(real({value!r}))"


def _directional(polynomial: Polynomial) -> str:
    variables = sorted({i for key in polynomial for i in key})
    return " + ".join(f"t{i} * ({_sum(_derivative(polynomial, i))})" for i in variables)


def _curved(polynomials: tuple[Polynomial, ...], i: int) -> str:
    """Σ_b w_b ∂/∂a_i (∂B_b/∂a · t)."""
    terms = []
    for b, p in enumerate(polynomials):
        d = _derivative(p, i)
        expression = _directional(d)
        if d and expression:
            terms.append(f"w{b} * ({expression})")
    return " + ".join(terms) if terms else _constant(0.0)
