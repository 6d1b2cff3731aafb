"""How many 3-D views are open at once in this process: browsers keep few."""

from __future__ import annotations

import threading
import weakref
from typing import Protocol

# Chromium keeps 16 WebGL contexts a page and takes the oldest away without a word. Half of them are left to others:
# two notebooks, with a kernel each, can be open in one page.
MOST = 8


class Live(Protocol):
    """Something with a 3-D view."""

    def flatten(self) -> None:
        """Give the 3-D view back."""


_lock = threading.Lock()
_open: list[weakref.ref[Live]] = []


def claim(viewer: Live) -> None:
    """Count a view that the browser has made; the oldest beyond the most that are kept gives its own back."""
    with _lock:
        _forget(viewer)
        _open.append(weakref.ref(viewer))
        surplus = [old for reference in _open[:-MOST] if (old := reference()) is not None]
    for old in surplus:  # outside the lock: it calls release
        old.flatten()


def release(viewer: Live) -> None:
    """Count a view no longer."""
    with _lock:
        _forget(viewer)


def count() -> int:
    """Number of 3-D views that are open."""
    with _lock:
        return len(_open)


def _forget(viewer: Live) -> None:
    _open[:] = [reference for reference in _open if reference() not in (None, viewer)]
