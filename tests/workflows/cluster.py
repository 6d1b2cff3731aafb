"""A cluster of two processes, and how to kill one of them in the middle of its work."""

from __future__ import annotations

import logging
import os
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


@contextmanager
def cluster() -> Iterator[Any]:
    """A client of two processes."""
    distributed = pytest.importorskip("distributed", reason="dask is not installed: pip install 'mlip_lab[scale]'")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the cluster's start and end, which are not ours
        with (
            distributed.LocalCluster(
                n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=logging.ERROR
            ) as two,
            distributed.Client(two) as client,
        ):
            yield client


class Killer:
    """Progress that kills a busy process of a cluster, once, when so much is done.

    Attributes:
        kept: The files that a folder held then, and when each was written; empty before.
    """

    def __init__(self, client: Any, folder: Path, done: int) -> None:
        self.client, self.folder, self.at = client, folder, done
        self.processes = client.run(os.getpid)
        self.kept: dict[Path, int] = {}

    def __call__(self, done: int, total: int, /, **_: Any) -> None:
        if done == self.at and not self.kept:
            self.kept = {path: path.stat().st_mtime_ns for path in self.folder.glob("*.json")}
            busy = next(worker for worker, tasks in self.client.processing().items() if tasks)
            os.kill(self.processes[busy], signal.SIGKILL)
