"""A look at the fastest vibration before a long run: is the time step one that can be integrated at all?"""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from mlip_lab.core.units import FEMTOSECOND
from mlip_lab.dynamics.normal_modes import DISPLACEMENT, MassWeightedHessian, lanczos
from mlip_lab.dynamics.splitting import largest_stable

DEPTH = 12  # Lanczos steps, two force calls each; what they find is at most the highest frequency
WORTH_IT = 1000  # steps of a run beside which two dozen force calls do not count


def unstable_words(
    atoms: Atoms,
    calculator: Any,
    inverse_masses: NDArray[np.float64],
    *,
    fix_center: bool,
    scheme: str,
    time_step: float,
) -> str:
    """Why a time step cannot be integrated at the structure given, in words; "" if nothing speaks against it.

    Args:
        atoms: The structure.
        calculator: Any ASE calculator; called two dozen times.
        inverse_masses: 1/amu, (n_atoms,), zero for atoms that are held.
        fix_center: Whether the centre of mass is kept from moving.
        scheme: A key of splitting.SPLITTINGS.
        time_step: Å sqrt(amu/eV).
    """
    hessian = MassWeightedHessian(atoms, calculator, inverse_masses, fix_center=fix_center, displacement=DISPLACEMENT)
    start = hessian.project(np.random.default_rng(0).normal(size=hessian.size))
    if not start.any():
        return ""
    omega = np.sqrt(max(0.0, float(lanczos(hessian, start, DEPTH).squares[-1])))
    limit = largest_stable(scheme)
    if omega * time_step < limit:
        return ""
    longest = limit / omega / FEMTOSECOND
    return (
        f"time_step: {time_step / FEMTOSECOND:.3g} fs is beyond the largest stable step, {longest:.3g} fs: the fastest "
        f"vibration here has a period of {2.0 * np.pi / omega / FEMTOSECOND:.3g} fs, and {scheme} is stable up to a "
        f"{2.0 * np.pi / limit:.3g}th of it. Take {0.14 * longest:.2g} fs, relax the structure first if atoms are "
        'close, or say stability="ignore".'
    )
