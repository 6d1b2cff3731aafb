"""Lines stand where oscillators swing, and the curve counts three states for each atom."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms

from mlip_lab.core.errors import InputError
from mlip_lab.panels.velocity_spectrum import VELOCITY_SPECTRUM
from mlip_lab.plots.style import png
from mlip_lab.properties.trajectories import Trajectory
from mlip_lab.properties.velocity_spectrum import velocity_spectrum


def oscillators(rng: np.random.Generator, frequencies: np.ndarray, step: float, frames: int = 4000) -> Trajectory:
    """Light and heavy atoms in thermal equilibrium; frequencies in THz of each atom and direction."""
    atoms = Atoms("HSi" * (len(frequencies) // 2))
    omega = 2e-3 * np.pi * frequencies
    phase = rng.uniform(0, 2 * np.pi, size=frequencies.shape)
    size = 1 / (np.sqrt(atoms.get_masses())[:, None] * omega)  # so that every one has the same energy
    angle = omega * step * np.arange(frames)[:, None, None] + phase
    cells = np.zeros((frames, 3, 3))
    return Trajectory(atoms, size * np.sin(angle), cells, step * np.arange(frames), size * omega * np.cos(angle))


@pytest.mark.parametrize("measured", [True, False])
def test_lines_stand_where_oscillators_swing(rng: np.random.Generator, measured: bool) -> None:
    frequencies = np.array([[5.0, 5.0, 5.0], [5.0, 15.0, 15.0]])
    run = oscillators(rng, frequencies, step=4.0)
    found = velocity_spectrum(run if measured else replace(run, velocities=None), discard=0.0, resolution=0.5)
    assert np.trapezoid(found.states, found.frequencies) == pytest.approx(3)
    step = found.frequencies[1]
    for place, states in ((5.0, 2.0), (15.0, 1.0)):  # of three for each atom, whatever its mass
        near = np.abs(found.frequencies - place) < 1.0
        assert found.frequencies[near][found.states[near].argmax()] == pytest.approx(place, abs=step)
        assert np.trapezoid(found.states[near], found.frequencies[near]) == pytest.approx(states, rel=0.02)
    assert np.abs(found.states[np.abs(found.frequencies - 10) < 3]).max() < 1e-3 * found.states.max()


def test_the_panel_says_what_was_found(rng: np.random.Generator) -> None:
    run = oscillators(rng, np.full((4, 3), 7.0), step=4.0)
    found = velocity_spectrum(run)
    assert [verdict.level for verdict in VELOCITY_SPECTRUM.verdicts(found)] == ["good"]
    assert VELOCITY_SPECTRUM.numbers(found)[1].value == pytest.approx(7, abs=0.05) and png(found.plot())
    folded = velocity_spectrum(oscillators(rng, np.full((4, 3), 124.9), step=4.0))
    assert VELOCITY_SPECTRUM.verdicts(folded)[-1].level == "warning"
    assert VELOCITY_SPECTRUM.data(found)["pieces"] == found.pieces


def test_what_a_run_cannot_give_is_refused(rng: np.random.Generator) -> None:
    run = oscillators(rng, np.full((2, 3), 7.0), step=4.0, frames=300)
    with pytest.raises(InputError, match="resolution: this trajectory can give from 2"):
        velocity_spectrum(run, resolution=0.1)
    with pytest.raises(InputError, match="no atom moves"):
        velocity_spectrum(replace(run, velocities=np.zeros((300, 2, 3))), resolution=5.0)
