"""Relaxation ends where forces and stress vanish, and says so when it does not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.calculator import Calculator
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones

from mlip_lab.core.errors import CalculationError, Cancelled, InputError
from mlip_lab.core.units import GPA
from mlip_lab.properties import relax as module
from mlip_lab.properties.relax import relax
from mlip_lab.properties.symmetry import space_group


class NoStress(Calculator):
    """Springs to the origin: energy and forces, no stress."""

    implemented_properties = ("energy", "forces")

    def calculate(self, atoms: Any = None, properties: Any = None, system_changes: Any = None) -> None:
        super().calculate(atoms, properties, system_changes)
        self.results = {"energy": 0.5 * float((atoms.positions**2).sum()), "forces": -atoms.positions}


class NotFinite(Calculator):
    implemented_properties = ("energy", "forces", "stress")

    def calculate(self, atoms: Any = None, properties: Any = None, system_changes: Any = None) -> None:
        super().calculate(atoms, properties, system_changes)
        self.results = {"energy": np.nan, "forces": np.full((len(atoms), 3), np.nan), "stress": np.full(6, np.nan)}


def rattled() -> Atoms:
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.1, seed=1)
    return atoms


def test_relaxed_crystal_has_no_force_and_no_stress() -> None:
    result = relax(rattled(), EMT(), force=1e-4)
    assert result.max_force < 1e-4
    # converged means a virial per atom below 1e-4 eV, which is 1e-4 / 11.6 Å³ of stress
    assert np.abs(result.stress).max() < 1e-4 / 11.5 / GPA
    perfect = relax(bulk("Cu"), EMT(), force=1e-4)
    # the error of the energy is of second order in the force left: far below 1e-6 eV
    assert result.energy / 4 == pytest.approx(perfect.energy, abs=1e-6)
    assert result.atoms.cell.volume / 4 == pytest.approx(perfect.atoms.cell.volume, rel=1e-4)


def test_given_atoms_stay_as_they_are_and_result_carries_its_numbers() -> None:
    atoms = rattled()
    before = atoms.copy()
    result = relax(atoms, EMT(), force=1e-2)
    assert atoms == before
    assert atoms.calc is None
    assert result.atoms.get_potential_energy() == result.energy
    fresh = result.atoms.copy()
    fresh.calc = EMT()
    assert fresh.get_potential_energy() == pytest.approx(result.energy, abs=1e-12)


def test_fixed_cell_stays_fixed() -> None:
    atoms = rattled()
    atoms.set_cell(atoms.cell * 1.02, scale_atoms=True)
    result = relax(atoms, EMT(), cell=False, force=1e-3)
    assert np.array_equal(result.atoms.cell, atoms.cell)
    assert result.stress is None


def squeezed_titanium() -> Atoms:
    atoms = bulk("Ti", "hcp", a=2.8, c=4.9)
    atoms.symbols[:] = "Cu"
    return atoms


def test_symmetry_is_kept_on_request() -> None:
    start = squeezed_titanium()
    result = relax(start, EMT(), symmetry=True, force=1e-5)
    assert result.kept_symmetry == space_group(result.atoms) == "P6_3/mmc (194)"
    assert relax(start, EMT()).kept_symmetry is None
    assert result.max_force < 1e-5 and np.abs(result.stress).max() < 1e-5 / 11 / GPA
    assert result.atoms.constraints == []
    # A symmetric start has symmetric forces, so that the end is the same without the request, up to rounding
    assert relax(start, EMT(), force=1e-5).energy == pytest.approx(result.energy, abs=1e-8)


def test_symmetry_holds_where_rounding_would_leave_a_saddle() -> None:
    # bcc is a saddle of a Lennard-Jones crystal: the smallest asymmetry grows until it is close-packed
    calculator = LennardJones(sigma=2.3, epsilon=0.4, rc=7.0, ro=5.0, smooth=True)
    start = bulk("Fe", "bcc", a=2.7, cubic=True)
    start.set_cell(start.cell.array * [1.001, 1.0, 0.999], scale_atoms=True)
    kept = relax(start, calculator, symmetry=True, force=1e-4)
    assert kept.kept_symmetry == "Im-3m (229)"
    start.set_cell(np.diag([2.8, 2.6, 2.7]), scale_atoms=True)
    assert relax(start, calculator, force=1e-4).energy < kept.energy - 1e-3


def test_pressure_is_reached() -> None:
    result = relax(bulk("Cu"), EMT(), pressure=10.0, force=1e-4)
    # compression is a negative stress in ASE's sign
    np.testing.assert_allclose(result.stress, [-10, -10, -10, 0, 0, 0], atol=1e-4 / 11 / GPA)


def test_large_cells_use_the_other_optimiser_and_relax_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DENSE_HESSIAN", 3)
    assert relax(rattled(), EMT(), force=1e-3).max_force < 1e-3


def test_molecule_relaxes_without_a_cell() -> None:
    result = relax(molecule("N2"), EMT(), cell=False)
    assert result.max_force < 1e-3


def test_running_out_of_steps_is_an_error_in_words() -> None:
    with pytest.raises(CalculationError, match=r"Not relaxed after 2 steps.*Raise steps"):
        relax(rattled(), EMT(), steps=2, force=1e-6)


def test_progress_reports_and_stops() -> None:
    seen: list[dict[str, float]] = []

    def stop_at_three(done: int, total: int, /, **live: Any) -> None:
        assert total == 1000
        seen.append(live)
        if done == 3:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        relax(rattled(), EMT(), force=1e-6, progress=stop_at_three)
    assert seen[0]["max_force"] > seen[-1]["max_force"]


@pytest.mark.parametrize(
    ("atoms", "options", "words"),
    [
        (Atoms(), {}, "at least one atom"),
        ("Cu", {}, "expected an ase.Atoms, got str"),
        (Atoms("Cu", [[np.nan, 0, 0]], cell=[3] * 3, pbc=True), {}, "NaN"),
        (molecule("N2"), {}, "not periodic along a, b, c"),
        (Atoms("Cu", cell=[[1, 0, 0], [0, 1, 0], [1, 1, 0]], pbc=True), {}, "vectors lie in a plane"),
        (bulk("Cu"), {"force": -1.0}, "force: expected a number in eV/Å above 0"),
        (bulk("Cu"), {"force": "small"}, "force: expected"),
        (bulk("Cu"), {"pressure": np.inf}, "pressure: expected"),
        (bulk("Cu"), {"pressure": 1.0, "cell": False}, "no effect on a fixed cell"),
        (molecule("N2"), {"symmetry": True, "cell": False}, "not periodic along a, b, c"),
        (bulk("Cu"), {"steps": 0}, "steps: expected a whole number of at least 1"),
    ],
)
def test_bad_input_is_refused_in_words(atoms: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        relax(atoms, EMT(), **options)


def test_calculator_must_be_one() -> None:
    with pytest.raises(InputError, match="expected an ASE calculator"):
        relax(bulk("Cu"), EMT)
    with pytest.raises(InputError, match="NoStress gives no stress"):
        relax(bulk("Cu"), NoStress())
    with pytest.raises(CalculationError, match="not finite"):
        relax(bulk("Cu"), NotFinite())
