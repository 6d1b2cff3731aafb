"""What one step of a splitting does to a harmonic mode, exactly.

A mode of frequency ω in mass-weighted coordinates has H = p²/2 + ω²q²/2. With z = (ω q, p)/sqrt(kT), whose exact
covariance is the unit matrix, each part of a step is linear:

    A(t)  drift       z₁ ← z₁ + ωt z₂
    B(t)  kick        z₂ ← z₂ − ωt z₁
    O(t)  thermostat  z₂ ← c z₂ + sqrt(1 − c²) ξ,    c = exp(−γt)

so a whole step is z ← M z + noise of covariance N. It is stable where the spectral radius of M is at most one. Its
stationary covariance solves Σ = M Σ Mᵀ + N (Leimkuhler and Matthews, Molecular Dynamics, chapter 7, DOI
10.1007/978-3-319-16375-8). Σ₁₁ is then the temperature of the positions and Σ₂₂ that of the momenta, both in units of
the bath's. For BAOAB Σ = diag(1, 1 − (ωΔt/2)²), for OBABO diag(1/(1 − (ωΔt/2)²), 1), at any friction.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq

from mlip_lab.core.errors import InputError

Floats = NDArray[np.float64]

# Parts in the order in which they act; a letter that stands k times acts for a k-th of the step each time.
SPLITTINGS = {"velocity Verlet": "BAB", "BAOAB": "BAOAB", "OBABO": "OBABO", "ABOBA": "ABOBA"}
FARTHEST = 8.0  # ωΔt up to which an end of stability is looked for


def step_map(scheme: str, omega_dt: ArrayLike, gamma_dt: ArrayLike = 0.0) -> tuple[Floats, Floats]:
    """M and N of one step.

    Args:
        scheme: A key of SPLITTINGS.
        omega_dt: ωΔt, any shape.
        gamma_dt: γΔt of the same shape, or one for all.

    Returns:
        M (..., 2, 2) and N (..., 2, 2).

    Raises:
        InputError: If the scheme is not known.
    """
    if scheme not in SPLITTINGS:
        raise InputError(f"scheme: expected one of {', '.join(SPLITTINGS)}; got {scheme!r}.")
    letters = SPLITTINGS[scheme]
    h, g = np.broadcast_arrays(np.asarray(omega_dt, dtype=np.float64), np.asarray(gamma_dt, dtype=np.float64))
    matrix: Floats = np.broadcast_to(np.eye(2), (*h.shape, 2, 2)).copy()
    noise: Floats = np.zeros_like(matrix)
    for letter in letters:
        part = 1.0 / letters.count(letter)
        factor: Floats = np.broadcast_to(np.eye(2), matrix.shape).copy()
        if letter == "A":
            factor[..., 0, 1] = part * h
        elif letter == "B":
            factor[..., 1, 0] = -part * h
        else:
            factor[..., 1, 1] = np.exp(-part * g)
        matrix = factor @ matrix
        noise = factor @ noise @ factor.swapaxes(-1, -2)
        if letter == "O":
            noise[..., 1, 1] -= np.expm1(-2.0 * part * g)
    return matrix, noise


def spectral_radius(scheme: str, omega_dt: ArrayLike, gamma_dt: ArrayLike = 0.0) -> Floats:
    """Largest modulus of the eigenvalues of M, of the shape of the arguments: above one the motion blows up."""
    matrix, _ = step_map(scheme, omega_dt, gamma_dt)
    half_trace = 0.5 * (matrix[..., 0, 0] + matrix[..., 1, 1])
    determinant = matrix[..., 0, 0] * matrix[..., 1, 1] - matrix[..., 0, 1] * matrix[..., 1, 0]
    root = half_trace**2 - determinant
    real = np.abs(half_trace) + np.sqrt(np.maximum(root, 0.0))
    return np.asarray(np.where(root < 0.0, np.sqrt(np.maximum(determinant, 0.0)), real))


def covariance(scheme: str, omega_dt: ArrayLike, gamma_dt: ArrayLike = 0.0) -> Floats:
    """Stationary covariance of z, (..., 2, 2); the unit matrix would be exact.

    Without a bath nothing makes a run forget its start. What is given then is the mean over a long run that starts from
    a canonical state: a step of determinant one keeps zᵀSz, and z runs along that ellipse.

    Raises:
        InputError: If a step is not stable, or if some have a bath and others do not.
    """
    matrix, noise = step_map(scheme, omega_dt, gamma_dt)
    bath = np.broadcast_to(np.asarray(gamma_dt) > 0.0, matrix.shape[:-2]) & ("O" in SPLITTINGS[scheme])
    if bath.any() != bath.all():
        raise InputError("gamma_dt: expected all zero or all above zero, got both.")
    (a, b), (c, d) = (matrix[..., 0, 0], matrix[..., 0, 1]), (matrix[..., 1, 0], matrix[..., 1, 1])
    if not bath.any():
        return _orbit(a, b, c, d)
    if not (spectral_radius(scheme, omega_dt, gamma_dt) < 1.0).all():
        raise InputError(f"omega_dt: {scheme} has no stationary state there: its spectral radius is not below one.")
    rows = [[a * a, 2 * a * b, b * b], [a * c, a * d + b * c, b * d], [c * c, 2 * c * d, d * d]]
    system = np.eye(3) - np.moveaxis(np.array(rows), (0, 1), (-2, -1))
    right = np.stack([noise[..., 0, 0], noise[..., 0, 1], noise[..., 1, 1]], axis=-1)
    return _symmetric(*np.moveaxis(np.linalg.solve(system, right[..., None])[..., 0], -1, 0))


def _orbit(a: Floats, b: Floats, c: Floats, d: Floats) -> Floats:
    """Mean of zzᵀ along the orbits of M = (a b; c d) with determinant one, of states whose covariance is one."""
    product = -c * b - 0.25 * (a - d) ** 2  # determinant of S
    if not (product > 0.0).all():
        raise InputError("omega_dt: the motion is not bounded there, so it has no mean.")
    scale = 0.5 * (b - c) / product
    return _symmetric(scale * b, -0.5 * scale * (a - d), -scale * c)


def _symmetric(first: Any, mixed: Any, second: Any) -> Floats:
    return np.stack([np.stack([first, mixed], axis=-1), np.stack([mixed, second], axis=-1)], axis=-2)


def largest_stable(scheme: str, gamma_by_omega: float = 0.0) -> float:
    """Largest ωΔt up to which every smaller step is stable, at a friction given in units of ω."""

    def excess(h: Any) -> Any:
        return spectral_radius(scheme, h, gamma_by_omega * np.asarray(h)) - 1.0 - 1e-12

    steps = np.linspace(0.01, FARTHEST, 800)
    beyond = np.flatnonzero(excess(steps) > 0.0)
    return float(brentq(excess, steps[beyond[0] - 1], steps[beyond[0]], xtol=1e-12)) if len(beyond) else FARTHEST


def largest_within(scheme: str, tolerance: float, gamma_by_omega: float = 0.0) -> float:
    """Largest ωΔt at which neither temperature of the mode is off by more than a part `tolerance`."""
    end = largest_stable(scheme, gamma_by_omega)

    def excess(h: float) -> float:
        found = covariance(scheme, h, gamma_by_omega * h)
        return float(np.abs(np.diag(found) - 1.0).max() - tolerance)

    return float(brentq(excess, 1e-6, end * (1.0 - 1e-6)))
