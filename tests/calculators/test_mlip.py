"""The ASE calculator: a potential, picklable, with a list that is used again, and errors in words."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import PropertyNotImplementedError

from mlip_lab.calculators import mlip
from mlip_lab.calculators.mlip import MLIPCalculator
from mlip_lab.core.errors import InputError, MlipError
from mlip_lab.model import running
from mlip_lab.model.potential import ensemble
from mlip_lab.model.running import ATOMS_PER_THREAD
from mlip_lab.testing import check_calculator
from tests.potentials import random_ensemble, random_potential

READOUTS = ("linear", "kernel", "neural")


@pytest.fixture
def crystal() -> Atoms:
    """Four atoms of two elements, low symmetry, in a cell that is smaller than the cutoff of 3.5 Å."""
    atoms = bulk("Si", crystalstructure="fcc", a=3.4, cubic=True)
    atoms.numbers[:] = [8, 14, 8, 8]
    atoms.set_cell(atoms.cell.array + np.array([[0.0, 0.3, 0.0], [0.1, 0.0, 0.2], [0.0, 0.0, 0.1]]), scale_atoms=True)
    atoms.rattle(0.1, seed=1)
    return atoms


@pytest.fixture
def molecule() -> Atoms:
    return Atoms(
        "OSiO", positions=[[0.0, 0.0, 0.0], [1.6, 0.1, 0.0], [2.1, 1.8, 0.2]]
    )  # clear of where the repulsion ends


@pytest.mark.parametrize("readout", READOUTS)
def test_it_is_a_potential(readout: str, crystal: Atoms, molecule: Atoms) -> None:
    potential = random_potential(2, readout)
    for atoms in (crystal, molecule):
        # the list of all errors is printed if one exceeds 1e-6, what finite differences in float64 can tell
        report = check_calculator(potential.calculator, atoms, picklable=True)
        assert report.errors["pickle"] == 0.0
        assert report.errors["rotation"] < 1e-10 and report.errors["permutation"] < 1e-10


@pytest.mark.parametrize(
    "options",
    [
        {"threads": 2},
        {"members": 3},
        {"members": 3, "shared": True},
        {"device": "cpu"},
        {"members": 2, "device": "cpu"},
    ],
)
def test_every_path_is_a_potential(options: dict[str, Any], crystal: Atoms, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forces and stress are slopes of the energy, with the symmetries of space, on every path in float64."""
    monkeypatch.setattr(running, "ATOMS_PER_THREAD", 1)  # else four atoms are done by one thread
    potential = random_ensemble(2, "neural", options.get("members", 1), shared=options.get("shared", False))
    path = {name: value for name, value in options.items() if name not in ("members", "shared")}
    check_calculator(lambda: potential.calculator(**path), crystal, picklable=True)


@pytest.mark.parametrize(("members", "shared"), [(1, False), (3, False), (3, True)])
def test_slopes_in_single_precision(members: int, shared: bool, crystal: Atoms, rng: np.random.Generator) -> None:
    """Along a random direction, by a step at which rounding and truncation are both some 1e-3 of the slope."""
    calculator = random_ensemble(2, "neural", members, shared=shared).calculator(precision="float32")
    moves, start, h = rng.normal(size=(4, 3)), crystal.positions.copy(), 0.01

    def energy(t: float) -> float:
        crystal.positions = start + t * moves
        return float(calculator.get_property("energy", crystal))

    slope = (8 * (energy(h) - energy(-h)) - (energy(2 * h) - energy(-2 * h))) / (12 * h)
    crystal.positions = start
    terms = calculator.get_property("forces", crystal) * moves
    assert abs(slope + terms.sum()) < 3e-3 * np.abs(terms).sum()


def test_results_are_those_of_the_kernel(crystal: Atoms) -> None:
    potential = random_potential(2, "neural")
    found = potential.evaluate(crystal.numbers, crystal.positions, crystal.cell.array, crystal.pbc)
    crystal.calc = potential.calculator()
    # sums over the same pairs in another order: the list of the calculator holds those of the skin too
    assert crystal.get_potential_energy() == pytest.approx(found.energy, abs=1e-11)
    assert crystal.get_potential_energy(force_consistent=True) == crystal.get_potential_energy()
    np.testing.assert_allclose(crystal.get_forces(), found.forces, atol=1e-11)
    np.testing.assert_allclose(crystal.get_potential_energies(), found.energies, atol=1e-11)
    np.testing.assert_allclose(crystal.get_stress(voigt=False), found.virial / crystal.get_volume(), atol=1e-11)


