"""Numbers drawn all at once are those that are drawn one by one."""

from __future__ import annotations

import numpy as np
import pytest

from mlip_lab.kernels import noise
from mlip_lab.kernels.noise_arrays import fill_normals

pytestmark = pytest.mark.interpreted


@pytest.mark.parametrize("count", [1, 2, 7, 300])
@pytest.mark.parametrize(("seed", "step", "stream"), [(0, 0, 0), (3, 7, 10), (2**40 + 3, 2**33 + 7, 1)])
def test_they_are_the_pairs_of_single_draws(count: int, seed: int, step: int, stream: int) -> None:
    values = np.empty(count)
    fill_normals(values, seed, step, stream)
    pairs = [noise.normal_pair(seed, step, k, stream) for k in range((count + 1) // 2)]
    # each of logarithm, root, sine and cosine is good to a rounding or two of numbers below 4
    np.testing.assert_allclose(values, np.ravel(pairs)[:count], rtol=0.0, atol=4e-15)


def test_series_hold_at_the_ends_of_their_ranges() -> None:
    from mlip_lab.kernels.noise_arrays import _circle, _radii

    x = np.array([2.0**-53, 2.0**-52, 0.25, np.sqrt(0.5), np.nextafter(np.sqrt(0.5), 1.0), 0.75, 1.0 - 2.0**-53, 1.0])
    radii = x.copy()
    _radii(radii)
    np.testing.assert_allclose(radii, np.sqrt(-2.0 * np.log(x)), rtol=1e-14, atol=1e-15)
    turns = np.array([0.0, 0.125, np.nextafter(0.125, 1.0), 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1.0 - 2.0**-53])
    cosines, sines = turns.copy(), np.empty(len(turns))
    _circle(cosines, sines)
    np.testing.assert_allclose(cosines, np.cos(2.0 * np.pi * turns), rtol=0.0, atol=1e-15)
    np.testing.assert_allclose(sines, np.sin(2.0 * np.pi * turns), rtol=0.0, atol=1e-15)
