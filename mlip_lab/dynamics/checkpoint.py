"""A run on disk, whole at every moment: written beside and renamed, read without running code."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from mlip_lab.core.errors import FileFormatError, InputError
from mlip_lab.core.files import replacing

FORMAT = 1
ABOUT = "about"  # the entry that says which run it is


def description(atoms: Atoms, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """What makes a run this one: its arguments, and a hash of its first structure."""
    parts = [atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc, atoms.get_masses(), atoms.get_momenta()]
    structure = hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in parts)).hexdigest()
    return {"format": FORMAT, **arguments, "structure": structure}


def save(path: Path, about: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write a checkpoint by a temporary file and a rename."""
    with replacing(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, allow_pickle=False, **{ABOUT: np.array(json.dumps(about)), **arrays})


def load(path: Path, about: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """Read a checkpoint of the run that `about` describes.

    Raises:
        InputError: If it belongs to another run.
        FileFormatError: If it is no checkpoint, or damaged.
    """
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as content:
            arrays = {name: content[name] for name in content.files}
        found = json.loads(str(arrays.pop(ABOUT)))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise FileFormatError(
            f"checkpoint: {path} cannot be read ({error}). Remove it to begin again, or choose another name."
        ) from error
    other = sorted(name for name in {*found, *about} if found.get(name) != about.get(name))
    if other:
        raise InputError(
            f"checkpoint: {path} belongs to another run, with another {', '.join(other)}. Give the arguments it was "
            "made with to go on with it, or choose another name."
        )
    return arrays
