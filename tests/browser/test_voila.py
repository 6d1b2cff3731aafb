"""The welcome notebook as a page without code: a potential is trained and atoms move, by clicks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

WELCOME = Path(__file__).resolve().parents[2] / "notebooks" / "00_welcome.ipynb"


def test_train_and_move_by_clicks(voila_page: Any) -> None:
    page = voila_page(WELCOME, height=1600)
    page.widget("mlip-lab", timeout=90)
    assert "import" not in page.text() and "GPa, DFT" in page.text()
    page.click("Molecular dynamics")
    page.set("Steps", "400")
    page.click("Run")
    page.see(re.compile("After 0.4 ps .* atoms"), timeout=60)
    page.screenshot("voila_md")
    page.click("Train a potential")
    page.choose("Kind of fit", "linear")
    page.click("Run", timeout=60)
    page.see("Predictions against DFT", timeout=90)
    page.see("force RMSE, test frames")
    page.screenshot("voila_train")
    assert page.page.locator(".mlip-picture").filter(visible=True).count() == 1
    assert not page.errors, page.errors
