"""Readouts that are solved exactly: linear, and the sparse Gaussian process ("kernel").

Kernel: E_i = linear + Σ_s α_s k(u_i, u_s) with u = (B - mean) Q the leading whitened principal components of the
invariants and k = 1/(1 + |u - u'|²/2)², a rational quadratic kernel. With representative environments u_s, the process
is linear in Nyström features φ(u) = K_ss^(-1/2) k(u, ·) with a prior of one width (subset of regressors; Quiñonero-
Candela & Rasmussen, JMLR 6, 1939 (2005); GAP: Bartók et al., DOI 10.1103/PhysRevB.87.184115), so energies, forces and
stress enter the same normal equations as in the linear readout.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from mlip_lab.core.frame import Frame
from mlip_lab.core.progress import Progress, asking, silent
from mlip_lab.model.config import PotentialConfig
from mlip_lab.model.features import Extension, columns, design, equations, n_features, smooth_mixing
from mlip_lab.model.linear import (
    ENERGY,
    ENERGY_WEIGHT,
    FORCE,
    RESIDUAL_ENERGY_WEIGHT,
    Normal,
    Rows,
    Solution,
    frame_weights,
    labelled_rows,
    reference_energies,
)
from mlip_lab.model.potential import Potential
from mlip_lab.model.structures import Structure, complete, prepare

Floats = NDArray[np.float64]
Known = tuple[float, Floats, Floats]


@dataclass(frozen=True, eq=False)
class Uncertain:
    """Prediction of a frame with one standard deviation of each number.

    Attributes:
        energy: eV per atom.
        energy_std: eV per atom.
        forces: eV/Å (n, 3).
        forces_std: eV/Å (n, 3).
    """

    energy: float
    energy_std: float
    forces: Floats
    forces_std: Floats


def fit_exact(
    config: PotentialConfig,
    frames: Sequence[Frame],
    *,
    seed: int,
    trusted: bool = True,
    progress: Progress = silent,
) -> Potential:
    """Fit a linear or kernel readout.

    Args:
        config: With readout "linear" or "kernel".
        frames: Labelled frames.
        seed: Of the radial channels and the representative environments.
        trusted: Whether the trace of the stress may be used.
        progress: Called after each frame, and more often to ask whether to stop.

    Returns:
        The potential with its posterior, calibrated on frames left out of a first fit.
    """
    rng = np.random.default_rng(seed)
    config = complete(config, frames)
    total = len(frames) + 1
    ask = partial(progress, 0, total)
    structures = [prepare(frame, config) for frame in asking(frames, ask)]
    mixing = smooth_mixing(config, rng)
    weights = _kernel_weights(config, structures, mixing, rng, ask) if config.readout == "kernel" else {}
    extend = _extension(config, weights) if weights else None
    offsets = reference_energies(frames, config.numbers)
    n_columns = config.n_species * (1 + sum(n_features(config)) + (config.n_points if weights else 0))
    whole, first = Normal(n_columns), Normal(n_columns)
    left_out: list[Rows] = []
    chosen = set(rng.choice(len(frames), size=max(len(frames) // 10, min(len(frames) // 2, 1)), replace=False).tolist())
    for index, (structure, weight) in enumerate(zip(structures, frame_weights(frames), strict=True)):
        rows = _offset(equations(structure, config, mixing, trusted, weight, extend), structure, offsets)
        whole.add(rows)
        if index in chosen:
            left_out.append(rows)
        else:
            first.add(rows)
        progress(index + 1, total)
    shared = _shared_columns(config, n_columns) if weights else None
    ask = partial(progress, len(frames), total)
    factors = calibration(first.solve(shared=shared, ask=ask), left_out)
    solution = whole.solve(shared=shared, ask=ask)
    progress(total, total)
    typical = float(np.mean([one.n_atoms for one in structures]))
    return _potential(config, mixing, weights, offsets, solution, factors, typical)


def linear_rows(
    structure: Structure, config: PotentialConfig, mixing: Floats, offsets: Floats, trusted: bool, frame_weight: float
) -> Rows:
    """Equations of a frame for the linear readout, above reference energies that the ridge shall not shrink."""
    return _offset(equations(structure, config, mixing, trusted, frame_weight), structure, offsets)


def residual_rows(
    structure: Structure,
    config: PotentialConfig,
    mixing: Floats,
    standard: tuple[Floats, Floats],
    rest: Known,
    trusted: bool,
    frame_weight: float,
) -> Rows:
    """Equations of a frame for what is linear in a network, with all else of it known.

    Args:
        structure: The labelled frame.
        config: Of the network.
        mixing: Its radial channels.
        standard: Mean and scale of its invariants (S, F).
        rest: Energy, forces and virial of the network as it is.
        trusted: Whether the trace of the stress may be used.
        frame_weight: Of the frame beside others.

    Returns:
        Equations for changes of the reference energies (S,) and of the weights of the invariants (S·F,).
    """
    n_p = n_features(config)[0]
    mean, scale = standard
    features, slopes = design(structure, config, mixing)
    center = structure.species[np.repeat(np.arange(structure.n_atoms), np.diff(structure.first))]
    x = (features[:, n_p:] - mean[structure.species]) / scale[structure.species]
    dx = slopes[:, :, n_p:] / scale[center][:, None]
    known = (structure.energy + rest[0], structure.forces + rest[1], structure.virial + rest[2])
    return labelled_rows(
        structure.frame, *columns(structure, config, x, dx), known, trusted, frame_weight, RESIDUAL_ENERGY_WEIGHT
    )


def calibration(solution: Solution, left_out: Sequence[Rows]) -> Floats:
    """Factors for the standard deviations of energies and forces such that 68 % of left-out errors lie within one.

    A Gaussian posterior with one noise for all frames is too wide for cold frames and too narrow for hot ones.
    """
    scores: tuple[list[float], list[float]] = ([], [])
    for rows in left_out:
        error = np.abs(rows.x @ solution.weights - rows.y)
        std = np.sqrt(np.sum((rows.x @ solution.root) ** 2, axis=1) + (solution.noise / rows.weight) ** 2)
        # a force that is zero by symmetry is right whatever the weights are, and says nothing
        telling = np.abs(rows.x).max(axis=1, initial=0.0) > 1e-9
        for part, kind in enumerate((ENERGY, FORCE)):
            chosen = telling & (rows.kind == kind)
            scores[part].extend((error[chosen] / std[chosen]).tolist())
    return np.array([np.quantile(part, 0.6827) if part else 1.0 for part in scores])


def predict_uncertain(potential: Potential, frame: Frame) -> Uncertain:
    """Prediction of a linear or kernel potential on the learning path, with calibrated standard deviations.

    Args:
        potential: With a posterior.
        frame: The structure; its labels are not used.

    Returns:
        Energy and forces with their standard deviations.
    """
    config, w = potential.config, potential.members[0]
    structure = prepare(frame, config)
    features, slopes = design(structure, config, np.asarray(w["mixing"]))
    if config.readout == "kernel":
        features, slopes = _extension(config, {**w, "root": potential.posterior["nystroem"]})(
            structure, features, slopes
        )
    energy, forces, _ = columns(structure, config, features, slopes)
    weights, root = potential.posterior["weights"], potential.posterior["root"]
    noise, factors = potential.posterior["noise"], potential.posterior["factors"]
    n = structure.n_atoms
    flat = forces.reshape(3 * n, -1)
    energy_std = np.sqrt(np.sum((energy / n @ root) ** 2) + noise[0] ** 2 / n) * factors[0]
    forces_std = np.sqrt(np.sum((flat @ root) ** 2, axis=1) + noise[1] ** 2) * factors[1]
    return Uncertain(
        float((energy @ weights + structure.energy) / n),
        float(energy_std),
        (flat @ weights).reshape(n, 3) + structure.forces,
        forces_std.reshape(n, 3),
    )


def _offset(rows: Rows, structure: Structure, offsets: Floats) -> Rows:
    """Take the reference energies out of the energy row, so that the ridge does not shrink them."""
    if structure.frame.energy is None:
        return rows
    y = rows.y.copy()
    y[0] -= float(offsets[structure.species].mean())
    return Rows(rows.x, y, rows.weight, rows.kind)


def _kernel_weights(
    config: PotentialConfig,
    structures: Sequence[Structure],
    mixing: Floats,
    rng: np.random.Generator,
    ask: Callable[[], None],
) -> dict[str, Floats]:
    """Principal components, representative environments and the root of their inverse kernel matrix, each species."""
    n_p, n_b = n_features(config)
    d, m, s = config.n_components, config.n_points, config.n_species
    mean, q = np.zeros((s, n_b)), np.zeros((s, n_b, d))
    points, root = np.zeros((s, m, d)), np.zeros((s, m, m))
    found = [(one.species, design(one, config, mixing)[0][:, n_p:]) for one in asking(structures, ask)]
    for z in range(s):
        b = np.concatenate([invariants[species == z] for species, invariants in found])
        mean[z] = b.mean(axis=0)
        scale = b.std(axis=0) + 1e-12
        _, sizes, vectors = np.linalg.svd((b - mean[z]) / scale / np.sqrt(len(b)), full_matrices=False)
        keep = min(d, len(sizes))
        # components are weighed by the square root of their size: between whitening and none
        q[z, :, :keep] = (vectors[:keep] / scale).T / np.sqrt(sizes[:keep] * sizes[0] + 1e-12) / np.sqrt(keep) * 2.0
        u = (b - mean[z]) @ q[z]
        points[z] = u[_farthest(u, m, rng)]
        values, axes = np.linalg.eigh(_kernel(points[z], points[z])[0])
        root[z] = axes / np.sqrt(np.maximum(values, 1e-10 * values[-1]))
    return {"mean": mean, "q": q, "points": points, "root": root}


def _farthest(u: Floats, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Indices of points that cover u: half by farthest-point sampling, half at random, repeated if too few."""
    n = len(u)
    chosen = [int(rng.integers(n))]
    distance = np.sum((u - u[chosen[0]]) ** 2, axis=1)
    while len(chosen) < min(count // 2, n):
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, np.sum((u - u[chosen[-1]]) ** 2, axis=1))
    others = np.setdiff1d(np.arange(n), chosen)
    chosen += rng.permutation(others)[: count - len(chosen)].tolist()
    return np.resize(np.array(chosen), count)


