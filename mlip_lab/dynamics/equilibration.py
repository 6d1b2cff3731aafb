"""How much of a series is equilibrated, and how many independent samples it is worth.

The statistical inefficiency g = 1 + 2 Σ_t (1 − t/N) C(t) is the number of steps between independent samples, C the
normalised autocorrelation, summed until it is first lost in the noise. The best place to cut is where the rest has the
largest number of independent samples, (N − t₀)/g(t₀): earlier the drift of the start makes g large, later samples are
given away (Chodera, DOI 10.1021/acs.jctc.5b00784).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.fft import next_fast_len

from mlip_lab.core.checks import as_floats
from mlip_lab.core.errors import InputError

Floats = NDArray[np.float64]

SHORTEST_MEMORY = 3  # values over which the autocorrelation is summed in any case
MOST_VALUES = 20_000  # of a series; longer ones are thinned
CANDIDATES = 50  # places of the cut that are tried
FEWEST = 20


class Equilibration(NamedTuple):
    """Where a series is in equilibrium.

    Attributes:
        start: First value that counts.
        inefficiency: Values between independent ones, at least one.
        samples: Number of independent values from `start` on.
    """

    start: int
    inefficiency: float
    samples: float


def statistical_inefficiency(values: Floats) -> float:
    """Values between independent ones, at least one.

    Args:
        values: Stationary series, (n,).

    Raises:
        InputError: If there are fewer than 20 finite values.
    """
    values = as_floats("values", values, (None,))
    n = len(values)
    if n < FEWEST:
        raise InputError(f"values: expected at least {FEWEST}, got {n}; run longer or discard less.")
    away = values - values.mean()
    variance = float(away @ away) / n
    if variance <= (1e-14 * float(np.abs(values).max())) ** 2:
        return 1.0
    transform = np.fft.rfft(away, next_fast_len(2 * n))
    sums = np.fft.irfft(np.abs(transform) ** 2, next_fast_len(2 * n))[: n - 1]
    lags = np.arange(n - 1)
    correlation = sums / (variance * (n - lags))
    lost = np.flatnonzero((correlation <= 0.0) & (lags > SHORTEST_MEMORY))
    end = int(lost[0]) if len(lost) else n - 1
    return max(1.0, 1.0 + 2.0 * float(((1.0 - lags / n) * correlation)[1:end].sum()))


def equilibrated(values: Floats) -> Equilibration:
    """Where to cut a series, and what the rest is worth.

    A series of more than 20 000 values is thinned first, so that g is then known to the thinning only.

    Raises:
        InputError: If there are fewer than 20 finite values.
    """
    values = as_floats("values", values, (None,))
    every = -(-len(values) // MOST_VALUES)
    thinned = values[::every]
    if len(thinned) < FEWEST:
        raise InputError(f"values: expected at least {FEWEST}, got {len(thinned)}; run longer.")
    cuts = np.unique(np.linspace(0, len(thinned) - FEWEST, CANDIDATES).astype(int))
    found = [
        Equilibration(int(cut), g := statistical_inefficiency(thinned[cut:]), (len(thinned) - cut) / g) for cut in cuts
    ]
    best = max(found, key=lambda one: one.samples)
    return Equilibration(best.start * every, best.inefficiency * every, best.samples)
