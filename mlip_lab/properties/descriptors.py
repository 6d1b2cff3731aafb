"""Numbers that describe the surroundings of an atom, blind to turning, shifting and exchange of like atoms.

A_{zk,lm} = Σ_{j of species z} g_k(r_ij) Y_lm(r̂_ij) changes when the surroundings turn; its invariants do not:

- body order 2: A_00
- body order 3: Σ_m A_lm² / √(2l+1)
- body order 4: Σ_{m1 m2 m3} C A_{l1 m1} A_{l2 m2} A_{l3 m3}

They are those of a potential (tensor-reduced ACE, DOI 10.1103/PhysRevLett.131.028001) before its radial functions
are mixed. Neighbours enter by r_j - r_i, so a shift drops out; by a sum, so their order drops out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from numpy.typing import NDArray

from mlip_lab.core.checks import as_integer
from mlip_lab.core.errors import InputError
from mlip_lab.core.late import plotted
from mlip_lab.core.quantities import Cutoff, Quantity, validated
from mlip_lab.kernels import generated
from mlip_lab.kernels.density import densities
from mlip_lab.kernels.neighbors import build_pairs, check_geometry, pair_vectors

Floats = NDArray[np.float64]
LMAX, BODY_ORDER = 3, 4
Angle = Annotated[float, Quantity("°", low=-360, high=360)]
Shift = Annotated[float, Quantity("Å", low=-100, high=100)]
RadialFunctions = Annotated[int, Quantity("", low=1, high=40)]


@dataclass(frozen=True, eq=False)
class Descriptors:
    """Invariants of every atom of a structure.

    Attributes:
        atoms: The structure.
        values: Without unit, (n_atoms, n_invariants, n_columns): a column for each species and radial function.
    """

    atoms: Atoms
    values: Floats

    def plot(self, **options: Any) -> Any:
        """As a matplotlib Figure; options as in `mlip_lab.plots.descriptors.descriptors`."""
        return plotted("descriptors", "descriptors", self, **options)

    def change(self, other: Descriptors, atom: int) -> float:
        """Largest difference of an atom's invariants from those in another structure, relative to the largest one."""
        mine, theirs = self.values[atom], other.values[atom]
        return float(np.abs(mine - theirs).max() / np.abs(mine).max())


@validated
def descriptors(atoms: Atoms, *, cutoff: Cutoff = 5.0, n_radial: RadialFunctions = 8) -> Descriptors:
    """Invariants of body order 2 to 4 of every atom.

    Args:
        atoms: Any structure.
        cutoff: How far an atom sees, Å.
        n_radial: Number of radial functions.

    Raises:
        InputError: If there are no atoms, or the geometry is not usable.
    """
    if not isinstance(atoms, Atoms) or len(atoms) == 0:
        raise InputError(f"atoms: expected an ase.Atoms with at least one atom, got {atoms!r}.")
    positions, cell, pbc, cutoff = check_geometry(atoms.positions, atoms.cell.array, atoms.pbc, cutoff)
    first, neighbor, shift = build_pairs(positions, cell, pbc, cutoff)
    vectors = pair_vectors(positions, cell, first, neighbor, shift)
    numbers, species = np.unique(atoms.numbers, return_inverse=True)
    radii = covalent_radii[numbers]
    r0 = radii[:, None] + radii  # by element alone: a typical distance must not depend on the structure
    a, _ = densities(species.astype(np.int64), first, neighbor, vectors, r0, cutoff, n_radial, n_radial, LMAX)
    module = generated.learning_module(LMAX, BODY_ORDER)
    values = np.empty((len(atoms), module.N_INVARIANTS, a.shape[2]))
    for i in range(len(atoms)):
        module.invariants(a[i], values[i])
    return Descriptors(atoms.copy(), values)


@validated
def moved(atoms: Atoms, *, turn: Angle = 0.0, shift: Shift = 0.0, exchange: tuple[int, int] | None = None) -> Atoms:
    """The same matter written down differently: turned, shifted, with two like atoms in each other's place.

    Args:
        atoms: Any structure; it is not changed.
        turn: About the axis (1, 2, 3) through the origin, degrees; the cell turns too.
        shift: How far all atoms go along (1, 1, 0), Å.
        exchange: Two atoms of one element that trade places.

    Raises:
        InputError: If an argument is not usable, or the two atoms are not of one element.
    """
    changed: Atoms = atoms.copy()
    changed.rotate(turn, (1, 2, 3), rotate_cell=True)
    changed.positions += shift * np.array([1.0, 1.0, 0.0]) / np.sqrt(2)
    if exchange is not None:
        i, j = (as_integer("exchange", index, low=0, high=len(atoms) - 1) for index in exchange)
        if atoms.numbers[i] != atoms.numbers[j]:
            raise InputError(
                f"exchange: expected two atoms of one element, got {atoms.symbols[i]}, {atoms.symbols[j]}."
            )
        changed.positions[[i, j]] = changed.positions[[j, i]]
    return changed
