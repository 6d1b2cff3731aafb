"""The printed Python makes the very structure and calculator that the panel shows, to the last bit."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.constraints import FixAtoms
from hypothesis import given, settings

from mlip_lab.core.errors import InputError
from mlip_lab.data.build import OPERATIONS, crystal, molecule, rattle, slab, strain, substitute, supercell, vacancy
from mlip_lab.panels.base.shelf import Shelf, Snippet, StructureEntry
from mlip_lab.panels.base.snippets import call, literal
from mlip_lab.panels.base.standalone import shelf_of


def executed(code: Snippet, **there: Any) -> Any:
    """What the snippet makes in a namespace that holds nothing else."""
    names: dict[str, Any] = dict(there)
    exec(compile("\n".join([*code.imports, *code.setup, f"made = {code.expression}"]), "cell", "exec"), names)
    return names["made"]


def same(one: Atoms, other: Atoms) -> bool:
    """Whether both hold the same bits in every array, the same cell, periodicity and fixed atoms."""
    arrays = {**one.arrays, "cell": one.cell.array, "pbc": one.pbc}
    others = {**other.arrays, "cell": other.cell.array, "pbc": other.pbc}
    return (
        arrays.keys() == others.keys()
        and all(arrays[name].tobytes() == np.asarray(others[name]).tobytes() for name in arrays)
        and [c.todict() for c in one.constraints] == [c.todict() for c in other.constraints]
    )


SILICON = StructureEntry("silicon", crystal(), call(crystal))
CALLS = {
    crystal: {"prototype": "hcp", "elements": "Mg", "lattice_constant": 3.2 / 0.99, "c_over_a": 1.6},
    molecule: {"name": "CH3CH2OH", "vacuum": 4.5},
    supercell: {"a": 1, "b": 3, "c": 2},
    vacancy: {"index": 3},
    substitute: {"element": "Ge", "count": 3, "seed": 5},
    strain: {"xx": 0.1 / 3, "yz": -0.07},
    rattle: {"displacement": 0.1 / 3, "seed": 11},
    slab: {"h": 1, "k": 1, "l": 1, "layers": 2, "vacuum": 6.0, "periodic": True},
}


def test_every_operation_has_an_example() -> None:
    assert set(CALLS) == set(OPERATIONS)


@pytest.mark.parametrize("function", OPERATIONS, ids=lambda f: f.__name__)
def test_a_printed_call_makes_the_same_structure(function: Any) -> None:
    among = None if function in (crystal, molecule) else SILICON
    made = function(**CALLS[function]) if among is None else function(among.atoms, **CALLS[function])
    assert same(executed(call(function, among=among, **CALLS[function])), made)


def test_only_what_differs_from_the_defaults_is_printed() -> None:
    assert call(crystal, prototype="diamond", elements="Si", cubic=True).expression == "crystal()"
    code = call(supercell, among=SILICON, a=2, b=2, c=3)
    assert code.expression == "supercell(crystal(), c=3)"
    assert code.imports == (
        "from mlip_lab.data.build import crystal",
        "from mlip_lab.data.build import supercell",
    )


def test_numbers_of_numpy_are_printed_as_numbers() -> None:
    code = call(crystal, lattice_constant=np.float64(5.4), cubic=np.bool_(False))
    assert code.expression == "crystal(lattice_constant=5.4, cubic=False)"


@settings(max_examples=20)
@given(steps=st.lists(st.sampled_from([supercell, vacancy, substitute, strain, rattle]), min_size=2, max_size=4))
def test_operations_on_operations_are_printed_as_one_expression(steps: list[Any]) -> None:
    entry = SILICON
    arguments = {**CALLS, supercell: {"a": 1, "b": 1, "c": 2}, substitute: {"element": "Ge", "count": 1}}
    for step in steps:
        made = step(entry.atoms, **arguments[step])
        entry = StructureEntry("next", made, call(step, among=entry, **arguments[step]))
    assert same(executed(entry.code), entry.atoms)


def test_an_operation_on_a_structure_of_a_notebook_speaks_of_its_variable() -> None:
    mine = StructureEntry("mine", bulk("Cu", cubic=True), Snippet("mine", setup=("# mine is yours",)))
    code = call(vacancy, among=mine, index=1)
    assert code.expression == "vacancy(mine, index=1)" and code.setup == ("# mine is yours",)
    assert same(executed(code, mine=mine.atoms), vacancy(mine.atoms, index=1))


coordinates = st.floats(-1e6, 1e6, allow_nan=False, width=64)


@settings(max_examples=40)
@given(data=st.data(), n=st.integers(1, 5), periodic=st.tuples(*[st.booleans()] * 3), moving=st.booleans())
def test_all_numbers_are_printed_to_the_last_bit(data: st.DataObject, n: int, periodic: Any, moving: bool) -> None:
    def rows(count: int) -> np.ndarray[Any, Any]:
        return np.array(data.draw(st.lists(st.tuples(*[coordinates] * 3), min_size=count, max_size=count)))

    atoms = Atoms(numbers=data.draw(st.lists(st.integers(1, 118), min_size=n, max_size=n)), positions=rows(n))
    atoms.cell[:], atoms.pbc = rows(3), periodic
    if moving:
        atoms.set_momenta(rows(n))
    assert same(executed(literal(atoms)), atoms)


def test_a_literal_carries_what_decides_energies_and_motion() -> None:
    atoms = bulk("Fe", cubic=True)
    atoms.set_constraint(FixAtoms([1]))
    atoms.set_momenta(np.array([[0.1, 1e-300, -0.0], [1 / 3, 2.0, 3.0]]), apply_constraint=False)
    atoms.set_masses([57.0, 55.845])
    atoms.set_tags([0, 7])
    atoms.set_initial_magnetic_moments([2.2, -2.2])
    atoms.set_initial_charges([0.5, -0.5])
    code = literal(atoms)
    assert same(executed(code), atoms)
    entry = StructureEntry("iron", atoms, code)
    assert same(executed(call(supercell, among=entry, c=1)), supercell(atoms, c=1)), "an operation on a literal"


def test_a_panel_alone_prints_a_structure_with_all_its_digits() -> None:
    shaken = rattle(crystal(), seed=3)
    shelf = shelf_of(shaken)
    (entry,) = shelf.structures.values()
    assert entry.name == "Si8, 8 atoms" and same(executed(entry.code), shaken)
    shaken.positions += 1.0
    assert not same(entry.atoms, shaken), "the shelf keeps its own copy"
    assert shelf_of(shelf) is shelf
    assert dict(shelf_of().structures) == {} == dict(shelf_of().potentials)
    alone = shelf_of(EMT())
    assert list(alone.potentials) == ["EMT"] and not alone.structures, "a panel that asks for no atoms"


@pytest.mark.parametrize(
    "calculator",
    [EMT(), EMT(asap_cutoff=True), LennardJones(sigma=2.3, epsilon=0.1 / 3, rc=5.0, smooth=True)],
    ids=["EMT", "EMT-asap", "LJ"],
)
def test_a_calculator_of_ase_is_printed_with_its_parameters(calculator: Any) -> None:
    (entry,) = shelf_of(None, calculator).potentials.values()
    copper = rattle(crystal("fcc", "Cu"), seed=1)
    energy = calculator.get_potential_energy(copper)
    assert executed(entry.code).get_potential_energy(copper) == energy != 0.0
    assert entry.calculator is calculator


class Foreign(EMT):
    """A calculator that no line of code is known for."""


def test_a_calculator_that_cannot_be_printed_is_spoken_of_and_not_made_up() -> None:
    (entry,) = shelf_of(None, Foreign()).potentials.values()
    assert entry.code.expression == "calculator" and "the Foreign that this panel was given" in entry.code.setup[0]
    there = Foreign()
    assert executed(entry.code, calculator=there) is there


def test_a_variable_of_the_notebook_is_printed_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    import IPython

    copper, potential = bulk("Cu"), EMT()
    shell = type("Shell", (), {"user_ns": {"_1": copper, "copper": copper, "theory": potential}})()
    monkeypatch.setattr(IPython, "get_ipython", lambda: shell)
    shelf = shelf_of(copper, potential)
    assert [e.code for e in (*shelf.structures.values(), *shelf.potentials.values())] == [
        Snippet("copper"),
        Snippet("theory"),
    ]


@pytest.mark.parametrize("wrong", ["Si", 3, Atoms(), [bulk("Cu")]])
def test_what_is_no_structure_is_refused(wrong: Any) -> None:
    with pytest.raises(InputError, match=r"atoms: expected an ase\.Atoms"):
        shelf_of(wrong)


@pytest.mark.parametrize("wrong", [EMT, "EMT", 3])
def test_what_is_no_calculator_is_refused(wrong: Any) -> None:
    with pytest.raises(InputError, match="calculator: expected an ASE calculator"):
        shelf_of(bulk("Cu"), wrong)


def test_a_shelf_is_taken_as_it_is() -> None:
    shelf = Shelf()
    assert shelf_of(shelf, None) is shelf
