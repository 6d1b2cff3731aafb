"""PySCF: one molecule in, energy and forces out, and the Hessian where a reference needs it.

Restricted Kohn-Sham with density fitting. The density is first converged on PySCF's coarsest grid, which saves a third
of the time and changes nothing that is converged afterwards on the grid of the settings. A molecule has no stress.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.units import Bohr, Hartree
from numpy.typing import NDArray

from mlip_lab.core.errors import CalculationError, InputError

COARSEST = 0


@dataclass(frozen=True)
class MoleculeLabels:
    """What one single-point calculation of a molecule gives.

    Attributes:
        energy: Total energy in eV.
        forces: Forces in eV/Å, (n_atoms, 3).
        version: Name and version of the code that made them.
        stress: None: a molecule has no volume.
    """

    energy: float
    forces: NDArray[np.float64]
    version: str
    stress: None = None


@dataclass(frozen=True)
class MoleculeSettings:
    """Settings of a single point of a neutral closed-shell molecule.

    Attributes:
        xc: Density functional as PySCF names it; "b3lyp" is that of Gaussian (VWN3).
        basis: Basis set as PySCF names it.
        grid_level: Integration grid of PySCF, 0 (coarsest) to 9.
        scf_tol: Convergence of the energy in Hartree.
    """

    xc: str
    basis: str
    grid_level: int = 3
    scf_tol: float = 1e-8

    def provenance(self) -> dict[str, str | float]:
        """Return what fixes the numbers."""
        return {
            "code": "PySCF",
            "xc": self.xc,
            "basis": self.basis,
            "density_fitting": "PySCF's auxiliary basis for this basis",
            "grid_level": self.grid_level,
            "scf_tol_ha": self.scf_tol,
        }

    def check(self) -> None:
        """Refuse, in words, where PySCF is missing or does not know the functional.

        Raises:
            InputError: If the settings cannot be used.
        """
        try:
            from pyscf.dft import libxc
        except ImportError as error:
            raise InputError("backend: PySCF is not installed; install it: pip install pyscf") from error
        try:
            libxc.parse_xc(self.xc)
        except Exception as error:  # PySCF raises KeyError and others
            raise InputError(f"xc: PySCF knows no functional {self.xc!r}; write for example b3lyp.") from error

    def check_structure(self, atoms: Atoms) -> None:
        """Refuse a periodic structure and an odd number of electrons.

        Raises:
            InputError: If the structure is no closed-shell molecule.
        """
        if atoms.pbc.any():
            raise InputError(f"structure: expected a molecule, got pbc {atoms.pbc.tolist()}. Set pbc to false.")
        if int(atoms.numbers.sum()) % 2:
            raise InputError("structure: an odd number of electrons; only closed shells are labelled.")

    def calculate(self, atoms: Atoms, scratch: Path) -> MoleculeLabels:
        """Return energy and forces of one molecule.

        Raises:
            CalculationError: If the density does not converge.
        """
        from pyscf import __version__

        field = self.converged(atoms)
        gradient = field.nuc_grad_method().kernel()
        return MoleculeLabels(
            energy=float(field.e_tot) * Hartree,
            forces=-np.asarray(gradient) * Hartree / Bohr,
            version=f"PySCF {__version__}",
        )

    def hessian(self, atoms: Atoms) -> NDArray[np.float64]:
        """Return ∂²E/∂R∂R in eV/Å², (3 n_atoms, 3 n_atoms), symmetric.

        Raises:
            CalculationError: If the density does not converge.
        """
        blocks = np.asarray(self.converged(atoms).Hessian().kernel())
        matrix = blocks.transpose(0, 2, 1, 3).reshape(3 * len(atoms), 3 * len(atoms)) * Hartree / Bohr**2
        return np.asarray(0.5 * (matrix + matrix.T))

    def converged(self, atoms: Atoms) -> Any:
        """Return PySCF's mean field of one molecule.

        Raises:
            CalculationError: If the density does not converge.
        """
        from pyscf import dft, gto

        places = list(zip(atoms.get_chemical_symbols(), atoms.positions.tolist(), strict=True))
        molecule = gto.M(atom=places, basis=self.basis, unit="Angstrom", verbose=0)
        field = dft.RKS(molecule, xc=self.xc).density_fit()
        field.grids.level, field.conv_tol = COARSEST, 1e-5
        field.kernel()
        start = field.make_rdm1()
        field.grids = dft.gen_grid.Grids(molecule)
        field.grids.level, field.conv_tol = self.grid_level, self.scf_tol
        field.kernel(dm0=start)
        if not field.converged:
            raise CalculationError("PySCF: the density did not converge; check the structure.")
        return field
