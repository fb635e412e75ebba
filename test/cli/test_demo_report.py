# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""What a demo says while it runs and at its end."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from cem_planner_ros.cli import demo_report
from cem_planner_ros.cli.demo_scenario import DemoRecording
from cem_planner_ros.cli.scenarios import SCENARIOS
from cem_planner_ros.dynamics.cartpole import CartPole
from cem_planner_ros.dynamics.pendulum import Pendulum
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.ros import node_processes

SHOW = """
from cem_planner_ros.cli.demo_command import _progress
with _progress(8.0) as show:
    show(1.0, "height [m] +0.31")
"""


def test_a_terminal_shows_units(tmp_path):
    """In brackets, which rich takes for markup."""
    pytest.importorskip("rich")
    side, other = pty.openpty()
    subprocess.run([sys.executable, "-c", SHOW], stdout=other, check=True, timeout=120.0)
    os.close(other)
    shown = os.read(side, 65536).decode()
    os.close(side)
    assert "height [m] +0.31" in shown


def test_the_table_shows_what_is_in_brackets(tmp_path, capsys):
    scenario = SCENARIOS["cartpole"](0)
    found, _ = scenario.evaluate(DemoRecording(), 8.0)
    times = demo_report.timing(DemoRecording(), 0.02)
    summary = {"scenario": "cartpole", "seed": 0, **found, **times}
    demo_report.show(scenario, summary, ["[red]"], Path("my[1]"))
    output = capsys.readouterr().out
    assert "FAILED: [red]" in output
    assert "my[1]" in output


def test_commands_have_units():
    assert demo_report.action_labels(CartPole()) == ["force [N]"]
    assert demo_report.action_labels(Pendulum()) == ["torque [Nm]"]


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("import os; os.kill(os.getpid(), 9)", "the planner ended by SIGKILL; its last"),
        ("print(5); exit(3)", "the planner ended with status 3; its last lines:\n  5"),
        ("exit(1)", "(none: is the disk full?)"),
    ],
)
def test_how_a_node_ended_is_told(tmp_path, code, text):
    with (tmp_path / "planner.log").open("w") as log:
        process = subprocess.Popen([sys.executable, "-c", code], stdout=log)
    process.wait(60.0)
    with pytest.raises(ConfigurationError) as caught:
        node_processes.check({"planner": process}, tmp_path)
    assert text in str(caught.value)
