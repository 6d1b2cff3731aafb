"""How many beads are enough: the energy over their number, and where it goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from mlip_lab.core.checks import as_integer
from mlip_lab.core.errors import InputError
from mlip_lab.core.late import plotted
from mlip_lab.core.progress import Progress, silent
from mlip_lab.core.quantities import Count, Quantity, Seed, TimeStep, validated
from mlip_lab.dynamics.pimd import Warm, pimd
from mlip_lab.dynamics.pimd_result import PIMDResult
from mlip_lab.dynamics.statistics import Estimate

Floats = NDArray[np.float64]
Tolerance = Annotated[float, Quantity("meV/atom", low=1e-3, high=1e3)]


@dataclass(frozen=True, eq=False)
class BeadConvergence:
    """Energies for several numbers of beads.

    Attributes:
        beads: Numbers of beads, ascending, (n,).
        energies: Mean energy in eV/atom, (n,).
        errors: Their standard errors, (n,).
        limit: Energy of infinitely many beads in eV/atom with its standard error, from E(P) = E + a/P² through the
            larger half of the numbers.
        slope: a in eV/atom.
        recommended: Least number of beads whose energy by that fit is within `tolerance` of the limit.
        tolerance: meV/atom.
        runs: The runs themselves.
    """

    beads: NDArray[np.int64]
    energies: Floats
    errors: Floats
    limit: Estimate
    slope: float
    recommended: int
    tolerance: float
    runs: tuple[PIMDResult, ...]

    def plot(self) -> Any:
        """Energy over the number of beads as a matplotlib Figure."""
        return plotted("pimd", "convergence", self)


@validated
def bead_convergence(
    atoms: Any,
    calculator: Any,
    *,
    beads: Sequence[int] = (1, 2, 4, 8, 16, 32),
    steps: Count = 2000,
    temperature: Warm = 300.0,
    time_step: TimeStep = 0.5,
    tolerance: Tolerance = 1.0,
    seed: Seed = 0,
    progress: Progress = silent,
) -> BeadConvergence:
    """Run ring polymers of several numbers of beads and extrapolate.

    Args:
        atoms: As for `pimd`.
        calculator: Any ASE calculator.
        beads: Numbers of beads, at least three.
        steps: Steps of each run.
        temperature: K.
        time_step: fs, short enough for the largest number.
        tolerance: Error in meV/atom that is allowed.
        seed: Which momenta and noise.
        progress: Called after every report of a run with steps done and steps in all.

    Raises:
        InputError: If an argument cannot be used.
        CalculationError: If a run fails.
        Cancelled: If progress stops it.
    """
    numbers = sorted({as_integer("beads", number, low=1) for number in beads})
    if len(numbers) < 3:
        raise InputError(f"beads: expected at least three different numbers, got {list(beads)}.")
    runs: list[PIMDResult] = []
    for count in numbers:

        def report(done: int, total: int, /, *, before: int = len(runs), **live: Any) -> None:
            progress(before * steps + done, len(numbers) * steps)

        run = pimd(
            atoms,
            calculator,
            steps=steps,
            beads=count,
            temperature=temperature,
            time_step=time_step,
            seed=seed,
            progress=report,
        )
        if run.stopped:
            progress(len(runs) * steps, len(numbers) * steps)  # raises Cancelled again
        runs.append(run)
    found = np.array([run.total() for run in runs]) / len(atoms)
    return _extrapolated(np.array(numbers), found[:, 0], found[:, 1], tolerance, tuple(runs))


def _extrapolated(
    beads: NDArray[np.int64], energies: Floats, errors: Floats, tolerance: float, runs: tuple[PIMDResult, ...] = ()
) -> BeadConvergence:
    """Weighted straight line through E over 1/P² of the larger half of the numbers, of two at least."""
    used = slice(min(len(beads) // 2, len(beads) - 2), None)
    weights = 1.0 / np.maximum(errors[used], 1e-12)
    design = np.stack([np.ones(len(beads[used])), 1.0 / beads[used] ** 2], axis=1) * weights[:, None]
    covariance = np.linalg.inv(design.T @ design)
    limit, slope = covariance @ design.T @ (energies[used] * weights)
    needed = np.sqrt(abs(slope) / (1e-3 * tolerance))
    return BeadConvergence(
        beads=beads,
        energies=energies,
        errors=errors,
        limit=Estimate(float(limit), float(np.sqrt(covariance[0, 0]))),
        slope=float(slope),
        recommended=max(1, int(np.ceil(needed))),
        tolerance=tolerance,
        runs=runs,
    )
