"""The Lab in a real JupyterLab: built, trained, run and looked at by clicks."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.timeout(280)

LAB = "from mlip_lab import Lab\nlab = Lab(); lab"


@pytest.mark.parametrize(("theme", "width"), [("light", 1400), ("dark", 900)])
def test_it_looks_right(notebook: Any, theme: str, width: int) -> None:
    nb = notebook(LAB, theme=theme, width=width, height=1300, sidebar=False)
    nb.run_all()
    lab = nb.widget("mlip-lab")
    nb.until("document.querySelectorAll('canvas').length >= 1", timeout=60)
    nb.see("Train a potential")
    nb.screenshot("lab_train")
    nb.click("Molecular dynamics")
    nb.see("Newton")
    nb.screenshot("lab_md")
    nb.click("Build")
    nb.screenshot("lab_build")
    assert not nb.errors
    assert nb.overflow(within=lab) <= 4
