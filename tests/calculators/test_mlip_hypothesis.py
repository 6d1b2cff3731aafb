"""The calculator under chance: whatever the structure, finite numbers that make sense or an error in words."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
from ase import Atoms
from hypothesis import given, settings

from mlip_lab.calculators.mlip import CLOSEST, MLIPCalculator
from mlip_lab.core.errors import MlipError
from tests.potentials import random_potential

POTENTIAL = random_potential(2, "linear")
lengths = st.one_of(
    st.floats(-6.0, 6.0), st.sampled_from([0.0, 1e-300, 1e-6, 1e4, 1e8, 1e300, float("nan"), float("inf")])
)


@st.composite
def structures(draw: st.DrawFn) -> Atoms:
    n = draw(st.integers(0, 4))
    numbers = draw(st.lists(st.sampled_from([8, 14, 14, 8, 0, 6, 118]), min_size=n, max_size=n))
    positions = draw(st.lists(st.lists(lengths, min_size=3, max_size=3), min_size=n, max_size=n))
    cell = draw(st.lists(st.lists(lengths, min_size=3, max_size=3), min_size=3, max_size=3))
    pbc = draw(st.lists(st.booleans(), min_size=3, max_size=3))
    return Atoms(numbers=numbers, positions=np.reshape(positions, (n, 3)), cell=cell, pbc=pbc)


def closest(atoms: Atoms) -> float:
    """Shortest distance among the atoms and their images one cell away, the plain way."""
    ranges = [(-1, 0, 1) if periodic else (0,) for periodic in atoms.pbc]
    found = np.inf
    for shift in np.stack(np.meshgrid(*ranges), axis=-1).reshape(-1, 3):
        away = atoms.positions[None] + shift @ atoms.cell.array - atoms.positions[:, None]
        distance = np.linalg.norm(away, axis=2)
        if not shift.any():
            np.fill_diagonal(distance, np.inf)
        found = min(found, distance.min(initial=np.inf))
    return float(found)


@settings(max_examples=150)
@given(atoms=structures(), name=st.sampled_from(["energy", "forces", "stress"]))
def test_finite_numbers_or_words(atoms: Atoms, name: str) -> None:
    calculator = MLIPCalculator(POTENTIAL)
    try:
        calculator.get_property(name, atoms)
    except MlipError as error:
        assert len(str(error)) > 20 and not calculator.results
        return
    assert all(np.isfinite(value).all() for value in calculator.results.values())
    assert calculator.results["forces"].shape == (len(atoms), 3)
    assert set(atoms.numbers) <= {8, 14} and len(atoms) > 0
    assert closest(atoms) >= CLOSEST * (1 - 1e-12)
    assert ("stress" in calculator.results) == bool(atoms.pbc.all())


@settings(max_examples=60)
@given(data=st.data())
def test_sane_crystals_are_computed(data: st.DataObject) -> None:
    """Fractions on a grid in a roomy cell of any shape: never refused, and never dependent on where the cell begins."""
    skew = data.draw(st.lists(st.floats(-2.0, 2.0), min_size=3, max_size=3))
    cell = np.array([[4.0, 0.0, 0.0], [skew[0], 4.4, 0.0], [skew[1], skew[2], 4.1]])
    sites = data.draw(st.lists(st.integers(0, 7), min_size=1, max_size=4, unique=True))
    fractions = np.array([[(s >> d) % 2 for d in range(3)] for s in sites]) * 0.5
    numbers = data.draw(st.lists(st.sampled_from([8, 14]), min_size=len(sites), max_size=len(sites)))
    moves: Any = data.draw(st.lists(st.integers(-3, 3), min_size=3 * len(sites), max_size=3 * len(sites)))
    atoms = Atoms(numbers=numbers, scaled_positions=fractions, cell=cell, pbc=True)
    atoms.positions += 0.1 * np.random.default_rng(7).normal(size=(len(sites), 3))
    calculator = MLIPCalculator(POTENTIAL)
    energy = calculator.get_property("energy", atoms)
    atoms.positions += np.reshape(moves, (-1, 3)) @ cell
    # moving by lattice vectors of up to 30 Å rounds distances to 1e-14 Å
    assert abs(calculator.get_property("energy", atoms) - energy) < 1e-10
