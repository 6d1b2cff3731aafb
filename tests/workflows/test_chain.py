"""What potentials of two and of many bodies learn of a chain."""

from __future__ import annotations

import numpy as np
import pytest

from mlip_lab.core.errors import InputError
from mlip_lab.plots import style
from mlip_lab.plots.chain import springs
from mlip_lab.workflows.chain import ChainBands, chain


@pytest.fixture(scope="module")
def bent() -> ChainBands:
    return chain(nearest=5.0, three_body=1.0)


def test_pairs_learn_a_chain_of_pairs() -> None:
    result = chain(nearest=5.0, three_body=0.0)
    highest = result.analytic.max()
    assert result.miss("two bodies") < 1e-3 * highest
    assert result.miss("many bodies") < 1e-3 * highest


def test_only_many_bodies_learn_a_chain_of_three(bent: ChainBands) -> None:
    highest = bent.analytic.max()
    assert bent.miss("many bodies") < 1e-3 * highest
    assert bent.miss("two bodies") > 0.05 * highest
    assert bent.force_errors["two bodies"] > 100 * bent.force_errors["many bodies"]
    # its one spring is a compromise: too stiff for long waves, too soft for short ones
    off = bent.learned["two bodies"] - bent.analytic
    assert off[10:].max() > 0 > off[10:].min()


def test_numbers_are_the_formula(bent: ChainBands) -> None:
    np.testing.assert_allclose(bent.numeric, bent.chain.frequencies(bent.fitting), atol=1e-6)
    assert list(chain(train=False).learned) == []


def test_pictures(bent: ChainBands) -> None:
    figure = bent.plot()
    above, below = figure.axes
    assert np.array_equal(above.lines[0].get_ydata(), bent.learned["two bodies"])
    assert np.array_equal(below.lines[1].get_ydata(), bent.learned["many bodies"] - bent.analytic)
    assert "A potential of two bodies misses it by up to" in style.description(figure)
    assert style.png(figure).startswith(b"\x89PNG")
    assert "not stable" in style.description(springs(nearest=1.0, next_nearest=-2.0))
    assert "reach 13.21 THz at 1.00 π/a" in style.description(springs())
    assert "not stable" in style.description(chain(nearest=1.0, next_nearest=-2.0, train=False).plot())


def test_bad_input_is_refused() -> None:
    with pytest.raises(InputError, match="ring: expected a whole number from 5"):
        chain(ring=3)
    with pytest.raises(InputError, match="spacing: expected a number in Å"):
        chain(spacing=0.0)
