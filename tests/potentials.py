"""Random potentials for tests: every weight of order one where it matters, nothing trained."""

from __future__ import annotations

import numpy as np

from mlip_lab.kernels.couplings import invariants
from mlip_lab.model.config import PotentialConfig
from mlip_lab.model.potential import Potential, weight_shapes

NUMBERS = (8, 14, 29, 47)


def random_config(n_species: int, readout: str, cutoff: float = 3.5) -> PotentialConfig:
    def table(value: float) -> tuple[tuple[float, ...], ...]:
        return tuple((value,) * n_species for _ in range(n_species))

    return PotentialConfig(
        cutoff=cutoff,
        n_radial=4,
        n_pair=6,
        lmax=2,
        n_channels=3,
        readout=readout,
        n_hidden=5,
        n_points=7,
        n_components=4,
        numbers=NUMBERS[:n_species],
        r0=table(2.0),
        inner=table(0.8),
        outer=table(1.5),
    )


def random_potential(n_species: int, readout: str, seed: int = 0, cutoff: float = 3.5) -> Potential:
    rng = np.random.default_rng(seed)
    config = random_config(n_species, readout, cutoff)
    n_inv = len(invariants(config.lmax, config.body_order))
    sizes = {"mixing": 0.3, "linear": 0.02, "w1": 0.05, "q": 0.05, "alpha": 0.3, "pair": 0.1}
    weights = {name: sizes.get(name, 0.5) * rng.normal(size=shape) for name, shape in weight_shapes(config).items()}
    assert weights["linear"].shape == (n_species, n_inv * config.n_channels)
    return Potential(config, (weights,))


def random_ensemble(n_species: int, readout: str, members: int, *, shared: bool = False) -> Potential:
    """Several of them, with radial channels of their own or the same."""
    each = [dict(random_potential(n_species, readout, seed=seed).members[0]) for seed in range(members)]
    if shared:
        each = [{**weights, "mixing": each[0]["mixing"]} for weights in each]
    return Potential(random_config(n_species, readout), tuple(each))
