"""The pictures of the first notebook show the numbers they are given, and say in words what they show."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ase.build import molecule

from mlip_lab.core.errors import InputError
from mlip_lab.plots import style
from mlip_lab.plots.energy_spread import energy_spread
from mlip_lab.plots.readouts import readouts
from mlip_lab.properties.descriptors import descriptors, moved
from mlip_lab.properties.energy_spread import EnergySpread
from mlip_lab.properties.loop_work import CORNERS, LoopWork
from mlip_lab.workflows.learning_curve import LearningCurve


def line(ax: Any, label: str) -> Any:
    (found,) = [line for line in ax.lines if line.get_label() == label]
    return found


def test_descriptors_stay_and_coordinates_change() -> None:
    ethanol = molecule("CH3CH2OH")
    before, now = descriptors(ethanol), descriptors(moved(ethanol, turn=50.0, shift=1.0))
    figure = now.plot(before=before, count=12)
    atoms, coordinates, invariants = figure.axes
    heights = [[bar.get_height() for bar in ax.patches] for ax in (coordinates, invariants)]
    assert heights[0] == list(now.atoms.positions.ravel()[:12])
    assert list(line(coordinates, "before").get_ydata()) == list(ethanol.positions.ravel()[:12])
    assert len(heights[1]) == 12
    assert np.allclose(heights[1], line(invariants, "before").get_ydata(), rtol=0, atol=1e-6)  # roots of 1e-16
    assert [text.get_text() for text in atoms.texts] and "invariants of atom 0" in style.description(figure)


def loop(swirl: float) -> LoopWork:
    fractions = np.arange(17) / 4
    path = np.stack([np.interp(fractions, np.arange(5), axis) for axis in CORNERS.T], axis=1)
    x, y, _ = path.T
    forces = np.stack([-(x**3), -y, 0 * x], axis=1)
    return LoopWork(path, x**4 / 4 + y**2 / 2, forces, swirl)


def test_loop_shows_work_beside_energy() -> None:
    figure = loop(0.5).plot()
    _, around, order = figure.axes
    work, energy = line(around, "work of the forces"), line(around, "energy given up")
    assert np.allclose(work.get_ydata()[::8], [0, -750, 0], atol=20)
    assert np.allclose(energy.get_ydata()[[0, 8, 16]], [0, -750, 0])
    assert line(around, "with made-up force").get_ydata()[-1] == pytest.approx(1000.0)
    assert list(line(order, "work of the forces").get_xdata()) == [4, 2, 1]
    assert "made-up force it is 1000 meV" in style.description(figure)
    assert "made-up" not in style.description(loop(0.0).plot())


def test_learning_curve_shows_every_choice() -> None:
    curve = LearningCurve(np.array([5, 10]), np.array([[30.0, 50.0], [10.0, 20.0]]), np.array([[0.4, 0.2], [0.1, 0.1]]))
    figure = curve.plot()
    energy, forces = figure.axes
    assert list(energy.lines[0].get_ydata()) == [40.0, 15.0]
    assert list(forces.lines[2].get_ydata()) == [0.2, 0.1]
    assert (energy.get_xscale(), energy.get_yscale()) == ("log", "log")
    assert energy.get_ylabel() == "test RMSE of energy (meV/atom)"
    assert "falls from 0.3 to 0.1 eV/Å" in style.description(figure)
    assert style.png(figure).startswith(b"\x89PNG")


def test_spread_shows_where_data_were() -> None:
    volumes = np.linspace(10, 30, 5)
    scan = EnergySpread(volumes, np.zeros(5), np.array([0.5, 0.01, 0.002, 0.02, 0.3]))
    figure = energy_spread(scan, known=(np.array([19.0, 21.0]), np.array([-1.0, -0.9])))
    above, below = figure.axes
    assert np.allclose(below.lines[0].get_ydata(), 1000 * scan.spreads)
    assert np.allclose(line(above, "DFT").get_ydata(), [0.0, 0.1])
    assert "up to 500 meV/atom, and by up to 2 where there were data" in style.description(figure)
    assert "where there were data" not in style.description(scan.plot())


def test_readouts_stand_side_by_side() -> None:
    report = {"test": {"energy_rmse_mev_per_atom": 7.0, "forces_rmse_ev_per_ang": 0.2}, "train_seconds": 3.0}
    figure = readouts({"linear": report, "kernel": {**report, "train_seconds": 30.0}})
    assert [[bar.get_width() for bar in ax.patches] for ax in figure.axes] == [[7.0, 7.0], [0.2, 0.2], [3.0, 30.0]]
    assert "kernel: 0.2 eV/Å in 30 s" in style.description(figure)
    with pytest.raises(InputError, match="with test frames"):
        readouts({"linear": {**report, "test": None}})
