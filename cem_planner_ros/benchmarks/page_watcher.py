# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""A browser without a picture: it shows the page of a planner, as far as the page can tell."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

LOOK = 0.2
"""Time after which it looks whether it is over, or the page is there, s."""


def free_port() -> int:
    """Return a port of this machine that nobody uses now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@contextlib.contextmanager
def watching(port: int) -> Iterator[list[int]]:
    """
    Receive all that the page at a port sends, from when it can be reached on.

    Yields a list with the size of each message, bytes.
    """
    over = threading.Event()
    received: list[int] = []
    thread = threading.Thread(target=_receive, args=(port, received, over), daemon=True)
    thread.start()
    try:
        yield received
    finally:
        over.set()
        thread.join()


def _receive(port: int, received: list[int], over: threading.Event) -> None:
    import viser
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.client import connect

    while not over.is_set():
        with (
            contextlib.suppress(OSError, ConnectionClosed),
            connect(
                f"ws://127.0.0.1:{port}",
                subprotocols=[f"viser-v{viser.__version__}"],
                compression=None,
                max_size=None,
            ) as page,
        ):
            while not over.is_set():
                with contextlib.suppress(TimeoutError):
                    received.append(len(page.recv(timeout=LOOK)))
        over.wait(LOOK)
