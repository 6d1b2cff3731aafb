"""The temperature of the positions: what the forces of a run say of it.

In a canonical ensemble, integration by parts gives ⟨Σ F²/m⟩ = kT ⟨tr D⟩ for any potential, with D the mass-weighted
second derivatives (Rugh, DOI 10.1103/PhysRevLett.78.772; Butler and others, DOI 10.1063/1.477301). tr D comes from
random vectors of signs, ⟨zᵀ D z⟩ = tr D (Hutchinson, DOI 10.1080/03610919008812866), two force calls each.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mlip_lab.core.errors import InputError
from mlip_lab.core.progress import Progress, silent
from mlip_lab.core.units import BOLTZMANN, FEMTOSECOND
from mlip_lab.dynamics import statistics
from mlip_lab.dynamics.momenta import inverse_masses
from mlip_lab.dynamics.normal_modes import DISPLACEMENT, MassWeightedHessian
from mlip_lab.dynamics.result import MDResult
from mlip_lab.dynamics.statistics import Estimate

FRAMES, PROBES = 80, 4


def configurational_temperature(
    run: MDResult, calculator: Any, *, discard: float = 0.2, seed: int = 0, progress: Progress = silent
) -> Estimate:
    """Temperature of the positions and its standard error.

    Args:
        run: Of constant volume.
        calculator: The one of the run; called about 640 times.
        discard: Part of the run to leave out at the start.
        seed: Of the random vectors.
        progress: Called after every frame.

    Returns:
        (value, error) in K.

    Raises:
        InputError: If fewer than 20 steps or 2 samples are left, or the cell changed in the run.
    """
    if run.volume is not None:
        raise InputError("run: expected one of constant volume, got one in which the cell changed.")
    frames = run.positions[run.sample_times >= discard * run.times[-1]]
    if len(frames) < 2:
        raise InputError(f"run: expected at least 2 samples to be left, got {len(frames)}; sample more often.")
    frames = frames[:: max(1, len(frames) // FRAMES)]
    inverse, rng = inverse_masses(run.atoms), np.random.default_rng(seed)
    fixed = run.degrees_of_freedom < 3 * int(np.count_nonzero(inverse))
    traces, atoms = [], run.atoms.copy()
    for done, frame in enumerate(frames, 1):
        atoms.positions[:] = frame
        hessian = MassWeightedHessian(atoms, calculator, inverse, fix_center=fixed, displacement=DISPLACEMENT)
        signs = rng.choice([-1.0, 1.0], (PROBES, hessian.size))
        traces.append(np.mean([z @ hessian(z) for z in signs]))
        progress(done, len(frames))
    squares = statistics.mean(run.force_square[int(discard * len(run.times)) :] / FEMTOSECOND**2)
    trace, scatter = float(np.mean(traces)), float(np.std(traces, ddof=1) / np.sqrt(len(traces)))
    if trace <= 0.0:
        raise InputError("run: the mean curvature of the energy is not positive, so it tells no temperature.")
    value = squares.value / trace / BOLTZMANN
    return Estimate(value, value * float(np.hypot(squares.error / squares.value, scatter / trace)))
