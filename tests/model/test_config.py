"""Configurations: what makes no potential is refused, and JSON gives back what it was given."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from mlip_lab.core.errors import FileFormatError, InputError
from mlip_lab.model.config import PRESETS, READOUTS, PotentialConfig, preset
from mlip_lab.model.potential import weight_shapes
from tests.potentials import random_config


@pytest.mark.parametrize("name", ["small", "default", "large"])
@pytest.mark.parametrize("readout", [None, *READOUTS])
def test_presets(name: str, readout: str | None) -> None:
    config = preset(name, readout)
    assert config.readout == (readout or PRESETS[name].readout) and config.n_species == 0
    assert replace(config, readout=PRESETS[name].readout) == PRESETS[name]


def test_presets_grow() -> None:
    known = {"numbers": (14,), "r0": ((2.3,),), "inner": ((1.0,),), "outer": ((2.0,),)}
    sizes = [
        sum(int(np.prod(shape)) for shape in weight_shapes(replace(preset(name), **known)).values())
        for name in ("small", "default", "large")
    ]
    assert sizes == sorted(set(sizes))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cutoff": 0.5}, "cutoff: expected a number from 1 to 12, got 0.5"),
        ({"cutoff": float("nan")}, "cutoff"),
        ({"cutoff": "5"}, "cutoff"),
        ({"cutoff": True}, "cutoff"),
        ({"lmax": 7}, "lmax: expected a number from 0 to 6"),
        ({"lmax": -1}, "lmax"),
        ({"lmax": 3.0}, "lmax"),
        ({"n_channels": 0}, "n_channels"),
        ({"n_radial": None}, "n_radial"),
        ({"body_order": 6}, "body_order"),
        ({"n_hidden": 1000}, "n_hidden"),
        ({"n_radial": 10, "n_pair": 9}, "n_pair: expected at least n_radial = 10, got 9"),
        ({"readout": "forest"}, "readout: expected one of linear, kernel, neural"),
        ({"numbers": (14,)}, "one number for each pair of 1 species"),
        ({"r0": ((1.0, 2.0),)}, "one number for each pair of 0 species"),
    ],
    ids=str,
)
def test_what_makes_no_potential_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        PotentialConfig(**change)


def test_json_gives_back_what_it_was_given() -> None:
    for config in (PotentialConfig(), random_config(4, "kernel")):
        assert PotentialConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


@given(
    st.dictionaries(
        st.sampled_from(sorted(PotentialConfig().to_json())),
        st.none() | st.booleans() | st.text() | st.floats() | st.lists(st.floats()),
    )
)
def test_any_edit_is_refused_or_is_a_configuration(changes: dict[str, Any]) -> None:
    try:
        config = PotentialConfig.from_json({**random_config(2, "linear").to_json(), **changes})
    except FileFormatError as error:
        assert "config" in str(error)
        return
    assert PotentialConfig.from_json(config.to_json()) == config


def test_species_of_atoms() -> None:
    config = random_config(3, "linear")
    np.testing.assert_array_equal(config.species_of([29, 8, 14, 8]), [2, 0, 1, 0])
    assert config.species_of([]).shape == (0,)
    with pytest.raises(InputError, match=r"\[8, 14, 29\], got \[1, 47\]"):
        config.species_of(np.array([47, 8, 1, 47]))
