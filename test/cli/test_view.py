# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The commands that serve a page: `view`, and `demo --view`."""

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest

from cem_planner_ros import cli
from cem_planner_ros.benchmarks import page_watcher
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


@pytest.mark.slow
def test_a_demo_has_a_page_until_ctrl_c(tmp_path, wait_until, domain_id):
    pytest.importorskip("viser")
    log, port = tmp_path / "log", page_watcher.free_port()
    command = [sys.executable, "-m", "cem_planner_ros", "demo", "--report", tmp_path / "report"]
    with log.open("w") as file:
        demo = subprocess.Popen(
            [*command, "--view", str(port)], stdout=file, stderr=file, start_new_session=True
        )
    try:
        with page_watcher.watching(port) as received:
            wait_until(lambda: "the nodes go on" in log.read_text(), 200.0)
            assert f"the page is at http://127.0.0.1:{port}/" in log.read_text()
            before = len(received)
            wait_until(lambda: len(received) > before + 20)
        os.killpg(demo.pid, signal.SIGINT)
        assert demo.wait(120.0) in (0, 1)  # 1 where the commands were late.
        assert (tmp_path / "report" / "summary.json").exists()
        said = log.read_text() + (tmp_path / "report" / "viewer.log").read_text()
        assert "Traceback" not in said
        assert "Cancelled" not in said
        with pytest.raises(OSError, match="refused"):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/")
    finally:
        demo.kill()
