# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Every transition in every order, and an exception inside each."""

import pkgutil
import random
import threading
import time

import pytest
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.lifecycle import LifecycleNode
from rosgraph_msgs.msg import Clock
from std_msgs.msg import Float64MultiArray

from cem_planner_ros.control.ladder import FRESH

SAFE = [0.125, 0.0]
AFTER = {
    ("unconfigured", "configure"): "inactive",
    ("inactive", "activate"): "active",
    ("inactive", "cleanup"): "unconfigured",
    ("active", "deactivate"): "inactive",
}
"""What leads where; anything else is refused and changes nothing."""
TRANSITIONS = ("configure", "activate", "deactivate", "cleanup")


def controls():
    """Whether a control loop runs in this process."""
    return any(thread.name == "planner_watchdog" for thread in threading.enumerate())


@pytest.fixture
def commands(observer):
    return observer.listen(Float64MultiArray, "command")


def test_transitions_in_any_order_lead_where_they_should(
    node, observer, states, statistics, wait_until
):
    """40 random requests, every pair of state and transition among them."""
    node()
    rng = random.Random(124)
    state, tried = "unconfigured", set()
    while len(tried) < 12 or state != "active":
        name = rng.choice(TRANSITIONS)
        tried.add((state, name))
        succeeded = observer.transition(name)
        assert succeeded == ((state, name) in AFTER)
        state = AFTER.get((state, name), state)
        assert observer.lifecycle() == state
    wait_until(lambda: statistics.status == FRESH)


@pytest.mark.parametrize("state", ["unconfigured", "inactive", "active"])
def test_shutdown_ends_it_from_any_state_with_the_safe_command(
    node, observer, states, statistics, commands, wait_until, state
):
    planner = node(autostart=state == "active")
    planner.autostart()
    if state == "inactive":
        assert observer.transition("configure")
    if state == "active":
        wait_until(lambda: statistics.status == FRESH)
    assert observer.transition(f"{state}_shutdown")
    assert observer.lifecycle() == "finalized"
    if state == "active":
        wait_until(lambda: list(commands[-1][1].data) == SAFE)
    count = len(commands)
    time.sleep(0.2)
    assert len(commands) == count


@pytest.mark.parametrize(
    ("where", "path", "state"),
    [
        ("node.make_planner", ["configure"], "unconfigured"),
        ("topics.Reports", ["configure"], "unconfigured"),
        ("node.ControlLoop", ["configure", "activate"], "inactive"),
        (
            "planner_thread.PlannerThread.join",
            ["configure", "activate", "deactivate"],
            "unconfigured",
        ),
        ("topics.Topics.destroy", ["configure", "cleanup"], "unconfigured"),
    ],
)
def test_an_exception_in_a_transition_is_told_and_can_be_mended(
    node, observer, states, statistics, capfd, monkeypatch, wait_until, where, path, state
):
    node(autostart=False)
    *before, last = path
    for name in before:
        assert observer.transition(name)
    where = f"cem_planner_ros.ros.{where}"
    original = pkgutil.resolve_name(where)
    raised = []

    def once(*arguments, **named):
        if not raised:
            raised.append(True)
            raise RuntimeError("the disk is full")
        return original(*arguments, **named)

    monkeypatch.setattr(where, once)
    assert not observer.transition(last)
    wait_until(lambda: observer.lifecycle() == state)
    assert "the disk is full" in capfd.readouterr().err
    assert not controls()
    if state == "unconfigured":
        assert observer.transition("configure")
    assert observer.transition("activate")
    wait_until(lambda: statistics.status == FRESH)


def test_an_exception_right_after_the_loop_began_ends_the_loop(
    node, observer, states, commands, statistics, monkeypatch, wait_until
):
    def broken(self, state):
        raise RuntimeError("a managed entity")

    node(autostart=False)
    assert observer.transition("configure")
    with monkeypatch.context() as patch:
        patch.setattr(LifecycleNode, "on_activate", broken)
        assert not observer.transition("activate")
    assert observer.lifecycle() == "inactive"
    assert not controls()
    wait_until(lambda: not commands or list(commands[-1][1].data) == SAFE)
    assert observer.transition("activate")
    wait_until(lambda: statistics.status == FRESH)


def test_a_simulations_clock_is_followed_and_its_jumps_are_told(
    node, observer, states, statistics, newest, commands, wait_until, capfd
):
    clock = observer.node.create_publisher(Clock, "/clock", 10)
    diagnostics = observer.listen(DiagnosticArray, "/diagnostics")
    now = [1000.0]

    def publish():
        now[0] += 0.005  # A busy machine makes a simulation slow, and its clock jumps never.
        message = Clock()
        message.clock.sec, message.clock.nanosec = int(now[0]), int(now[0] % 1 * 1e9)
        clock.publish(message)

    timer = observer.node.create_timer(0.005, publish)
    planner = node(use_sim_time=True)
    planner.autostart()
    wait_until(lambda: statistics.status == FRESH)
    # Neither the first reading nor the time of configuring was a jump.
    assert newest()["clock jumps"] == "0"
    assert "the clock was set" not in capfd.readouterr().err
    for jump in (-500.0, 300.0):
        steps = planner.loop.commander.ladder.steps["stopped"]
        now[0] += jump
        wait_until(lambda steps=steps: planner.loop.commander.ladder.steps["stopped"] > steps)
        said = []
        wait_until(
            lambda said=said: (
                said.append(capfd.readouterr().err) or "planning starts again" in "".join(said)
            )
        )
        wait_until(lambda: planner.loop.commander.ladder.status == FRESH)
        # Periods that never were are not missing.
        assert statistics.values("missing")[-1] < 100
    assert int(newest()["clock jumps"]) >= 2
    # Time that stands still brings none but the safe command, which is for a plant that moves on.
    wait_until(lambda: list(commands[-1][1].data) != SAFE)
    timer.cancel()
    wait_until(lambda: "only the safe command is sent" in newest()["message"])
    wait_until(lambda: list(commands[-1][1].data) == SAFE)
    # It does not wait for the next message of the diagnostics.
    told, count = len(diagnostics), len(commands)
    wait_until(lambda: len(commands) - count > len(diagnostics) - told + 2)
    assert {tuple(message.data) for _, message in commands[count:]} == {tuple(SAFE)}
    count = len(commands)
    timer.reset()
    wait_until(lambda: len(commands) > count + 5 and list(commands[-1][1].data) != SAFE)


def test_the_clock_of_the_node_is_changed_only_while_it_is_not_active(
    node, observer, states, statistics, wait_until
):
    node().autostart()
    wait_until(lambda: statistics.status == FRESH)
    (refusal,) = observer.set(use_sim_time=True)
    assert "'use_sim_time' can only change while the node is not active" in refusal
    assert observer.get("use_sim_time") is False
    assert observer.set(use_sim_time=False) == []
    assert observer.transition("deactivate")
    assert observer.set(use_sim_time=True) == []
    assert observer.transition("activate")
    clock = observer.node.create_publisher(Clock, "/clock", 10)
    count = len(statistics.messages)

    def publish():
        message = Clock()
        now = time.monotonic()
        message.clock.sec, message.clock.nanosec = int(now), int(now % 1 * 1e9)
        clock.publish(message)

    observer.node.create_timer(0.005, publish)
    wait_until(lambda: len(statistics.messages) > count and statistics.status == FRESH)
