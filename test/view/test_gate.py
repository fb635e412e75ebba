# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Who may reach the page."""

import http.client
import socket
import threading

import pytest

from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.view.gate import Gate, authority, is_loopback, refusal


def head(target="/", **headers):
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([f"GET {target} HTTP/1.1", *lines, "", ""])


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.3.2.1", "::1"])
def test_loopback(host):
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.7", "robot", "::", ""])
def test_other_hosts_are_no_loopback(host):
    assert not is_loopback(host)


@pytest.mark.parametrize("host", ["localhost:8080", "127.0.0.1:9000", "[::1]:8080", "127.0.0.1"])
def test_this_machine_needs_no_token(host):
    assert refusal(head(Host=host), "") is None
    assert refusal(head(Host=host, Origin=f"http://{host}", Upgrade="websocket"), "") is None


def test_other_web_pages_are_refused():
    """A page in the same browser, and a name that somebody lets point to this machine."""
    status, why = refusal(head(Host="localhost:8080", Origin="http://evil.example"), "")
    assert status == 403
    assert "evil.example" in why
    assert refusal(head(Host="evil.example:8080"), "")[0] == 403
    assert refusal(head(Host="localhost:8080", Origin="null"), "")[0] == 403


def test_a_token_is_demanded_in_address_or_cookie():
    assert refusal(head(Host="robot:8080"), "secret")[0] == 403
    assert refusal(head("/?token=other", Host="robot:8080"), "secret")[0] == 403
    assert refusal(head("/?token=secret", Host="robot:8080"), "secret") is None
    assert (
        refusal(head(Host="robot:8080", Cookie="cem_planner_token_8080=secret"), "secret") is None
    )
    assert refusal(head(Host="robot:8080", Cookie="cem_planner_token_8080=x"), "secret")[0] == 403
    stale = head("/?token=secret", Host="robot:8080", Cookie="cem_planner_token_8080=earlier")
    assert refusal(stale, "secret") is None
    evil = head(
        Host="robot:8080", Cookie="cem_planner_token_8080=secret", Origin="http://evil.example"
    )
    assert refusal(evil, "secret")[0] == 403


def test_the_cookies_of_two_pages_of_a_host_are_different():
    both = "cem_planner_token_8080=first; cem_planner_token_9090=second"
    for port, token in (("8080", "first"), ("9090", "second")):
        assert refusal(head(Host=f"robot:{port}", Cookie=both), token) is None
        assert refusal(head(Host=f"[fe80::1]:{port}", Cookie=both), token) is None
    assert refusal(head(Host="robot:9090", Cookie=both), "first")[0] == 403
    assert refusal(head(Host="robot", Cookie="cem_planner_token_80=first"), "first") is None


@pytest.mark.parametrize(
    ("host", "expected"),
    [("::1", "[::1]:80"), ("127.0.0.1", "127.0.0.1:80"), ("robot", "robot:80")],
)
def test_an_ipv6_host_stands_in_brackets(host, expected):
    assert authority(host, 80) == expected


@pytest.fixture
def echo():
    """Host and port of a server that answers "hello" to each connection, and echoes after it."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65536)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()


def ask(port, target="/", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", target, headers=headers)
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def test_a_browser_with_the_token_gets_a_cookie_and_then_the_page(echo):
    gate = Gate("127.0.0.1", 0, echo, "secret")
    try:
        assert ask(gate.port)[0].status == 403
        response, _ = ask(gate.port, "/?token=secret")
        assert response.status == 303
        cookie = response.headers["Set-Cookie"].partition(";")[0]
        assert ask(gate.port, Cookie=cookie)[1] == b"hello"
    finally:
        gate.close()


def test_what_is_no_http_hurts_nobody(echo):
    gate = Gate("127.0.0.1", 0, echo, "")
    try:
        with socket.create_connection(("127.0.0.1", gate.port)) as nonsense:
            nonsense.sendall(b"\x00" * 70_000)
        assert ask(gate.port)[1] == b"hello"
    finally:
        gate.close()


def test_an_address_that_is_none_ends_its_connection_alone(echo, caplog):
    gate = Gate("127.0.0.1", 0, echo, "")
    try:
        with socket.create_connection(("127.0.0.1", gate.port), timeout=30) as wrong:
            wrong.sendall(head(Host="[").encode())
            assert wrong.recv(65536) == b""
        assert ask(gate.port)[1] == b"hello"
        assert not caplog.records
    finally:
        gate.close()


def test_a_gate_closes_open_pages_without_a_word(caplog):
    """A browser that shows the page keeps its connection open."""
    with socket.create_server(("127.0.0.1", 0)) as behind:
        gate = Gate("127.0.0.1", 0, behind.getsockname(), "")
        with socket.create_connection(("127.0.0.1", gate.port), timeout=30) as browser:
            browser.sendall(head(Host="localhost", Upgrade="websocket").encode())
            inner, _ = behind.accept()
            with inner:
                assert inner.recv(65536)
                gate.close()
                assert browser.recv(65536) == b""
                assert inner.recv(65536) == b""
    assert not caplog.records


def test_a_port_in_use_is_an_error_that_names_it(echo):
    with pytest.raises(ConfigurationError, match=f"{echo[1]}.*choose another"):
        Gate("127.0.0.1", echo[1], echo, "")


@pytest.mark.parametrize("token", ["a b", "a;b", "a&b", "a\r\nX: y", "ü"])
def test_a_token_that_cannot_be_in_an_address_is_refused(echo, token):
    with pytest.raises(ConfigurationError, match="expected letters, digits"):
        Gate("127.0.0.1", 0, echo, token)