def count_lists(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    made: list[int] = []

    def counted(*arguments: Any) -> Any:
        made.append(1)
        return build(*arguments)

    build = mlip.build_pairs
    monkeypatch.setattr(mlip, "build_pairs", counted)
    return made


def test_the_list_is_used_again(crystal: Atoms, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    potential = random_potential(2, "linear")
    made = count_lists(monkeypatch)
    calculator = potential.calculator(skin=0.5)
    used = crystal.copy()
    used.calc = calculator
    used.get_potential_energy()
    for _ in range(20):  # a walk of at most 20 · 0.01 · √3 < 0.25 Å, half the skin but for rare luck of the signs
        used.positions += rng.choice([-0.01, 0.01], size=(4, 3))
        fresh = potential.evaluate(used.numbers, used.positions, used.cell.array, used.pbc)
        assert used.get_potential_energy() == pytest.approx(fresh.energy, abs=1e-11)
        np.testing.assert_allclose(used.get_forces(), fresh.forces, atol=1e-11)
    assert len(made) == 1
    used.positions[0, 0] += 0.6
    used.get_potential_energy()
    assert len(made) == 2


def test_a_list_is_not_used_for_what_it_was_not_made_for(crystal: Atoms, monkeypatch: pytest.MonkeyPatch) -> None:
    potential = random_potential(2, "linear")
    made = count_lists(monkeypatch)
    calculator = potential.calculator()
    stretched, open_, longer, renamed = crystal.copy(), crystal.copy(), crystal.repeat((2, 1, 1)), crystal.copy()
    stretched.cell[2, 2] += 0.05
    open_.pbc = [True, True, False]
    renamed.numbers = renamed.numbers[::-1].copy()
    for atoms, lists in ((crystal, 1), (stretched, 2), (open_, 3), (longer, 4), (crystal, 5), (renamed, 5)):
        found = calculator.get_property("energy", atoms)
        fresh = potential.evaluate(atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc)
        assert found == pytest.approx(fresh.energy, abs=1e-11) and len(made) == lists


def test_without_a_skin_every_move_makes_a_list(crystal: Atoms, monkeypatch: pytest.MonkeyPatch) -> None:
    made = count_lists(monkeypatch)
    crystal.calc = random_potential(2, "linear").calculator(skin=0.0)
    for _ in range(3):
        crystal.positions[0, 0] += 1e-3
        crystal.get_forces()
        crystal.get_stress()  # the same structure: computed already
    assert len(made) == 3


def test_a_copy_of_a_warm_calculator_works_and_shares_no_results(crystal: Atoms) -> None:
    calculator = random_potential(2, "neural").calculator()
    calculator.warm()
    energy = calculator.get_property("energy", crystal)
    again = pickle.loads(pickle.dumps(calculator))
    assert again.get_property("energy", crystal) == energy
    twin = copy.deepcopy(calculator)
    crystal.positions[0, 0] += 0.1
    assert twin.get_property("energy", crystal) != energy and calculator.results["energy"] == energy


def test_an_ensemble_gives_mean_and_spread(crystal: Atoms) -> None:
    members = [random_potential(2, "neural", seed=seed) for seed in range(3)]
    calculator = ensemble(members).calculator()
    assert calculator.compiled is None and members[0].calculator().compiled is not None
    calculator.calculate(crystal)
    pbc = crystal.pbc
    each = [one.evaluate(crystal.numbers, crystal.positions, crystal.cell.array, pbc) for one in members]
    energies, forces = np.array([one.energy for one in each]), np.array([one.forces for one in each])
    assert calculator.results["energy"] == pytest.approx(energies.mean(), abs=1e-11)
    assert calculator.results["energy_spread"] == pytest.approx(energies.std(ddof=1), rel=1e-9)
    np.testing.assert_allclose(calculator.results["forces"], forces.mean(axis=0), atol=1e-11)
    spread = np.sqrt((forces.std(axis=0, ddof=1) ** 2).sum(axis=1))
    # deviations from the mean are summed up in single precision, over tens of neighbours: 6e-8 each
    np.testing.assert_allclose(calculator.results["forces_spread"], spread, rtol=2e-6)
    assert "energy_spread" not in _results(members[0], crystal)
    check_calculator(ensemble(members).calculator, crystal, picklable=True)


def _results(potential: Any, atoms: Atoms) -> dict[str, Any]:
    calculator = potential.calculator()
    calculator.calculate(atoms)
    return dict(calculator.results)


def test_bad_structures_are_refused_in_words(crystal: Atoms, molecule: Atoms) -> None:
    calculator = random_potential(2, "linear").calculator()

    def refused(words: str, atoms: Atoms, name: str = "energy") -> None:
        for _ in range(2):  # asked again, it must not answer with what is left of the first time
            with pytest.raises(InputError, match=words):
                calculator.get_property(name, atoms)
        assert not calculator.results

    def changed(atoms: Atoms, **values: Any) -> Atoms:
        atoms = atoms.copy()
        for name, value in values.items():
            setattr(atoms, name, value)
        return atoms

    moved = crystal.positions.copy()
    moved[1] = moved[0] + [0.1, 0.0, 0.0]
    outside = moved.copy()
    outside[1] = moved[0] + crystal.cell.array[0] + [0.0, 0.2, 0.0]  # beside a periodic image
    nan, far = crystal.positions.copy(), crystal.positions.copy()
    nan[2, 1], far[3, 0] = np.nan, 1e9
    calculator.get_property("energy", crystal)
    refused(r"knows the atomic numbers \[8, 14\], got \[29\]", changed(crystal, symbols="CuOO2"))
    refused(r"atoms 0 and 1 are 0.100 Å apart", changed(crystal, positions=moved))
    refused(r"atoms 0 and 1 are 0.200 Å apart", changed(crystal, positions=outside))
    refused("finite", changed(crystal, positions=nan))
    refused("1e\\+07", changed(crystal, positions=far))
    refused("at least one atom", Atoms(cell=[3, 3, 3], pbc=True))
    refused("volume", changed(crystal, cell=np.zeros((3, 3))))
    refused("volume", changed(crystal, cell=[[3, 0, 0], [0, 3, 0], [3, 3, 0]]))
    refused("0.1 Å long", Atoms("O", cell=[0.1, 5, 5], pbc=True))
    refused("pbc", changed(crystal, pbc=[True, True, False]), "stress")
    refused("do not ask for it", molecule, "stress")


def test_a_molecule_has_forces_after_its_stress_was_refused(molecule: Atoms) -> None:
    molecule.calc = random_potential(2, "linear").calculator()
    with pytest.raises(MlipError, match="stress"):
        molecule.get_stress()
    assert np.isfinite(molecule.get_forces()).all() and "stress" not in molecule.calc.results
    with pytest.raises(PropertyNotImplementedError):
        molecule.get_magnetic_moments()


@pytest.mark.parametrize("skin", [-0.1, 5.1, np.nan, "wide", None, [0.1, 0.2]])
def test_a_senseless_skin_is_refused(skin: Any) -> None:
    with pytest.raises(InputError, match="skin"):
        MLIPCalculator(random_potential(1, "linear"), skin=skin)


def test_an_atom_alone_has_the_energy_of_no_neighbours() -> None:
    potential = random_potential(1, "neural")
    alone = Atoms("O", calculator=potential.calculator())
    apart = Atoms(
        "O2", positions=[[0, 0, 0], [potential.config.cutoff + 1e-6, 0, 0]], calculator=potential.calculator()
    )
    assert apart.get_potential_energy() == pytest.approx(2 * alone.get_potential_energy(), abs=1e-12)
    assert not alone.get_forces().any() and not apart.get_forces().any()


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("n_species", [1, 2])
def test_single_precision_rounds_and_no_more(readout: str, n_species: int) -> None:
    potential = random_potential(n_species, readout)
    atoms = bulk("O", crystalstructure="fcc", a=3.4, cubic=True).repeat(2)
    if n_species == 2:
        atoms.numbers[::3] = 14
    atoms.rattle(0.1, seed=1)
    double, single = potential.calculator(), potential.calculator(precision="float32")
    forces = double.get_property("forces", atoms)
    # some thousand roundings of 6e-8 of the largest terms, of random sign
    scale = np.abs(forces).max()
    np.testing.assert_allclose(single.get_property("forces", atoms), forces, atol=1e-5 * scale)
    assert np.abs(single.get_property("forces", atoms) - forces).max() > 1e-9 * scale  # it is another precision
    assert single.get_property("energy", atoms) == pytest.approx(double.get_property("energy", atoms), rel=1e-6)
    np.testing.assert_allclose(single.results["stress"], double.results["stress"], rtol=1e-4, atol=1e-5)
    # the two take different routes through memory; nothing drifts between calls
    assert np.array_equal(single.results["forces"], potential.calculator(precision="float32").get_forces(atoms))


@pytest.mark.parametrize(("members", "shared"), [(1, False), (3, False), (3, True)])
@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_threads_change_the_order_of_sums_and_nothing_else(precision: str, members: int, shared: bool) -> None:
    potential = random_ensemble(2, "neural", members, shared=shared)
    atoms = bulk("O", crystalstructure="fcc", a=3.4, cubic=True).repeat(6)
    atoms.numbers[::3] = 14
    atoms.rattle(0.1, seed=1)
    assert len(atoms) >= 3 * ATOMS_PER_THREAD  # else they would not be used
    one, *three = ([c.get_property(name, atoms) for name in ("energies", "forces", "stress")]
                   for c in (potential.calculator(threads=n, precision=precision) for n in (1, 3, 3)))  # fmt: skip
    for alone, first, again in zip(one, *three, strict=True):
        # pairs are summed in float64 in both, but atoms of a block round together
        np.testing.assert_allclose(first, alone, atol=1e-11 if precision == "float64" else 1e-5)
        np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize("wrong", [{"precision": "float16"}, {"threads": 0}, {"threads": 1.5}])
def test_senseless_precision_and_threads_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        random_potential(1, "linear").calculator(**wrong)
