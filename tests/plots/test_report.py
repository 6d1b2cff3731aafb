"""The report is one file that holds everything and can be read without seeing the pictures."""

from __future__ import annotations

import base64
from html.parser import HTMLParser
from typing import Any

import pytest

from mlip_lab.plots.report import html_report

VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """Collects images and text, and sees whether tags close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.images: list[dict[str, str | None]] = []
        self.links: list[str] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "img":
            self.images.append(found)
        self.links += [value for name, value in attrs if name in ("href", "src") and value]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.fixture(scope="module")
def page(demo_result: Any) -> Page:
    return Page(html_report(demo_result))


def test_page_is_well_formed_and_needs_no_network(page: Page) -> None:
    assert page.open == []
    assert all(link.startswith("data:image/png;base64,") for link in page.links)


def test_every_picture_is_inside_and_described(page: Page) -> None:
    assert len(page.images) == 8
    for image in page.images:
        source = image["src"] or ""
        assert base64.b64decode(source.split(",", 1)[1]).startswith(b"\x89PNG")
        assert len(image["alt"] or "") > 20


def test_numbers_are_in_the_text(page: Page, demo_result: Any) -> None:
    words = " ".join(page.words)
    assert "2.5 meV/atom and 0.08 eV/Å" in words
    for item in demo_result.comparisons:
        if item.reference is not None:
            assert f"{item.deviation_percent:+.2f} %" in words
    assert "surface" in words
    assert "eV/atom/ns" in words
    assert "code: Stillinger-Weber" in words
