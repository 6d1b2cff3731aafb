"""Contract checks that any ASE calculator can be put through.

    from ase.calculators.emt import EMT
    from mlip_lab.testing import check_calculator

    print(check_calculator(EMT, atoms))

Every check states physics, not a reference value: forces and stress are slopes of the energy, nothing depends on where
the structure lies, how it is turned or numbered, a closed path gives no work, two copies hold twice the energy, and the
answer does not depend on what was asked before.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from mlip_lab.core.checks import as_floats, as_integer
from mlip_lab.core.errors import CalculationError, InputError
from mlip_lab.core.quantities import Quantity, validated

Floats = NDArray[np.float64]
Tolerance = Annotated[float, Quantity("", low=0.0, high=0.1, open_low=True)]

STEP = 2e-3  # Å; with four points the error of a slope is its fourth power, and rounding costs 1e-13 of the energy
STRAIN_STEP = 2e-4
LOOP_RADIUS = 0.02  # Å
LOOP_POINTS = 48
FORCE_FLOOR = 0.1  # eV/Å; errors are relative to the largest force, but not to forces weaker than this
STRESS_FLOOR = 0.005  # eV/Å³, about 1 GPa
ENERGY_FLOOR = 1.0  # eV/atom


@dataclass(frozen=True)
class CalculatorReport:
    """Errors found by `check_calculator`, each as a part of the size of what was compared.

    Attributes:
        errors: Error of each check that was made, without unit.
        skipped: Reason, in words, for each check that was not made.
        tolerance: Largest error allowed.
    """

    errors: dict[str, float]
    tolerance: float
    skipped: dict[str, str] = field(default_factory=dict)

    @property
    def failed(self) -> tuple[str, ...]:
        """Checks whose error exceeds the tolerance, or is NaN."""
        return tuple(name for name, error in self.errors.items() if not error <= self.tolerance)

    def __str__(self) -> str:
        """One line a check."""
        lines = [
            f"{name:28s} {error:9.1e}  {'FAILED' if name in self.failed else 'ok'}"
            for name, error in self.errors.items()
        ]
        return "\n".join(lines + [f"{name:28s} {'skipped':>9s}  {reason}" for name, reason in self.skipped.items()])


@validated
def check_calculator(
    make_calculator: Callable[[], Any],
    atoms: Atoms,
    *,
    tolerance: Tolerance = 1e-6,
    picklable: bool = False,
    seed: int = 0,
) -> CalculatorReport:
    """Check that a calculator is a potential: slopes, symmetries, extensivity, no memory.

    Args:
        make_calculator: Gives a fresh calculator; a class will do.
        atoms: Structure to check with, not changed; a rattled one of low symmetry shows most. About 120 force calls are
            made, two of them on two copies.
        tolerance: Largest error, relative to the largest force (at least 0.1 eV/Å; on the closed path to that per Å),
            the largest stress component (at least 1 GPa) or the energy per atom (at least 1 eV). For a model in single
            precision take 1e-3.
        picklable: Whether the calculator must also survive pickling, as process pools ask.
        seed: Which displacements and rotation.

    Returns:
        Errors by check, if all passed.

    Raises:
        InputError: If an argument cannot be used.
        CalculationError: If a check failed: which, by how much, and what that usually means.
    """
    seed = as_integer("seed", seed, low=0)
    if not callable(make_calculator):
        raise InputError(
            f"make_calculator: expected a function that gives a calculator, got {type(make_calculator).__name__}; "
            "pass the class, or lambda: calculator."
        )
    if not isinstance(atoms, Atoms) or len(atoms) == 0:
        raise InputError(f"atoms: expected an ase.Atoms with at least one atom, got {atoms!r}.")
    as_floats("positions", atoms.positions, (len(atoms), 3))
    check = _Check(make_calculator, atoms, np.random.default_rng(seed))
    errors = {
        "forces are slopes": check.forces_are_slopes(),
        "no work on a closed path": check.closed_path(),
        "translation": check.translation(),
        "rotation": check.rotation(),
        "permutation": check.permutation(),
        "no memory": check.memory(),
    }
    skipped = {}
    if atoms.pbc.any():
        errors["wrapping"] = check.wrapping()
        errors["two copies"] = check.copies()
    else:
        skipped["wrapping"] = skipped["two copies"] = "not periodic"
    if check.stress is None:
        skipped["stress is a slope"] = "no stress for this structure"
    else:
        errors["stress is a slope"] = check.stress_is_slope(check.stress)
    if picklable:
        errors["pickle"] = check.pickled()
    report = CalculatorReport(errors, tolerance, skipped)
    if report.failed:
        meanings = "\n".join(f"- {name}: {_MEANING[name]}" for name in report.failed)
        raise CalculationError(
            f"The calculator failed {len(report.failed)} of {len(errors)} checks at a tolerance of {tolerance:g}:\n"
            f"{report}\n{meanings}"
        )
    return report


_MEANING = {
    "forces are slopes": "the forces are not minus the slope of the energy; energy will not be conserved in MD.",
    "no work on a closed path": "the forces do work along a closed path; energy will not be conserved in MD.",
    "translation": "the result changes when the whole structure is moved.",
    "rotation": "the energy changes, or the forces do not turn along, when the structure and its cell are turned.",
    "permutation": "the result depends on the order of the atoms.",
    "no memory": "the result depends on what was calculated before; something of it was kept.",
    "wrapping": "the result changes when an atom is moved by a cell vector.",
    "two copies": "two copies of the cell do not hold twice its energy and the same forces; images may be missing.",
    "stress is a slope": "the stress is not the slope of the energy with strain over the volume; sign and Voigt order "
    "(xx, yy, zz, yz, xz, xy) are to be those of ASE.",
    "pickle": "the calculator cannot be pickled, or gives another energy afterwards.",
}


class _Check:
    """The checks, around one reference calculation."""

    def __init__(self, make_calculator: Callable[[], Any], atoms: Atoms, rng: np.random.Generator) -> None:
        self.make, self.rng = make_calculator, rng
        self.atoms: Atoms = atoms.copy()
        self.atoms.set_constraint()
        self.calculator = make_calculator()
        self.energy, self.forces = self._calculate(self.atoms)
        self.stress = self._stress()
        self.energy_scale = max(abs(self.energy) / len(atoms), ENERGY_FLOOR)
        self.force_scale = max(float(np.abs(self.forces).max()), FORCE_FLOOR)

    def forces_are_slopes(self) -> float:
        """Minus the slope of the energy along random directions, against the forces along them."""
        errors = []
        for direction in self._directions(8):
            slope = _slope(lambda s, u=direction: self._calculate(self._moved(s * u))[0], STEP)  # type: ignore[misc]
            errors.append(abs(slope + float((self.forces * direction).sum())))
        return max(errors) / self.force_scale

    def stress_is_slope(self, stress: Floats) -> float:
        """Slope of the energy with each strain component over the volume, against the stress."""
        errors = []
        for a, b in [(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]:
            strain = np.zeros((3, 3))
            strain[a, b] += 0.5
            strain[b, a] += 0.5
            slope = _slope(lambda s, e=strain: self._calculate(self._strained(s * e))[0], STRAIN_STEP)  # type: ignore[misc]
            errors.append(abs(slope / self.atoms.get_volume() - stress[a, b]))
        return float(max(errors)) / max(float(np.abs(stress).max()), STRESS_FLOOR)

    def closed_path(self) -> float:
        """Work along an ellipse in the space of all positions, over its area: how much the forces curl."""
        u, v = LOOP_RADIUS * self._directions(2)
        angles = 2.0 * np.pi * np.arange(LOOP_POINTS) / LOOP_POINTS
        powers = []
        for angle in angles:  # the trapezoidal rule is exact to rounding for a smooth periodic integrand
            forces = self._calculate(self._moved(np.cos(angle) * u + np.sin(angle) * v))[1]
            powers.append(float((forces * (-np.sin(angle) * u + np.cos(angle) * v)).sum()))
        return abs(float(np.mean(powers))) / (self.force_scale * LOOP_RADIUS**2)

    def translation(self) -> float:
        """The whole structure moved."""
        return self._error(self._moved(self.rng.uniform(-3.0, 3.0, 3)), self.forces)

    def rotation(self) -> float:
        """Structure and cell turned: the same energy, forces (and stress) turned along."""
        turn = Rotation.from_quat(self.rng.normal(size=4)).as_matrix()
        turned: Atoms = self.atoms.copy()
        turned.set_cell(self.atoms.cell.array @ turn.T)
        turned.positions = self.atoms.positions @ turn.T
        error = self._error(turned, self.forces @ turn.T)
        if self.stress is None:
            return error
        stress = np.asarray(self.calculator.get_stress(turned))
        wanted = turn @ self.stress @ turn.T
        scale = max(float(np.abs(self.stress).max()), STRESS_FLOOR)
        return max(error, float(np.abs(_matrix(stress) - wanted).max()) / scale)

    def permutation(self) -> float:
        """The atoms in another order."""
        order = self.rng.permutation(len(self.atoms))
        return self._error(self.atoms[order], self.forces[order])

    def wrapping(self) -> float:
        """Each atom moved by its own lattice vector."""
        shifts = self.rng.integers(-1, 2, (len(self.atoms), 3)) * self.atoms.pbc
        return self._error(self._moved(shifts @ self.atoms.cell.array), self.forces)

    def copies(self) -> float:
        """Two copies side by side along a periodic direction."""
        energy, forces = self._calculate(self._doubled())
        return self._compare(energy / 2.0, forces, np.tile(self.forces, (2, 1)))

    def memory(self) -> float:
        """The first structure again after another one, with the used calculator and with a fresh one."""
        self._calculate(self._doubled() if self.atoms.pbc.any() else self._moved(STEP * self._directions(1)[0]))
        again = self._error(self.atoms, self.forces)
        self.calculator = self.make()
        return max(again, self._error(self.atoms, self.forces))

    def pickled(self) -> float:
        """The structure again with a calculator that went through pickle; infinite if it cannot."""
        try:
            self.calculator = pickle.loads(pickle.dumps(self.calculator))
        except Exception:
            return float("inf")
        return self._error(self.atoms, self.forces)

    def _calculate(self, atoms: Atoms) -> tuple[float, Floats]:
        try:
            forces = np.array(self.calculator.get_forces(atoms), dtype=np.float64)
            energy = float(self.calculator.get_potential_energy(atoms))
        except Exception as error:
            raise CalculationError(f"The calculator failed on {atoms.get_chemical_formula()}: {error}") from error
        # With smeared electrons the forces are the slope of the free energy.
        energy = float(getattr(self.calculator, "results", {}).get("free_energy", energy))
        if forces.shape != (len(atoms), 3) or not np.isfinite(forces).all() or not np.isfinite(energy):
            raise CalculationError(
                f"The calculator gave the energy {energy} and forces of shape {forces.shape} for {len(atoms)} atoms; "
                "expected finite numbers, three forces an atom."
            )
        return energy, forces

    def _stress(self) -> Floats | None:
        if not self.atoms.pbc.all():
            return None
        try:
            return _matrix(np.asarray(self.calculator.get_stress(self.atoms), dtype=np.float64))
        except (PropertyNotImplementedError, NotImplementedError):
            return None

    def _error(self, atoms: Atoms, forces: Floats) -> float:
        energy, found = self._calculate(atoms)
        return self._compare(energy, found, forces)

    def _compare(self, energy: float, found: Floats, forces: Floats) -> float:
        energy_error = abs(energy - self.energy) / len(self.atoms) / self.energy_scale
        return max(energy_error, float(np.abs(found - forces).max()) / self.force_scale)

    def _directions(self, count: int) -> Floats:
        directions = self.rng.normal(size=(count, len(self.atoms), 3))
        return np.asarray(directions / np.linalg.norm(directions, axis=(1, 2), keepdims=True))

    def _doubled(self) -> Atoms:
        times = [1, 1, 1]
        times[int(np.flatnonzero(self.atoms.pbc)[0])] = 2
        doubled: Atoms = self.atoms.repeat(times)
        return doubled

    def _moved(self, displacement: Floats) -> Atoms:
        moved: Atoms = self.atoms.copy()
        moved.positions += displacement
        return moved

    def _strained(self, strain: Floats) -> Atoms:
        strained: Atoms = self.atoms.copy()
        strained.set_cell(self.atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
        return strained


def _slope(function: Callable[[float], float], h: float) -> float:
    """Slope at 0 from four points, with an error of order h⁴."""
    return (8.0 * (function(h) - function(-h)) - (function(2.0 * h) - function(-2.0 * h))) / (12.0 * h)


def _matrix(voigt: Floats) -> Floats:
    xx, yy, zz, yz, xz, xy = voigt
    return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
