# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Who may reach the page: a gate in front of the server of viser."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import ipaddress
import re
import threading
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

from cem_planner_ros.errors import ConfigurationError

COOKIE = "cem_planner_token_{port}"
"""Name of the cookie with the token. A browser sends the cookies of a host to all its ports."""

PROOF = "X-Cem-Planner-Gate"
"""Header with which the gate shows the server behind it that a request has passed."""

MOST_HEAD = 64 * 1024
"""Largest size of the head of a request, bytes."""

HEAD_TIMEOUT = 10.0
"""Time for the head of a request, s."""

CHUNK = 1 << 16


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches a host to which a server is bound."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def authority(host: str, port: int) -> str:
    """Return host and port as in an address: an IPv6 host stands in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def refusal(head: str, token: str) -> tuple[int, str] | None:
    """
    Return status and text with which a request is refused; None if it may pass.

    Without a token, only pages of this machine itself may speak to the server: other web pages in
    the same browser could otherwise send commands to it.

    Args:
        head: the request line and the headers.
        token: what the address or the cookie must contain; "" if no token is demanded.
    """
    target, headers = _parse(head)
    host, origin = headers.get("host", ""), headers.get("origin", "")
    if origin and urlsplit(origin).netloc != host:
        return 403, f"a page of {origin} may not use this one"
    if token:
        # A browser may still have the cookie of an earlier page.
        given = (_cookie(headers), _in_address(target))
        if not any(hmac.compare_digest(one.encode(), token.encode()) for one in given):
            return 403, "the address must end with ?token=TOKEN, as the log of the view node says"
    elif not is_loopback(urlsplit(f"//{host}").hostname or ""):
        return 403, "this page is reached as localhost only"
    return None


def has_token_in_address(head: str) -> bool:
    """Return whether a request has a token in its address, which becomes a cookie then."""
    return bool(_in_address(_parse(head)[0]))


def _parse(head: str) -> tuple[str, dict[str, str]]:
    first, *lines = head.split("\r\n")
    parts = first.split(" ")
    pairs = (line.partition(":")[::2] for line in lines if ":" in line)
    headers = {name.strip().lower(): value.strip() for name, value in pairs}
    return parts[1] if len(parts) > 1 else "", headers


def _in_address(target: str) -> str:
    return parse_qs(urlsplit(target).query).get("token", [""])[0]


def _cookie_name(headers: dict[str, str]) -> str:
    """Return the name of the cookie of a page, by the port that the browser reaches it at."""
    return COOKIE.format(port=urlsplit(f"//{headers.get('host', '')}").port or 80)


def _cookie(headers: dict[str, str]) -> str:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(_cookie_name(headers))
    except CookieError:
        return ""
    return found.value if found else ""


class Gate:
    """
    Lets allowed connections through to a server of this machine, byte by byte.

    Args:
        host, port: where it is reached; port 0 for a free one.
        behind: host and port of the server.
        token: see `refusal`.
        proof: what the server behind demands in the header PROOF; "" for nothing.

    Raises ConfigurationError if it cannot be reached there, or the token cannot be in an address.
    """

    def __init__(self, host: str, port: int, behind: tuple[str, int], token: str, proof: str = ""):
        if not re.fullmatch(r"[A-Za-z0-9._~-]*", token):
            raise ConfigurationError(
                f"the token is {token!r}, expected letters, digits, '-', '.', '_' and '~' only"
            )
        self._behind, self._token, self._proof = behind, token, proof
        self.watchers = 0
        """Number of browsers that show the page."""
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        try:
            self._server = self._loop.run_until_complete(
                asyncio.start_server(self._serve, host, port, limit=MOST_HEAD)
            )
        except OSError as error:
            self._loop.close()
            raise ConfigurationError(
                f"the page cannot be served on {authority(host, port)}: {error}; choose another "
                "host or port"
            ) from error
        self.port: int = self._server.sockets[0].getsockname()[1]
        self._thread = threading.Thread(target=self._run, name="view_gate", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End all connections."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        self._loop.run_forever()
        self._loop.run_until_complete(self._end())
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), HEAD_TIMEOUT)
            text = head.decode("latin-1")
            refused = refusal(text, self._token)
            if refused is not None:
                status, why = refused
                await _answer(writer, f"{status} Forbidden", why)
            elif self._token and has_token_in_address(text):
                name = _cookie_name(_parse(text)[1])
                cookie = f"Set-Cookie: {name}={self._token}; HttpOnly; SameSite=Lax; Path=/"
                await _answer(writer, "303 See Other", "", "Location: /", cookie)
            else:
                is_page = "upgrade" in _parse(text)[1]  # Others ask for files.
                self.watchers += is_page
                try:
                    await self._join(head, reader, writer)
                finally:
                    self.watchers -= is_page
        # ValueError: of an address that is none.
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError, asyncio.TimeoutError):
            pass  # Whoever asked is gone, or did not ask in HTTP.
        except asyncio.CancelledError:
            pass  # The gate is closed. asyncio would log a connection that ends cancelled.
        finally:
            with contextlib.suppress(OSError):
                writer.close()

    async def _join(
        self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Hand on bytes in both directions until one side closes."""
        inner_reader, inner_writer = await asyncio.open_connection(*self._behind)
        try:
            if self._proof:  # The server behind closes the connection after one request.
                head = head[:-2] + f"{PROOF}: {self._proof}\r\n\r\n".encode()
            inner_writer.write(head)
            ways = [
                asyncio.ensure_future(_copy(reader, inner_writer)),
                asyncio.ensure_future(_copy(inner_reader, writer)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        finally:
            with contextlib.suppress(OSError):
                inner_writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(CHUNK):
        writer.write(data)
        await writer.drain()


async def _answer(writer: asyncio.StreamWriter, status: str, text: str, *headers: str) -> None:
    body = text.encode()
    lines = [
        f"HTTP/1.1 {status}",
        "Content-Type: text/plain; charset=utf-8",
        f"Content-Length: {len(body)}",
        "Connection: close",
        *headers,
    ]
    writer.write("\r\n".join([*lines, "", ""]).encode() + body)
    await writer.drain()
