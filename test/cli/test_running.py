# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The commands that talk to a node that runs: set, get, list and watch."""

import signal
import subprocess
import sys

import pytest

rclpy = pytest.importorskip("rclpy", reason="rclpy is not installed")

from diagnostic_msgs.msg import DiagnosticArray  # noqa: E402
from std_msgs.msg import Float64MultiArray  # noqa: E402

from cem_planner_ros.cli import main  # noqa: E402


@pytest.fixture
def say(capsys):
    """A function that runs a command; it returns exit status, output and errors."""

    def run(*words):
        capsys.readouterr()
        status = main(list(words))
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


@pytest.fixture
def planner(node):
    """A node that nobody configures, which is all that its parameters need."""
    return node(autostart=False)


def test_parameters_are_listed_got_and_set(planner, say):
    status, out, _ = say("list", "cem_planner", "goal.weight")
    assert status == 0
    assert "goal.weight.x: 1.0\n" in out
    assert "control_rate" not in out
    status, out, _ = say("list", "cem_planner", "control_rate", "--describe")
    assert "commands sent per second" in out
    assert "from 0.1 to 2000.0" in out
    assert say("set", "/cem_planner", "control_rate", "40") == (0, "control_rate: 40.0\n", "")
    assert say("get", "cem_planner", "control_rate") == (0, "40.0\n", "")
    assert say("set", "cem_planner", "costs", "[goal, other]")[0] == 0
    assert say("get", "cem_planner", "costs")[1] == "[goal, other]\n"
    assert say("set", "cem_planner", "goal.target.x", "-0.5")[0] == 0
    assert say("set", "cem_planner", "frame_id", "1")[1] == "frame_id: '1'\n"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("set cem_planner goal.weight.x much", "'goal.weight.x' is a number, not 'much'"),
        ("set cem_planner goal.weight.x much", "; may be set at any time"),
        ("set cem_planner planner.samples 2.5", "is an integer, not '2.5', allowed: an"),
        ("set cem_planner fallback Policy", "did you mean 'policy'?"),
        ("set cem_planner control_rate -1.0", "from 0.1 to 2000.0 Hz"),
        ("set cem_planner autostart true", "read-only"),
        ("get cem_planner planner.sampels", "did you mean 'planner.samples'?"),
        ("get cem_planer hold", "no node '/cem_planer' was found, did you mean"),
        (
            "list cem_planner gaol",
            "'/cem_planner' has no parameter whose name begins with 'gaol', exp",
        ),
        ("list /**/x", "expected NAME or NAMESPACE/NAME"),
    ],
)
def test_what_cannot_be_is_said_in_words(planner, say, words, text):
    status, _, err = say(*words.split())
    assert status == 1
    assert text in err


def test_an_integer_from_another_tool_serves_as_a_number(planner, observer):
    assert observer.set(control_rate=30) == []
    assert observer.get("control_rate") == 30.0


def test_what_a_node_does_is_watched(node, say):
    node()
    status, out, err = say("watch", "cem_planner", "--count", "2")
    assert (status, err) == (0, "")
    assert out.count("/cem_planner: ") == 2
    assert "lifecycle" in out


def test_a_node_that_controls_is_watched_with_its_cost_terms(
    node, observer, drive, say, wait_until
):
    state = observer.node.create_publisher(Float64MultiArray, "state", 1)
    observer.node.create_timer(0.02, lambda: state.publish(Float64MultiArray(data=[0.0] * 4)))
    told = observer.listen(DiagnosticArray, "/diagnostics")
    node().autostart()
    assert drive["publish_statistics"]
    wait_until(lambda: told and "cost goal" in {v.key for v in told[-1][1].status[0].values})
    status, out, err = say("watch", "cem_planner", "--count", "3")
    assert (status, err) == (0, "")
    last = out.rpartition("/cem_planner: ")[2]
    assert last.startswith(("fresh", "previous_plan", "fallback", "stopped"))
    for key in ("plan time p50 (ms)", "state age p50 (ms)", "iterations", "cost.goal"):
        (line,) = [line for line in last.splitlines() if line.startswith(f"  {key} ")]
        assert line.removeprefix(f"  {key}").strip()


def start_to_watch(name):
    return subprocess.Popen(
        [sys.executable, "-m", "cem_planner_ros", "watch", name],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_watching_ends_cleanly_at_ctrl_c(planner):
    process = start_to_watch("cem_planner")
    assert "/cem_planner: not controlling" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120.0)
    assert (process.returncode, err) == (0, "")


def test_watching_what_is_no_planner_says_so(elsewhere):
    process = start_to_watch("elsewhere")
    assert "waiting: nothing of '/elsewhere' on '/diagnostics' in 5 s" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=120.0)
    assert process.returncode == 0
