"""Are two simulations the same? Their pair counts compared, with a verdict.

The test is that of `likelihood_ratio.py`: a likelihood ratio that knows about correlation, and one by exchanging blocks
of frames. With enough data every difference is seen, so the largest |Δg| stands beside, with a band that holds in all
bins at once, and the verdict asks also whether all of it is shown to be below a tolerance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray

from mlip_lab.core.checks import as_floats
from mlip_lab.core.errors import InputError
from mlip_lab.core.late import plotted
from mlip_lab.core.progress import Progress, silent
from mlip_lab.core.quantities import Quantity, Seed, validated
from mlip_lab.properties.blocks import RESAMPLES, blocks_for, inefficiency
from mlip_lab.properties.likelihood_ratio import Null, Sample, likelihood_ratio, permuted
from mlip_lab.properties.radial_distribution import Bins, PairCounts, Radius, ahead, pair_counts
from mlip_lab.properties.trajectories import Discard, Frames, trajectory_of

Floats = NDArray[np.float64]
Tolerance = Annotated[float, Quantity("", low=0.0, high=100.0, open_low=True)]
Level = Annotated[float, Quantity("", low=1e-6, high=0.5)]

SPARSE = 5.0  # pairs that a bin must be expected to hold in effect


@dataclass(frozen=True, eq=False)
class SameStructure:
    """How two structures compare.

    Attributes:
        p_value: Probability of a likelihood ratio as large or larger, were the structures the same.
        permutation_p_value: The same by exchanging blocks; None beside a reference.
        naive_p_value: What the test gives that takes every pair as independent. It is wrong, and shown for that.
        likelihood_ratio: Λ.
        expected: What Λ is on average, were the structures the same.
        largest: Largest |Δg| over the bins.
        largest_at: Where, Å.
        largest_pair: Of which pair of species.
        largest_band: 95 % band of that |Δg|, for all bins at once.
        tolerance: |Δg| that does not matter.
        level: Level of the verdict.
        equivalent: Whether every |Δg| is shown to be below the tolerance (two one-sided tests in every bin).
        verdict: In one word.
        pairs: Name of the pair of species, one for each curve.
        ranges: Both ends of each merged bin of each curve in Å, (n_merged, 2); bins without pairs are left out.
        first: g(r) of the first in the merged bins, for each curve.
        second: g(r) of the second.
        half_widths: Half the width of the 95 % band of their difference, for all bins at once, for each curve.
        inefficiencies: Frames of each run that are worth one independent frame; 1 for a reference.
        frames: Frames of each run; 0 for a reference.
        blocks: Independent blocks in each.
    """

    p_value: float
    permutation_p_value: float | None
    naive_p_value: float
    likelihood_ratio: float
    expected: float
    largest: float
    largest_at: float
    largest_pair: str
    largest_band: tuple[float, float]
    tolerance: float
    level: float
    equivalent: bool
    verdict: Literal["different", "different, but within the tolerance", "the same", "undecided"]
    pairs: tuple[str, ...]
    ranges: tuple[Floats, ...]
    first: tuple[Floats, ...]
    second: tuple[Floats, ...]
    half_widths: tuple[Floats, ...]
    inefficiencies: tuple[float, float]
    frames: tuple[int, int]
    blocks: tuple[int, int]

    @property
    def words(self) -> str:
        """The verdict as a sentence."""
        return {
            "different": "The two structures differ.",
            "different, but within the tolerance": "The two differ, but by less than the tolerance.",
            "the same": f"The two structures are the same within {self.tolerance:g} in g(r).",
            "undecided": "No difference is seen, but one as large as the tolerance could hide. Run longer.",
        }[self.verdict]

    def plot(self) -> Any:
        """As a matplotlib Figure."""
        return plotted("same_structure", "same_structure", self)


@validated
def same_structure(
    first: Frames,
    second: Frames,
    *,
    radius: Radius = 6.0,
    bins: Bins = 60,
    tolerance: Tolerance = 0.1,
    level: Level = 0.05,
    discard: Discard = 0.2,
    seed: Seed = 0,
    progress: Progress = silent,
) -> SameStructure:
    """Test whether two trajectories have the same radial distribution.

    Args:
        first: A .extxyz, .xyz or .traj file; in Python also frames or what `md` gives back.
        second: Another one, with the same elements.
        radius: Largest distance that is compared, Å.
        bins: Bins of distance; sparse ones are merged with their neighbours.
        tolerance: Difference in g(r) that does not matter.
        level: How often to call two samples of the same state different.
        discard: Part to leave out at the start of either.
        seed: Which blocks are exchanged.
        progress: Called now and then with frames done.

    Raises:
        InputError: If the elements differ, a trajectory is too short to tell, or an argument is unusable.
    """
    runs = [trajectory_of(source, name=name).later(discard) for name, source in (("first", first), ("second", second))]
    if runs[0].species[0] != runs[1].species[0]:
        raise InputError(
            f"second: expected the same elements as the first ({', '.join(runs[0].species[0])}), got "
            f"{', '.join(runs[1].species[0])}."
        )
    before, total = (0, len(runs[0])), len(runs[0]) + len(runs[1])
    counted = [
        pair_counts(run, radius=radius, bins=bins, progress=ahead(progress, start, total))
        for run, start in zip(runs, before, strict=True)
    ]
    return compare(*counted, tolerance=tolerance, level=level, seed=seed)


def compare(
    first: PairCounts,
    second: PairCounts | Any,
    *,
    tolerance: float = 0.1,
    level: float = 0.05,
    seed: int = 0,
) -> SameStructure:
    """Compare pairs counted before, with each other or with a reference.

    Args:
        first: Pairs of a run.
        second: Pairs of another run in the same bins; or the g(r) to compare with in these bins, without error,
            (bins,) or (n_pairs, bins).
        tolerance: As for `same_structure`.
        level: As for `same_structure`.
        seed: As for `same_structure`.

    Raises:
        InputError: If bins or elements differ, or a run is too short to tell.
    """
    counts = [first.counts / first.multiplicity[:, None]]
    expected = [first.expected / first.multiplicity[:, None]]
    if isinstance(second, PairCounts):
        if not np.array_equal(first.edges, second.edges) or first.species != second.species:
            raise InputError("second: expected pairs of the same elements in the same bins as the first.")
        counts.append(second.counts / second.multiplicity[:, None])
        expected.append(second.expected / second.multiplicity[:, None])
    memories = [inefficiency(found) for found in counts]
    blocks = blocks_for(max(memories), *map(len, counts))
    in_blocks = [(blocks.sums(n), blocks.sums(e)) for n, e in zip(counts, expected, strict=True)]
    if not isinstance(second, PairCounts):
        even = in_blocks[0][1].sum(axis=0)[None]
        in_blocks.append((_reference(second, even.shape[1:]) * even, even))
        memories.append(1.0)
    merged = _merged(in_blocks, memories)
    if len(merged) < 2:
        raise InputError("radius: expected pairs in at least two bins; take a larger radius or more bins.")
    exact = (False, not isinstance(second, PairCounts))
    samples = [
        Sample(_in_merged(n, merged), _in_merged(e, merged), is_exact)
        for (n, e), is_exact in zip(in_blocks, exact, strict=True)
    ]
    return _judged(first, samples, merged, tolerance, level, seed, memories, [*map(len, counts), 0][:2])


def _reference(given: Any, shape: tuple[int, ...]) -> Floats:
    values = as_floats("second", given, (None,) * np.ndim(given))
    if values.shape not in (shape, shape[1:]) or (values < 0).any() or not values.any():
        raise InputError(f"second: expected a g(r) that is not negative, of shape {shape[1:]} or {shape}.")
    return np.asarray(np.broadcast_to(values, shape))


def _in_merged(values: Floats, merged: NDArray[np.int64]) -> Floats:
    """Sums over merged bins, (n, n_merged)."""
    sums = np.cumsum(values.reshape(len(values), -1), axis=1)
    sums = np.concatenate([np.zeros((len(values), 1)), sums], axis=1)
    return np.asarray(sums[:, merged[:, 1]] - sums[:, merged[:, 0]])


def _merged(in_blocks: list[tuple[Floats, Floats]], memories: list[float]) -> NDArray[np.int64]:
    """First bin of each merged one and the one after its last, among all bins of all pairs of species, (n_merged, 2).

    A merged bin begins where there are pairs, and goes on until either run is expected to have enough of them that are
    independent in time; what is left at the end of a pair of species is joined to the bin before.
    """
    totals = [counts.sum(axis=0) for counts, _ in in_blocks]
    shares = sum(totals) / max(1.0, sum(total.sum() for total in totals))
    effective = min(total.sum() / memory for total, memory in zip(totals, memories, strict=True))
    found: list[list[int]] = []
    for row, wanted in enumerate(effective * shares):
        here: list[list[int]] = []
        held = SPARSE
        for place in map(int, np.flatnonzero(wanted)):
            if held >= SPARSE:
                here.append([row * len(wanted) + place, 0])
                held = 0.0
            held += wanted[place]
            here[-1][1] = row * len(wanted) + place + 1
        if held < SPARSE and len(here) > 1:
            _, end = here.pop()
            here[-1][1] = end
        found += here
    return np.array(found)


def _judged(
    counted: PairCounts,
    samples: list[Sample],
    merged: NDArray[np.int64],
    tolerance: float,
    level: float,
    seed: int,
    memories: list[float],
    frames: list[int],
) -> SameStructure:
    from scipy import stats  # late: slow to import, and a Lab opens without it

    ratio = float(likelihood_ratio(samples[0].counts.sum(axis=0)[None], samples[1])[0])
    null = Null.of(samples)
    naive = float(stats.chi2.sf(ratio, len(merged) - 1))
    differences = samples[0].g - samples[1].g
    rows = [sample.scatter(of_shares=False) for sample in samples]
    errors = np.sqrt(sum((row**2).sum(axis=0) for row in rows))
    freedom = max(1.0, min(len(row) - 1 for row in rows if len(row)))
    wide = _joint_quantile(rows, errors, seed) * errors
    inside = np.abs(differences) + stats.t.ppf(1 - level, freedom) * errors
    equivalent = bool((inside < tolerance).all())
    at = int(np.argmax(np.abs(differences)))
    largest = float(abs(differences[at]))
    bins = len(counted.edges) - 1
    owner, places = merged[:, 0] // bins, merged - merged[:, :1] // bins * bins
    ranges = counted.edges[places]
    verdict: Any = ("undecided", "the same", "different", "different, but within the tolerance")[
        2 * (null.beyond(ratio) < level) + equivalent
    ]
    curves = [owner == row for row in range(len(counted.pairs))]
    return SameStructure(
        p_value=null.beyond(ratio),
        permutation_p_value=None if samples[1].exact else permuted(samples, ratio, seed),
        naive_p_value=naive,
        likelihood_ratio=ratio,
        expected=null.mean,
        largest=largest,
        largest_at=float(ranges[at].mean()),
        largest_pair=counted.names[owner[at]],
        largest_band=(max(0.0, largest - float(wide[at])), largest + float(wide[at])),
        tolerance=tolerance,
        level=level,
        equivalent=equivalent,
        verdict=verdict,
        pairs=counted.names,
        ranges=tuple(ranges[c] for c in curves),
        first=tuple(samples[0].g[c] for c in curves),
        second=tuple(samples[1].g[c] for c in curves),
        half_widths=tuple(wide[c] for c in curves),
        inefficiencies=(memories[0], memories[1]),
        frames=(frames[0], frames[1]),
        blocks=(len(samples[0].counts), 0 if samples[1].exact else len(samples[1].counts)),
    )


def _joint_quantile(rows: list[Floats], errors: Floats, seed: int) -> float:
    """How many errors wide a band must be to hold all bins at once with 95 %, by the bootstrap of blocks."""
    rng = np.random.default_rng(seed)
    use = errors > 0
    moved = np.zeros((RESAMPLES, int(use.sum())))
    for row in rows:
        if len(row):
            drawn = rng.multinomial(len(row), np.full(len(row), 1.0 / len(row)), size=RESAMPLES)
            moved += drawn @ row[:, use]
    if not use.any():
        return 0.0
    return float(np.quantile((np.abs(moved) / errors[use]).max(axis=1), 0.95))
