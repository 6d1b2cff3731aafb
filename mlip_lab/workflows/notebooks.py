"""The notebooks of this install: copied to a folder of the user's and opened there."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mlip_lab.core.errors import CalculationError, InputError
from mlip_lab.core.files import write_bytes

WELCOME = "00_welcome.ipynb"


@dataclass(frozen=True)
class Copies:
    """What became of the notebooks.

    Attributes:
        folder: Where they are.
        copied: Names of those that were written now.
        kept: Names of those that were there already.
        changed: Names of those among `kept` whose cells are not those of this install.
    """

    folder: Path
    copied: tuple[str, ...]
    kept: tuple[str, ...]
    changed: tuple[str, ...]

    def __str__(self) -> str:
        """Say it in words."""
        lines = [f"Notebooks in {self.folder}: {len(self.copied)} copied, {len(self.kept)} there already."]
        for name in self.changed:
            lines.append(
                f"{name} differs from the one of this install; yours is kept. Rename it to get the other one as well."
            )
        return "\n".join(lines)


def packaged_notebooks() -> tuple[Path, ...]:
    """The notebooks that came with this install, sorted by name.

    Raises:
        InputError: If there are none.
    """
    package = Path(__file__).resolve().parents[1]
    folder = package / "notebooks"
    if not folder.is_dir() and (package.parent / "pyproject.toml").is_file():
        folder = package.parent / "notebooks"  # run from its sources
    found = tuple(sorted(folder.glob("*.ipynb")))
    if not found:
        raise InputError(f"No notebooks are in {folder}: this install is not complete. Install mlip_lab again.")
    return found


def copy_notebooks(folder: str | Path) -> Copies:
    """Copy the notebooks into a folder; a file that is there already is never written to.

    Args:
        folder: Where to; made if need be.

    Raises:
        InputError: If the folder cannot be written or the install holds no notebooks.
    """
    folder = Path(folder).expanduser()
    copied, kept, changed = [], [], []
    for source in packaged_notebooks():
        target = folder / source.name
        if target.exists():
            kept.append(source.name)
            if _cells(target) != _cells(source):
                changed.append(source.name)
        else:
            write_bytes(target, source.read_bytes())
            copied.append(source.name)
    return Copies(folder, tuple(copied), tuple(kept), tuple(changed))


def open_lab(folder: Path, *, port: int | None = None, browser: bool = True, more: Sequence[str] = ()) -> None:
    """Run JupyterLab on a folder until the user ends it.

    Args:
        folder: The notebooks; the welcome opens if it is among them.
        port: Where to listen; None: JupyterLab chooses.
        browser: Whether to open the user's browser.
        more: Further options for JupyterLab.

    Raises:
        InputError: If JupyterLab is not installed.
        CalculationError: If it ends with an error.
    """
    _need("jupyterlab", "JupyterLab is not installed: pip install jupyterlab.")
    first = [WELCOME] if (folder / WELCOME).is_file() else []
    _serve("JupyterLab", ["jupyterlab", *first, *_options(port, browser), *more], folder)


def open_page(folder: Path, *, port: int | None = None, browser: bool = True, more: Sequence[str] = ()) -> None:
    """Run Voila on the welcome, a page without code, until the user ends it.

    Args:
        folder: The notebooks.
        port: Where to listen; None: Voila chooses.
        browser: Whether to open the user's browser.
        more: Further options for Voila.

    Raises:
        InputError: If Voila is not installed or the welcome is not there.
        CalculationError: If it ends with an error.
    """
    _need("voila", "Voila is not installed: pip install 'mlip_lab[page]'.")
    if not (folder / WELCOME).is_file():
        raise InputError(f"{WELCOME} is not in {folder}. Choose another folder, or copy the notebook there.")
    _serve("Voila", ["voila", WELCOME, *_options(port, browser), *more], folder)


def _need(module: str, words: str) -> None:
    if find_spec(module) is None:
        raise InputError(words)


def _options(port: int | None, browser: bool) -> list[str]:
    return ([] if port is None else [f"--port={port}"]) + ([] if browser else ["--no-browser"])


def _serve(name: str, module: list[str], folder: Path) -> None:
    with subprocess.Popen([sys.executable, "-m", *module], cwd=folder) as server:
        before = signal.signal(signal.SIGTERM, lambda *_: server.terminate())
        try:
            code = _ended(server)
        finally:
            signal.signal(signal.SIGTERM, before)
    if code > 0:
        raise CalculationError(f"{name} ended with exit code {code}; its own words are above.")


def _ended(server: subprocess.Popen[bytes]) -> int:
    while True:
        try:
            return server.wait()
        except KeyboardInterrupt:  # the server got it as well, and may ask whether it is meant
            continue


def _cells(path: Path) -> Any:
    """What is written in the cells, without outputs; the bytes of a file that is no notebook."""
    content = path.read_bytes()
    try:
        return [(cell["cell_type"], "".join(cell["source"])) for cell in json.loads(content)["cells"]]
    except (ValueError, KeyError, TypeError):
        return content
