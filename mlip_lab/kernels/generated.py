"""Numba modules written for one architecture and cached on disk.

The loops of the running path (straight.py, neural.py) and the invariants (couplings.py) are emitted as straight-line
code with the numbers of functions and channels written in: a loop over the indexed terms of the coupling table costs
five times as much. Numba caches compiled code only for functions that come from a file, so the source is written to a
cache folder: `$MLIP_LAB_CACHE`, or `mlip_lab` in the user's cache folder, or a temporary folder where neither can be
written.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import sys
import tempfile
import threading
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from types import ModuleType

from mlip_lab.core.errors import InputError
from mlip_lab.core.files import write_bytes
from mlip_lab.kernels import couplings, neural, straight, vectors
from mlip_lab.kernels.straight import Sizes

_LOCK = threading.Lock()
_FOLDER = Path(__file__).parent
_HEADER = '''"""Written by mlip_lab.kernels.generated; changes are lost."""

import math

import numpy as np
from numba import njit

from mlip_lab.kernels.density import {density}
from mlip_lab.kernels.harmonics import FAST
from mlip_lab.kernels.neighbors import build_pairs, needs_rebuild
from mlip_lab.kernels.vectors import (
    full, load, narrow, positive, root, splat, store, total, whole_vectors,
)
from mlip_lab.kernels.zbl import zbl

real = np.{precision}
UNWRAPPED = {{"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "forceinline": True}}  # inner functions
'''


@lru_cache
def learning_module(lmax: int, body_order: int) -> ModuleType:
    """Invariants with their derivatives, and the design matrix, for the learning path."""
    n, lanes = len(couplings.invariants(lmax, body_order)), vectors.lanes("float64")

    def parts() -> list[str]:
        return [
            _header("float64", "aligned, atom_basis, gather, mix, most_neighbors, project, whole, workspace"),
            f"N_INVARIANTS = {n}\nLANES = {lanes}\n",
            _plain(couplings.source(lmax, body_order)),
            _text("learning"),
        ]

    return _module(f"learning_l{lmax}_b{body_order}_v{lanes}", parts)


def running_module(
    sizes: Sizes, body_order: int, readout: str, n_hidden: int, precision: str, *, members: str | None = None
) -> ModuleType:
    """What runs a potential: `evaluate_part`, `evaluate` and `md_chunk`, or `evaluate_members` of an ensemble.

    Args:
        sizes: Numbers of functions and channels.
        body_order: Of the invariants.
        readout: "linear", "kernel" or "neural".
        n_hidden: Hidden units, a multiple of neural.TILE; of the neural readout only.
        precision: "float64" or "float32", of everything but positions, sums of energies and forces.
        members: None for a single one; "own_channels" for several, or "shared_channels" where those are the same.
    """
    n_invariants = len(couplings.invariants(sizes.lmax, body_order))
    constants = {
        "BLOCK": sizes.lanes,
        "LANES": sizes.lanes,
        "BYTES": vectors.BYTES,
        **{name: getattr(straight, name) for name in ("RUN", "ROWS", "UX", "UY", "UZ", "DISTANCE", "H", "HARD")},
        "N_LM": sizes.n_lm,
        "N_RADIAL": sizes.n_radial,
        "N_PAIR": sizes.n_pair,
        "N_ROWS": sizes.n_rows,
        "N_CHANNELS": sizes.n_channels,
        "N_INVARIANTS": n_invariants,
    }

    def parts() -> list[str]:
        neural_readout = readout == "neural"
        common = [
            _header(precision, "most_neighbors"),
            "\n".join(f"{name} = {value}" for name, value in constants.items()) + "\n",
            straight.source(sizes),
            couplings.fused_source(sizes.lmax, body_order),
            neural.source(n_invariants, n_hidden) if neural_readout else _text(f"readout_{readout}"),
            _text("block"),
        ]
        if members is not None:
            several = [_text("members").replace("{low_lanes}", str(vectors.lanes("float32"))), _text(members)]
            single = [straight.pull(sizes), _function("block", "add_own"), _function("block", "pull_pairs")]
            if members == "shared_channels":
                single += [couplings.fused_vjp(sizes.lmax, body_order), straight.unmix(sizes)]
            return [*common, *several, *(_low(part) for part in single)]
        return [*common, _text("evaluate"), _text("md_chunk")]

    def written() -> list[str]:
        return [_plain(part) for part in parts()] if precision == "float64" else parts()

    width = f"_h{n_hidden}" if readout == "neural" else ""
    shape = f"l{sizes.lmax}_b{body_order}_n{sizes.n_radial}_p{sizes.n_pair}_c{sizes.n_channels}{width}"
    shape += f"_v{sizes.lanes}"  # another processor that shares the folder may have shorter vectors
    return _module(f"{readout}_{shape}_{precision}{f'_{members}' if members else ''}", written)


def _header(precision: str, density: str) -> str:
    return _HEADER.format(precision=precision, density=density)


def _text(template: str) -> str:
    return (_FOLDER / "templates" / f"{template}.py.txt").read_text()


def _function(template: str, name: str) -> str:
    """One function of a template."""
    return next(part for part in re.split(r"^(?=@njit)", _text(template), flags=re.M) if f"\ndef {name}(" in part)


def _plain(source: str) -> str:
    """The same with its float64 constants as mere literals: a sixth less to compile."""
    return re.sub(r"\breal\((-?\d[\d.e+-]*)\)", r"\1", source)


def _low(source: str) -> str:
    """The same in single precision, as functions of their own, in a module of either precision."""
    for old, new in ((r"\bdef (\w+)\(", r"def \1_low("), (r"\breal\(", "low("), (r"\b(LANES|BLOCK)\b", "LOW_LANES")):
        source = re.sub(old, new, source)
    return source


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


def _module(kind: str, parts: Callable[[], list[str]]) -> ModuleType:
    name = f"mlip_lab_{kind}_{_fingerprint()}"
    with _LOCK:
        if name in sys.modules:
            return sys.modules[name]
        path = _written(name, parts)
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


def _written(name: str, parts: Callable[[], list[str]]) -> Path:
    for folder in (cache_folder(), Path(tempfile.gettempdir()) / f"mlip_lab-{os.getuid()}"):
        path = folder / f"{name}.py"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not _ours(folder):
                continue
            if not path.exists():
                write_bytes(path, "\n\n".join(parts()).encode())
        except (InputError, OSError):
            continue
        return path
    raise InputError("No folder for compiled kernels can be written: set MLIP_LAB_CACHE to one that can.")
