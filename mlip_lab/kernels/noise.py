"""Random numbers that are pure functions of where they are used.

ξ depends on (seed, step, atom, component) alone: Philox4x32-10 (Salmon et al., DOI 10.1145/2063384.2063405) and
Box-Muller. So a run may be cut anywhere and driven from anywhere without a change in it.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

LOW = np.uint64(0xFFFFFFFF)
HALF = np.uint64(32)
MULTIPLIER_0 = np.uint64(0xD2511F53)
MULTIPLIER_1 = np.uint64(0xCD9E8D57)
WEYL_0 = np.uint64(0x9E3779B9)
WEYL_1 = np.uint64(0xBB67AE85)
MANTISSA = np.uint64(11)  # 64 random bits minus the 53 that a float64 holds
UNIT = 2.0**-53


@njit(cache=True, nogil=True)
def philox(
    c0: np.uint64, c1: np.uint64, c2: np.uint64, c3: np.uint64, k0: np.uint64, k1: np.uint64
) -> tuple[np.uint64, np.uint64, np.uint64, np.uint64]:
    """Turn a counter of four and a key of two 32-bit words into four random words (Philox4x32, ten rounds)."""
    for _ in range(10):
        a = MULTIPLIER_0 * c0
        b = MULTIPLIER_1 * c2
        c0, c1, c2, c3 = (b >> HALF) ^ c1 ^ k0, b & LOW, (a >> HALF) ^ c3 ^ k1, a & LOW
        k0 = (k0 + WEYL_0) & LOW
        k1 = (k1 + WEYL_1) & LOW
    return c0, c1, c2, c3


@njit(cache=True, nogil=True)
def normal_pair(seed: int, step: int, atom: int, stream: int) -> tuple[float, float]:
    """Two independent standard normal numbers that depend on the arguments alone (Box-Muller)."""
    s = np.uint64(step)
    k = np.uint64(seed)
    w0, w1, w2, w3 = philox(s & LOW, s >> HALF, np.uint64(atom) & LOW, np.uint64(stream), k & LOW, k >> HALF)
    first = (((w0 << HALF) | w1) >> MANTISSA) * UNIT
    second = (((w2 << HALF) | w3) >> MANTISSA) * UNIT
    radius = math.sqrt(-2.0 * math.log(1.0 - first))  # first is in [0, 1)
    angle = 2.0 * math.pi * second
    return radius * math.cos(angle), radius * math.sin(angle)


@njit(cache=True, nogil=True)
def uniform(seed: int, step: int, atom: int, stream: int) -> float:
    """A number in [0, 1) that depends on the arguments alone."""
    s = np.uint64(step)
    k = np.uint64(seed)
    w0, w1, _, _ = philox(s & LOW, s >> HALF, np.uint64(atom) & LOW, np.uint64(stream), k & LOW, k >> HALF)
    return (((w0 << HALF) | w1) >> MANTISSA) * UNIT


@njit(cache=True, nogil=True)
def sum_of_squares(count: int, seed: int, step: int, stream: int) -> float:
    """Sum of the squares of `count` standard normal numbers: twice a gamma variate of shape count/2.

    By rejection (Marsaglia and Tsang, DOI 10.1145/358407.358414); uses the streams `stream` and `stream` + 1, and the
    counters of atoms from 1 on.
    """
    if count == 0:
        return 0.0
    shape = 0.5 * count
    boost = 1.0
    if shape < 1.0:
        boost = (1.0 - uniform(seed, step, 0, stream + 1)) ** (1.0 / shape)
        shape += 1.0
    d = shape - 1.0 / 3.0
    c = 1.0 / math.sqrt(9.0 * d)
    for trial in range(1, 1_000_000):
        x, _ = normal_pair(seed, step, trial, stream)
        v = (1.0 + c * x) ** 3
        if v > 0.0:
            u = 1.0 - uniform(seed, step, trial, stream + 1)
            if math.log(u) < 0.5 * x * x + d - d * v + d * math.log(v):
                return 2.0 * d * v * boost
    return 2.0 * shape * boost  # never reached: one trial in twenty is rejected


@njit(cache=True, nogil=True)
def normals(seed: int, step: int, atom: int, stream: int) -> tuple[float, float, float]:
    """Three independent standard normal numbers, one a component; uses the streams `stream` and `stream` + 1."""
    x, y = normal_pair(seed, step, atom, stream)
    z, _ = normal_pair(seed, step, atom, stream + 1)
    return x, y, z
