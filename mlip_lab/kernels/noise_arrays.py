"""Many normal numbers at once: the pairs of `noise.normal_pair`, to a rounding.

Each loop here does one thing to all numbers, without a branch or a call, so that it turns into vector instructions;
logarithm, sine and cosine are series for that. One by one, the noise of a ring polymer takes as long as the rest of
its step.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from mlip_lab.kernels.noise import HALF, LOW, MULTIPLIER_0, MULTIPLIER_1, UNIT, WEYL_0, WEYL_1

Floats = NDArray[np.float64]
Words = NDArray[np.uint32]

_SHORT = np.uint32(11)  # bits of a word that two words have more than a float64 holds
_FRACTION = np.int64(0xFFFFFFFFFFFFF)  # bits of a float64 behind its exponent
_ONE = np.int64(0x3FF0000000000000)  # the float64 1.0
_ROOT, _LN2 = math.sqrt(2.0), math.log(2.0)
_ARTANH = tuple(1.0 / n for n in range(19, 0, -2))  # series in z², highest power first,
_SINE = tuple((-1.0) ** n / math.factorial(2 * n + 1) for n in range(8, -1, -1))  # and in x²
_COSINE = tuple((-1.0) ** n / math.factorial(2 * n) for n in range(8, -1, -1))


@njit(cache=True, nogil=True, error_model="numpy")
def fill_normals(values: Floats, seed: int, step: int, stream: int) -> None:
    """Fill values[2k] and values[2k + 1], float64 (n,), with the numbers of normal_pair(seed, step, k, stream)."""
    count = (values.size + 1) // 2
    words = np.empty((4, count), dtype=np.uint32)
    _philox(words, seed, step, stream)
    radii, cosines, sines = _uniform(words[0], words[1]), _uniform(words[2], words[3]), np.empty(count)
    for k in range(count):
        radii[k] = 1.0 - radii[k]  # above 0
    _radii(radii)
    _circle(cosines, sines)
    for k in range(values.size // 2):
        values[2 * k] = radii[k] * cosines[k]
        values[2 * k + 1] = radii[k] * sines[k]
    if values.size % 2:
        values[-1] = radii[-1] * cosines[-1]


@njit(cache=True, nogil=True)
def _philox(words: Words, seed: int, step: int, stream: int) -> None:
    """Four random words each, (4, n), for the counters 0 … n − 1 (see noise.philox)."""
    s, k = np.uint64(step), np.uint64(seed)
    k0, k1 = k & LOW, k >> HALF
    w0, w1, w2, w3 = words[0], words[1], words[2], words[3]
    for i in range(w0.size):
        w0[i] = np.uint32(s & LOW)
        w1[i] = np.uint32(s >> HALF)
        w2[i] = np.uint32(i)
        w3[i] = np.uint32(stream)
    for _ in range(10):
        for i in range(w0.size):
            a = MULTIPLIER_0 * np.uint64(w0[i])
            b = MULTIPLIER_1 * np.uint64(w2[i])
            w0[i] = np.uint32((b >> HALF) ^ np.uint64(w1[i]) ^ k0)
            w1[i] = np.uint32(b & LOW)
            w2[i] = np.uint32((a >> HALF) ^ np.uint64(w3[i]) ^ k1)
            w3[i] = np.uint32(a & LOW)
        k0 = (k0 + WEYL_0) & LOW
        k1 = (k1 + WEYL_1) & LOW


@njit(cache=True, nogil=True)
def _uniform(high: Words, low: Words) -> Floats:
    """Two words to a number in [0, 1)."""
    values = np.empty(high.size)
    for i in range(high.size):
        values[i] = (float(high[i]) * 2097152.0 + float(low[i] >> _SHORT)) * UNIT  # 2^21: 53 bits in all
    return values


@njit(cache=True, nogil=True, error_model="numpy")  # a check for division by zero would be a branch
def _radii(values: Floats) -> None:
    """Turn x in (0, 1] into sqrt(−2 ln x) in place.

    With x = 2^e m, m from 1/√2 to √2, and z = (m − 1)/(m + 1), ln x = e ln 2 + 2 (z + z³/3 + z⁵/5 + …), |z| < 0.172.
    """
    bits, exponents = values.view(np.int64), np.empty(values.size)
    for i in range(values.size):
        exponents[i] = float((bits[i] >> 52) - 1023)
        bits[i] = (bits[i] & _FRACTION) | _ONE
    for i in range(values.size):
        large = values[i] > _ROOT
        m = 0.5 * values[i] if large else values[i]
        exponent = exponents[i] + 1.0 if large else exponents[i]
        z = (m - 1.0) / (m + 1.0)
        y = z * z
        series = 0.0
        for coefficient in _ARTANH:
            series = series * y + coefficient
        values[i] = math.sqrt(-2.0 * (exponent * _LN2 + 2.0 * z * series))


@njit(cache=True, nogil=True)
def _circle(turns: Floats, sines: Floats) -> None:
    """Turn v in [0, 1) into cos 2πv in place and fill in sin 2πv, by Taylor series about the nearest quarter turn."""
    for i in range(turns.size):
        quarter = np.floor(4.0 * turns[i] + 0.5)
        x = 2.0 * math.pi * (turns[i] - 0.25 * quarter)  # at most π/4
        y = x * x
        s, c = 0.0, 0.0
        for coefficient in _SINE:
            s = s * y + coefficient
        for coefficient in _COSINE:
            c = c * y + coefficient
        s *= x
        odd = (quarter == 1.0) | (quarter == 3.0)
        turns[i] = (s if odd else c) * (-1.0 if (quarter == 1.0) | (quarter == 2.0) else 1.0)
        sines[i] = (c if odd else s) * (-1.0 if (quarter == 2.0) | (quarter == 3.0) else 1.0)
