# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The server of a page: that of viser, behind the gate."""

from __future__ import annotations

import contextlib
import io
import random
import secrets
import sys

import viser

from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.view.gate import Gate, is_loopback

LABEL = "cem_planner_ros"


class PageServer:
    """
    Serves a page, until it is closed.

    Args:
        host, port: where browsers reach it; port 0 for a free one.
        token: what the address must contain, see `gate.refusal`; "" for none where only this
            machine reaches it, and for one by chance elsewhere.

    Raises ConfigurationError if the page cannot be served there.
    """

    def __init__(self, host: str, port: int, token: str):
        if not token and not is_loopback(host):
            token = secrets.token_urlsafe(16)
        with contextlib.redirect_stdout(io.StringIO()):  # It prints an address behind the gate.
            self.viser = viser.ViserServer(_hidden_host(), 0, label=LABEL, verbose=False)
        """The server that the elements of the page belong to."""
        try:
            behind = (self.viser.get_host(), self.viser.get_port())
            self._gate = Gate(host, port, behind, token)
        except ConfigurationError:
            self.viser.stop()
            raise
        self.port = self._gate.port
        """The port at which browsers reach it."""
        self.address = f"http://{host}:{self.port}/" + (f"?token={token}" if token else "")
        """What to open in a browser."""
        gui = self.viser.gui
        gui.configure_theme(control_width="large", show_logo=False, show_share_button=False)
        gui.main_panel.dock_right()

    @property
    def is_watched(self) -> bool:
        """Whether any browser shows the page."""
        return self._gate.watchers > 0

    def close(self) -> None:
        """End the server."""
        self._gate.close()
        self.viser.stop()


def _hidden_host() -> str:
    """
    Return the address of this machine at which the server behind the gate listens.

    Linux has many: a web page that tries addresses of this machine does not find it.
    """
    if sys.platform != "linux":
        return "127.0.0.1"
    numbers = (random.SystemRandom().randint(1, 254) for _ in range(3))
    return ".".join(map(str, (127, *numbers)))
