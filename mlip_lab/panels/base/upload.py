"""Files from the browser: the button that takes them, and where one is kept so that code can name it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ipywidgets as widgets

from mlip_lab.core.errors import MlipError
from mlip_lab.core.files import write_bytes

FOLDER = "uploads"  # beside the notebook
# More does not reach the kernel: a notebook server closes the connection on a longer message.
LIMIT = "Up to 10 MB; put a larger file beside the notebook."


def upload_button(
    take: Callable[[str, bytes], str], say: Callable[[str, bool], None], *, takes: str
) -> widgets.FileUpload:
    """A button that gives the chosen file to `take`.

    Args:
        take: (name, content) → what became of it, in words; may raise MlipError.
        say: Told those words, and whether they are an error's.
        takes: What may be given, in words, for the tooltip.
    """
    button = widgets.FileUpload(description="Upload", tooltip=f"{takes}. {LIMIT}", layout={"width": "124px"})

    def given(change: dict[str, Any]) -> None:
        for file in change["new"]:
            try:
                say(take(file["name"], bytes(file["content"])), False)
            except MlipError as error:
                say(str(error), True)
        button.value = ()  # the same file can be given again, and its content is let go of

    button.observe(given, names="value")
    return button


def kept(name: str, content: bytes) -> Path:
    """Write an uploaded file to a folder beside the notebook; the same content under the same name is kept once.

    Args:
        name: Its name, of which only letters, digits, dots and dashes are taken over.
        content: What is in it.

    Returns:
        Where it is, from the working folder.

    Raises:
        InputError: If the folder cannot be written.
    """
    clean = re.sub(r"[^\w.+-]", "_", Path(name).name)[-80:].lstrip(".") or "file"
    stem, dot, ending = clean.partition(".")
    names = (clean if n == 1 else f"{stem}-{n}{dot}{ending}" for n in range(1, 10_000))
    path = next(p for p in (Path(FOLDER) / n for n in names) if not p.exists() or _holds(p, content))
    if not path.exists():
        write_bytes(path, content)
    return path


def _holds(path: Path, content: bytes) -> bool:
    return path.is_file() and path.stat().st_size == len(content) and path.read_bytes() == content
