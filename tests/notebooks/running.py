"""Run a notebook as it is, beside a running JupyterLab, and measure what that takes."""

from __future__ import annotations

import base64
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

from tests.browser.servers import Server, end, start

GB = 1e9
EXECUTE = ["nbconvert", "--to=notebook", "--execute", "--ExecutePreprocessor.timeout=600"]


@dataclass(frozen=True)
class Run:
    """One run of a notebook.

    Attributes:
        executed: The notebook with its outputs.
        seconds: From start to end, the kernel's start included.
        memory: Peak of kernel and server together (bytes).
    """

    executed: Path
    seconds: float
    memory: int


def run(notebook: Path, server: Server, folder: Path, home: Path, timeout: float = 240) -> Run:
    """Run a copy of a notebook top to bottom in a fresh process; the server is there, as for a user.

    Raises:
        AssertionError: If a cell fails, with its traceback, or time is up.
    """
    folder.mkdir(parents=True, exist_ok=True)
    home.mkdir(parents=True, exist_ok=True)
    copy = Path(shutil.copy(notebook, folder / notebook.name))
    executed = folder / f"{notebook.stem}-executed.ipynb"
    log = home / f"{notebook.stem}.log"
    started, peak = time.monotonic(), 0
    with open(log, "wb") as written:
        command = [sys.executable, "-m", *EXECUTE, f"--output={executed.name}", copy.name]
        process = start(command, folder, home, written)
    try:
        client = psutil.Process(process.pid)
        while process.poll() is None and time.monotonic() - started < timeout:
            # What runs the notebook stands for the browser and does not count; what it started is the kernel.
            peak = max(peak, memory([*client.children(recursive=True), server.process]))
            time.sleep(0.25)
    finally:
        end(process)
    seconds, said = time.monotonic() - started, log.read_text(encoding="utf-8", errors="replace")
    assert seconds < timeout, f"{notebook.name} was stopped after {timeout} s."
    assert process.returncode == 0, f"{notebook.name} failed:\n{said[-4000:]}"
    return Run(executed, seconds, peak)


def memory(processes: Iterable[psutil.Process]) -> int:
    """Memory of processes (bytes), with what they share counted once where the system tells (PSS)."""
    total = 0
    for process in processes:
        try:
            used = process.memory_full_info()
        except psutil.NoSuchProcess:
            continue
        total += getattr(used, "pss", 0) or used.rss
    return total


def pictures(executed: Path) -> list[np.ndarray]:
    """The PNG pictures, (height, width, 3), that the closed notebook shows: in its HTML, with no script run."""
    command = [sys.executable, "-m", "nbconvert", "--to=html", executed.name]
    subprocess.run(command, cwd=executed.parent, check=True, capture_output=True)
    parser = Pictures()
    parser.feed(executed.with_suffix(".html").read_text(encoding="utf-8"))
    return parser.found


class Pictures(HTMLParser):
    """Collects the PNG pictures that are in a page itself."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[np.ndarray] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        source = dict(attrs).get("src") or ""
        if tag == "img" and source.startswith("data:image/png;base64,"):
            content = base64.b64decode(source.split(",", 1)[1])
            self.found.append(np.asarray(Image.open(BytesIO(content)).convert("RGB")))
