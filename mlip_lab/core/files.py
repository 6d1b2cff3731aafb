"""Writing files so that an error, a full disk or a kill leaves the old content whole."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mlip_lab.core.errors import InputError


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path` that takes its place when the block ends without error.

    Args:
        path: The file to write or replace.

    Yields:
        A path in the same folder with the same suffixes.

    Raises:
        InputError: If the folder cannot be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix="".join(path.suffixes), dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise InputError(f"Cannot write to the folder {path.parent}: {error}. Choose another folder.") from error
    temporary = Path(name)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write bytes by a temporary file and a rename."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: str | Path, content: Any) -> None:
    """Write strict JSON (no NaN) by a temporary file and a rename."""
    write_bytes(path, (json.dumps(content, indent=1, allow_nan=False) + "\n").encode())
