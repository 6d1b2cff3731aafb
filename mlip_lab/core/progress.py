"""How long work reports and is stopped.

Long work calls `progress(done, total, **live)`. `done` and `total` count the same thing (epochs, steps,
frames); `live` carries numbers worth drawing. The callback may raise `Cancelled`: the work then keeps what it
has finished and passes the exception on, or returns the part done where its documentation says so.
"""

from __future__ import annotations

from typing import Any, Protocol


class Progress(Protocol):
    """The callback that long work reports to."""

    def __call__(self, done: int, total: int, /, **live: Any) -> None:
        """Take note of progress.

        Args:
            done: Units of work finished.
            total: Units of work in all.
            **live: Numbers or arrays to show while the work runs.

        Raises:
            Cancelled: To stop the work.
        """


def silent(done: int, total: int, /, **live: Any) -> None:
    """Report to nobody: the default progress."""
