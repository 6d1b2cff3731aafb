"""Second derivatives of the energy by finite displacements in a supercell, kept as a phonopy object."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from mlip_lab.core.errors import CalculationError
from mlip_lab.core.progress import Progress
from mlip_lab.properties.attach import attached
from mlip_lab.properties.fan_out import fan_out
from mlip_lab.properties.symmetry import primitive

Floats = NDArray[np.float64]
Repeats = tuple[int, int, int]
Waves = Any  # a phonopy.Phonopy: its results are None for a type checker until they are asked for


@dataclass(frozen=True, eq=False)
class MeshStates:
    """Frequencies on a regular mesh in the Brillouin zone, and their density.

    Attributes:
        frequencies: THz at the points that symmetry leaves, (n_points, 3 n_atoms).
        weights: How often each stands in the full mesh, (n_points,).
        dos_frequencies: THz, (m,).
        dos: States per THz and primitive cell, (m,).
    """

    frequencies: Floats
    weights: Floats
    dos_frequencies: Floats
    dos: Floats


def heights(cell: Atoms, repeats: Repeats = (1, 1, 1)) -> Floats:
    """Distances between opposite faces of a repeated cell in Å, (3,)."""
    return np.asarray(np.array(repeats) / np.linalg.norm(cell.cell.reciprocal().array, axis=1))


def supercell_for(cell: Atoms, reach: float, *, less: int = 0) -> Repeats:
    """Repeats along each vector for faces at least `reach` (Å) apart, less some, at least one."""
    needed = np.ceil(reach / heights(cell) - 1e-9).astype(int)
    first, second, third = (max(1, int(n) - less) for n in needed)
    return first, second, third


def harmonic(
    cell: Atoms,
    calculator: Any,
    sizes: Sequence[Repeats],
    *,
    displacement: float,
    executor: Executor | None,
    progress: Progress,
) -> list[Waves]:
    """Force constants of a relaxed primitive cell from supercells of several sizes, the acoustic sum rule enforced.

    Args:
        cell: The primitive cell.
        calculator: Any ASE calculator.
        sizes: Repeats of each supercell.
        displacement: How far an atom is moved, Å.
        executor: Where displaced supercells are computed; None is here. It must run processes.
        progress: Called after every displaced supercell.

    Raises:
        CalculationError: If forces are not finite.
    """
    waves = [_phonopy(cell, size) for size in sizes]
    moved = []
    for one in waves:
        one.generate_displacements(distance=displacement)
        moved.append([_atoms(made) for made in one.supercells_with_displacements or () if made is not None])
    everything = [atoms for group in moved for atoms in group]
    forces = fan_out(partial(_forces, calculator=calculator), everything, executor, progress)
    for one, group in zip(waves, moved, strict=True):
        one.forces = forces[: len(group)]
        del forces[: len(group)]
        one.produce_force_constants(show_drift=False)
        one.symmetrize_force_constants(show_drift=False)
    return waves


def restored(cell: Atoms, repeats: Repeats, force_constants: Floats) -> Waves:
    """The phonopy object of force constants that are known."""
    made = _phonopy(cell, repeats)
    made.force_constants = force_constants
    return made


def from_forces(supercell: Atoms, moved: int, displacement: Floats, forces: Floats) -> Waves:
    """Force constants from the forces on one supercell in which one atom was moved, the acoustic sum rule enforced.

    Its symmetry makes all others from them. Points in reciprocal space are in units of `primitive(supercell)`.

    Args:
        supercell: Before the atom was moved.
        moved: Which atom.
        displacement: Å, (3,).
        forces: eV/Å, (n, 3).
    """
    to_primitive = np.linalg.solve(supercell.cell.array.T, primitive(supercell).cell.array.T)
    made = _phonopy(supercell, (1, 1, 1), to_primitive)
    first = {"number": moved, "displacement": list(displacement), "forces": forces}
    made.dataset = {"natom": len(supercell), "first_atoms": [first]}
    made.produce_force_constants(show_drift=False)
    made.symmetrize_force_constants(show_drift=False)
    return made


def sum_rule(waves: Waves) -> float:
    """Largest element of Σ_j Φ_ij in eV/Å² as the forces gave it, before it was enforced."""
    drifts = []
    for entry in waves.dataset["first_atoms"]:
        length = np.linalg.norm(entry["displacement"])
        drifts.append(np.abs(np.sum(entry["forces"], axis=0)).max() / length)
    return float(max(drifts))


def frequencies_at(waves: Waves, qpoints: Floats) -> Floats:
    """THz, imaginary ones negative, (n_points, 3 n_atoms)."""
    waves.run_qpoints(qpoints)
    return np.asarray(waves.qpoints.frequencies, dtype=np.float64)


def mesh_states(waves: Waves, length: float) -> MeshStates:
    """Frequencies on a mesh that stands for a length in Å, and their density by the tetrahedron method."""
    waves.run_mesh(length)
    waves.run_total_dos()
    mesh, states = waves.mesh, waves.total_dos
    return MeshStates(
        np.asarray(mesh.frequencies, dtype=np.float64),
        np.asarray(mesh.weights, dtype=np.float64),
        np.asarray(states.frequency_points, dtype=np.float64),
        np.asarray(states.dos, dtype=np.float64),
    )


def _phonopy(cell: Atoms, repeats: Repeats, to_primitive: Floats | None = None) -> Waves:
    from phonopy import Phonopy  # late: a Lab opens without it
    from phonopy.structure.atoms import PhonopyAtoms

    unit = PhonopyAtoms(
        symbols=cell.get_chemical_symbols(),
        cell=cell.cell.array,
        scaled_positions=cell.get_scaled_positions(),
        masses=cell.get_masses(),
        magnetic_moments=cell.get_initial_magnetic_moments() if cell.has("initial_magmoms") else None,
    )
    return Phonopy(unit, np.diag(repeats), primitive_matrix=np.eye(3) if to_primitive is None else to_primitive)


def _atoms(made: Any) -> Atoms:
    atoms = Atoms(made.symbols, cell=made.cell, scaled_positions=made.scaled_positions, pbc=True, masses=made.masses)
    if made.magnetic_moments is not None:
        atoms.set_initial_magnetic_moments(made.magnetic_moments)
    return atoms


def _forces(atoms: Atoms, *, calculator: Any) -> Floats:
    forces = np.asarray(attached(atoms, calculator).get_forces(), dtype=np.float64)
    if not np.isfinite(forces).all():
        raise CalculationError("The calculator gave forces that are not finite for a displaced supercell.")
    return forces
