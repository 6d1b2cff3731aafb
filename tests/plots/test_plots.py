"""Pictures show the numbers they are given, name their units, and say in words what they show."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mlip_lab.plots import elastic as elastic_plot
from mlip_lab.plots import equation_of_state as curve_plot
from mlip_lab.plots import md as md_plot
from mlip_lab.plots import style
from mlip_lab.plots import training as training_plot
from mlip_lab.properties.elastic_tensor import cubic_constants


def line(ax: Axes, label: str) -> Any:
    (found,) = [line for line in ax.lines if line.get_label() == label]
    return found


def test_learning_curve_shows_every_epoch(training: Any) -> None:
    figure = training_plot.learning_curve(training.history)
    energy, force = figure.axes
    assert list(line(energy, "held out").get_ydata()) == training.history["validation_energy_rmse_mev_per_atom"]
    assert list(line(force, "learned from").get_ydata()) == training.history["train_forces_rmse_ev_per_ang"]
    assert (energy.get_xlabel(), energy.get_ylabel(), energy.get_yscale()) == ("epoch", "energy RMSE (meV/atom)", "log")
    assert force.get_ylabel() == "force RMSE (eV/Å)"
    assert "falls from 60 to 3" in style.description(figure)


def test_learning_curve_without_history_says_so() -> None:
    figure = training_plot.learning_curve({})
    assert [text.get_text() for ax in figure.axes for text in ax.texts] == ["solved in one step"] * 2
    assert style.png(figure).startswith(b"\x89PNG")


def test_parity_shows_every_label_and_its_error(training: Any) -> None:
    figure = training_plot.parity(training.predictions)
    energy, force, stress, below, *_ = figure.axes
    # 6 bulk and 3 surface frames of two atoms; surfaces carry no stress
    for ax, bulk, surface in ((energy, 6, 3), (force, 36, 18), (stress, 36, 0)):
        assert len(line(ax, "bulk").get_xdata()) == bulk
        assert len(line(ax, "surface").get_xdata()) == surface
    # every energy is off by 0.1 eV for two atoms, every force by 0.1 eV/Å
    assert energy.texts[0].get_text() == "RMSE 50 meV/atom"
    assert force.texts[0].get_text() == "RMSE 0.1 eV/Å"
    assert np.allclose(np.abs(below.lines[0].get_ydata()), 50)
    assert line(energy, "bulk").get_color() != line(energy, "surface").get_color()
    assert energy.get_ylabel() == "predicted energy (eV/atom)"
    assert "energy 50 meV/atom, force 0.1 eV/Å" in style.description(figure)


def test_parity_without_stress_says_so(training: Any) -> None:
    figure = training_plot.parity([p for p in training.predictions if p.frame.stress is None])
    assert figure.axes[2].texts[0].get_text() == "no labels"
    style.png(figure)


def test_equation_of_state_shows_points_and_reference(demo_result: Any) -> None:
    curve = demo_result.equation_of_state
    reference = (np.array([19.0, 20.0, 21.0]), np.array([-5.0, -5.1, -5.0]))
    figure = curve_plot.equation_of_state(curve, reference_volume=20.4, reference_points=reference)
    (ax,) = figure.axes
    assert np.allclose(line(ax, "this potential").get_ydata().min(), 0, atol=1e-2)
    assert np.allclose(line(ax, "DFT").get_ydata(), [100, 0, 100])
    assert line(ax, "DFT").get_color() == style.REFERENCE
    assert line(ax, "DFT").get_markerfacecolor() == "none"
    assert line(ax, "minimum of DFT").get_xdata()[0] == 20.4
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("volume (Å³/atom)", "energy above minimum (meV/atom)")
    assert "20.400" in style.description(figure)


def test_elastic_bars_are_the_constants(demo_result: Any) -> None:
    result = demo_result.elastic
    figure = elastic_plot.elastic(result, reference={"C11": 150.0, "C44": 60.0, "C44_clamped": 100.0})
    (ax,) = figure.axes
    heights = [patch.get_height() for patch in ax.patches]
    known = [*cubic_constants(result.relaxed), *cubic_constants(result.clamped)]
    assert heights == pytest.approx(known, rel=1e-9)
    assert sorted(line(ax, "DFT").get_ydata()) == [60.0, 100.0, 150.0]
    assert ax.get_ylabel() == "elastic constant (GPa)"
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["C11", "C12", "C44"]
    assert "(DFT: 150.0)" in style.description(figure)
    only_clamped = elastic_plot.elastic(replace(result, by_stress=result.by_stress[:1]))
    assert len(only_clamped.axes[0].patches) == 3


def test_youngs_modulus_is_drawn_in_its_directions(demo_result: Any) -> None:
    result = demo_result.elastic
    figure = result.plot()
    bars, surface, _ = figure.axes
    assert len(bars.patches) == 6 and surface.name == "3d"
    c11, c12, c44 = cubic_constants(result.relaxed)
    s11 = (c11 + c12) / ((c11 - c12) * (c11 + 2 * c12))
    along_edge = 1 / s11
    along_diagonal = 1 / (s11 - 2 / 3 * (s11 + c12 / ((c11 - c12) * (c11 + 2 * c12)) - 1 / (2 * c44)))
    words = style.description(figure)
    assert f"Young's modulus is {along_edge:.1f} GPa along" in words
    assert along_diagonal > along_edge and "along (0.5" in words
    assert np.linalg.norm(np.array(surface.get_xlim())) > along_diagonal
    assert style.png(figure).startswith(b"\x89PNG")
    unstable = replace(result, by_stress=tuple(replace(t, constants=-t.constants) for t in result.by_stress))
    assert len(unstable.plot().axes) == 1


def test_other_crystals_are_shown_by_their_tensor(demo_result: Any) -> None:
    figure = elastic_plot.elastic(replace(demo_result.elastic, system="triclinic"))
    assert len(figure.axes[0].texts) == 36 and "on its diagonal" in style.description(figure)


def test_energies_of_a_run(demo_result: Any) -> None:
    run = demo_result.motion.run
    above, below = md_plot.energies(run).axes
    potential, kinetic = (line(above, name).get_ydata() for name in ("potential", "kinetic"))
    conserved = line(below, "conserved").get_ydata()
    assert len(potential) == len(run.times)
    # meV above and µeV below: their sum is what is conserved; both come from sums of some 300 eV over 64 atoms
    assert np.allclose(1000 * (potential + kinetic), conserved, atol=1e-6)
    assert below.get_xlabel() == "time (ps)"
    assert "eV/atom/ns" in style.description(md_plot.energies(run))


def test_temperature_has_its_running_mean(demo_result: Any) -> None:
    run = demo_result.motion.run
    (ax,) = md_plot.temperature(run).axes
    assert line(ax, "running mean").get_ydata()[-1] == pytest.approx(run.temperature.mean())
    assert ax.get_ylabel() == "temperature (K)"


def test_radial_distribution_and_snapshot(demo_result: Any) -> None:
    figure = md_plot.radial_distribution(demo_result.motion.structure)
    assert np.array_equal(figure.axes[0].lines[0].get_ydata(), demo_result.motion.structure.values)
    picture = md_plot.snapshot(demo_result.motion.run.atoms)
    assert len(picture.axes[0].patches) >= 64
    assert "64 atoms" in style.description(picture)


def test_kinds_are_told_apart_without_colour() -> None:
    looks = style.kind_styles([str(i) for i in range(14)])
    assert len(set(looks.values())) == 14


@pytest.mark.parametrize(
    ("value", "error", "words"),
    [
        (1013.46, 12.3, "1013 ± 12"),
        (5.4321, 0.0123, "5.432 ± 0.012"),
        (-0.5, 0.25, "-0.50 ± 0.25"),
        (3.2e-6, 4.1e-6, "(3.2 ± 4.1) × 10^-6"),
        (2.0, 0.0, "2"),
        (2.5, float("nan"), "2.5"),
    ],
)
def test_numbers_are_rounded_to_their_error(value: float, error: float, words: str) -> None:
    assert style.rounded(value, error) == words


def test_no_picture_touches_global_settings(training: Any) -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    figure = training_plot.parity(training.predictions)
    assert isinstance(figure, Figure)
    assert dict(matplotlib.rcParams) == before


def test_mosaic_keeps_every_figure_whole() -> None:
    import io

    from matplotlib.image import imread

    sizes = [[(4.0, 1.0)], [(1.0, 2.0), (2.0, 1.0)]]
    figures = [[Figure(figsize=size, facecolor="black") for size in row] for row in sizes]
    for row in figures:
        for figure in row:
            figure.add_axes((0, 0, 1, 1)).set_facecolor("black")
    picture = imread(io.BytesIO(style.mosaic(figures, dpi=50)))
    assert picture.shape[:2] == (150, 200)  # one row of 50 and one of 100 pixels, 200 wide
    assert (picture[75, :50, 0] < 0.1).all()
    assert (picture[125, 60:, 0] == 1).all()  # below the shorter one
