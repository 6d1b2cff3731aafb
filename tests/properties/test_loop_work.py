"""Forces that are a gradient do no work on a closed loop; others do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator
from ase.calculators.emt import EMT

from mlip_lab.core.errors import CalculationError, Cancelled, InputError
from mlip_lab.properties.loop_work import loop_work


class Cubic(Calculator):
    """E = Σ x³ y eV, a polynomial whose trapezoidal sums are known."""

    implemented_properties = ["energy", "forces"]  # noqa: RUF012 - as ASE declares it

    def calculate(self, atoms: Any = None, properties: Any = None, system_changes: Any = None) -> None:
        super().calculate(atoms, properties, system_changes)
        x, y, _ = self.atoms.positions.T
        forces = np.stack([-3 * x**2 * y, -(x**3), 0 * x], axis=1)
        self.results = {"energy": float(np.sum(x**3 * y)), "forces": forces}


def copper() -> Atoms:
    atoms = bulk("Cu", cubic=True).repeat(2)
    atoms.rattle(0.05, seed=1)
    return atoms


@pytest.mark.parametrize("steps", [2, 4, 7])
def test_work_of_a_polynomial_is_the_error_of_the_rule(steps: int) -> None:
    # On the unit square only the edge y = 1 has a force that is not linear: the rule gives 1 + 1/(2 n²) for ∫ 3 x² dx.
    assert loop_work(Atoms("H"), Cubic(), edge=1.0, steps=steps).work == pytest.approx(0.5 / steps**2, rel=1e-12)


def test_work_vanishes_with_the_square_of_the_steps() -> None:
    steps, work = loop_work(copper(), EMT(), edge=0.4, steps=64).convergence()
    assert list(steps) == [64, 32, 16, 8, 4, 2, 1]
    assert np.log2(np.abs(work[1:4] / work[:3])) == pytest.approx(2.0, abs=0.05)
    assert abs(work[0]) < 1e-4


def test_energy_is_given_up_as_work_is_done() -> None:
    loop = loop_work(copper(), EMT(), atom=3, edge=0.5, steps=64)
    assert loop.energies[0] == loop.energies[-1] == 0.0
    half = loop.path[: 2 * 64 + 1]
    work = np.sum(0.5 * (loop.forces[1:129] + loop.forces[:128]) * np.diff(half, axis=0))
    assert work == pytest.approx(-loop.energies[128], abs=1e-3)
    assert abs(loop.energies[128]) > 0.1


def test_a_force_without_energy_does_the_work_that_stokes_gives() -> None:
    loop = loop_work(copper(), EMT(), edge=0.3, steps=5, swirl=-1.5)
    assert loop.swirl_work == pytest.approx(2 * -1.5 * 0.3**2, rel=1e-13)


def test_atoms_stay_where_they_are_and_progress_is_told() -> None:
    atoms, seen = copper(), []
    before = atoms.positions.copy()
    loop_work(atoms, EMT(), steps=2, progress=lambda done, total, /, **_: seen.append((done, total)))
    assert np.array_equal(atoms.positions, before)
    assert seen == [(k, 8) for k in range(1, 9)]

    def stop(done: int, total: int, /, **_: Any) -> None:
        raise Cancelled("Stopped.")

    with pytest.raises(Cancelled):
        loop_work(atoms, EMT(), progress=stop)


def test_what_is_not_usable_is_refused() -> None:
    for wrong in ({"atom": 32}, {"edge": 0.0}, {"steps": 1}, {"swirl": float("nan")}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            loop_work(copper(), EMT(), **wrong)

    class Broken(Cubic):
        def calculate(self, *args: Any, **kwargs: Any) -> None:
            super().calculate(*args, **kwargs)
            self.results["forces"][:] = np.nan

    with pytest.raises(CalculationError, match="not finite"):
        loop_work(Atoms("H"), Broken())
