"""Errors kind by kind are root mean squares over what is labelled."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mlip_lab.core.frame import Frame
from mlip_lab.core.units import GPA
from mlip_lab.workflows.errors import errors_by_kind


def predicted(kind: str, off: float, **labels: Any) -> Any:
    frame = Frame(np.array([14, 14]), np.zeros((2, 3)), np.eye(3), np.ones(3, dtype=bool), kind=kind, **labels)
    return SimpleNamespace(frame=frame, energy=off, forces=np.full((2, 3), off), stress=np.full((3, 3), off))


def test_errors_of_known_deviations() -> None:
    zero = {"energy": 0.0, "forces": np.zeros((2, 3)), "stress": np.zeros((3, 3))}
    rows = errors_by_kind([predicted("a", 0.3, **zero), predicted("a", 0.4, **zero), predicted("", 0.0, **zero)])
    first, unnamed, everything = rows
    both = np.sqrt((0.3**2 + 0.4**2) / 2)
    assert (first.kind, first.frames) == ("a", 2)
    assert first.energy == pytest.approx(1000 * both / 2)  # two atoms
    assert first.forces == pytest.approx(both)
    assert first.stress == pytest.approx(both / GPA)
    assert (unnamed.kind, unnamed.energy) == ("unnamed", 0.0)
    assert (everything.kind, everything.frames) == ("all", 3)
    assert everything.forces == pytest.approx(np.sqrt((0.3**2 + 0.4**2) / 3))


def test_missing_labels_have_no_error() -> None:
    (row, everything) = errors_by_kind([predicted("slab", 0.3, energy=0.0)])
    assert row.forces is None
    assert row.stress is None
    assert everything.energy is not None
