"""Normal modes of a molecule, or of the atoms of a crystal or slab that may move, from differences of forces."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from ase import Atoms
from ase.constraints import FixAtoms, FixCartesian
from numpy.typing import NDArray
from scipy.linalg import eigh, null_space, orth

from mlip_lab.core.errors import InputError
from mlip_lab.core.progress import Progress, silent
from mlip_lab.core.quantities import Quantity, validated
from mlip_lab.core.units import FEMTOSECOND
from mlip_lab.properties.together import Together

Floats = NDArray[np.float64]
Displacement = Annotated[float, Quantity("Å", low=1e-5, high=0.2)]
TERAHERTZ = 1e3 * FEMTOSECOND / (2 * np.pi)  # THz of an angular frequency of one sqrt(eV/Å²/amu)
WAVENUMBER = 33.35640951981521  # 1/cm of one THz
RIGID = 0.1  # eV/Å²; shifting or turning everything costs nothing but the noise of forces
STILL = 0.3  # THz (10 1/cm); an imaginary mode slower than this is noise of the forces


@dataclass(frozen=True, eq=False)
class NormalModes:
    """Harmonic vibrations about a structure, without motions of the whole that cost nothing.

    Attributes:
        frequencies: THz, imaginary ones negative, ascending, (k,).
        modes: How atoms move in each, mass-weighted vectors of length one divided by the roots of masses, (k, n, 3).
        hessian: ∂²E/∂r∂r of the coordinates that may move in eV/Å², (m, m).
        movable: Which coordinates these are, (n, 3).
    """

    frequencies: Floats
    modes: Floats
    hessian: Floats
    movable: NDArray[np.bool_]

    @property
    def wavenumbers(self) -> Floats:
        """Frequencies in 1/cm."""
        return self.frequencies * WAVENUMBER

    @property
    def imaginary(self) -> Floats:
        """The imaginary frequencies in THz, negative numbers; what may be noise of the forces is left out."""
        return self.frequencies[self.frequencies < -STILL]


@validated
def normal_modes(
    atoms: Atoms,
    calculator: Any,
    *,
    displacement: Displacement = 0.01,
    executor: Executor | None = None,
    progress: Progress = silent,
) -> NormalModes:
    """Frequencies and modes from central differences of forces.

    Atoms that FixAtoms or FixCartesian holds are not moved: the Hessian is that of the rest. Shifts and turns of the
    whole are taken out where they cost nothing.

    Args:
        atoms: A stationary point; it is not changed.
        calculator: Any ASE calculator.
        displacement: How far a coordinate is moved, Å.
        executor: Where displaced structures are computed; None is here. It must run processes.
        progress: Called before the displaced structures and between parts of them; it may raise Cancelled.

    Raises:
        InputError: If an argument is unusable or a constraint is of another kind.
        CalculationError: If forces are not finite.
    """
    together = Together(atoms, calculator, executor=executor)
    movable = movable_coordinates(atoms)
    hessian = hessian_at(together, atoms.positions, movable, displacement, lambda: progress(0, 1))
    found = modes_of(atoms, hessian, movable)
    progress(1, 1)
    return found


def movable_coordinates(atoms: Atoms) -> NDArray[np.bool_]:
    """Which coordinates may move, (n, 3).

    Raises:
        InputError: If none may, or a constraint is neither FixAtoms nor FixCartesian.
    """
    movable = np.ones((len(atoms), 3), dtype=bool)
    for constraint in atoms.constraints:
        if isinstance(constraint, FixAtoms):
            movable[constraint.index] = False
        elif isinstance(constraint, FixCartesian):
            movable[np.asarray(constraint.index)] &= ~np.asarray(constraint.mask, dtype=bool)
        else:
            raise InputError(
                f"atoms: expected no constraints but FixAtoms and FixCartesian, got {type(constraint).__name__}. "
                "Remove it."
            )
    if not movable.any():
        raise InputError("atoms: expected atoms that may move, but all are fixed.")
    return movable


def hessian_at(
    together: Together,
    positions: Floats,
    movable: NDArray[np.bool_],
    displacement: float,
    ask: Callable[[], None] = lambda: None,
) -> Floats:
    """∂²E/∂r∂r of movable coordinates in eV/Å², (m, m): −∂F/∂r by central differences, made symmetric.

    Args:
        together: What evaluates images.
        positions: Å, (n, 3).
        movable: Which coordinates, (n, 3).
        displacement: Å.
        ask: Called now and then; may raise Cancelled.
    """
    places = np.argwhere(movable)
    images = np.repeat(positions[None], 2 * len(places), axis=0)
    for row, (atom, axis) in enumerate(places):
        images[2 * row, atom, axis] += displacement
        images[2 * row + 1, atom, axis] -= displacement
    _, forces = together(images, ask)
    rows = (forces[1::2] - forces[0::2])[:, movable] / (2 * displacement)
    return np.asarray(0.5 * (rows + rows.T))


def modes_of(atoms: Atoms, hessian: Floats, movable: NDArray[np.bool_]) -> NormalModes:
    """Eigenvectors of the mass-weighted Hessian beside the motions of the whole."""
    roots = np.sqrt(np.repeat(atoms.get_masses()[:, None], 3, axis=1)[movable])
    inner = vibrating(atoms, hessian, movable, roots)
    squares, vectors = eigh(inner.T @ (hessian / np.outer(roots, roots)) @ inner)
    modes = np.zeros((len(squares), len(atoms), 3))
    modes[:, movable] = (inner @ vectors).T / roots
    return NormalModes(np.sign(squares) * np.sqrt(np.abs(squares)) * TERAHERTZ, modes, hessian, movable)


def vibrating(atoms: Atoms, hessian: Floats, movable: NDArray[np.bool_], roots: Floats) -> Floats:
    """Orthonormal basis of mass-weighted motions in which not all atoms only shift or turn, (m, k).

    A motion of the whole is taken out if no fixed atom takes part in it and the Hessian says that it costs nothing:
    in an outer field, it does.
    """
    motions = np.repeat(np.eye(3)[:, None], len(atoms), axis=1)
    if not atoms.pbc.any():
        centred = atoms.positions - atoms.get_center_of_mass()
        motions = np.concatenate([motions, [np.cross(axis, centred) for axis in np.eye(3)]])
    if (~movable).any():
        motions = np.einsum("cm,mnd->cnd", null_space(motions[:, ~movable].T).T, motions)
    if not len(motions):
        return np.eye(len(roots))
    rigid = orth(motions[:, movable].T, rcond=1e-6)
    costs, vectors = eigh(rigid.T @ hessian @ hessian @ rigid)
    free = rigid @ vectors[:, np.sqrt(np.maximum(costs, 0.0)) < RIGID]
    return np.asarray(null_space((roots[:, None] * free).T)) if free.shape[1] else np.eye(len(roots))
