"""Equations of a frame for the readouts that are solved exactly.

Columns: one reference energy a species, then for each species z of the centre its features φ, which are the pair
sums P, the invariants B, and what a readout derives from them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mlip_lab.kernels import couplings, generated
from mlip_lab.model.config import PotentialConfig
from mlip_lab.model.linear import Rows, labelled_rows
from mlip_lab.model.structures import Structure, geometry

Floats = NDArray[np.float64]
RADIAL_DECAY = 0.35  # of mixing coefficients, per order of the radial polynomial
ALTERNATIONS = 20  # after which the frame is tight to within a percent of what can be
# What a readout makes of features (n, F) and their slopes (n_pairs, 3, F): other features and slopes.
Extension = Callable[[Structure, Floats, Floats], tuple[Floats, Floats]]


def n_invariants(config: PotentialConfig) -> int:
    """Invariants of one channel."""
    return len(couplings.invariants(config.lmax, config.body_order))


def n_features(config: PotentialConfig) -> tuple[int, int]:
    """Number of pair sums and of invariants of one atom."""
    return config.n_species * config.n_pair, n_invariants(config) * config.n_channels


def smooth_mixing(config: PotentialConfig, rng: np.random.Generator) -> Floats:
    """Random radial channels that decay with the order of the polynomial, (S, lmax+1, S·n_radial, C), normalised."""
    s, c = config.n_species, config.n_channels
    mixing = rng.normal(size=(s, config.lmax + 1, s * config.n_radial, c)) * _decay(config)
    return np.asarray(mixing / np.linalg.norm(mixing, axis=2, keepdims=True))


def even_mixing(config: PotentialConfig, mixing: Floats) -> Floats:
    """Radial channels near those given that cover all radial functions as evenly as channels of one length can.

    Apart from the decay, a frame as tight as can be, which is found by giving channels one length and making the frame
    tight in turn (Tropp, Dhillon, Heath & Strohmer, DOI 10.1109/TIT.2004.839492). From channels that are only random,
    some networks never learned what hot silicon needs.
    """
    decay = _decay(config)
    for _ in range(ALTERNATIONS):
        u, _, v = np.linalg.svd(mixing / decay, full_matrices=False)
        mixing = u @ v * decay
        mixing /= np.linalg.norm(mixing, axis=2, keepdims=True)
    return mixing


def _decay(config: PotentialConfig) -> Floats:
    return np.tile(np.exp(-RADIAL_DECAY * np.arange(config.n_radial)), config.n_species)[:, None]


def design(structure: Structure, config: PotentialConfig, mixing: Floats) -> tuple[Floats, Floats]:
    """Features [P, B] of each atom (n, F) and their derivatives by each pair vector (n_pairs, 3, F)."""
    module = generated.learning_module(config.lmax, config.body_order)
    s = structure
    features, slopes = module.design(
        s.species, s.first, s.neighbor, s.vectors, *geometry(config), mixing, n_invariants(config)
    )
    return features, slopes


def columns(
    structure: Structure, config: PotentialConfig, features: Floats, slopes: Floats
) -> tuple[Floats, Floats, Floats]:
    """Energy (n_columns,), forces (n, 3, n_columns) and virial (3, 3, n_columns) by weight."""
    module = generated.learning_module(config.lmax, config.body_order)
    n, n_species, width = structure.n_atoms, config.n_species, features.shape[1]
    forces, virial = np.empty((n, 3, n_species, width)), np.empty((3, 3, n_species, width))
    s = structure
    module.assemble(s.species, s.first, s.neighbor, s.vectors, slopes, n_species, forces, virial)
    energy = np.zeros((n_species, width))
    np.add.at(energy, s.species, features)
    counts = np.bincount(s.species, minlength=n_species).astype(float)
    return (
        np.concatenate([counts, energy.reshape(-1)]),
        np.concatenate([np.zeros((n, 3, n_species)), forces.reshape(n, 3, -1)], axis=2),
        np.concatenate([np.zeros((3, 3, n_species)), virial.reshape(3, 3, -1)], axis=2),
    )


def equations(
    structure: Structure,
    config: PotentialConfig,
    mixing: Floats,
    trusted: bool,
    frame_weight: float,
    extend: Extension | None = None,
) -> Rows:
    """Equations of a labelled frame of some weight."""
    features, slopes = design(structure, config, mixing)
    if extend is not None:
        features, slopes = extend(structure, features, slopes)
    known = (structure.energy, structure.forces, structure.virial)
    return labelled_rows(structure.frame, *columns(structure, config, features, slopes), known, trusted, frame_weight)
