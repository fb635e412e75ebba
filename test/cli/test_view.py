# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The command `view`, without a planner."""

import importlib.util
import socket
import sys

import pytest

from cem_planner_ros import cli
from cem_planner_ros.ros import process


@pytest.mark.parametrize("command", [["view"], ["demo", "--view"]])
def test_a_missing_package_is_named_with_how_to_install_it(command, monkeypatch, capsys, tmp_path):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "viser" else find(name)
    )
    report = ["--report", str(tmp_path)] if command[0] == "demo" else []
    assert cli.main([*command, *report]) == 1
    assert "needs the package viser: pip install viser mjviser" in capsys.readouterr().err


def test_a_port_that_is_none_is_refused(capsys):
    pytest.importorskip("viser")
    assert cli.main(["view", "--port", "99999"]) == 1
    assert "--port is 99999, allowed: 0 to 65535" in capsys.readouterr().err


def test_options_become_parameters_of_the_node(monkeypatch):
    pytest.importorskip("viser")
    monkeypatch.setattr(sys, "argv", ["view"])
    monkeypatch.setattr(process, "viewer", lambda: 0)
    options = ["--node", "robot1/cem_planner", "--port", "0", "--robot", "it's.xml", "--read-only"]
    assert cli.main(["view", *options]) == 0
    assert sys.argv[:2] == ["view_node", "--ros-args"]
    assert sys.argv[3::2] == [
        "node:='robot1/cem_planner'",
        "host:='127.0.0.1'",
        "port:=0",
        "robot:='it''s.xml'",
        "read_only:=true",
    ]


@pytest.mark.slow
def test_a_page_that_cannot_be_served_ends_with_the_reason(start, wait_until):
    pytest.importorskip("viser")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        view = start("viewer", "-p", f"port:={taken.getsockname()[1]}")
        wait_until(lambda: view.popen.poll() is not None)
    assert view.end() == 1
    assert "cannot be served on 127.0.0.1" in view.output()
