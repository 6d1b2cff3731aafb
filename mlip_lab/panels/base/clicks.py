"""Clicks that arrive while the kernel answers others are not left lying."""

from __future__ import annotations

from typing import Any


def hear_all_clicks() -> None:
    """Have this kernel send answers by the stream that reads requests; without a kernel that needs it, do nothing.

    ipykernel 7.0 to 7.3 sends them past it, on the same socket. A request that arrives meanwhile then lies unread until
    the next one comes: a click without effect (ipykernel issue 1554; 7.4 sends as this does).
    """
    from IPython import get_ipython

    kernel: Any = getattr(get_ipython(), "kernel", None)
    channel = getattr(kernel, "shell_channel_thread", None)
    if channel is not None and hasattr(channel.manager, "_shell_socket"):
        channel.manager._shell_socket = kernel.shell_stream