def _kernel(u: Floats, points: Floats) -> tuple[Floats, Floats]:
    """Kernel (n, m) and the factor of (u - u_s) in its gradient (n, m)."""
    square = np.sum(u**2, axis=1)[:, None] + np.sum(points**2, axis=1) - 2.0 * u @ points.T
    t = 1.0 / (1.0 + 0.5 * np.maximum(square, 0.0))
    return t * t, -2.0 * t * t * t


def _extension(config: PotentialConfig, weights: dict[str, Floats]) -> Extension:
    return partial(_extend, config, weights)


def _extend(
    config: PotentialConfig, weights: dict[str, Floats], structure: Structure, features: Floats, slopes: Floats
) -> tuple[Floats, Floats]:
    """Append Nyström features and their slopes."""
    n_p, m = n_features(config)[0], config.n_points
    more, more_slopes = np.zeros((len(features), m)), np.zeros((len(slopes), 3, m))
    for i in range(structure.n_atoms):
        z = structure.species[i]
        q, points, root = weights["q"][z], weights["points"][z], weights["root"][z]
        u = (features[i, n_p:] - weights["mean"][z]) @ q
        k, factor = _kernel(u[None], points)
        more[i] = k[0] @ root
        pairs = slice(int(structure.first[i]), int(structure.first[i + 1]))
        du = slopes[pairs, :, n_p:] @ q
        gradient = (factor[0][:, None] * (u - points)).T @ root
        more_slopes[pairs] = du @ gradient
    return np.concatenate([features, more], axis=1), np.concatenate([slopes, more_slopes], axis=2)


