"""Reference sets that ship with the package: labelled frames and what the same calculations give for properties."""

from __future__ import annotations

import json
from importlib.resources import as_file, files
from importlib.resources.abc import Traversable
from typing import Any

from mlip_lab.core.checks import one_of
from mlip_lab.core.errors import FileFormatError
from mlip_lab.data.reader import Dataset, read_frames


def packaged_names() -> tuple[str, ...]:
    """Names of the sets that can be read whole."""
    sets = _home()
    found = [folder.name for folder in sets.iterdir() if folder.is_dir()] if sets.is_dir() else []
    needed = ("train.xyz.gz", "test.xyz.gz")
    return tuple(sorted(name for name in found if all((sets / name / file).is_file() for file in needed)))


def packaged_set(name: str = "si") -> tuple[Dataset, Dataset]:
    """Read a packaged set.

    Args:
        name: One of `packaged_names()`.

    Returns:
        Training and test frames, drawn independently of each other.

    Raises:
        InputError: If there is no such set.
        DataError: If its files are damaged.
    """
    folder = _folder(name)
    with as_file(folder / "train.xyz.gz") as train, as_file(folder / "test.xyz.gz") as test:
        return read_frames(train), read_frames(test)


def reference(name: str = "si", *, part: str = "reference") -> dict[str, Any]:
    """Properties computed by the method that labelled a packaged set.

    Args:
        name: One of `packaged_names()`.
        part: Name of the file: "reference", or what a set has beside it, such as "dispersion".

    Returns:
        The content of its `reference.json`, or of another part.

    Raises:
        InputError: If there is no such set.
        FileFormatError: If the file is missing or damaged.
    """
    file = _folder(name) / f"{part}.json"
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FileFormatError(f"{file.name} of the set {name!r} cannot be read ({error}). Reinstall.") from error
    if not isinstance(content, dict):
        raise FileFormatError(f"{file.name} of the set {name!r}: expected an object. Reinstall the package.")
    return content


def _home() -> Traversable:
    return files("mlip_lab.data") / "sets"


def _folder(name: str) -> Traversable:
    return _home() / one_of("name of a packaged set", name, packaged_names())
