"""What is said of correlated frames is true of the one process whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from mlip_lab.core.errors import InputError
from mlip_lab.properties.blocks import Blocks, band, blocks_for, bootstrap, inefficiency


def remembering(rng: np.random.Generator, decay: float, shape: tuple[int, ...]) -> np.ndarray:
    noise = rng.normal(size=shape)
    for t in range(1, len(noise)):
        noise[t] = decay * noise[t - 1] + np.sqrt(1 - decay**2) * noise[t]
    return noise


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.9])
def test_inefficiency_of_an_autoregressive_series(rng: np.random.Generator, decay: float) -> None:
    found = inefficiency(10.0 + remembering(rng, decay, (4000, 8)))
    # (1 + c)/(1 − c); 4000 frames of 8 bins fix it to a few per cent, the cut at 5 g/2 loses e^−5
    assert found == pytest.approx((1 + decay) / (1 - decay), rel=0.12)


def test_what_does_not_change_is_independent() -> None:
    assert inefficiency(np.full((50, 3), 7.0)) == 1.0
    assert inefficiency(np.zeros((50, 3))) == 1.0


def test_blocks_are_laid_side_by_side_with_gaps() -> None:
    blocks = Blocks(length=4, gap=2)
    assert blocks.number(15) == 2 and blocks.number(16) == 3
    assert blocks.sums(np.arange(16.0)).tolist() == [6.0, 30.0, 54.0]
    assert blocks_for(1.0, 160) == Blocks(4, 0)
    assert blocks_for(2.6, 1000, 400).gap == 3
    with pytest.raises(InputError, match="100 frames are worth 10 independent ones"):
        blocks_for(10.0, 1000, 100)


def test_blocks_are_independent_and_their_error_is_the_true_one(rng: np.random.Generator) -> None:
    series = remembering(rng, np.exp(-1 / 5), (3000, 400))
    blocks = blocks_for(10.0, 3000)
    sums = blocks.sums(series)
    neighbours = np.mean(sums[1:] * sums[:-1]) / np.mean(sums**2)
    assert abs(neighbours) < 0.03  # e^−2/16 by the gap, and 1/√(50 · 400) of scatter
    spread = np.std([bootstrap(column[:, None], 1).std() for column in sums.T[:40]])
    assert np.mean([bootstrap(column[:, None], 1).std() for column in sums.T[:40]]) == pytest.approx(
        np.sqrt(len(sums)) * sums.std(), rel=0.06
    )
    assert spread > 0


def test_a_band_of_nothing_is_no_number() -> None:
    low, high = band(np.ones((10, 2)), np.ones((10, 2)) * [1.0, 0.0])
    assert low[0] == high[0] == 1.0 and np.isnan(low[1]) and np.isnan(high[1])