def _shared_columns(config: PotentialConfig, n_columns: int) -> NDArray[np.bool_]:
    """Columns of the kernel, which keep their common prior width."""
    width, m = sum(n_features(config)) + config.n_points, config.n_points
    shared = np.zeros(n_columns, dtype=bool)
    for z in range(config.n_species):
        end = config.n_species + (z + 1) * width
        shared[end - m : end] = True
    return shared


def _potential(
    config: PotentialConfig,
    mixing: Floats,
    kernel: dict[str, Floats],
    offsets: Floats,
    solution: Solution,
    factors: Floats,
    typical: float,
) -> Potential:
    s, (n_p, n_b) = config.n_species, n_features(config)
    total = solution.weights.copy()
    total[:s] += offsets
    blocks = total[s:].reshape(s, -1)
    weights: dict[str, Floats] = {
        "e0": total[:s].copy(),
        "pair": np.ascontiguousarray(blocks[:, :n_p]),
        "mixing": mixing,
        "linear": np.ascontiguousarray(blocks[:, n_p : n_p + n_b]),
    }
    posterior = {
        "weights": total,
        "root": solution.root,
        "noise": np.array([solution.noise * np.sqrt(typical) / ENERGY_WEIGHT, solution.noise]),  # of one atom
        "factors": factors,
    }
    if kernel:
        alpha = np.einsum("zij,zj->zi", kernel["root"], blocks[:, n_p + n_b :])
        weights |= {"mean": kernel["mean"], "q": kernel["q"], "points": kernel["points"], "alpha": alpha}
        posterior["nystroem"] = kernel["root"]
    return Potential(config, (weights,), posterior=posterior)
