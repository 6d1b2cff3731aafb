"""Errors of correlated series are honest: estimates scatter as much as they say."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mlip_lab.core.errors import InputError
from mlip_lab.dynamics import statistics

N, SERIES = 2000, 200


def series(kind: str, rng: np.random.Generator) -> NDArray[np.float64]:
    noise = rng.normal(size=(SERIES, N + 200))
    memory = {"short memory": 0.8, "long memory": 0.98}.get(kind)
    if kind == "random walk":
        return np.cumsum(noise, axis=1)[:, 200:]
    if kind == "oscillating":  # as the temperature of a crystal: a peak in the spectrum, little at zero frequency
        phase = np.cumsum(0.5 + 0.2 * noise, axis=1)
        return np.cos(phase)[:, 200:]
    if memory is not None:
        for t in range(1, noise.shape[1]):
            noise[:, t] += memory * noise[:, t - 1]
    return noise[:, 200:]


# Scatter over stated error. The root mean square of 200 series is known to 5 %, and 3 of these are allowed. Memory as
# long as a block and oscillations may only make errors too large; the slope of a random walk is the one that may
# scatter more than it says (1.5 times; errors for white noise would be 20 times too small).
SLOPES = {
    "white": (0.85, 1.15),
    "short memory": (0.85, 1.15),
    "long memory": (0.5, 1.15),
    "oscillating": (0.5, 1.15),
    "random walk": (0.85, 1.7),
}


@pytest.mark.parametrize("kind", SLOPES)
def test_slopes_scatter_as_much_as_they_say(kind: str, rng: np.random.Generator) -> None:
    times = np.arange(N) * 0.5
    estimates = [statistics.slope(times, y + 3.0 * times) for y in series(kind, rng)]
    low, high = SLOPES[kind]
    assert low < np.sqrt(np.mean([((value - 3.0) / error) ** 2 for value, error in estimates])) < high


@pytest.mark.parametrize("kind", [kind for kind in SLOPES if kind != "random walk"])  # which has no mean
def test_means_scatter_as_much_as_they_say(kind: str, rng: np.random.Generator) -> None:
    estimates = [statistics.mean(y + 7.0) for y in series(kind, rng)]
    low, high = SLOPES[kind]
    assert low < np.sqrt(np.mean([((value - 7.0) / error) ** 2 for value, error in estimates])) < high


def test_error_of_an_autoregressive_series_is_the_known_one(rng: np.random.Generator) -> None:
    # Var(mean) = σ²/(n (1-ρ)²) for y_t = ρ y_(t-1) + σ ξ; taking it for white noise would be a factor 3 too small
    errors = [statistics.mean(y).error for y in series("short memory", rng)]
    assert np.mean(errors) == pytest.approx(1.0 / (np.sqrt(N) * 0.2), rel=0.1)


def test_a_straight_line_has_its_slope_and_no_error() -> None:
    times = np.linspace(0.0, 2e-2, 1001)
    value, error = statistics.slope(times, 5.0 - 0.3 * times)
    assert value == pytest.approx(-0.3, rel=1e-12)
    assert error < 1e-12


def test_a_constant_is_its_mean() -> None:
    assert statistics.mean(np.full(50, 4.0)) == (4.0, 0.0)


def test_too_few_values_are_refused() -> None:
    with pytest.raises(InputError, match="at least 20 values, got 19"):
        statistics.mean(np.zeros(19))
