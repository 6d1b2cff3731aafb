"""Molecular dynamics one step at a time: operator splittings, baths and their random numbers.

One step is a row of maps, each solved exactly (Leimkuhler and Matthews, DOI 10.1093/amrx/abs010):

    B(t)  kick        p ← p + F t
    A(t)  drift       x ← x + p/m t
    O(t)  thermostat  p ← c p + sqrt((1 − c²) m kT) ξ,    c = exp(−γt)
    S(t)  rescaling   p ← α p, with α from the exact solution for the kinetic energy (Bussi, Donadio and Parrinello,
                      DOI 10.1063/1.2408420)
    N(t)  chain       p ← p exp(−∫ v₁), with the Nosé-Hoover chain's own equations (Martyna and others, DOI
                      10.1080/00268979600100761)

    code         step                                      known as
    BAOAB        B(½) A(½) O A(½) B(½)                     BAOAB; velocity Verlet without friction
    OBABO        O(½) B(½) A B(½) O(½)                     OBABO
    RESCALING    S(½) B(½) A B(½) S(½)                     stochastic velocity rescaling
    CHAIN        N(½) B(½) A B(½) N(½)                     Nosé-Hoover chain

`begin_step` is all of a row before the last B, `end_step` the rest; the forces come in between, from wherever they
like. Both return the heat taken from the bath, so that the energy less all heat is what a perfect integrator keeps:
for the chain it is the extended energy, for the others the effective energy of stochastic dynamics.

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

The noise ξ is a pure function of (seed, step, atom, component) (noise.py), so a run may be cut anywhere and driven from
anywhere without a change in it.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from mlip_lab.kernels.noise import normal_pair, normals, sum_of_squares
from mlip_lab.kernels.noise_arrays import fill_normals

Floats = NDArray[np.float64]

LARGEST_MOVE = 1.0  # Å in one step; bonds vibrate by a tenth of it, so only a run that has blown up gets there

NOISE = 0  # streams of random numbers that never overlap: what the bath draws in `begin_step`,
START = 2  # what the first momenta are drawn from,
LATE = 4  # what the bath draws in `end_step`,
CHAIN_START = 6  # the first velocities of a chain,
VOLUME = 8  # and what a barostat draws

BAOAB, OBABO, RESCALING, CHAIN = range(4)
LINKS = 4  # thermostats in a chain
_CUBE_ROOT = 2.0 ** (1.0 / 3.0)
# a chain's substeps, of fourth order together (Suzuki and Yoshida)
SUBSTEPS = (1.0 / (2.0 - _CUBE_ROOT), -_CUBE_ROOT / (2.0 - _CUBE_ROOT), 1.0 / (2.0 - _CUBE_ROOT))


class Scheme(NamedTuple):
    """How to integrate, in Å, eV and amu.

    Attributes:
        ensemble: BAOAB, OBABO, RESCALING or CHAIN.
        time_step: Å sqrt(amu/eV).
        decay: What a bath leaves of a momentum (RESCALING: of a kinetic energy) each time it acts; 1 for no bath.
        k_t: Temperature of the bath in eV at `first_step`.
        k_t_slope: Its change from step to step.
        first_step: Number of the first step of the run.
        fix_center: Whether the centre of mass is kept from moving.
        seed: Which noise.
        degrees: Number of momenta that are free.
        bath_time: Time in which a chain answers, Å sqrt(amu/eV).
    """

    ensemble: int
    time_step: float
    decay: float
    k_t: float
    k_t_slope: float
    first_step: int
    fix_center: bool
    seed: int
    degrees: int
    bath_time: float


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
    momenta: Floats,
    inverse_masses: Floats,
    decay: float,
    k_t: float,
    fix_center: bool,
    seed: int,
    step: int,
    stream: int,
) -> float:
    """O: p ← c p + sqrt((1 − c²) m kT) ξ, the exact Ornstein-Uhlenbeck process.

    Returns:
        Heat taken from the bath: the gain in kinetic energy, eV.
    """
    if decay == 1.0:
        return 0.0
    before = kinetic_energy(momenta, inverse_masses)
    n = momenta.shape[0]
    noise = np.empty((2, 2 * n))  # the numbers of `normals`: x and y of every atom, and z with one to spare
    fill_normals(noise[0], seed, step, stream)
    fill_normals(noise[1], seed, step, stream + 1)
    for i in range(n):
        if inverse_masses[i] == 0.0:
            continue
        width = math.sqrt((1.0 - decay * decay) * k_t / inverse_masses[i])
        momenta[i, 0] = decay * momenta[i, 0] + width * noise[0, 2 * i]
        momenta[i, 1] = decay * momenta[i, 1] + width * noise[0, 2 * i + 1]
        momenta[i, 2] = decay * momenta[i, 2] + width * noise[1, 2 * i]
    if fix_center:
        remove_center_motion(momenta, inverse_masses)
    return kinetic_energy(momenta, inverse_masses) - before


@njit(cache=True, nogil=True)
def rescaling(
    momenta: Floats, inverse_masses: Floats, decay: float, k_t: float, degrees: int, seed: int, step: int, stream: int
) -> float:
    """S: p ← α p, so that the kinetic energy follows its exact stochastic equation towards the canonical distribution.

    With K̄ = f kT/2, R one normal number and Σ the sum of f − 1 squares of others,

        α² = c + (1 − c) K̄/(f K) (R² + Σ) + 2 R sqrt(c (1 − c) K̄/(f K)).

    Returns:
        Heat taken from the bath: the gain in kinetic energy, eV.
    """
    kinetic = kinetic_energy(momenta, inverse_masses)
    if decay == 1.0 or kinetic == 0.0:
        return 0.0
    share = 0.5 * k_t / kinetic
    r, _ = normal_pair(seed, step, 0, stream)
    rest = sum_of_squares(degrees - 1, seed, step, stream)
    root = math.sqrt(decay) + r * math.sqrt((1.0 - decay) * share)
    alpha = math.sqrt(root * root + (1.0 - decay) * share * rest)
    if root < 0.0:
        alpha = -alpha
    momenta *= alpha
    heat: float = kinetic * (alpha * alpha - 1.0)
    return heat


@njit(cache=True, nogil=True)
def chain_energy(bath: Floats, masses: Floats, degrees: int, k_t: float) -> float:
    """Energy of a chain: Σ ½ Q v² + kT (f ξ₁ + ξ₂ + …), eV."""
    energy: float = degrees * k_t * bath[0]
    for k in range(LINKS):
        energy += 0.5 * masses[k] * bath[LINKS + k] ** 2
        if k > 0:
            energy += k_t * bath[k]
    return energy


@njit(cache=True, nogil=True)
def chain_masses(degrees: int, k_t: float, bath_time: float) -> Floats:
    """Q₁ = f kT τ² and Q = kT τ² of the other links (Martyna and others)."""
    masses = np.full(LINKS, k_t * bath_time * bath_time)
    masses[0] *= degrees
    return masses


@njit(cache=True, nogil=True)
def chain(
    momenta: Floats, inverse_masses: Floats, bath: Floats, masses: Floats, degrees: int, k_t: float, time: float
) -> float:
    """N: a Nosé-Hoover chain for a time; `bath` holds its positions ξ and velocities v, (2 LINKS,).

    Returns:
        Heat taken from the chain: what its energy loses, eV.
    """
    before = chain_energy(bath, masses, degrees, k_t)
    twice = 2.0 * kinetic_energy(momenta, inverse_masses)
    scale = 1.0
    for w in SUBSTEPS:
        t = w * time
        for up in range(2):  # from the far end of the chain to the momenta, and back
            for n in range(LINKS):
                k = n if up else LINKS - 1 - n
                force = twice * scale * scale - degrees * k_t
                if k > 0:
                    force = masses[k - 1] * bath[LINKS + k - 1] ** 2 - k_t
                slow = math.exp(-0.25 * t * bath[LINKS + k + 1]) if k < LINKS - 1 else 1.0
                bath[LINKS + k] = (bath[LINKS + k] * slow + 0.5 * t * force / masses[k]) * slow
            if not up:
                scale *= math.exp(-t * bath[LINKS])
                for k in range(LINKS):
                    bath[k] += t * bath[LINKS + k]
    momenta *= scale
    return before - chain_energy(bath, masses, degrees, k_t)


@njit(cache=True, nogil=True)
def bath_temperature(scheme: Scheme, step: int) -> float:
    """Temperature kT of the bath in a step, eV: on its way from the first temperature to the last."""
    return scheme.k_t + scheme.k_t_slope * (step - scheme.first_step)


@njit(cache=True, nogil=True)
def couple(momenta: Floats, inverse_masses: Floats, scheme: Scheme, bath: Floats, step: int, stream: int) -> float:
    """O(½), S(½) or N(½); returns the heat taken from the bath, eV."""
    k_t = bath_temperature(scheme, step)
    if scheme.ensemble == OBABO:
        return thermostat(momenta, inverse_masses, scheme.decay, k_t, scheme.fix_center, scheme.seed, step, stream)
    if scheme.ensemble == RESCALING:
        return rescaling(momenta, inverse_masses, scheme.decay, k_t, scheme.degrees, scheme.seed, step, stream)
    masses = chain_masses(scheme.degrees, scheme.k_t, scheme.bath_time)
    return chain(momenta, inverse_masses, bath, masses, scheme.degrees, k_t, 0.5 * scheme.time_step)


@njit(cache=True, nogil=True)
def begin_step(
    positions: Floats, momenta: Floats, forces: Floats, inverse_masses: Floats, scheme: Scheme, bath: Floats, step: int
) -> float:
    """Everything before the new forces.

    Args:
        positions: Å, (n_atoms, 3), changed in place.
        momenta: sqrt(amu eV), (n_atoms, 3), changed in place.
        forces: eV/Å at the positions, (n_atoms, 3).
        inverse_masses: 1/amu, (n_atoms,), zero for atoms that are held.
        scheme: How to integrate.
        bath: Positions and velocities of a chain, (2 LINKS,), changed in place.
        step: Number of this step.

    Returns:
        Heat taken from the bath, eV.
    """
    half = 0.5 * scheme.time_step
    if scheme.ensemble == BAOAB:
        kick(momenta, forces, inverse_masses, half, scheme.fix_center)
        drift(positions, momenta, inverse_masses, half)
        heat = thermostat(
            momenta, inverse_masses, scheme.decay, bath_temperature(scheme, step), scheme.fix_center, scheme.seed, step,
            NOISE,
        )  # fmt: skip
        drift(positions, momenta, inverse_masses, half)
        return heat
    heat = couple(momenta, inverse_masses, scheme, bath, step, NOISE)
    kick(momenta, forces, inverse_masses, half, scheme.fix_center)
    drift(positions, momenta, inverse_masses, scheme.time_step)
    return heat


@njit(cache=True, nogil=True)
def end_step(momenta: Floats, forces: Floats, inverse_masses: Floats, scheme: Scheme, bath: Floats, step: int) -> float:
    """What is left of the step, with the forces at the new positions; returns heat as `begin_step` does."""
    kick(momenta, forces, inverse_masses, 0.5 * scheme.time_step, scheme.fix_center)
    return 0.0 if scheme.ensemble == BAOAB else couple(momenta, inverse_masses, scheme, bath, step, LATE)


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
