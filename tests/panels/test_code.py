"""The printed Python runs as it is and gives what the panel shows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mlip_lab.panels.base.model import PanelModel
from mlip_lab.panels.chain import CHAIN
from mlip_lab.panels.elastic import ELASTIC
from mlip_lab.panels.equation_of_state import EQUATION_OF_STATE
from mlip_lab.panels.md import MD
from mlip_lab.panels.phonons import PHONONS
from mlip_lab.panels.relax import RELAX
from mlip_lab.panels.surfaces import SURFACES
from mlip_lab.panels.thermal_expansion import THERMAL_EXPANSION
from tests.panels.toy import COUNT, shelf


def executed(code: str) -> Any:
    names: dict[str, Any] = {}
    exec(compile(code, "cell", "exec"), names)
    return names["result"]


def test_only_what_differs_from_the_defaults_is_printed() -> None:
    model = PanelModel(COUNT, shelf(), {"steps": 3, "way": "down"})
    assert model.code == (
        "from ase.build import bulk\n"
        "from ase.calculators.emt import EMT\n"
        "from tests.panels.toy import count\n"
        "\n"
        'atoms = bulk("Cu", cubic=True)\n'
        "calculator = EMT()\n"
        "result = count(atoms, calculator, steps=3, way='down')\n"
        "result.plot()\n"
    )


SMALL: dict[str, dict[str, Any]] = {
    "md": {"steps": 30},
    "elastic": {"route": "both"},
    "phonons": {"reach": 5.0},
    "surfaces": {"faces": "100 111", "thinnest": 5.0, "slabs": 3},
    "thermal_expansion": {"reach": 4.0, "mesh": 15.0},
}


@pytest.mark.parametrize(
    "capability",
    [MD, RELAX, EQUATION_OF_STATE, ELASTIC, PHONONS, THERMAL_EXPANSION, CHAIN, SURFACES],
    ids=lambda c: c.name,
)
def test_it_gives_the_same_numbers(capability: Any) -> None:
    values = SMALL.get(capability.name, {})
    model = PanelModel(capability, shelf(), values)
    model.run()
    assert model.wait(60) and model.state == "done", model.words
    result = executed(model.code)
    again = capability.numbers(result)
    assert [(n.name, n.value) for n in again] == [(n.name, n.value) for n in model.numbers]


def test_elastic_constants_of_a_relaxed_crystal() -> None:
    made = shelf()
    relaxing = PanelModel(RELAX, made)
    relaxing.run()
    relaxing.wait(60)
    name = list(made.structures)[-1]
    assert name == "Cu4 relaxed, 4 atoms"
    model = PanelModel(ELASTIC, made)
    model.set("atoms", name)
    model.run()
    assert model.wait(60) and model.state == "done", model.words
    # The printed structure has all digits, so the numbers are the same to the last bit.
    assert np.array_equal(executed(model.code).constants, model.result.constants)
