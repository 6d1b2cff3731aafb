"""Molecular dynamics one step at a time: BAOAB splitting and its random numbers.

One step of Langevin dynamics is five maps, each solved exactly (Leimkuhler and Matthews, DOI 10.1093/amrx/abs010):

    B  kick        p ← p + F Δt/2
    A  drift       x ← x + p/m Δt/2
    O  thermostat  p ← c p + sqrt((1 − c²) m kT) ξ,    c = exp(−γ Δt)
    A  drift
    B  kick        with the forces at the new positions

Without friction O does nothing and the step is velocity Verlet. `begin_step` is B A O A, `end_step` the last B; the
forces come in between, from wherever they like.

| symbol | name             | unit            |
|--------|------------------|-----------------|
| x      | positions        | Å               |
| p      | momenta          | sqrt(amu eV)    |
| F      | forces           | eV/Å            |
| 1/m    | inverse_masses   | 1/amu           |
| Δt     | time_step        | Å sqrt(amu/eV)  |
| c      | decay            |                 |
| kT     | k_t              | eV              |

An atom with inverse mass 0 is held: it neither moves nor takes momentum. With `fix_center` the motion of the centre of
mass is projected out of B and O. In mass-weighted coordinates this is an orthogonal projection, so what is left is
the same dynamics with three degrees of freedom fewer.

The noise ξ is a pure function of (seed, step, atom, component): Philox4x32-10 (Salmon et al., DOI
10.1145/2063384.2063405) and Box-Muller. So a run may be cut anywhere and driven from anywhere without a change in it.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LARGEST_MOVE = 1.0  # Å in one step; bonds vibrate by a tenth of it, so only a run that has blown up gets there

NOISE = 0  # streams of random numbers that never overlap: what O draws,
START = 2  # and what the first momenta are drawn from

_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_MULTIPLIER_0 = np.uint64(0xD2511F53)
_MULTIPLIER_1 = np.uint64(0xCD9E8D57)
_WEYL_0 = np.uint64(0x9E3779B9)
_WEYL_1 = np.uint64(0xBB67AE85)
_MANTISSA = np.uint64(11)  # 64 random bits minus the 53 that a float64 holds
_UNIT = 2.0**-53


@njit(cache=True, nogil=True)
def philox(
    c0: np.uint64, c1: np.uint64, c2: np.uint64, c3: np.uint64, k0: np.uint64, k1: np.uint64
) -> tuple[np.uint64, np.uint64, np.uint64, np.uint64]:
    """Turn a counter of four and a key of two 32-bit words into four random words (Philox4x32, ten rounds)."""
    for _ in range(10):
        a = _MULTIPLIER_0 * c0
        b = _MULTIPLIER_1 * c2
        c0, c1, c2, c3 = (b >> _HALF) ^ c1 ^ k0, b & _LOW, (a >> _HALF) ^ c3 ^ k1, a & _LOW
        k0 = (k0 + _WEYL_0) & _LOW
        k1 = (k1 + _WEYL_1) & _LOW
    return c0, c1, c2, c3


@njit(cache=True, nogil=True)
def normal_pair(seed: int, step: int, atom: int, stream: int) -> tuple[float, float]:
    """Two independent standard normal numbers that depend on the arguments alone (Box-Muller)."""
    s = np.uint64(step)
    k = np.uint64(seed)
    w0, w1, w2, w3 = philox(s & _LOW, s >> _HALF, np.uint64(atom) & _LOW, np.uint64(stream), k & _LOW, k >> _HALF)
    first = (((w0 << _HALF) | w1) >> _MANTISSA) * _UNIT
    second = (((w2 << _HALF) | w3) >> _MANTISSA) * _UNIT
    radius = math.sqrt(-2.0 * math.log(1.0 - first))  # first is in [0, 1)
    angle = 2.0 * math.pi * second
    return radius * math.cos(angle), radius * math.sin(angle)


@njit(cache=True, nogil=True)
def normals(seed: int, step: int, atom: int, stream: int) -> tuple[float, float, float]:
    """Three independent standard normal numbers, one a component; uses the streams `stream` and `stream` + 1."""
    x, y = normal_pair(seed, step, atom, stream)
    z, _ = normal_pair(seed, step, atom, stream + 1)
    return x, y, z


@njit(cache=True, nogil=True)
def remove_center_motion(momenta: Floats, inverse_masses: Floats) -> None:
    """Take the centre-of-mass velocity out of the momenta in place; no atom may be held."""
    mass = 0.0
    total = np.zeros(3)
    for i in range(momenta.shape[0]):
        mass += 1.0 / inverse_masses[i]
        for d in range(3):
            total[d] += momenta[i, d]
    for i in range(momenta.shape[0]):
        share = 1.0 / (inverse_masses[i] * mass)
        for d in range(3):
            momenta[i, d] -= share * total[d]


@njit(cache=True, nogil=True)
def kinetic_energy(momenta: Floats, inverse_masses: Floats) -> float:
    """Kinetic energy Σ p²/2m in eV."""
    energy = 0.0
    for i in range(momenta.shape[0]):
        for d in range(3):
            energy += 0.5 * inverse_masses[i] * momenta[i, d] ** 2
    return energy


@njit(cache=True, nogil=True)
def force_square(forces: Floats, inverse_masses: Floats, fix_center: bool) -> float:
    """Σ F²/m in eV over the squared unit of time, of the forces less what `fix_center` takes out of them."""
    square = 0.0
    mass = 0.0
    total = np.zeros(3)
    for i in range(forces.shape[0]):
        if inverse_masses[i] > 0.0:
            mass += 1.0 / inverse_masses[i]
            for d in range(3):
                square += inverse_masses[i] * forces[i, d] ** 2
                total[d] += forces[i, d]
    if fix_center:
        for d in range(3):
            square -= total[d] ** 2 / mass
    return square


@njit(cache=True, nogil=True)
def draw_momenta(momenta: Floats, inverse_masses: Floats, k_t: float, fix_center: bool, seed: int, step: int) -> None:
    """Overwrite the momenta by Maxwell-Boltzmann ones, p = sqrt(m kT) ξ."""
    for i in range(momenta.shape[0]):
        if inverse_masses[i] == 0.0:
            momenta[i, :] = 0.0
            continue
        width = math.sqrt(k_t / inverse_masses[i])
        x, y, z = normals(seed, step, i, START)
        momenta[i, 0] = width * x
        momenta[i, 1] = width * y
        momenta[i, 2] = width * z
    if fix_center:
        remove_center_motion(momenta, inverse_masses)


@njit(cache=True, nogil=True)
def kick(momenta: Floats, forces: Floats, inverse_masses: Floats, time: float, fix_center: bool) -> None:
    """B: p ← p + F t."""
    for i in range(momenta.shape[0]):
        if inverse_masses[i] > 0.0:
            for d in range(3):
                momenta[i, d] += time * forces[i, d]
    if fix_center:
        remove_center_motion(momenta, inverse_masses)


@njit(cache=True, nogil=True)
def drift(positions: Floats, momenta: Floats, inverse_masses: Floats, time: float) -> None:
    """A: x ← x + p/m t."""
    for i in range(positions.shape[0]):
        for d in range(3):
            positions[i, d] += time * inverse_masses[i] * momenta[i, d]


@njit(cache=True, nogil=True)
def thermostat(
    momenta: Floats, inverse_masses: Floats, decay: float, k_t: float, fix_center: bool, seed: int, step: int
) -> float:
    """O: p ← c p + sqrt((1 − c²) m kT) ξ, the exact Ornstein-Uhlenbeck process.

    Returns:
        Heat taken from the bath: the gain in kinetic energy, eV.
    """
    if decay == 1.0:
        return 0.0
    before = kinetic_energy(momenta, inverse_masses)
    for i in range(momenta.shape[0]):
        if inverse_masses[i] == 0.0:
            continue
        width = math.sqrt((1.0 - decay * decay) * k_t / inverse_masses[i])
        x, y, z = normals(seed, step, i, NOISE)
        momenta[i, 0] = decay * momenta[i, 0] + width * x
        momenta[i, 1] = decay * momenta[i, 1] + width * y
        momenta[i, 2] = decay * momenta[i, 2] + width * z
    if fix_center:
        remove_center_motion(momenta, inverse_masses)
    return kinetic_energy(momenta, inverse_masses) - before


@njit(cache=True, nogil=True)
def begin_step(
    positions: Floats, momenta: Floats, forces: Floats, inverse_masses: Floats,
    time_step: float, decay: float, k_t: float, fix_center: bool, seed: int, step: int,
) -> float:  # fmt: skip
    """B A O A: everything before the new forces.

    Args:
        positions: Å, (n_atoms, 3), changed in place.
        momenta: sqrt(amu eV), (n_atoms, 3), changed in place.
        forces: eV/Å at the positions, (n_atoms, 3).
        inverse_masses: 1/amu, (n_atoms,), zero for atoms that are held.
        time_step: Å sqrt(amu/eV).
        decay: c = exp(−γ Δt); 1 for no thermostat.
        k_t: Temperature of the bath in eV.
        fix_center: Whether the centre of mass is kept from moving.
        seed: Which noise.
        step: Number of this step, counted from 0.

    Returns:
        Heat taken from the bath, eV.
    """
    kick(momenta, forces, inverse_masses, 0.5 * time_step, fix_center)
    drift(positions, momenta, inverse_masses, 0.5 * time_step)
    heat = thermostat(momenta, inverse_masses, decay, k_t, fix_center, seed, step)
    drift(positions, momenta, inverse_masses, 0.5 * time_step)
    return heat


@njit(cache=True, nogil=True)
def end_step(momenta: Floats, forces: Floats, inverse_masses: Floats, time_step: float, fix_center: bool) -> None:
    """B: the second half kick, with the forces at the new positions."""
    kick(momenta, forces, inverse_masses, 0.5 * time_step, fix_center)


@njit(cache=True, nogil=True)
def moves_are_small(momenta: Floats, inverse_masses: Floats, time_step: float) -> bool:
    """Whether no atom travels further than `LARGEST_MOVE` in one step; false for momenta that are NaN."""
    for i in range(momenta.shape[0]):
        square = 0.0
        for d in range(3):
            square += (momenta[i, d] * inverse_masses[i] * time_step) ** 2
        if not square <= LARGEST_MOVE**2:
            return False
    return True
