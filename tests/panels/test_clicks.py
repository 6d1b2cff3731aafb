"""A real kernel: what arrives while it sends an answer is read."""

from __future__ import annotations

import queue
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import start_new_kernel

SHOWN = "from tests.panels.toy import COUNT, shelf\nfrom mlip_lab.panels.base.panel import Panel\nPanel(COUNT, shelf())"
# The thread that reads requests is held up, and sends something to nobody before it looks again.
BUSY = """
import time
channel = get_ipython().kernel.shell_channel_thread
def send():
    time.sleep(1)
    channel.manager._send_on_shell_channel([b"nobody", b"nothing"])
channel.io_loop.add_callback(channel.io_loop.call_later, 0.3, send)
"""


@pytest.fixture
def kernel() -> Iterator[Any]:
    manager, client = start_new_kernel(cwd=str(Path(__file__).parents[2]))
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def answer(client: Any, request: str, timeout: float) -> str | None:
    """Status of the answer to a request; None if there is none in time."""
    last = time.monotonic() + timeout
    while time.monotonic() < last:
        try:
            message = client.get_shell_msg(timeout=last - time.monotonic())
        except queue.Empty:
            break
        if message["parent_header"].get("msg_id") == request:
            return str(message["content"]["status"])
    return None


def test_a_request_that_arrives_during_an_answer_is_read(kernel: Any) -> None:
    assert answer(kernel, kernel.execute(SHOWN), 60) == "ok"
    assert answer(kernel, kernel.execute(BUSY), 20) == "ok"
    time.sleep(0.8)  # in the second in which the thread sleeps
    assert answer(kernel, kernel.execute("1 + 1"), 20) == "ok"
