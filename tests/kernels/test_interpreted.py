"""The kernel tests hold without the compiler, and with every array index checked.

Compiled code reads past the end of an array without a word, and compiled integers overflow where Python's do not. All
tests of this folder that carry the marker `interpreted` are run again both ways; they read `numba.config.DISABLE_JIT`
to choose sizes that Python can manage.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]

# about a minute on a free core, most of it compilation; room for a machine that is busy
pytestmark = pytest.mark.timeout(900)


def run_marked_tests(**environment: str) -> subprocess.CompletedProcess[str]:
    """Run the marked tests of this folder in a process of its own."""
    # the plugins of the calling run, and workers of it that already share the cores, are left behind
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    inherited["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", "pytest", "-q", "-m", "interpreted", "-p", "no:cacheprovider", str(HERE)]
    return subprocess.run(
        command, cwd=ROOT, env={**inherited, **environment}, capture_output=True, text=True, timeout=840, check=False
    )


@pytest.fixture
def fresh_cache(pytestconfig, tmp_path):
    """A folder for bounds-checked machine code, emptied when a kernel has changed.

    Numba looks at the file of a function only, not at those of the functions it calls, and does not tell checked from
    unchecked code, so such code must neither get into the usual cache nor outlive a change of any kernel.
    """
    cache = getattr(pytestconfig, "cache", None)
    folder = Path(cache.mkdir("bounds-checked-kernels")) if cache else tmp_path
    state = hashlib.sha256()
    for file in sorted((ROOT / "mlip_lab" / "kernels").rglob("*.py*")):
        if "__pycache__" not in file.parts:
            state.update(file.read_bytes())
    stamp = folder / "sources.sha256"
    if not stamp.exists() or stamp.read_text() != state.hexdigest():
        shutil.rmtree(folder)
        folder.mkdir()
        stamp.write_text(state.hexdigest())
    return folder


def test_kernels_hold_without_the_compiler():
    done = run_marked_tests(NUMBA_DISABLE_JIT="1")
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]


def test_kernels_hold_with_every_index_checked(fresh_cache):
    done = run_marked_tests(NUMBA_BOUNDSCHECK="1", NUMBA_CACHE_DIR=str(fresh_cache))
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]


def test_a_checked_index_is_an_error():
    # the run above would pass without looking if the setting did not reach the compiler
    program = "import numba, numpy\nread = numba.njit(lambda a, i: a[i])\nread(numpy.zeros(2), 5)"
    environment = {**os.environ, "NUMBA_BOUNDSCHECK": "1", "NUMBA_DISABLE_JIT": "0"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode != 0 and "IndexError" in done.stderr
