# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The server of a page: that of viser, behind the gate."""

from __future__ import annotations

import contextlib
import hmac
import http
import io
import ipaddress
import secrets
import socket

import viser
import websockets.asyncio.server

from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.view.gate import PROOF, Gate, authority, is_loopback

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
        proof = secrets.token_urlsafe(16)
        self.viser = _server_behind_a_gate(proof)
        """The server that the elements of the page belong to."""
        try:
            behind = (self.viser.get_host(), self.viser.get_port())
            self._gate = Gate(host, port, behind, token, proof)
        except ConfigurationError:
            self._stop_viser()
            raise
        self.port = self._gate.port
        """The port at which browsers reach it."""
        where = authority(_name(host), self.port)
        self.address = f"http://{where}/" + (f"?token={token}" if token else "")
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
        self._stop_viser()

    def _stop_viser(self) -> None:
        with contextlib.redirect_stdout(io.StringIO()):  # It prints that it has stopped.
            self.viser.stop()


def _name(host: str) -> str:
    """Return a host as others may reach it: this machine's name where each address is served."""
    is_each = not host
    with contextlib.suppress(ValueError):
        is_each = ipaddress.ip_address(host).is_unspecified
    return socket.gethostname() if is_each else host


def _server_behind_a_gate(proof: str) -> viser.ViserServer:
    """
    Return a server on this machine that refuses each request without a proof in the header PROOF.

    Every user of this machine can reach its port, but only the gate has the proof. Viser has no
    option for it, so that requests are checked in the library with which viser serves them.

    Raises ConfigurationError if this viser does not serve that way.
    """
    library = websockets.asyncio.server
    serve, guarded = library.serve, []

    def serve_guarded(*arguments, process_request, **options):
        def check(connection, request):
            given = request.headers.get_all(PROOF)
            if not any(hmac.compare_digest(one.encode(), proof.encode()) for one in given):
                text = "this port serves the page of another port, which asks who may use it\n"
                return connection.respond(http.HTTPStatus.FORBIDDEN, text)
            return process_request(connection, request)

        guarded.append(True)
        return serve(*arguments, process_request=check, **options)

    library.serve = serve_guarded
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # It prints an address behind the gate.
            made = viser.ViserServer("127.0.0.1", 0, label=LABEL, verbose=False)
    finally:
        library.serve = serve
    if not guarded:
        made.stop()
        raise ConfigurationError(
            f"viser {viser.__version__} would serve the page to each user of this machine without "
            "a token; install the version of constraints.txt"
        )
    return made
