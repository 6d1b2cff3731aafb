"""Ring polymers one step at a time: free rings exactly, in normal modes, and their thermostats.

P copies of the system, the beads, are joined to rings by springs:

    H_P = Σ_k [ Σ p_k²/2m + ½ m ω_P² |r_k − r_{k+1}|² + E(r_k) ],    ω_P = P kT/ħ,

sampled at the temperature P·T. (The other usual form has ω_P = sqrt(P) kT/ħ and E/P at the temperature T: H_P/kT is the
same.) The orthogonal matrix C takes beads to the normal modes of the free ring, u = C r, with

    ω_k = 2 ω_P sin(kπ/P),    k = 0 … P − 1,

k = 0 is the centroid times sqrt(P). A step is B(½) A(½) O A(½) B(½) (Liu, Li and Liu, DOI 10.1063/1.4954990):

    B(t)  kick    p ← p + F t, with the physical forces alone
    A(t)  ring    u ← u cos ω_k t + p/(m ω_k) sin ω_k t,  p ← p cos ω_k t − m ω_k u sin ω_k t
    O     PILE    p ← c_k p + sqrt((1 − c_k²) m P kT) ξ,  c_k = exp(−γ_k Δt)
                  (Ceriotti and others, DOI 10.1063/1.3489925)

Units as in integrators.py; arrays are (P, n_atoms, 3).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from mlip_lab.kernels.integrators import remove_center_motion, rescaling
from mlip_lab.kernels.noise_arrays import fill_normals

Floats = NDArray[np.float64]

NOISE = 10  # streams of random numbers; see integrators.py
CENTROID = 12  # of a rescaled centroid


class Ring(NamedTuple):
    """How a ring moves.

    Attributes:
        time_step: Å sqrt(amu/eV).
        k_t: P kT in eV.
        fix_center: Whether the centre of mass of the centroids is kept from moving.
        rescale: Whether the centroids are coupled to the bath by rescaling (PILE-G) rather than one by one (PILE-L).
        degrees: Momenta of the centroids that are free.
        seed: Which noise.
    """

    time_step: float
    k_t: float
    fix_center: bool
    rescale: bool
    degrees: int
    seed: int


def mode_matrix(beads: int) -> Floats:
    """C, (P, P), orthogonal: rows are modes."""
    j = np.arange(beads) + 1.0
    rows = [np.full(beads, 1.0 / math.sqrt(beads))]
    for k in range(1, beads):
        if 2 * k < beads:
            rows.append(math.sqrt(2.0 / beads) * np.cos(2.0 * np.pi * j * k / beads))
        elif 2 * k == beads:
            rows.append((-1.0) ** j / math.sqrt(beads))
        else:
            rows.append(math.sqrt(2.0 / beads) * np.sin(2.0 * np.pi * j * k / beads))
    return np.array(rows)


def mode_frequencies(beads: int, omega: float) -> Floats:
    """ω_k of the free ring in the unit of ω_P, (P,)."""
    return np.asarray(2.0 * omega * np.sin(np.arange(beads) * np.pi / beads))


@njit(cache=True, nogil=True, error_model="numpy")
def spring_energy(positions: Floats, inverse_masses: Floats, omega: float) -> float:
    """Σ ½ m ω_P² |r_k − r_{k+1}|² in eV."""
    beads = positions.shape[0]
    energy = 0.0
    for k in range(beads):
        after = (k + 1) % beads
        for i in range(positions.shape[1]):
            square = 0.0
            for d in range(3):
                square += (positions[k, i, d] - positions[after, i, d]) ** 2
            energy += 0.5 * omega * omega * square / inverse_masses[i]
    return energy


@njit(cache=True, nogil=True)
def kinetic_energy(momenta: Floats, inverse_masses: Floats) -> float:
    """Σ p²/2m over all beads in eV."""
    energy = 0.0
    for k in range(momenta.shape[0]):
        for i in range(momenta.shape[1]):
            square = momenta[k, i, 0] ** 2 + momenta[k, i, 1] ** 2 + momenta[k, i, 2] ** 2
            energy += 0.5 * inverse_masses[i] * square
    return energy


@njit(cache=True, nogil=True)
def kick(momenta: Floats, forces: Floats, time: float) -> None:
    """B: p ← p + F t."""
    for k in range(momenta.shape[0]):
        for i in range(momenta.shape[1]):
            for d in range(3):
                momenta[k, i, d] += time * forces[k, i, d]


@njit(cache=True, nogil=True)
def to_modes(matrix: Floats, beads: Floats) -> Floats:
    """Turn beads into modes, u = C r; with the transposed matrix modes into beads."""
    shape = beads.shape
    modes: Floats = np.dot(matrix, beads.reshape(shape[0], shape[1] * 3)).reshape(shape)
    return modes


@njit(cache=True, nogil=True, error_model="numpy")
def free_ring(modes: Floats, momenta: Floats, inverse_masses: Floats, omegas: Floats, time: float) -> None:
    """A: free motion of every mode, solved exactly."""
    masses = np.repeat(1.0 / inverse_masses, 3)  # of coordinates: a loop over them turns into vector instructions
    for k in range(modes.shape[0]):
        c, s = math.cos(omegas[k] * time), math.sin(omegas[k] * time)
        reach = s / omegas[k] if omegas[k] > 0.0 else time
        u, p = modes[k].reshape(-1), momenta[k].reshape(-1)
        for i in range(u.size):
            x = u[i]
            u[i] = c * x + reach / masses[i] * p[i]
            p[i] = c * p[i] - omegas[k] * s * masses[i] * x


@njit(cache=True, nogil=True, error_model="numpy")
def pile(momenta: Floats, inverse_masses: Floats, decays: Floats, ring: Ring, step: int) -> float:
    """O: every mode to its own bath; c_0 is that of the centroid.

    Returns:
        Heat taken from the bath, eV.
    """
    if (decays == 1.0).all():
        return 0.0
    before = kinetic_energy(momenta, inverse_masses)
    noise = np.empty(momenta.size)
    fill_normals(noise, ring.seed, step, NOISE)
    widths = np.repeat(np.sqrt(ring.k_t / inverse_masses), 3)
    size = widths.size
    for k in range(1 if ring.rescale else 0, momenta.shape[0]):
        c = decays[k]
        part = math.sqrt(1.0 - c * c)
        p, drawn = momenta[k].reshape(-1), noise[k * size : (k + 1) * size]
        for i in range(size):
            p[i] = c * p[i] + part * widths[i] * drawn[i]
    if ring.rescale:
        rescaling(momenta[0], inverse_masses, decays[0], ring.k_t, ring.degrees, ring.seed, step, CENTROID)
    if ring.fix_center:
        remove_center_motion(momenta[0], inverse_masses)
    return kinetic_energy(momenta, inverse_masses) - before


@njit(cache=True, nogil=True)
def begin_step(
    positions: Floats, momenta: Floats, forces: Floats, inverse_masses: Floats, ring: Ring, matrix: Floats,
    omegas: Floats, decays: Floats, step: int,
) -> float:  # fmt: skip
    """B A O A: everything before the new forces.

    Args:
        positions: Å, (P, n_atoms, 3), changed in place.
        momenta: sqrt(amu eV), (P, n_atoms, 3), changed in place.
        forces: eV/Å at the positions, (P, n_atoms, 3).
        inverse_masses: 1/amu, (n_atoms,).
        ring: How to move.
        matrix: C, (P, P).
        omegas: ω_k in sqrt(eV/amu)/Å, (P,).
        decays: c_k, (P,); 1 for no bath.
        step: Number of this step.

    Returns:
        Heat taken from the bath, eV.
    """
    kick(momenta, forces, 0.5 * ring.time_step)
    modes, p = to_modes(matrix, positions), to_modes(matrix, momenta)
    if ring.fix_center:
        remove_center_motion(p[0], inverse_masses)
    free_ring(modes, p, inverse_masses, omegas, 0.5 * ring.time_step)
    heat = pile(p, inverse_masses, decays, ring, step)
    free_ring(modes, p, inverse_masses, omegas, 0.5 * ring.time_step)
    back = np.ascontiguousarray(matrix.T)
    positions[:] = to_modes(back, modes)
    momenta[:] = to_modes(back, p)
    return heat


@njit(cache=True, nogil=True)
def end_step(momenta: Floats, forces: Floats, ring: Ring) -> None:
    """B: the second half kick, with the forces at the new positions."""
    kick(momenta, forces, 0.5 * ring.time_step)


@njit(cache=True, nogil=True, error_model="numpy")
def estimators(positions: Floats, forces: Floats) -> Floats:
    """Of each atom, centroid virial Σ_k (r_k − r̄)·∇E(r_k)/P in eV and Σ_k |r_k − r̄|²/P in Å², (2, n_atoms)."""
    beads, atoms = positions.shape[0], positions.shape[1]
    found = np.empty((2, atoms))
    for i in range(atoms):
        x, y, z = 0.0, 0.0, 0.0
        for k in range(beads):
            x, y, z = x + positions[k, i, 0], y + positions[k, i, 1], z + positions[k, i, 2]
        x, y, z = x / beads, y / beads, z / beads
        virial, square = 0.0, 0.0
        for k in range(beads):
            dx, dy, dz = positions[k, i, 0] - x, positions[k, i, 1] - y, positions[k, i, 2] - z
            virial -= dx * forces[k, i, 0] + dy * forces[k, i, 1] + dz * forces[k, i, 2]
            square += dx * dx + dy * dy + dz * dz
        found[0, i], found[1, i] = virial / beads, square / beads
    return found


@njit(cache=True, nogil=True)
def observe(
    positions: Floats, momenta: Floats, forces: Floats, inverse_masses: Floats, omega: float
) -> tuple[Floats, float, float, float]:
    """What `estimators` gives, the sum of the virials, and the energies of springs and of momenta; all in one call."""
    found, springs = estimators(positions, forces), spring_energy(positions, inverse_masses, omega)
    return found, found[0].sum(), springs, kinetic_energy(momenta, inverse_masses)
