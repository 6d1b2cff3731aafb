"""The linear map of a step is that of the integrator, and its stationary state is the one known on paper."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mlip_lab.core.errors import InputError
from mlip_lab.dynamics import splitting
from mlip_lab.kernels import integrators
from mlip_lab.kernels.integrators import Scheme

Floats = NDArray[np.float64]
# ωΔt and γΔt: slow and fast modes, next to no friction and a strong one, up to close to the end of stability
EIGHT = [(0.1, 0.1), (0.5, 0.05), (0.5, 2.0), (1.0, 0.3), (1.0, 5.0), (1.5, 0.5), (1.9, 0.2), (1.95, 1.0)]
CODES = {"BAOAB": integrators.BAOAB, "OBABO": integrators.OBABO, "velocity Verlet": integrators.BAOAB}


def scheme(name: str, gamma_dt: float, k_t: float, seed: int = 1) -> Scheme:
    part = {"BAOAB": 1.0, "OBABO": 0.5, "velocity Verlet": 0.0}[name]
    decay = float(np.exp(-part * gamma_dt))
    return Scheme(CODES[name], 1.0, decay, k_t, 0.0, 0, False, seed, 3, 1.0)  # Δt = 1, so ω is ωΔt


def steps(name: str, omega: float, gamma: float, x: Floats, p: Floats, count: int, k_t: float = 0.0) -> Any:
    """Every state on the way, of unit masses on springs ω²."""
    how, bath, inverse = scheme(name, gamma, k_t), np.zeros(2 * integrators.LINKS), np.ones(len(x))
    seen = np.empty((count, 2, *x.shape))
    for step in range(count):
        integrators.begin_step(x, p, -(omega**2) * x, inverse, how, bath, step)
        integrators.end_step(p, -(omega**2) * x, inverse, how, bath, step)
        seen[step] = x, p
    return seen


@pytest.mark.parametrize("name", CODES)
@pytest.mark.parametrize(("omega_dt", "gamma_dt"), EIGHT)
def test_the_map_is_the_derivative_of_the_step(name: str, omega_dt: float, gamma_dt: float) -> None:
    columns = []
    for unit in np.eye(2):
        ends = []
        for sign in (1.0, -1.0):  # a step is linear, so a difference of any size is its derivative
            x, p = (sign * np.full((1, 3), part) for part in (unit[0] / omega_dt, unit[1]))
            ends.append(steps(name, omega_dt, gamma_dt, x, p, 1, k_t=1.0)[0, :, 0, 0] * [omega_dt, 1.0])
        columns.append((ends[0] - ends[1]) / 2.0)
    matrix, _ = splitting.step_map(name, omega_dt, gamma_dt)
    assert np.abs(matrix - np.array(columns).T).max() < 1e-10


@pytest.mark.parametrize(("omega_dt", "gamma_dt"), EIGHT)
def test_stationary_covariances_are_the_closed_forms(omega_dt: float, gamma_dt: float) -> None:
    biased = (omega_dt / 2.0) ** 2
    np.testing.assert_allclose(
        splitting.covariance("BAOAB", omega_dt, gamma_dt), np.diag([1.0, 1.0 - biased]), atol=1e-10
    )
    np.testing.assert_allclose(
        splitting.covariance("OBABO", omega_dt, gamma_dt), np.diag([1.0 / (1.0 - biased), 1.0]), rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize("name", ["BAOAB", "OBABO"])
@pytest.mark.parametrize(("omega_dt", "gamma_dt"), EIGHT)
def test_measured_covariances_are_the_predicted_ones(name: str, omega_dt: float, gamma_dt: float) -> None:
    atoms = 800
    forgets = np.log(splitting.spectral_radius(name, omega_dt, gamma_dt))
    skip = int(-12.0 / forgets)  # e⁻¹² of the start is left
    seen = steps(name, omega_dt, gamma_dt, np.zeros((atoms, 3)), np.zeros((atoms, 3)), skip + 200, k_t=1.0)[skip:]
    z = np.stack([omega_dt * seen[:, 0], seen[:, 1]])
    predicted = splitting.covariance(name, omega_dt, gamma_dt)
    for a, b in ((0, 0), (0, 1), (1, 1)):
        each = (z[a] * z[b]).mean(axis=0).ravel()  # oscillators are independent: their scatter is the error
        error = each.std(ddof=1) / np.sqrt(each.size)
        assert error < 0.06 * max(predicted[0, 0], predicted[1, 1])
        assert abs(each.mean() - predicted[a, b]) < 4.0 * error  # one of 48 beyond by chance: 3 in 1000


@pytest.mark.parametrize("name", CODES)
@pytest.mark.parametrize("gamma_dt", [0.05, 1.0])
def test_motion_blows_up_where_the_spectral_radius_exceeds_one_and_not_before(name: str, gamma_dt: float) -> None:
    assert splitting.largest_stable(name, gamma_dt / 2.0) == pytest.approx(2.0, abs=1e-6)
    for omega_dt, lasts in ((1.99, True), (2.01, False)):
        radius = float(splitting.spectral_radius(name, omega_dt, gamma_dt))
        assert (radius < 1.0 + 1e-9) is lasts
        count = 4000 if lasts else int(200.0 / np.log(radius))  # e²⁰⁰ still is a number
        x, p = np.full((1, 3), 1e-3), np.zeros((1, 3))
        seen = steps(name, omega_dt, gamma_dt, x, p, count)
        size = float(np.abs(seen[-1]).max())
        assert (size < 1.0) is lasts
        if not lasts:  # and it grows as fast as the eigenvalue says
            growth = np.log(size / np.abs(seen[count // 2]).max()) / (count - 1 - count // 2)
            assert growth == pytest.approx(np.log(radius), rel=1e-3)


def test_without_a_bath_the_mean_over_an_orbit_is_given() -> None:
    predicted = splitting.covariance("velocity Verlet", 1.2)
    assert predicted[1, 1] / predicted[0, 0] == pytest.approx(1.0 - 0.36, rel=1e-12)
    rng = np.random.default_rng(0)
    seen = steps("velocity Verlet", 1.2, 0.0, rng.normal(size=(4000, 3)) / 1.2, rng.normal(size=(4000, 3)), 400)
    each = (seen[:, 1] ** 2).mean(axis=0).ravel()
    assert abs(each.mean() - predicted[1, 1]) < 4.0 * each.std() / np.sqrt(each.size)


def test_the_longest_accurate_step_has_the_error_allowed() -> None:
    h = splitting.largest_within("BAOAB", 0.02, 0.1)
    assert h == pytest.approx(2.0 * np.sqrt(0.02), rel=1e-9)  # (h/2)² = 0.02
    assert splitting.covariance("BAOAB", h, 0.1 * h)[1, 1] == pytest.approx(0.98, abs=1e-9)


def test_friction_slows_or_speeds_forgetting() -> None:
    # the drift's own matrix: a mode forgets with e^{-γΔt/2} where it swings, so that is its spectral radius
    assert splitting.spectral_radius("BAOAB", 0.5, 0.1) == pytest.approx(np.exp(-0.05), rel=1e-12)
    assert splitting.spectral_radius("velocity Verlet", 1.0) == pytest.approx(1.0, abs=1e-12)


def test_what_has_no_answer_is_refused() -> None:
    with pytest.raises(InputError, match="expected one of velocity Verlet, BAOAB"):
        splitting.step_map("leapfrog", 0.1)
    with pytest.raises(InputError, match="BAOAB has no stationary state there"):
        splitting.covariance("BAOAB", [1.0, 2.1], 0.1)
    with pytest.raises(InputError, match="not bounded"):
        splitting.covariance("velocity Verlet", 2.1)
    with pytest.raises(InputError, match="all zero or all above zero"):
        splitting.covariance("BAOAB", [1.0, 1.0], [0.0, 0.1])
