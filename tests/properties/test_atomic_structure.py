"""Bonds, angles and waves of structures whose are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from mlip_lab.core.errors import Cancelled, InputError
from mlip_lab.panels.atomic_structure import ATOMIC_STRUCTURE
from mlip_lab.plots.style import description, png
from mlip_lab.properties.atomic_structure import atomic_structure


def shaken(atoms: Atoms, size: float, n: int, rng: np.random.Generator) -> list[Atoms]:
    frames = [atoms.copy() for _ in range(n)]
    for frame in frames:
        frame.positions += size * rng.normal(size=frame.positions.shape)
    return frames


def test_diamond(rng: np.random.Generator) -> None:
    found = atomic_structure(shaken(bulk("Si", cubic=True).repeat(2), 0.1, 60, rng), discard=0.0)
    assert 2.6 < found.bond < 3.5  # between the shells at 2.35 and 3.84 Å
    assert found.mean_bonds == 4 and found.coordination.tolist() == [0, 0, 0, 0, 1]
    assert found.angles @ found.angle_density * 2 == pytest.approx(109.47, abs=1)
    assert found.angle_density.sum() * 2 == pytest.approx(1)
    # Bragg peaks of diamond: |F|² = 4 f² N_cells/… at (111) in units of the cubic cell, times the Debye–Waller factor
    first = 2 * np.pi * np.sqrt(3) / 5.43
    assert found.wave_numbers[found.structure_factor > 3][0] == pytest.approx(first, rel=1e-6)
    for curve, bands in (
        (found.radial.values, found.radial.band),
        (found.angle_density, found.angle_band),
        (found.structure_factor, found.structure_factor_band),
    ):
        assert ((bands[0] <= curve + 1e-12) & (curve <= bands[1] + 1e-12)).all()


def test_an_ideal_gas_scatters_every_wave_alike(rng: np.random.Generator) -> None:
    cell = np.array([[9.0, 0, 0], [2.0, 8.0, 0], [1.0, -2.0, 10.0]])
    frames = [Atoms("H50", rng.uniform(size=(50, 3)) @ cell, cell=cell, pbc=True) for _ in range(200)]
    found = atomic_structure(frames, bond=2.0, discard=0.0, highest_q=4.0)
    # |Σ exp|²/N of one wave is exponentially distributed about 1: its mean over 200 frames has error 0.07
    assert np.abs(found.structure_factor - 1).max() < 0.35
    assert abs(found.structure_factor.mean() - 1) < 0.02
    angles = np.deg2rad(found.angles)
    assert np.allclose(found.angle_density, np.pi / 360 * np.sin(angles), atol=2e-3)  # even on the sphere, ± 5 σ
    with pytest.raises(InputError, match="bond: g\\(r\\) has no minimum"):
        atomic_structure(frames, discard=0.0)


def test_the_panel_says_what_was_found(rng: np.random.Generator, tmp_path: Any) -> None:
    salt = bulk("NaCl", "rocksalt", a=5.64, cubic=True)
    found = atomic_structure(shaken(salt, 0.1, 200, rng), discard=0.0, radius=6.5)
    assert [verdict.level for verdict in ATOMIC_STRUCTURE.verdicts(found)] == ["good"]
    numbers = {number.name: number.value for number in ATOMIC_STRUCTURE.numbers(found)}
    assert numbers["neighbours nearer than that, Cl–Na"] == pytest.approx(6)
    assert numbers["neighbours nearer than that, Na–Na"] == pytest.approx(0)
    assert "bonds shorter than" in description(found.plot()) and "worth" in description(found.radial.plot())
    assert png(found.plot()) and png(found.radial.plot())
    few = atomic_structure(shaken(salt, 0.1, 3, rng), discard=0.0, radius=6.5)
    assert [verdict.level for verdict in ATOMIC_STRUCTURE.verdicts(few)] == ["warning"]
    assert few.mean_bonds_error is None and png(few.plot())


def test_it_can_be_stopped(rng: np.random.Generator) -> None:
    def stop(done: int, total: int, /, **_: Any) -> None:
        if done > total / 2:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        atomic_structure(shaken(bulk("Si", cubic=True), 0.1, 60, rng), discard=0.0, progress=stop)
