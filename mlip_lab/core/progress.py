"""How long work reports and is stopped.

Long work calls `progress(done, total, **live)`. `done` and `total` count the same thing (epochs, steps,
frames); `live` carries numbers worth drawing. The callback may raise `Cancelled`: the work then keeps what it
has finished and passes the exception on, or returns the part done where its documentation says so.

A call with the `done` of the one before and nothing to draw has no news: it only asks whether to stop. Work whose
units take long asks so in between, often enough that a stop takes effect within a second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


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


def asking(things: Iterable[T], ask: Callable[[], None]) -> Iterator[T]:
    """The same things, with `ask` called before each; it may raise Cancelled."""
    for thing in things:
        ask()
        yield thing
