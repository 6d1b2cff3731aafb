"""Rates of a reaction from harmonic transition-state theory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlip_lab.core.errors import CalculationError, InputError
from mlip_lab.core.units import BOLTZMANN
from mlip_lab.properties.normal_modes import NormalModes

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class HarmonicRate:
    """k(T) = ν exp(−ΔE / k_BT).

    Attributes:
        prefactor: ν in THz.
        barrier: ΔE in eV, without zero-point energy.
    """

    prefactor: float
    barrier: float

    def at(self, temperatures: ArrayLike) -> Floats:
        """Rates in 1/s at temperatures in K.

        Raises:
            InputError: If a temperature is not above zero.
        """
        kelvin = np.asarray(temperatures, dtype=np.float64)
        if not (np.isfinite(kelvin).all() and (kelvin > 0).all()):
            raise InputError(f"temperatures: expected numbers in K above 0, got {temperatures!r}.")
        return np.asarray(1e12 * self.prefactor * np.exp(-self.barrier / (BOLTZMANN * kelvin)))


def harmonic_rate(minimum: NormalModes, saddle: NormalModes, barrier: float) -> HarmonicRate:
    """The rate out of a minimum over a saddle: ν = Π ν_i(minimum) / Π' ν_i(saddle), the imaginary one left out.

    G. H. Vineyard, DOI 10.1016/0022-3697(57)90059-8. Nuclei are classical: no zero-point energy and no tunnelling,
    which for hydrogen matter much. A molecule in free space keeps its moments of inertia here.

    Args:
        minimum: Normal modes there.
        saddle: Normal modes there, of the same atoms.
        barrier: Energy of the saddle above the minimum in eV.

    Raises:
        CalculationError: If the minimum is none, the saddle is none, or their numbers of modes differ.
    """
    if len(minimum.imaginary):
        raise CalculationError(f"The end of the path is no minimum: {len(minimum.imaginary)} of its modes descend.")
    if len(saddle.imaginary) != 1:
        raise CalculationError(
            f"A saddle point has one imaginary mode, this has {len(saddle.imaginary)}: no rate follows from it."
        )
    if len(minimum.frequencies) != len(saddle.frequencies):
        raise CalculationError(
            f"The minimum has {len(minimum.frequencies)} modes and the saddle {len(saddle.frequencies)}: the whole can "
            "turn freely in one of them only."
        )
    low, high = minimum.frequencies, saddle.frequencies[1:]
    if (low <= 0).any() or (high <= 0).any():
        raise CalculationError("A mode costs no energy: the harmonic rate does not exist.")
    return HarmonicRate(float(np.exp(np.log(low).sum() - np.log(high).sum())), barrier)
