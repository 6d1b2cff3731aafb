"""Correlated frames cut into blocks that are independent of each other.

Frames of a run resemble those before them. With ρ(t) the correlation of a quantity at t frames apart, n frames tell as
much about its mean as n/g independent ones,

    g = 1 + 2 Σ_t ρ(t)

(statistical inefficiency; the sum is cut at the first t ≥ 5 g/2, A. Sokal, DOI 10.1007/978-1-4899-0319-0_6). For a
histogram ρ is that of the sum over its bins, each scaled by its mean, which is how a bin counts in χ². But narrow bins
forget fast, because an atom soon leaves one, while what moves all of them together may be slow. So ρ is also taken of
the histogram's slowest pattern, which is the leading principal component of means over 4 g frames; it is looked for in
one half of the run and its ρ measured in the other, so that noise is not taken for memory. The larger g counts. Blocks
of at least 4 g frames with g frames left out between them are as good as independent: what is known of independent
samples (Student's t, permutations, the bootstrap) holds for them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlip_lab.core.errors import InputError

Floats = NDArray[np.float64]

WINDOW = 2.5  # in g; where the sum over ρ is cut
LENGTH = 4  # of a block in g, at least
FEWEST, MOST = 8, 50  # blocks
FEWEST_WINDOWS = 4  # in either half of a run, to look for what is slow
ALMOST_ONE = 1.1  # frames with g below it are independent
RESAMPLES = 1000


@dataclass(frozen=True)
class Blocks:
    """Where blocks begin and how long they are.

    Attributes:
        length: Frames in a block.
        gap: Frames left out between two.
    """

    length: int
    gap: int

    def number(self, frames: int) -> int:
        """How many fit."""
        return (frames + self.gap) // (self.length + self.gap)

    def sums(self, values: Floats) -> Floats:
        """Sum of each block along the first axis, (n_blocks, ...)."""
        step = self.length + self.gap
        return np.array(
            [values[k * step : k * step + self.length].sum(axis=0) for k in range(self.number(len(values)))]
        )


def inefficiency(values: Floats) -> float:
    """Statistical inefficiency g of a histogram over frames, at least 1.

    Args:
        values: Counts, (n_frames, n_bins) or (n_frames,).
    """
    values = np.asarray(values, dtype=np.float64).reshape(len(values), -1)
    scale = np.abs(values.mean(axis=0))
    use = scale > 0
    spread = (values[:, use] - values[:, use].mean(axis=0)) / np.sqrt(scale[use])
    if len(values) < 4 or not (spread**2).sum() > 1e-20 * len(values) * scale[use].sum():
        return 1.0
    fast = _inefficiency(spread)
    window = math.ceil(LENGTH * fast)
    halves = spread[: len(spread) // 2], spread[len(spread) // 2 :]
    if len(halves[0]) < FEWEST_WINDOWS * window:
        return fast
    slow = [_inefficiency(there @ _slowest(here, window)) for here, there in (halves, halves[::-1])]
    return max(fast, sum(slow) / 2)


def _slowest(spread: Floats, window: int) -> Floats:
    """The pattern in which means over windows vary most, (n_bins, 1)."""
    whole = spread[: len(spread) // window * window]
    means = whole.reshape(-1, window, spread.shape[1]).mean(axis=1)
    return np.asarray(np.linalg.svd(means - means.mean(axis=0), full_matrices=False)[2][:1].T)


def _inefficiency(series: Floats) -> float:
    """The same of series (n_frames, n_series), all weighing the same."""
    n = len(series)
    series = series - series.mean(axis=0)
    spectrum = (np.abs(np.fft.rfft(series, 2 * n, axis=0)) ** 2).sum(axis=1)
    correlation = np.fft.irfft(spectrum)[:n]
    if correlation[0] <= 0:
        return 1.0
    sums = 2.0 * np.cumsum(correlation / correlation[0]) - 1.0
    cut = np.flatnonzero(np.arange(n) >= WINDOW * np.maximum(sums, 1.0))
    return float(max(1.0, sums[cut[0] if len(cut) else n // 2]))


def blocks_for(inefficiency: float, *frames: int, fewest: int = FEWEST) -> Blocks:
    """Blocks of one length for one or several runs.

    Args:
        inefficiency: The largest g among them.
        *frames: Frames in each run.
        fewest: Blocks that each run must hold.

    Raises:
        InputError: If a run is too short for that.
    """
    gap = math.ceil(inefficiency - 0.5) if inefficiency > ALMOST_ONE else 0
    least = math.ceil(LENGTH * inefficiency) if gap else LENGTH
    n = min(frames)
    number = min(MOST, Blocks(least, gap).number(n))
    if number < fewest:
        raise InputError(
            f"{n} frames are worth {n / inefficiency:.0f} independent ones, too few for an error estimate: about "
            f"{fewest * (least + gap)} frames as far apart as these would do. Run longer"
            + (", or sample further apart at the same number of frames." if gap else ".")
        )
    return Blocks((n + gap) // number - gap, gap)


def bootstrap(sums: Floats, seed: int = 0) -> Floats:
    """Sums over as many blocks as there are, drawn with replacement, (RESAMPLES, ...).

    They are spread about the plain sum by √(n/(n − 1)) more than drawn, so that their variance is the unbiased one.
    """
    n = len(sums)
    drawn = np.random.default_rng(seed).multinomial(n, np.full(n, 1.0 / n), size=RESAMPLES).astype(np.float64)
    total = sums.sum(axis=0)
    found = np.tensordot(drawn, sums, axes=1)
    return np.asarray(total + math.sqrt(n / (n - 1.0)) * (found - total))


def band(sums: Floats, exposures: Floats, level: float = 0.95) -> tuple[Floats, Floats]:
    """Confidence band of Σ sums / Σ exposures over blocks, by the bootstrap.

    Args:
        sums: Counts of each block, (n_blocks, ...).
        exposures: What to divide by, of the same shape.
        level: Probability that a point lies in the band.

    Returns:
        Lower and upper end; not a number where nothing is divided by.
    """
    count, exposure = bootstrap(sums), bootstrap(exposures)
    ratio = np.divide(count, exposure, out=np.full(count.shape, np.nan), where=exposure > 0)
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(ratio, [tail, 1.0 - tail], axis=0)
    return np.maximum(low, 0.0), high
