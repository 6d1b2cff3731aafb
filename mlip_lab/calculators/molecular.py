"""Molecules by PySCF: energy and forces of restricted Kohn-Sham theory."""

from __future__ import annotations

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
        """
        super().__init__()
        self.xc, self.basis, self.charge = xc, basis, charge

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = tuple(all_changes),
    ) -> None:
        """Compute energy and forces; see ASE's Calculator.

        Raises:
            InputError: For a periodic structure or an odd number of electrons.
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
        molecule = gto.M(atom=places, basis=self.basis, charge=self.charge, unit="Angstrom", verbose=0)
        field: Any = dft.RKS(molecule)
        field.xc = self.xc
        energy = float(field.kernel())
        if not field.converged:
            raise CalculationError("PySCF: the density did not converge; check the structure.")
        gradient = np.asarray(field.nuc_grad_method().kernel())
        self.results = {
            "energy": energy * Hartree,
            "free_energy": energy * Hartree,
            "forces": -gradient * Hartree / Bohr,
        }
