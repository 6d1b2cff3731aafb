"""The example in CONTRIBUTING.md is a capability with a panel, with nothing else touched."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlip_lab import panels
from mlip_lab.core.errors import InputError
from mlip_lab.panels.base.model import PanelModel
from tests.panels.toy import shelf

GUIDE = Path(__file__).resolve().parents[2] / ".github" / "CONTRIBUTING.md"


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Any:
    (code,) = [c for c in re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.S) if "Capability(" in c]
    module = types.ModuleType("push_example")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(code, str(GUIDE), "exec"), vars(module))
    return module


def test_the_example_runs_in_a_panel(example: Any) -> None:
    model = PanelModel(example.PUSH, shelf())
    assert [f.label for f in example.PUSH.fields] == ["Atoms", "Calculator", "Furthest"]
    assert example.PUSH.fields[2].help == "How far it is pushed."
    model.set("furthest", "0.1")
    model.run()
    assert model.wait(60) and model.state == "done", model.words
    # EMT's copper sits in its minimum: a push to either side costs energy, quadratically at first.
    energies = model.result.energies - model.result.energies[0]
    assert np.all(np.diff(energies) > 0)
    assert energies[4] / energies[2] == pytest.approx(4, rel=0.1)
    assert "costs up to" in model.alt
    with pytest.raises(InputError, match="furthest: expected a number in Å"):
        example.push(None, None, furthest=2.0)


def test_every_panel_has_a_maker_and_words() -> None:
    names = [capability.name for capability in panels.capabilities()]
    assert {"train", "md", "elastic", "relax", "equation_of_state"} <= set(names)
    for capability in panels.capabilities():
        panel = getattr(panels, capability.name)()
        assert panel.model.capability is capability
        assert capability.title and capability.meaning.endswith(".") and capability.formula and capability.group
        for field in capability.fields:
            assert field.kind in ("structure", "potential", "data") or field.help, f"{capability.name}: {field.name}"
        panel.view.close()
