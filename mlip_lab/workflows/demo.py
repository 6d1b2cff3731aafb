"""The demo: train on the packaged silicon set, then hold the potential against DFT and run it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms
from ase.build import bulk

from mlip_lab.core.progress import Progress, silent
from mlip_lab.core.units import FEMTOSECOND
from mlip_lab.dynamics.md import MDResult, md
from mlip_lab.properties.attach import attached, energy_of
from mlip_lab.properties.elastic import ElasticResult, elastic
from mlip_lab.properties.elastic_tensor import cubic_constants
from mlip_lab.properties.equation_of_state import EquationOfState, equation_of_state
from mlip_lab.properties.radial_distribution import RadialDistribution, radial_distribution
from mlip_lab.properties.relax import relax

if TYPE_CHECKING:
    from mlip_lab.workflows.train import TrainingResult

TEMPERATURE = 1000.0  # K
TIME_STEP = 1.0  # fs
JOULE_PER_M2 = 16.02176634  # one eV/Å²


@dataclass(frozen=True)
class Comparison:
    """One property beside its reference.

    Attributes:
        name: Name as in the reference.
        unit: Its unit.
        value: From the potential.
        reference: From DFT; None if the reference has none.
    """

    name: str
    unit: str
    value: float
    reference: float | None

    @property
    def deviation_percent(self) -> float | None:
        """Deviation from the reference in per cent of it."""
        return None if not self.reference else 100 * (self.value - self.reference) / abs(self.reference)

    def to_dict(self) -> dict[str, Any]:
        """As the command line prints it."""
        return {
            "name": self.name,
            "unit": self.unit,
            "value": self.value,
            "reference": self.reference,
            "deviation_percent": self.deviation_percent,
        }


@dataclass(frozen=True, eq=False)
class Motion:
    """A run of molecular dynamics at constant energy and what it shows.

    Attributes:
        run: The run.
        structure: g(r) over its second half.
        drift: Slope of the total energy in eV/atom/ns.
        drift_error: Its standard error.
        temperature: Mean temperature in K.
        temperature_error: Its standard error.
        microseconds: Wall time for one atom and step in µs.
    """

    run: MDResult
    structure: RadialDistribution
    drift: float
    drift_error: float
    temperature: float
    temperature_error: float
    microseconds: float


@dataclass(frozen=True, eq=False)
class DemoResult:
    """All that the report shows.

    Attributes:
        training: The training with its errors.
        equation_of_state: Energy over volume.
        elastic: Elastic constants.
        comparisons: Properties beside DFT.
        motion: Molecular dynamics of 512 atoms.
        reference: The packaged reference values, as `data.packaged.reference` gives them.
        seconds: Wall time in all.
    """

    training: TrainingResult
    equation_of_state: EquationOfState
    elastic: ElasticResult
    comparisons: tuple[Comparison, ...]
    motion: Motion
    reference: Mapping[str, Any]
    seconds: float


def demo(out: str | Path, *, seed: int = 0, steps: int = 2000, progress: Progress = silent) -> DemoResult:
    """Train the default silicon potential on the packaged set and examine it.

    Args:
        out: Folder for the potential (`potential/` in it); training goes on from what an earlier run left there.
        seed: Seed of the training and of the first velocities.
        steps: Steps of molecular dynamics.
        progress: Called with `stage` saying in words what is being done.

    Returns:
        The training, the properties and the run.

    Raises:
        InputError: If the folder cannot be written.
        Cancelled: From `progress`; the training's checkpoint is kept.
    """
    from mlip_lab.data.packaged import packaged_set, reference
    from mlip_lab.workflows.train import train

    started = time.perf_counter()
    frames, test = packaged_set("si")
    training = train(
        frames, test=test, seed=seed, out=Path(out) / "potential", progress=partial(progress, stage="Training")
    )
    known = reference("si")
    calculator = training.potential.calculator()
    crystal, curve, constants = examine(calculator, bulk("Si", cubic=True), progress)
    motion = move(crystal.repeat((4, 4, 4)), calculator, steps=steps, seed=seed, progress=progress)
    return DemoResult(
        training=training,
        equation_of_state=curve,
        elastic=constants,
        comparisons=(*compare(curve, constants, known["values"]), *compare_silicon(calculator, curve, known["values"])),
        motion=motion,
        reference=known,
        seconds=time.perf_counter() - started,
    )


def examine(
    calculator: Any, crystal: Atoms, progress: Progress = silent
) -> tuple[Atoms, EquationOfState, ElasticResult]:
    """The relaxed crystal, its equation of state and its elastic constants."""
    relaxed = relax(crystal, calculator, force=1e-5, progress=partial(progress, stage="Relaxing the crystal")).atoms
    curve = equation_of_state(relaxed, calculator, progress=partial(progress, stage="Equation of state"))
    constants = elastic(relaxed, calculator, progress=partial(progress, stage="Elastic constants"))
    return relaxed, curve, constants


def compare(curve: EquationOfState, constants: ElasticResult, values: Mapping[str, Any]) -> tuple[Comparison, ...]:
    """The properties of a cubic crystal beside the reference values of the same names.

    Args:
        curve: Equation of state of the cubic cell.
        constants: Elastic constants along the cube's axes.
        values: Reference values by name.
    """
    c11, c12, c44 = cubic_constants(constants.constants)
    found = {
        "lattice_constant": ("Å", curve.lattice_constant),
        "bulk_modulus": ("GPa", curve.bulk_modulus),
        "C11": ("GPa", c11),
        "C12": ("GPa", c12),
        "C44": ("GPa", c44),
        "C44_clamped": ("GPa", cubic_constants(constants.clamped)[2]),
    }
    return tuple(
        Comparison(name, unit, value, reference_value(values, name))
        for name, (unit, value) in found.items()
        if value is not None
    )


def compare_silicon(calculator: Any, curve: EquationOfState, values: Mapping[str, Any]) -> tuple[Comparison, ...]:
    """Silicon away from the perfect crystal, in the structures of the reference (`data/si_reference.py`).

    Args:
        calculator: Any ASE calculator that knows silicon.
        curve: Its equation of state of the cubic cell of diamond.
        values: Reference values by name; what needs a geometry that is not among them is left out.
    """
    from mlip_lab.data.si_frames import beta_tin, ideal_slab

    edge, energy = float(curve.lattice_constant or 0.0), curve.energy
    found: dict[str, tuple[str, float]] = {}
    a, ratio = reference_value(values, "beta_tin_a"), reference_value(values, "beta_tin_c_over_a")
    if a is not None and ratio is not None:
        tin = beta_tin(a, ratio)
        found["beta_tin_minus_diamond"] = ("meV/atom", 1000 * (_energy(tin, calculator) / len(tin) - energy))
    hole = bulk("Si", a=edge, cubic=True).repeat(2)
    del hole[27]
    found["vacancy_formation_energy_unrelaxed"] = ("eV", _energy(hole, calculator) - len(hole) * energy)
    for face, layers in (("100", 12), ("110", 8), ("111", 12)):
        slab = ideal_slab(face, layers, lattice_constant=edge)
        area = float(np.linalg.norm(np.cross(slab.cell.array[0], slab.cell.array[1])))
        excess = (_energy(slab, calculator) - len(slab) * energy) / (2 * area)
        found[f"surface_{face}_unrelaxed"] = ("J/m²", excess * JOULE_PER_M2)
    found["phonon_gamma_lto"] = ("THz", _optical_frequency(bulk("Si", a=edge), calculator))
    return tuple(Comparison(name, unit, value, reference_value(values, name)) for name, (unit, value) in found.items())


def _energy(atoms: Atoms, calculator: Any) -> float:
    return energy_of(attached(atoms, calculator))


def _optical_frequency(primitive: Atoms, calculator: Any, step: float = 0.01) -> float:
    """Frequency in THz of the two atoms of diamond moving against each other: ω² = 2K/m, K = −∂F/∂x of one atom."""
    forces = []
    for sign in (1, -1):
        moved = attached(primitive, calculator)
        moved.positions[0, 0] += sign * step
        forces.append(moved.get_forces()[0, 0])
    stiffness = (forces[1] - forces[0]) / (2 * step)
    per_time = np.sqrt(2 * stiffness / primitive.get_masses()[0]) / (2 * np.pi)  # in 1 / (Å √(amu/eV))
    return float(per_time * FEMTOSECOND * 1000)


def reference_value(values: Mapping[str, Any], name: str) -> float | None:
    """A reference value, given as a number or with its unit as {"value": ...}; None if there is none."""
    entry = values.get(name)
    entry = entry.get("value") if isinstance(entry, Mapping) else entry
    return None if entry is None else float(entry)


def move(crystal: Atoms, calculator: Any, *, steps: int, seed: int = 0, progress: Progress = silent) -> Motion:
    """Warm a crystal up to 1000 K in a heat bath, then let it move at constant energy for `steps` steps."""
    warm = md(
        crystal,
        calculator,
        steps=max(steps // 4, 1),
        time_step=TIME_STEP,
        ensemble="langevin",
        temperature=TEMPERATURE,
        friction=10.0,
        initial_temperature=2 * TEMPERATURE,  # half of it becomes potential energy
        seed=seed,
        progress=partial(progress, stage="Warming 512 atoms up" if len(crystal) == 512 else "Warming up"),
    )
    started = time.perf_counter()
    run = md(
        warm.atoms,
        calculator,
        steps=steps,
        time_step=TIME_STEP,
        progress=partial(progress, stage="Molecular dynamics"),
    )
    seconds = time.perf_counter() - started
    drift, temperature = run.energy_drift(), run.mean_temperature()
    later = run.positions[len(run.positions) // 2 :: 5]
    return Motion(
        run=run,
        structure=radial_distribution(run.atoms, np.asarray(later)),
        drift=drift.value,
        drift_error=drift.error,
        temperature=temperature.value,
        temperature_error=temperature.error,
        microseconds=1e6 * seconds / (steps * len(crystal)),
    )
