"""Three threads behind all panels: one works, one draws, one looks at what was typed.

One worker for the whole process: potentials are shared and never called twice at once, and threads do not grow with
the number of panels or runs. A run that is asked for while another one works waits for its turn.

Pictures of a running job are drawn by the other thread, from the newest state only, and rarely enough that drawing
takes a tenth of one core at most.
"""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from mlip_lab.core.errors import Cancelled

REPORT_EVERY = 0.2  # s: live updates at most five times a second
DRAWING_SHARE = 0.1  # of one core
LONGEST_PAUSE = 4.0  # s; a first picture that had to compile something says nothing about the next


class Job:
    """Work that is waiting, running or over.

    Attributes:
        done, total: What the work said last: how much it has finished, and of how much.

    Args:
        work: Called with a progress callback on the worker's thread.
        report: Called with (done, total, live) at most five times a second, and at the end.
        over: Called with (result, error) when the work has ended; one of them is None.
    """

    def __init__(
        self,
        work: Callable[[Callable[..., None]], Any],
        report: Callable[[int, int, dict[str, Any]], None],
        over: Callable[[Any, BaseException | None], None],
    ) -> None:
        """Describe the work; `start` queues it."""
        self._work, self._report, self._over = work, report, over
        self._stop, self._ended = threading.Event(), threading.Event()
        self._reported, self.done, self.total = 0.0, 0, 0

    def start(self) -> None:
        """Queue the work."""
        _WORKER.put(self.run)

    def stop(self) -> None:
        """Ask the work to stop at its next progress call."""
        self._stop.set()

    @property
    def stopping(self) -> bool:
        """Whether it was asked to stop."""
        return self._stop.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end; False if it did not come in time (s)."""
        return self._ended.wait(timeout)

    def run(self) -> None:
        """Do the work and say how it ended."""
        result, error = None, None
        try:
            if self.stopping:
                raise Cancelled("Stopped before it began.")
            result = self._work(self.progress)
        except BaseException as caught:  # an error must end in words in the panel, never in a dead worker
            error = caught
        try:
            self._over(result, error)
        finally:
            self._ended.set()

    def progress(self, done: int, total: int, /, **live: Any) -> None:
        """What the work reports to; see `core.progress`. A call without news never takes the turn of one with news."""
        news = bool(live) or (done, total) != (self.done, self.total)
        self.done, self.total = done, total
        if self.stopping:
            raise Cancelled("Stopped.")
        now = time.monotonic()
        if news and (now - self._reported >= REPORT_EVERY or done >= total):
            self._reported = now
            self._report(done, total, live)


def in_background(call: Callable[[], None]) -> None:
    """Do a small thing on a thread that neither works nor draws; it must deal with its own errors."""
    _READER.put(call)


class _Thread:
    """A daemon thread that takes calls from a queue; it starts with the first one."""

    def __init__(self, name: str) -> None:
        self._name, self._calls, self._lock = name, queue.SimpleQueue[Callable[[], None]](), threading.Lock()
        self._thread: threading.Thread | None = None

    def put(self, call: Callable[[], None]) -> None:
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._loop, name=self._name, daemon=True)
                self._thread.start()
        self._calls.put(call)

    def _loop(self) -> None:
        while True:
            try:
                self._calls.get()()
            except Exception:  # of something that looks on; the thread must live, and the error be seen
                threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), threading.current_thread())))


class Painter:
    """Draws the newest picture that one panel asked for, when the last one is old enough."""

    def __init__(self) -> None:
        """Begin with nothing to draw."""
        self._lock = threading.Lock()
        self._newest: Callable[[], None] | None = None
        self._queued = False

    def ask(self, draw: Callable[[], None]) -> None:
        """Ask for a picture; one that was asked for before and not begun is forgotten."""
        with self._lock:
            self._newest = draw
            if self._queued:
                return
            self._queued = True
        _PAINTER.put(self._draw)

    def forget(self) -> Callable[[], None] | None:
        """Draw nothing that was asked for before; gives what is not drawn, if anything."""
        with self._lock:
            left, self._newest = self._newest, None
        return left

    def _draw(self) -> None:
        with self._lock:
            draw, self._newest, self._queued = self._newest, None, False
        if draw is None:
            return
        began = time.thread_time()
        draw()
        spent = time.thread_time() - began
        time.sleep(min(max(REPORT_EVERY, spent * (1.0 / DRAWING_SHARE - 1.0)), LONGEST_PAUSE))


_WORKER = _Thread("mlip_lab worker")
_PAINTER = _Thread("mlip_lab painter")
_READER = _Thread("mlip_lab reader")
