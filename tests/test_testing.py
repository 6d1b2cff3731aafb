"""The contract checks pass what is a potential and name what is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.calculator import PropertyNotImplementedError, all_changes
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones

from mlip_lab.core.errors import CalculationError, InputError
from mlip_lab.testing import check_calculator


@pytest.fixture
def alloy() -> Atoms:
    atoms = bulk("Cu", cubic=True)
    atoms.symbols[0] = "Au"
    atoms.rattle(0.1, seed=1)
    atoms.cell[0, 1] += 0.3
    return atoms


def test_emt_is_a_potential(alloy: Atoms) -> None:
    report = check_calculator(EMT, alloy, tolerance=1e-7)
    assert len(report.errors) == 9 and not report.skipped and not report.failed
    assert "stress is a slope" in str(report) and "ok" in str(report)


def test_lennard_jones_is_a_potential_that_can_be_pickled() -> None:
    argon = bulk("Ar", cubic=True, a=5.3)
    argon.rattle(0.1, seed=1)
    report = check_calculator(lambda: LennardJones(sigma=3.4, epsilon=0.01, rc=8.0, smooth=True), argon, picklable=True)
    assert report.errors["pickle"] == 0.0


def test_a_molecule_skips_what_a_crystal_has() -> None:
    report = check_calculator(EMT, molecule("CH3CH2OH"), tolerance=1e-7)
    assert set(report.skipped) == {"wrapping", "two copies", "stress is a slope"}


def test_a_calculator_without_stress_is_not_blamed(alloy: Atoms) -> None:
    class NoStress(EMT):  # type: ignore[misc]
        def get_stress(self, atoms: Any = None) -> Any:
            raise PropertyNotImplementedError

    assert set(check_calculator(NoStress, alloy).skipped) == {"stress is a slope"}


class Twisted(EMT):  # type: ignore[misc]
    """EMT with a flaw."""

    flaw = ""

    def calculate(self, atoms: Any = None, properties: Any = ("energy",), system_changes: Any = all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        forces, n = self.results["forces"], len(atoms)
        relative = atoms.positions - atoms.positions.mean(axis=0)
        if self.flaw == "scale":
            self.results["forces"] = forces * 1.00001
        elif self.flaw == "swirl":
            self.results["forces"] = forces + 1e-3 * np.cross(relative, [0.0, 0.0, 1.0])
        elif self.flaw == "stress":
            self.results["stress"] = -self.results["stress"]
        elif self.flaw == "voigt":
            self.results["stress"] = self.results["stress"][[0, 1, 2, 5, 4, 3]]
        elif self.flaw == "place":
            self.results["energy"] += 1e-4 * np.sin(atoms.positions[:, 0]).sum()
            self.results["forces"] = forces - 1e-4 * np.cos(atoms.positions[:, :1]) * [1.0, 0.0, 0.0]
        elif self.flaw == "order":
            self.results["energy"] += 1e-4 * atoms.numbers[0]
        elif self.flaw == "size":
            self.results["energy"] += 1e-4 * n**2
        elif self.flaw == "memory":
            self.results["energy"] += 1e-3 * (getattr(self, "before", n) > n)  # room of the larger one still in use
            self.before = n
        self.results["free_energy"] = self.results["energy"]


@pytest.mark.parametrize(
    ("flaw", "named"),
    [
        ("scale", {"forces are slopes"}),
        ("swirl", {"forces are slopes", "no work on a closed path", "rotation", "wrapping", "two copies"}),
        ("stress", {"stress is a slope"}),
        ("voigt", {"stress is a slope", "rotation"}),
        ("place", {"translation", "rotation", "wrapping", "two copies", "stress is a slope"}),
        ("order", {"permutation", "two copies"}),
        ("size", {"two copies"}),
        ("memory", {"no memory", "stress is a slope"}),  # whose first energy comes after the two copies
        ("none", {"pickle"}),  # EMT keeps a class that pickle cannot find
    ],
)
def test_a_flaw_is_named(alloy: Atoms, flaw: str, named: set[str]) -> None:
    with pytest.raises(CalculationError) as caught:
        check_calculator(lambda: _flawed(flaw), alloy, tolerance=1e-6, picklable=flaw == "none")
    words = str(caught.value)
    failed = {line.split("  ")[0] for line in words.splitlines() if line.endswith("FAILED")}
    assert failed == named
    assert all(f"- {name}: " in words for name in named)


def _flawed(flaw: str) -> Twisted:
    calculator = Twisted()
    calculator.flaw = flaw
    return calculator


def test_a_calculator_that_fails_is_told_in_words(alloy: Atoms) -> None:
    alloy.symbols[1] = "Si"
    with pytest.raises(CalculationError, match="failed on AuCu2Si"):
        check_calculator(EMT, alloy)

    class Nan(EMT):  # type: ignore[misc]
        def get_potential_energy(self, atoms: Any = None, force_consistent: bool = False) -> float:
            self.results["free_energy"] = np.nan
            return float("nan")

    alloy.symbols[1] = "Cu"
    with pytest.raises(CalculationError, match="energy nan"):
        check_calculator(Nan, alloy)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"make_calculator": EMT()}, "pass the class"),
        ({"atoms": Atoms()}, "at least one atom"),
        ({"atoms": "Si"}, "expected an ase.Atoms"),
        ({"tolerance": 0.0}, "tolerance"),
        ({"tolerance": float("nan")}, "tolerance"),
        ({"seed": 0.5}, "seed"),
    ],
)
def test_bad_arguments_are_refused(alloy: Atoms, arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        check_calculator(**{"make_calculator": EMT, "atoms": alloy, **arguments})
