"""Structures from any file that ASE reads, also uploads; what could run code is refused."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import tempfile
import warnings
import zlib
from pathlib import Path
from typing import Any

from ase import Atoms
from ase.io import read
from ase.io.formats import filetype

from mlip_lab.core.errors import InputError
from mlip_lab.data.whole import plain, whole

MOST_BYTES = 200_000_000
# What is no structure or could run code: Python's own files, databases and everything that is unpickled.
CLOSED_FORMATS = ("aselmdb", "bundletrajectory", "db", "mysql", "postgresql", "py")
CLOSED_SUFFIXES = (".db", ".ipynb", ".joblib", ".npy", ".npz", ".pickle", ".pkl", ".pt", ".pth", ".py", ".pyc", ".trj")
_OPENERS: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}


def read_structure(path: str | Path) -> Atoms:
    """The last structure of any file that ASE reads.

    Args:
        path: The file.

    Raises:
        InputError: If it cannot be read, or its format could run code.
    """
    try:
        path = Path(path)
        if path.exists() and not path.is_file():
            raise InputError(f"path: expected a file, got {str(path)!r}.")
        if path.stat().st_size > MOST_BYTES:
            raise InputError(_too_large(path.name))
        return read_structure_bytes(path.name, path.read_bytes())
    except InputError:
        raise
    except (OSError, TypeError, ValueError) as error:
        raise InputError(f"path: cannot read {path}: {getattr(error, 'strerror', None) or error}.") from error


def read_structure_bytes(name: str, content: bytes) -> Atoms:
    """The last structure of an uploaded file.

    Args:
        name: Its name, whose ending may tell the format.
        content: What is in it.

    Raises:
        InputError: If it cannot be read, is too large, or its format could run code.
    """
    file = re.sub(r"[^\w.+-]", "_", Path(name).name, flags=re.ASCII)[-80:].lstrip(".") or "file"
    try:
        while (opener := _OPENERS.get(Path(file).suffix.lower())) is not None:
            file = Path(file).stem
            content = opener(io.BytesIO(content)).read(MOST_BYTES + 1)
    except (OSError, EOFError, ValueError, lzma.LZMAError, zlib.error) as error:
        raise InputError(f"{name}: could not be unpacked ({error}). Is the file whole?") from error
    if len(content) > MOST_BYTES:
        raise InputError(_too_large(name))
    if Path(file).suffix.lower() in CLOSED_SUFFIXES or re.match(rb"\x80[\x02-\x05]", content):
        raise InputError(_closed(name))
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # readers warn of what they guess
        path = Path(folder) / file
        path.write_bytes(content)
        found = _read(path, name)
    if not isinstance(found, Atoms) or len(found) == 0:
        raise InputError(f"{name}: no atoms were found in it.")
    return whole(plain(found))


def _read(path: Path, name: str) -> Any:
    try:
        kind = "extxyz" if path.suffix.lower() in (".xyz", ".extxyz") else str(filetype(str(path)))
    except Exception as error:  # it looks into the file
        raise InputError(f"{name}: ASE knows no such format. Use .xyz, .cif, .traj or a POSCAR.") from error
    if kind in CLOSED_FORMATS:
        raise InputError(_closed(name))
    try:
        if kind in ("xyz", "extxyz"):
            return read(io.StringIO(_last_frame(path.read_text(encoding="utf-8"))), format="extxyz")
        return read(path, index=-1, format=kind, do_not_split_by_at_sign=True)
    except Exception as error:  # ASE's readers raise anything on a damaged file
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise InputError(f"{name}: could not be read as {kind} ({reason}). Is the file whole?") from error


def _last_frame(text: str) -> str:
    """The last frame of an XYZ file, counted in lines; ASE would wait on a huge count."""
    lines = text.splitlines(keepends=True)
    at, start = 0, 0
    while at < len(lines) and lines[at].strip():
        start, at = at, at + int(lines[at]) + 2
        if not start + 2 < at <= len(lines):
            raise ValueError(f"line {start + 1} says {lines[start].strip()} atoms, which are not there")
        while at < len(lines) and lines[at].lstrip().startswith("VEC"):
            at += 1
    return "".join(lines[start:at])


def _too_large(name: str) -> str:
    return f"{name}: too large; at most {MOST_BYTES // 1_000_000} MB. Keep the last frame only."


def _closed(name: str) -> str:
    return f"{name}: files of this kind can run code or hold more than structures. Use .xyz, .cif or .traj."
