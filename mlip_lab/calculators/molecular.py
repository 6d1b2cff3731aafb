"""Molecules by PySCF: energy and forces of restricted Kohn-Sham theory."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.units import Bohr, Hartree

from mlip_lab.core.errors import CalculationError, InputError


class PySCFCalculator(Calculator):
    """Energy (eV) and forces (eV/Å) of a molecule with closed shells; Sun et al., DOI 10.1063/5.0006074."""

    implemented_properties: list[str] = ["energy", "free_energy", "forces"]  # noqa: RUF012 - as ASE declares it

    def __init__(self, *, xc: str = "b3lyp", basis: str = "def2-svp", charge: int = 0) -> None:
        """Choose the theory.

        Args:
            xc: Exchange and correlation, as PySCF names it.
            basis: Basis set, as PySCF names it.
            charge: Charge of the molecule.

        Raises:
            InputError: If PySCF knows no such exchange and correlation.
        """
        super().__init__()
        from pyscf import dft

        try:
            known = bool(xc.strip()) and dft.libxc.parse_xc(xc)
        except Exception as error:  # it is parsed, and fails in many ways
            raise InputError(f"xc: expected a functional that PySCF knows, such as b3lyp; got {xc!r}.") from error
        if not known or not basis.strip():
            raise InputError(f"xc, basis: expected names such as b3lyp and def2-svp, got {xc!r} and {basis!r}.")
        self.xc, self.basis, self.charge = xc, basis, charge

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = tuple(all_changes),
    ) -> None:
        """Compute energy and forces; see ASE's Calculator.

        Raises:
            InputError: For a periodic structure, an odd number of electrons, or elements that the basis set lacks.
            CalculationError: If the density does not converge.
        """
        super().calculate(atoms, list(properties), list(system_changes))
        assert self.atoms is not None
        if self.atoms.pbc.any():
            raise InputError("atoms: PySCF is for molecules here; set atoms.pbc = False or choose another method.")
        if (int(self.atoms.numbers.sum()) - self.charge) % 2:
            raise InputError("atoms: an odd number of electrons; only closed shells are done here.")
        from pyscf import dft, gto

        places = list(zip(self.atoms.get_chemical_symbols(), self.atoms.positions.tolist(), strict=True))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of other packages that know more basis sets
                molecule = gto.M(atom=places, basis=self.basis, charge=self.charge, unit="Angstrom", verbose=0)
        except Exception as error:
            raise InputError(f"basis: PySCF has no {self.basis!r} for all elements here. Choose another.") from error
        field: Any = dft.RKS(molecule)
        field.xc = self.xc
        energy = float(field.kernel())
        if not field.converged:
            raise CalculationError("PySCF: the density did not converge; check the structure.")
        gradients = field.nuc_grad_method()
        gradients.grid_response = True  # the grid moves with the atoms; without, the forces do not add up to zero
        gradient = np.asarray(gradients.kernel())
        self.results = {
            "energy": energy * Hartree,
            "free_energy": energy * Hartree,
            "forces": -gradient * Hartree / Bohr,
        }
