"""Fixtures for tests in a browser; where the browser or what drives it is missing, the tests skip in words."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.browser.harness import PATIENCE, Notebook, Page, Screen, write_notebook
from tests.browser.servers import Server, jupyterlab, voila

# WebGL by software: no machine that runs tests needs a graphics card.
FLAGS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")

numbers = count()
again: list[pytest.TestReport] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("browser")
            # A cell may not end for the page; the summary says what the kernel was doing meanwhile
            item.add_marker(pytest.mark.flaky(reruns=1, only_rerun=["No answer in"]))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.outcome == "rerun":
        again.append(report)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What was run again is not hidden."""
    for report in again:
        terminalreporter.section(f"{report.nodeid} was run again")
        terminalreporter.line(report.longreprtext)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium. For one module at a time: while Playwright is open, no other event loop runs in this thread."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip(f"no browser on this machine (looked for {', '.join(NAMES)})")
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright for Python is not installed")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots go."""
    named = os.environ.get("MLIP_LAB_ARTIFACTS")
    folder = Path(named) if named else tmp_path_factory.mktemp("artifacts")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def lab_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One JupyterLab for all tests."""
    folder = tmp_path_factory.mktemp("jupyterlab")
    with jupyterlab(folder / "home", folder / "notebooks") as server:
        yield server


@pytest.fixture(scope="session")
def voila_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One Voila for all tests."""
    if find_spec("voila") is None:
        pytest.skip("Voila is not installed")
    folder = tmp_path_factory.mktemp("voila")
    with voila(folder / "home", folder / "notebooks") as server:
        yield server


def written(folder: Path, cells: tuple[str | Path, ...]) -> Path:
    """Put a notebook into a server's folder: a copy of a file, or code cells."""
    first = cells[0]
    name = f"{first.stem if isinstance(first, Path) else 'notebook'}-{next(numbers)}.ipynb"
    if isinstance(first, Path):
        return Path(shutil.copyfile(first, folder / name))
    return write_notebook(folder / name, [str(cell) for cell in cells])


def new_page(browser: Any, theme: str, width: int, height: int) -> Any:
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=theme)
    page.set_default_timeout(PATIENCE * 30_000)
    return page


@pytest.fixture
def notebook(browser: Any, lab_server: Server, artifacts: Path) -> Iterator[Callable[..., Notebook]]:
    """Open a notebook in JupyterLab; see `harness.Notebook`."""
    opened: list[Screen] = []

    def open_notebook(
        *cells: str | Path,
        theme: str = "light",
        width: int = 1400,
        height: int = 900,
        subshells: bool = True,
        sidebar: bool = True,
    ) -> Notebook:
        lab_server.configure(theme=theme, subshells=subshells)
        page, path = new_page(browser, theme, width, height), written(lab_server.folder, cells)
        shown = Notebook(page, lab_server, path, artifacts, f"{theme}-{width}", sidebar=sidebar)
        opened.append(shown)
        shown.open()
        return shown

    yield open_notebook
    for shown in opened:
        shown.page.close()
    lab_server.end_kernels()


@pytest.fixture
def voila_page(browser: Any, voila_server: Server, artifacts: Path) -> Iterator[Callable[..., Page]]:
    """Open a notebook as a page by Voila; see `harness.Page`."""
    opened: list[Screen] = []

    def open_page(*cells: str | Path, theme: str = "light", width: int = 1400, height: int = 900) -> Page:
        page, path = new_page(browser, theme, width, height), written(voila_server.folder, cells)
        shown = Page(
            page, f"{voila_server.url}/voila/render/{path.name}?theme={theme}", artifacts, f"page-{theme}-{width}"
        )
        opened.append(shown)
        shown.open()
        return shown

    yield open_page
    for shown in opened:
        shown.page.close()
