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
from cem_planner_ros.cli.demo_command import _progress
from cem_planner_ros.cli.demo_scenario import DemoRecording
from cem_planner_ros.cli.scenarios import SCENARIOS
from cem_planner_ros.dynamics.cartpole import CartPole
from cem_planner_ros.dynamics.pendulum import Pendulum
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.ros import node_processes

SHOW = """
from cem_planner_ros.cli.demo_command import _progress
with _progress(8.0) as show:
    show(
        1.0,
        lambda: "x -0.28 m  y +0.22 m  speed [m/s] +0.33  plan 2.3 ms  command thrust 9.8 m/s^2",
    )
"""


def test_a_terminal_of_80_columns_shows_time_and_units():
    """Units in brackets were markup for rich, and long texts took the place of the time."""
    pytest.importorskip("rich")
    side, other = pty.openpty()
    environment = os.environ | {"COLUMNS": "80"}
    words = [sys.executable, "-c", SHOW]
    subprocess.run(words, stdout=other, check=True, timeout=120.0, env=environment)
    os.close(other)
    shown = os.read(side, 65536).decode()
    os.close(side)
    assert "1.0 s" in shown
    assert "speed [m/s] +0.33  plan 2.3 ms" in shown


def test_a_text_of_progress_is_made_only_when_it_is_shown(capsys):
    """It took so long that the demo no longer published what its robot follows."""
    made = []
    with _progress(3.0) as show:
        for step in range(30):
            show(0.1 * step, lambda step=step: made.append(step) or f"step {step}")
    assert made == [0, 10, 20]
    assert capsys.readouterr().out.split("\n")[1] == "  1.0 s  step 10"


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
    assert demo_report.reading("force [N]", "+3.1") == "force +3.1 N"
    assert demo_report.reading("hip", "+3.1") == "hip +3.1"
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
