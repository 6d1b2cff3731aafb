"""One thread for a fit: its many small matrix products only wait for each other on several.

On cores that are shared with other work, threads that spin while they wait made fits 20 times slower and more. On one
thread a fit also gives the same weights whatever the number of cores.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits


@contextmanager
def one_thread() -> Iterator[None]:
    """Let linear algebra of numpy and, where it is loaded, torch run on one thread; as before when the block ends."""
    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch is not None else 0
    try:
        if torch is not None:
            torch.set_num_threads(1)
        with threadpool_limits(1, user_api="blas"):
            yield
    finally:
        if torch is not None:
            torch.set_num_threads(before)
