"""Numba modules written for one architecture and cached on disk.

The invariants are emitted as straight-line code from their coupling table, because a loop over the table's indexed
terms costs five times as much. Numba caches compiled code only for functions that come from a file, so the source is
written to a cache folder: `$MLIP_LAB_CACHE`, or `mlip_lab` in the user's cache folder, or a temporary folder where
neither can be written.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
import tempfile
import threading
from functools import lru_cache
from pathlib import Path
from types import ModuleType

from mlip_lab.core.errors import InputError
from mlip_lab.core.files import write_bytes
from mlip_lab.kernels import couplings

_LOCK = threading.Lock()
_FOLDER = Path(__file__).parent
_HEADER = '''"""Written by mlip_lab.kernels.generated; changes are lost."""

import math

import numpy as np
from numba import njit

from mlip_lab.kernels.density import atom_basis, gather, mix, most_neighbors, pair_gradients, project, unmix, workspace
from mlip_lab.kernels.harmonics import FAST
from mlip_lab.kernels.neighbors import build_pairs, needs_rebuild
from mlip_lab.kernels.zbl import zbl

'''


def learning_module(lmax: int, body_order: int) -> ModuleType:
    """Invariants with their derivatives, and the design matrix, for the learning path."""
    return _module(lmax, body_order, ("learning",))


def running_module(lmax: int, body_order: int, readout: str) -> ModuleType:
    """The fused `evaluate` and `md_chunk` for the running path of a readout ("linear", "kernel" or "neural")."""
    return _module(lmax, body_order, (f"readout_{readout}", "evaluate", "md_chunk"))


def cache_folder() -> Path:
    """Where generated modules and their compiled code lie."""
    base = os.environ.get("MLIP_LAB_CACHE")
    if base is None:
        base = str(Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "mlip_lab")
    return Path(base)


@lru_cache
def _fingerprint() -> str:
    """Hash of every kernel source, since Numba does not see a change in an imported kernel."""
    files = sorted([*_FOLDER.glob("*.py"), *_FOLDER.glob("templates/*.txt")])
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]


@lru_cache
def _module(lmax: int, body_order: int, templates: tuple[str, ...]) -> ModuleType:
    name = f"mlip_lab_{templates[0]}_l{lmax}_b{body_order}_{_fingerprint()}"
    with _LOCK:
        if name in sys.modules:
            return sys.modules[name]
        path = _written(name, lmax, body_order, templates)
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise InputError(f"Cannot import the generated kernels from {path}.")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        return module


def _ours(folder: Path) -> bool:
    """Whether nobody else can write to the folder, since what lies in it is about to be run."""
    about = folder.stat()
    return about.st_uid == os.getuid() and not about.st_mode & 0o002


def _written(name: str, lmax: int, body_order: int, templates: tuple[str, ...]) -> Path:
    for folder in (cache_folder(), Path(tempfile.gettempdir()) / f"mlip_lab-{os.getuid()}"):
        path = folder / f"{name}.py"
        n_invariants = len(couplings.invariants(lmax, body_order))
        parts = [f"LMAX = {lmax}\nN_INVARIANTS = {n_invariants}\n\n", couplings.source(lmax, body_order)]
        parts += [(_FOLDER / "templates" / f"{part}.py.txt").read_text() for part in templates]
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not _ours(folder):
                continue
            if not path.exists():
                write_bytes(path, (_HEADER + "\n\n".join(parts)).encode())
        except (InputError, OSError):
            continue
        return path
    raise InputError("No folder for compiled kernels can be written: set MLIP_LAB_CACHE to one that can.")
