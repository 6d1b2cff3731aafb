"""Averages and slopes of correlated series, with errors that know about the correlation.

The series y(t) = Σ_k a_k t^k + noise is cut into equal blocks. Estimates of a are plain least squares. For their error
the noise is taken as an Ornstein-Uhlenbeck process with an unknown memory time. The covariance of its block means is,
with x the length of a block in memory times,

    C_0 = 2 (x − 1 + e^−x)/x²,    C_k = (1 − e^−x)²/x² e^−x(k−1)    for blocks k apart.

A large x is white noise between blocks; a small x is a random walk, which the energy of a run does whose integrator
loses accuracy at random. The error is averaged over x with the restricted likelihood (Harville, DOI
10.1080/01621459.1977.10480998) as the weight, because a few dozen blocks do not fix x well. Where the model is poor,
for noise that oscillates or remembers for longer than a block, errors come out too large rather than too small, but
for a pure random walk, whose slope can scatter by half more than its error says.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlip_lab.core.errors import InputError

Floats = NDArray[np.float64]

MOST_BLOCKS = 50
FEWEST_VALUES = 20
BLOCK_LENGTHS = np.geomspace(1e-3, 1e2, 26)  # values of x tried
LONGEST_MEMORY = 0.2  # of the run, for a mean: what is not stationary has none


class Estimate(NamedTuple):
    """A value and its standard error, in the same unit."""

    value: float
    error: float


def mean(values: Floats) -> Estimate:
    """Mean of a stationary correlated series and its standard error."""
    return _trend(np.arange(len(values), dtype=np.float64), values, degree=0)


def slope(times: Floats, values: Floats) -> Estimate:
    """Slope of a straight line through a series with correlated noise, and its standard error."""
    return _trend(times, values, degree=1)


def _trend(times: Floats, values: Floats, degree: int) -> Estimate:
    """Highest coefficient of a polynomial trend and its standard error."""
    if len(values) < FEWEST_VALUES:
        raise InputError(
            f"An error estimate needs at least {FEWEST_VALUES} values, got {len(values)}; run longer or discard less."
        )
    scale = max(float(np.ptp(times)), 1e-300)
    scaled = (times - times.mean()) / scale
    average = float(values.mean())
    value = (
        average if degree == 0 else float(np.polynomial.polynomial.polyfit(scaled, values - average, degree)[degree])
    )
    n_blocks = min(MOST_BLOCKS, len(values) // 2)
    blocks = np.array([block.mean() for block in np.array_split(values - average, n_blocks)])
    centers = np.array([block.mean() for block in np.array_split(scaled, n_blocks)])
    error = _coefficient_error(np.vander(centers, degree + 1, increasing=True), blocks)
    return Estimate(value / scale**degree, error / scale**degree)


def _coefficient_error(design: Floats, values: Floats) -> float:
    """Standard error of the last least-squares coefficient, averaged over the memory of the noise."""
    n, n_coefficients = design.shape
    to_coefficients = np.linalg.pinv(design)
    residuals = values - design @ (to_coefficients @ values)
    if float(residuals @ residuals) <= n * (1e-15 * float(np.abs(values).max())) ** 2:
        return 0.0
    log_likelihoods, variances = [], []
    shortest_block = 1.0 / (LONGEST_MEMORY * n) if n_coefficients == 1 else 0.0
    for x, covariance, whiten, log_determinant in _noise_models(n):
        if x < shortest_block:
            continue
        white_design = whiten @ design
        white = whiten @ residuals
        white -= white_design @ (np.linalg.pinv(white_design) @ white)
        square = float(white @ white)
        log_likelihoods.append(
            -0.5 * log_determinant
            - 0.5 * np.linalg.slogdet(white_design.T @ white_design)[1]
            - 0.5 * (n - n_coefficients) * np.log(square)
        )
        last = to_coefficients[-1]
        variances.append(float(last @ covariance @ last) * square / (n - n_coefficients))
    weights = np.exp(np.array(log_likelihoods) - max(log_likelihoods))
    return float(np.sqrt(weights @ np.array(variances) / weights.sum()))


@lru_cache(maxsize=4)
def _noise_models(n: int) -> list[tuple[float, Floats, Floats, float]]:
    """Covariance of n block means, the matrix that whitens it, and its log determinant, for each memory tried."""
    lag = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    models = []
    for x in BLOCK_LENGTHS:
        covariance = (np.expm1(-x) / x) ** 2 * np.exp(-x * np.maximum(lag - 1, 0))
        np.fill_diagonal(covariance, 2.0 * (x + np.expm1(-x)) / x**2)
        root = np.linalg.cholesky(covariance)
        models.append((float(x), covariance, np.linalg.inv(root), 2.0 * float(np.log(np.diag(root)).sum())))
    return models
