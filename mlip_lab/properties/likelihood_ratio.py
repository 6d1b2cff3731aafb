"""A likelihood-ratio test on histograms that knows about correlation.

A share p_b of all counts falls in bin b. Under the hypothesis that two runs, s = A and
B, have the same shares,

    Λ = 2 Σ_s Σ_b n_sb ln(n_sb / (N_s p̂_b)),    p̂_b = Σ_s n_sb / Σ_s N_s

would be χ² with B − 1 degrees of freedom if every count were drawn by itself. Pairs of atoms are not: frames resemble
those before them, and pairs within a frame share atoms. Then Λ is distributed as a sum Σ λ_k χ²_1,
with λ_k the eigenvalues of

    V = h P^(-1/2) (C_A + C_B) P^(-1/2),    h = N_A N_B / (N_A + N_B),    P = diag(p̂),

C_s the covariance of the shares that run s gives (Rao and Scott, DOI 10.1214/aos/1176346391). C_s comes from blocks of
frames that are independent of each other (`blocks.py`). One λ is often as large as all others together, for the motion
that widens or narrows all shells at once; so

    Λ ~ λ_1 t²_ν + a χ²_f,    a f = Σ' λ_k,    a² f = Σ' λ_k² (1 + 1/ν),

the sums without the largest (Satterthwaite, DOI 10.2307/3002019), ν the degrees of freedom of C (Welch). From ν blocks
the largest λ and Σ λ_k² come out too large on average, by Σ' λ_k/ν and by (Σ λ_k² + (Σ λ_k)²)/ν; that is taken off.

The same Λ with blocks exchanged between the runs at random gives a second p that needs no
distribution.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

PERMUTATIONS = 999
POINTS = 400  # of an integral over t


@dataclass(frozen=True, eq=False)
class Sample:
    """Counts of one run and what is expected of an even spread, block by block, (n_blocks, n_bins).

    A reference has one block and is without scatter.
    """

    counts: Floats
    expected: Floats
    exact: bool = False

    @property
    def shares(self) -> Floats:
        """Of all pairs, those in each bin."""
        return np.asarray(self.counts.sum(axis=0) / self.counts.sum())

    @property
    def g(self) -> Floats:
        """Counts over those expected, in each bin."""
        return np.asarray(self.counts.sum(axis=0) / self.expected.sum(axis=0))

    def scatter(self, of_shares: bool) -> Floats:
        """Rows whose squares add up to the covariance of the shares, or of g, (n_blocks, n_bins)."""
        n = len(self.counts)
        if self.exact:
            return np.zeros((0, self.counts.shape[1]))
        whole = self.counts.sum(axis=1, keepdims=True) if of_shares else self.expected
        mean = self.shares if of_shares else self.g
        return np.asarray(np.sqrt(n / (n - 1.0)) * (self.counts - whole * mean) / whole.sum(axis=0))


def likelihood_ratio(first: Floats, second: Sample | Floats) -> Floats:
    """Λ of counts (n, n_bins) beside others of the same shape, or beside a sample, (n,)."""
    if isinstance(second, Sample) and second.exact:
        return _log_sum(first, first.sum(axis=1, keepdims=True) * second.shares)
    other = second.counts.sum(axis=0)[None] if isinstance(second, Sample) else second
    both = first + other
    shares = both / both.sum(axis=1, keepdims=True)
    parts = [_log_sum(counts, counts.sum(axis=1, keepdims=True) * shares) for counts in (first, other)]
    return np.asarray(parts[0] + parts[1])


def _log_sum(counts: Floats, expected: Floats) -> Floats:
    """2 Σ n ln(n/expected), where no count counts nothing; a count where none can be is impossible."""
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(counts > 0, counts * np.log(counts / expected), 0.0)
    return np.asarray(2.0 * terms.sum(axis=1))


@dataclass(frozen=True)
class Null:
    """Λ where the structures are the same: lead t² with `freedom` degrees, and scale χ² with `degrees`."""

    mean: float
    lead: float
    freedom: float
    scale: float
    degrees: float

    @classmethod
    def of(cls, samples: list[Sample]) -> Null:
        """From the scatter of blocks."""
        totals = [sample.counts.sum() for sample in samples]
        exact = samples[1].exact
        shares = samples[1].shares if exact else sum(s.counts.sum(axis=0) for s in samples) / sum(totals)
        h = totals[0] if exact else totals[0] * totals[1] / sum(totals)
        use = shares > 0
        rows = [np.sqrt(h / shares[use]) * s.scatter(of_shares=True)[:, use] for s in samples]
        parts = [(float((row**2).sum()), len(row) - 1) for row in rows if len(row)]
        both = np.concatenate(rows)
        spectrum = np.linalg.eigvalsh(both @ both.T)
        first = sum(trace for trace, _ in parts)
        if first <= 0:
            return cls(0.0, 0.0, 1.0, 0.0, 1.0)
        nu = first**2 / sum(trace**2 / freedom for trace, freedom in parts)
        most = max(2, int(use.sum()) - 1)  # how many λ there can be
        lead = min(max((spectrum[-1] - first / nu) / (1 - 1 / nu), first / most), first)
        second = nu**2 / ((nu - 1) * (nu + 2)) * (float((spectrum**2).sum()) - first**2 / nu)
        rest = first - lead
        if rest < 1e-9 * first:
            return cls(first, first, nu, 0.0, 1.0)
        scale = max(second - lead**2, rest**2 / (most - 1)) * (1 + 1 / nu) / rest
        return cls(first, float(lead), nu, float(scale), float(rest / scale))

    def beyond(self, ratio: float) -> float:
        """Probability of a larger Λ."""
        from scipy import stats  # late: slow to import, and a Lab opens without it

        if self.lead == 0 or not np.isfinite(ratio):
            return float(ratio <= 0)
        edge = np.sqrt(ratio / self.lead)
        alone = 2 * float(stats.t.sf(edge, self.freedom))
        if self.scale == 0:
            return alone
        t = (np.arange(POINTS) + 0.5) / POINTS * edge
        others = stats.chi2.sf((ratio - self.lead * t**2) / self.scale, self.degrees)
        return min(1.0, alone + 2 * float((stats.t.pdf(t, self.freedom) * others).mean() * edge))


def permuted(samples: list[Sample], ratio: float, seed: int) -> float:
    """Share of exchanges of blocks between the runs that give as large a Λ, the one that was found among them."""
    blocks = np.concatenate([sample.counts for sample in samples])
    n_first = len(samples[0].counts)
    order = np.random.default_rng(seed).permuted(np.tile(np.arange(len(blocks)), (PERMUTATIONS, 1)), axis=1)
    chosen = (order < n_first).astype(np.float64) @ blocks
    found = likelihood_ratio(chosen, blocks.sum(axis=0) - chosen)
    return float((1 + (found >= ratio * (1 - 1e-12)).sum()) / (PERMUTATIONS + 1))
