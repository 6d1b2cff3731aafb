"""Diffusion of particles whose constant is known, and errors that hold what they say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from numpy.typing import NDArray

from mlip_lab.core.errors import InputError
from mlip_lab.panels.diffusion import DIFFUSION
from mlip_lab.plots.style import description, png
from mlip_lab.properties.diffusion import (
    Estimate,
    brownian_covariance,
    diffusion,
    squared_displacements,
    velocity_products,
)
from mlip_lab.properties.trajectories import Trajectory

Floats = NDArray[np.float64]


def motion(positions: Floats, velocities: Floats | None = None, step: float = 2.0, cell: float = 0.0) -> Trajectory:
    frames, atoms, _ = positions.shape
    cells = np.tile(cell * np.eye(3), (frames, 1, 1))
    start = Atoms(f"H{atoms}", cell=cells[0], pbc=cell > 0)
    return Trajectory(start, positions, cells, step * np.arange(frames), velocities)


def brownian(rng: np.random.Generator, frames: int, atoms: int, constant: float, step: float = 2.0) -> Floats:
    """Paths with D in Å²/ps."""
    return np.cumsum(np.sqrt(2 * constant * step / 1000) * rng.normal(size=(frames, atoms, 3)), axis=0)


def langevin(rng: np.random.Generator, frames: int, atoms: int, friction: float, step: float) -> tuple[Floats, Floats]:
    """Exact paths of free particles with ⟨v²⟩ = 1 Å²/fs² along each direction; friction in 1/fs."""
    c = np.exp(-friction * step)
    # x(t + Δ) − x(t) and v(t + Δ) are Gaussian given v(t), with this covariance
    vv = 1 - c**2
    xv = (1 - c) ** 2 / friction
    xx = (2 * friction * step - 3 + 4 * c - c**2) / friction**2
    root = np.linalg.cholesky(np.array([[vv, xv], [xv, xx]]))
    noise = np.einsum("ij,tanj->itan", root, rng.normal(size=(frames, atoms, 3, 2)))
    v = np.empty((frames, atoms, 3))
    x = np.zeros((frames, atoms, 3))
    v[0] = rng.normal(size=(atoms, 3))
    for t in range(1, frames):
        v[t] = c * v[t - 1] + noise[0, t]
        x[t] = x[t - 1] + (1 - c) / friction * v[t - 1] + noise[1, t]
    return x, v


def test_displacements_are_the_sum_over_all_windows(rng: np.random.Generator) -> None:
    path, lags = rng.normal(size=(30, 4, 3)).cumsum(axis=0) + 1e3, range(12)
    plain = [((path[t:] - path[: 30 - t]) ** 2).sum(axis=2).mean(axis=0) for t in lags]
    assert np.allclose(squared_displacements(path, 12), plain, atol=1e-9)
    plain = [(path[t:] * path[: 30 - t]).sum(axis=2).mean(axis=0) / 3 for t in lags]
    assert np.allclose(velocity_products(path, 12), plain)


def test_covariance_of_displacements_is_that_of_many_paths(rng: np.random.Generator) -> None:
    lags, frames = np.array([1, 4, 15]), 60
    walks = np.cumsum(rng.normal(size=(frames, 20_000)), axis=0)
    found = np.array([((walks[i:] - walks[:-i]) ** 2).mean(axis=0) for i in lags])
    # variances of 20 000 skewed numbers: 2 %
    assert np.allclose(np.cov(found), brownian_covariance(lags, frames), rtol=0.1)


def test_free_langevin_particles_have_the_exact_displacement_and_constant(rng: np.random.Generator) -> None:
    friction, step = 0.02, 5.0
    found = diffusion(motion(*langevin(rng, 4000, 60, friction, step), step=step), discard=0.0)
    exact = 1000 / friction  # k_B T/(m γ) in Å²/ps
    assert abs(found.by_displacement.value - exact) < 3.5 * found.by_displacement.error
    assert abs(found.by_velocity.value - exact) < 3.5 * found.by_velocity.error
    assert found.by_displacement.error < 0.05 * exact and found.by_velocity.error < 0.05 * exact
    t = found.times
    formula = 6 / friction * (t - (1 - np.exp(-friction * t)) / friction)
    assert (np.abs(found.displacement - formula) < 4 * found.displacement_error + 1e-12)[1:].all()
    assert found.offset == pytest.approx(-6 / friction**2, rel=0.3)  # the line lags behind by the memory time
    assert np.allclose(found.correlation[:40], np.exp(-friction * t[:40]), atol=0.03)
    assert 3 / friction < found.fitted[0] < 9 / friction  # six memory times
    assert found.measured_velocities


@pytest.mark.parametrize("atoms", [1, 30])
def test_errors_cover_the_truth_as_often_as_they_say(atoms: int) -> None:
    rng, inside = np.random.default_rng(4), {"by_displacement": 0, "by_velocity": 0}
    runs = 240
    for _ in range(runs):
        found = diffusion(motion(brownian(rng, 500, atoms, 0.3)), discard=0.0)
        for name in inside:
            value, error = getattr(found, name)
            inside[name] += abs(value - 0.3) < error
    for name, count in inside.items():
        # 68 % ± 3 % for 240 runs; the larger of two errors makes it more, skewness for one atom a little less
        assert 0.60 < count / runs < 0.82, name


def test_errors_of_remembering_particles_are_honest_too() -> None:
    rng, inside = np.random.default_rng(5), {"by_displacement": 0, "by_velocity": 0}
    for _ in range(120):
        found = diffusion(motion(*langevin(rng, 800, 20, 0.05, 4.0), step=4.0), discard=0.0)
        for name in inside:
            value, error = getattr(found, name)
            # the trapezoidal rule with a step of a fifth of the memory time errs by (γΔ)²/12 = 0.3 %
            inside[name] += abs(value - 1000 / 0.05) < 2 * error
    assert min(inside.values()) > 0.88 * 120  # 95 % within two errors


def test_displacements_between_frames_stand_in_for_velocities(rng: np.random.Generator) -> None:
    x, v = langevin(rng, 3000, 30, 0.02, 5.0)
    with_them, without = diffusion(motion(x, v, step=5.0)), diffusion(motion(x, step=5.0))
    assert not without.measured_velocities
    assert without.by_velocity.value == pytest.approx(with_them.by_velocity.value, rel=0.02)


def test_an_atom_on_a_spring_does_not_diffuse(rng: np.random.Generator) -> None:
    times = 2.0 * np.arange(2000)
    phases = rng.uniform(0, 2 * np.pi, size=(40, 3))
    swings = 0.2 * np.cos(0.02 * times[:, None, None] * rng.uniform(0.8, 1.2, size=(40, 3)) + phases)
    found = diffusion(motion(swings), fit_from=300.0)
    assert abs(found.by_displacement.value) < 3 * found.by_displacement.error
    assert DIFFUSION.verdicts(found)[0].level == "warning"


def test_wrapped_paths_are_unwrapped(rng: np.random.Generator) -> None:
    path = brownian(rng, 400, 20, 5.0) + 3.0
    free, wrapped = diffusion(motion(path)), diffusion(motion(path % 6.0, cell=6.0))
    assert wrapped.by_displacement.value == pytest.approx(free.by_displacement.value, rel=1e-9)


def test_a_box_without_end_is_faster(rng: np.random.Generator) -> None:
    run = motion(brownian(rng, 400, 20, 0.23), cell=18.6)
    found = diffusion(run, viscosity=0.9, temperature=298.0)
    # water in a box of 18.6 Å: 2.837 k_B T/(6 π η L), by hand in SI units
    shift = 2.837297 * 1.380649e-23 * 298 / (6 * np.pi * 0.9e-3 * 18.6e-10)  # m²/s
    assert found.corrected.value - found.by_displacement.value == pytest.approx(1e8 * shift, rel=1e-5)
    with pytest.raises(InputError, match="viscosity: the correction is known for a cubic"):
        diffusion(motion(brownian(rng, 400, 20, 0.23)), viscosity=0.9)


def test_what_cannot_be_told_is_refused(rng: np.random.Generator) -> None:
    path = brownian(rng, 100, 3, 1.0)
    for run, options, words in (
        (motion(path[:20]), {}, "at least 40 frames"),
        (motion(path), {"element": "He"}, "element: expected one of H"),
        (replace(motion(path), times=None), {}, "interval: the trajectory does not say"),
        (replace(motion(path), times=np.arange(100.0) ** 2), {}, "evenly spaced"),
        (motion(*langevin(rng, 100, 3, 0.001, 2.0)), {}, "remembered for about"),
    ):
        with pytest.raises(InputError, match=words):
            diffusion(run, **options)
    assert diffusion(replace(motion(path), times=None), interval=2.0).times[1] == 2.0


def test_the_panel_says_what_was_found(rng: np.random.Generator) -> None:
    found = diffusion(motion(brownian(rng, 600, 30, 0.5)), discard=0.0)
    levels: list[Any] = [verdict.level for verdict in DIFFUSION.verdicts(found)]
    assert levels == ["good", "good", "warning"]
    numbers = {number.name: number for number in DIFFUSION.numbers(found)}
    assert numbers["diffusion constant, displacements"].value == pytest.approx(5, rel=0.2)  # 10⁻⁹ m²/s
    assert png(found.plot()) and "Å²/ps from velocities" in description(found.plot())
    apart = replace(found, by_velocity=Estimate(0.9, 0.01))
    assert DIFFUSION.verdicts(apart)[1].level == "warning"
    assert DIFFUSION.data(found)["fitted_fs"][0] == found.fitted[0]
