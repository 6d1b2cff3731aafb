"""Frequencies of small vibrations about a structure, from differences of forces.

In mass-weighted coordinates the second derivatives of the energy are D = M^-½ ∇∇E M^-½, and its eigenvalues are ω². A
product D v costs two force calls, at x ± s M^-½ v. A small structure gets the whole of D. For a large one Lanczos'
recursion from a random vector gives the ends of the spectrum after a few dozen products, and a quadrature for the mean
of any function over all modes besides: the eigenvalues of its small matrix with the squares of the first components
of the eigenvectors as weights (Golub and Meurant, Matrices, Moments and Quadrature; Ubaru and others, DOI
10.1137/16M1104974).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from mlip_lab.core.errors import CalculationError, MlipError
from mlip_lab.core.progress import Progress, silent
from mlip_lab.core.units import FEMTOSECOND

Floats = NDArray[np.float64]
Product = Callable[[Floats], Floats]

DISPLACEMENT = 0.01  # Å that the atom moves which moves most
THZ = 1e3 * FEMTOSECOND / (2.0 * np.pi)  # ω in ASE's units to THz
MOST_EXACT = 400  # coordinates up to which all of D is made
PROBES, DEPTH = 3, 40  # random vectors, and Lanczos steps from each
SMALL = 1e-10  # of the largest element: where the recursion has found all there is


@dataclass(frozen=True, eq=False)
class Modes:
    """Eigenvalues of D with weights.

    Attributes:
        squares: ω² in eV/(Å² amu), ascending, (m,); negative ones lower the energy.
        weights: Part of all modes that each stands for, (m,); they add up to one.
        exact: Whether these are all modes, each with the same weight.
        error: Bound on the error of the largest of `squares`; zero where exact.
    """

    squares: Floats
    weights: Floats
    exact: bool
    error: float

    @property
    def frequencies(self) -> Floats:
        """THz, imaginary ones as negative numbers, (m,)."""
        return np.asarray(np.sign(self.squares) * np.sqrt(np.abs(self.squares)) * THZ)


class MassWeightedHessian:
    """D of the coordinates that are free, known by what it does to a vector."""

    def __init__(
        self, atoms: Atoms, calculator: Any, inverse_masses: Floats, *, fix_center: bool, displacement: float
    ) -> None:
        """Take a copy of the atoms; `inverse_masses` is zero for those that are held."""
        self._atoms = atoms.copy()
        self._atoms.set_constraint()
        self._atoms.calc = calculator
        self._start = atoms.get_positions()
        self._free = np.flatnonzero(inverse_masses > 0.0)
        self._roots = np.repeat(np.sqrt(inverse_masses[self._free]), 3)  # M^-½
        self._displacement = displacement
        self.size = 3 * len(self._free)
        # directions in which the centre of mass moves, which are no vibrations
        self._center = np.kron(1.0 / self._roots[::3, None], np.eye(3)) if fix_center else np.zeros((self.size, 0))
        self._center /= np.maximum(np.linalg.norm(self._center, axis=0), 1e-300)

    @property
    def vibrations(self) -> int:
        """Number of modes: coordinates less those of the centre of mass."""
        return int(self.size - self._center.shape[1])

    def project(self, vector: Floats) -> Floats:
        """The vector without motion of the centre of mass."""
        return np.asarray(vector - self._center @ (self._center.T @ vector))

    def __call__(self, vector: Floats) -> Floats:
        """D v for v of shape (size,), two force calls."""
        move = self._roots * self.project(vector)
        scale = self._displacement / max(float(np.abs(move).max()), 1e-300)
        difference = self._forces(scale * move) - self._forces(-scale * move)
        return self.project(-self._roots * difference / (2.0 * scale))

    def matrix(self, progress: Progress = silent) -> Floats:
        """All of D, (size, size), two force calls a coordinate."""
        columns = []
        for k, unit in enumerate(np.eye(self.size), 1):
            columns.append(self(unit))
            progress(k, self.size)
        return 0.5 * (np.array(columns) + np.array(columns).T)

    def _forces(self, move: Floats) -> Floats:
        self._atoms.positions[:] = self._start
        self._atoms.positions[self._free] += move.reshape(-1, 3)
        try:
            forces = np.asarray(self._atoms.get_forces(), dtype=np.float64)
        except MlipError:
            raise
        except Exception as error:
            raise CalculationError(f"The calculator failed for a displaced structure: {error}") from error
        if not np.isfinite(forces).all():
            raise CalculationError(
                "The calculator gives forces that are not finite for a structure displaced by "
                f"{self._displacement:g} Å; look for atoms that overlap or that it was not made for."
            )
        return forces[self._free].ravel()


def lanczos(product: Product, start: Floats, depth: int, ask: Callable[[], None] = lambda: None) -> Modes:
    """Ritz values of a symmetric operator with their weights in the start vector.

    Args:
        product: v → D v.
        start: First vector, (n,).
        depth: Products at most; fewer where the recursion ends by itself.
        ask: Called after each product.

    Returns:
        Ritz values; the error is the residual of the largest, so that an eigenvalue lies that near to it.
    """
    basis = [start / np.linalg.norm(start)]
    diagonal: list[float] = []
    beside: list[float] = []
    while True:
        vector = product(basis[-1])
        ask()
        diagonal.append(float(basis[-1] @ vector))
        for _ in range(2):  # against all before, and once more: rounding would bring copies of eigenvalues
            for known in basis:
                vector = vector - (known @ vector) * known
        length = float(np.linalg.norm(vector))
        largest = max(map(abs, [*diagonal, *beside]))
        if len(diagonal) == min(depth, len(start)) or length <= SMALL * largest:
            break
        beside.append(length)
        basis.append(vector / length)
    small = np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1)
    values, vectors = np.linalg.eigh(small)
    return Modes(
        np.asarray(values, dtype=np.float64), np.asarray(vectors[0] ** 2), False, length * abs(float(vectors[-1, -1]))
    )


def normal_modes(
    hessian: MassWeightedHessian, *, most_exact: int = MOST_EXACT, seed: int = 0, progress: Progress = silent
) -> Modes:
    """All modes of a small structure, the ends of the spectrum and a quadrature over it for a large one.

    Args:
        hessian: Of the structure.
        most_exact: Coordinates up to which all of D is made.
        seed: Of the random vectors.
        progress: Called after every product or column.
    """
    if hessian.size <= most_exact:
        squares: Floats = np.asarray(np.linalg.eigvalsh(hessian.matrix(progress)), dtype=np.float64)
        resting = np.argsort(np.abs(squares))[: hessian.size - hessian.vibrations]
        squares = np.delete(squares, resting)
        return Modes(squares, np.full(len(squares), 1.0 / len(squares)), True, 0.0)
    rng, done = np.random.default_rng(seed), 0

    def ask() -> None:
        nonlocal done
        done += 1
        progress(done, PROBES * DEPTH)

    found = [lanczos(hessian, hessian.project(rng.normal(size=hessian.size)), DEPTH, ask) for _ in range(PROBES)]
    order = np.argsort(np.concatenate([modes.squares for modes in found]))
    best = max(found, key=lambda modes: float(modes.squares[-1]))
    return Modes(
        np.concatenate([modes.squares for modes in found])[order],
        np.concatenate([modes.weights for modes in found])[order] / PROBES,
        False,
        best.error,
    )
