"""Pictures of phonons, thermal expansion, chains and surfaces show the numbers they are given."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from mlip_lab.plots import phonons as phonon_plot
from mlip_lab.plots import style
from mlip_lab.plots.surfaces import wulff as wulff_picture
from mlip_lab.properties.phonon_modes import ImaginaryMode
from mlip_lab.properties.phonons import phonons, supercell_convergence
from mlip_lab.properties.surfaces import surfaces
from mlip_lab.properties.thermal_expansion import thermal_expansion


def line(ax: Any, label: str) -> Any:
    (found,) = [line for line in ax.lines if line.get_label() == label]
    return found


@pytest.fixture(scope="module")
def copper() -> Any:
    return phonons(bulk("Cu"), EMT(), reach=5.0, relax_first=True, check_supercell=False)


def test_bands_and_their_reference(copper: Any) -> None:
    figure = copper.plot(reference=0.9 * copper.frequencies, name="neutrons")
    bands, states = figure.axes
    first = copper.path.segments[0]
    for label, factor in (("this potential", 1.0), ("neutrons", 0.9)):
        drawn = np.array([found.get_ydata() for found in bands.lines if found.get_label() == label])
        assert np.array_equal(drawn[0], factor * copper.frequencies[first, 0])
        assert np.array_equal(line(bands, label).get_xdata(), copper.path.distances[first])
    assert np.array_equal(states.lines[0].get_xdata(), copper.dos)
    assert bands.get_ylabel() == "frequency (THz)"
    assert [tick.get_text() for tick in bands.get_xticklabels()] == [label for label, _ in copper.path.labels]
    top = f"Frequencies reach {copper.frequencies.max():.2f} THz"
    assert style.description(copper.plot()) == f"{top}; none is imaginary."
    off = 0.1 * np.sqrt(np.mean(copper.frequencies**2))
    words = f"{top}, {off:.2f} THz from neutrons along the path (RMS); none is imaginary."
    assert style.description(figure) == words
    assert style.png(figure).startswith(b"\x89PNG")
    worst = ImaginaryMode(np.zeros(3), "X", 0, -1.234, "")
    shaken = replace(copper, imaginary=(worst,), frequencies=copper.frequencies - 2)
    words = style.description(shaken.plot())
    assert "the most imaginary one is 1.23i THz at X" in words
    assert shaken.plot().axes[0].get_ylabel().endswith("imaginary below 0")


def test_heat_capacity_and_free_energy(copper: Any) -> None:
    figure = phonon_plot.thermal(copper)
    capacity, free = figure.axes
    assert np.array_equal(capacity.lines[0].get_ydata(), copper.vibrations.heat_capacity)
    assert np.allclose(free.lines[0].get_ydata(), 1000 * copper.vibrations.free_energy)
    assert "no harmonic free energy" in style.description(phonon_plot.thermal(replace(copper, vibrations=None)))


def test_convergence_with_the_supercell() -> None:
    result = supercell_convergence(bulk("Cu"), EMT(), longest=6.0, relax_first=True)
    bands, changes = result.plot().axes
    assert list(changes.lines[0].get_ydata()) == list(result.changes)
    assert list(changes.lines[0].get_xdata()) == list(result.reaches[:-1])
    assert line(bands, "3 × 3 × 3") and "2 × 2 × 2" in style.description(result.plot())


def test_thermal_expansion() -> None:
    known = {"reach": 4.0, "mesh": 15.0, "highest_temperature": 400.0, "relax_first": True}
    result = thermal_expansion(bulk("Cu"), EMT(), **known)
    figure = result.plot(reference=(np.array([300.0]), np.array([16.5])))
    left, right = figure.axes
    assert np.array_equal(line(left, "least free energy").get_xdata(), result.volume)
    assert np.allclose(line(right, "this potential").get_ydata(), result.expansion / 3)
    assert list(line(right, "experiment").get_ydata()) == [16.5]
    assert "a length grows by" in style.description(figure)


def test_surfaces_and_their_shape() -> None:
    result = surfaces(bulk("Cu"), EMT(), faces="100 1-10 111", relax_first=True, thinnest=5.0)
    figure = result.plot(reference={"100": 1.5, "100_ideal": 1.6, "111": 1.2}, name="another")
    bars, growth, shape = figure.axes
    heights = [patch.get_height() for patch in bars.patches]
    assert heights == [s.relaxed.fitted for s in result.surfaces] + [s.ideal.fitted for s in result.surfaces]
    assert sorted(line(bars, "another").get_ydata()) == [1.2, 1.5, 1.6]
    assert [tick.get_text() for tick in bars.get_xticklabels()] == ["(100)", "(11\u03050)", "(111)"]
    drawn = line(growth, "(111)")
    assert list(drawn.get_ydata()) == list(result[(1, 1, 1)].best.textbook)
    assert list(drawn.get_xdata()) == list(result[(1, 1, 1)].thicknesses)
    assert shape.name == "3d" and len(shape.collections) == len(result.shape.facets)
    assert "(100) " in style.description(figure) and "(another: 1.50)" in style.description(figure)
    assert style.png(figure).startswith(b"\x89PNG")
    assert "Shares of the area" in style.description(wulff_picture(result.shape))
    titanium = bulk("Ti", "hcp", a=2.6, c=4.2)
    titanium.symbols[:] = "Cu"
    flat = surfaces(titanium, EMT(), faces="001", relax=False, relax_first=True, thinnest=5.0)
    assert flat.shape is None and len(flat.plot().axes) == 2
