# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The node in this process, seen from outside over DDS."""

import gc
import math
import sys
import time

import pytest
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import TwistStamped
from nav_msgs.msg import Odometry, Path
from rclpy.executors import SingleThreadedExecutor
from std_msgs.msg import Float64MultiArray

from cem_planner_ros.control.ladder import FRESH, STATUSES, STOPPED
from cem_planner_ros.control.loop import NO_STATE, PLAN_FAILED, STALE_STATE
from cem_planner_ros.ros.diagnostics import STATISTICS
from cem_planner_ros.ros.node import PlannerNode

SAFE = [0.125, 0.0]


def test_controls_with_what_it_is_told_and_tells_what_it_does(
    node, observer, states, wait_until, statistics, newest
):
    commands = observer.listen(Float64MultiArray, "command")
    paths = observer.listen(Path, "/cem_planner/path")
    node().autostart()
    wait_until(lambda: statistics.status == FRESH and len(commands) > 60)
    assert observer.lifecycle() == "active"
    values = newest()
    while values["status"] != FRESH:  # At times on a busy machine.
        values = newest()
    assert values["level"] in (b"\x00", b"\x01")
    assert values["execution"] == "eager"
    assert float(values["plan time p50 (ms)"]) > 0
    assert int(values["states read"]) > 20
    # 50 commands a second, once the machine has time for it; all within bounds, the target ahead.
    wait_until(lambda: abs(commands[-1][0] - commands[-51][0] - 1.0) < 0.3)
    assert all(abs(value) <= 1.0 for _, message in commands for value in message.data)
    assert commands[-1][1].data[0] > 0.0
    assert [d.label for d in statistics.messages[-1][1].layout.dim] == [
        *STATISTICS,
        "cost.goal",
    ]
    wait_until(lambda: statistics.messages[-1][1].data[-1] > 0.0)
    assert float(newest()["cost goal"]) > 0.0
    wait_until(lambda: paths)
    path = paths[-1][1]
    assert len(path.poses) == 21
    assert path.header.frame_id == "odom"
    assert path.poses[-1].pose.position.x > path.poses[0].pose.position.x


def test_without_a_state_and_with_an_old_one_the_safe_command_goes_out(
    node, observer, states, wait_until, statistics
):
    states.on = False
    commands = observer.listen(Float64MultiArray, "command")
    node().autostart()
    wait_until(lambda: len(commands) > 10)
    wait_until(lambda: (statistics.status, statistics.cause) == (STOPPED, NO_STATE))
    assert {tuple(message.data) for _, message in commands} == {tuple(SAFE)}
    states.on = True
    wait_until(lambda: statistics.status == FRESH)
    states.on = False
    wait_until(lambda: statistics.cause == STALE_STATE)
    wait_until(lambda: statistics.status == STOPPED)
    wait_until(lambda: list(commands[-1][1].data) == SAFE)
    count = len(commands)
    wait_until(lambda: len(commands) > count + 10)
    assert {tuple(message.data) for _, message in commands[count:]} == {tuple(SAFE)}
    states.on = True
    wait_until(lambda: statistics.status == FRESH)


def test_bad_state_messages_are_dropped_counted_and_never_planned_from(
    node, observer, states, wait_until, statistics, newest
):
    node().autostart()
    wait_until(lambda: statistics.status == FRESH)
    for data, cause in (
        ([0.0, math.nan, 0.0, 0.0], "'y' is not finite"),
        ([0.0, 0.0], "2 values, expected at least 4"),
    ):
        states.data = data
        wait_until(lambda: statistics.cause == STALE_STATE)
        wait_until(lambda: statistics.status == STOPPED)
        values = {}

        def are_counted(cause=cause, values=values):
            values.update(newest())
            return int(values.get(f"states dropped: {cause}", 0)) > 5

        wait_until(are_counted)
        assert values["level"] == b"\x02"
        assert values["message"].startswith(f"{STOPPED} ({STALE_STATE}): ")
        states.data = [0.0, 0.0, 0.0, 0.0]
        wait_until(lambda: statistics.status == FRESH)


def test_every_parameter_is_listed_and_described(node, observer, drive):
    planner = node()
    names = observer.parameters()
    assert set(drive) <= set(names)
    assert {"goal.weight.x", "action.low.x_ddot", "state.fields.x", "budget_fraction"} <= set(names)
    described = planner.describe_parameter("planner.samples")
    assert described.integer_range[0].from_value == 1
    assert described.additional_constraints.endswith("; may be set while the node is not active")
    assert "[Hz]" in planner.describe_parameter("control_rate").description


def test_live_parameters_change_while_it_controls(node, observer, states, wait_until):
    commands = observer.listen(Float64MultiArray, "command")
    node().autostart()
    wait_until(lambda: commands and commands[-1][1].data[0] > 0.1)
    assert observer.set(goal__target__x=-0.5) == []
    wait_until(lambda: commands[-1][1].data[0] < -0.1)
    assert observer.set(atomically=True, action__low__x_ddot=-0.05, action__safe__x_ddot=0.0) == []
    # Those of before may still arrive; that the bound is reached shows that they have.
    wait_until(lambda: commands[-1][1].data[0] == pytest.approx(-0.05, abs=0.01))
    count = len(commands)
    wait_until(lambda: len(commands) > count + 20)
    assert min(message.data[0] for _, message in commands[count:]) >= -0.05 - 1e-6


def test_bad_values_are_refused_with_a_reason_and_change_nothing(node, observer, states):
    node().autostart()
    for name, value, reason in (
        ("goal.weight.x", -1.0, "goal.weight.x"),
        ("goal.weight.x", math.nan, "goal.weight.x"),
        ("planner.samples", 128, "while the node is not active"),
        ("planner.samples", "many", "type"),
        ("autostart", False, "read-only"),
        ("dynamics.plugin", "cartpole", "while the node is not active"),
    ):
        before = observer.get(name)
        (refusal,) = observer.set(**{name.replace(".", "__"): value})
        assert reason in refusal
        assert observer.get(name) == before
    assert observer.lifecycle() == "active"


def test_shapes_change_while_it_is_inactive(
    node, observer, states, wait_until, statistics, unhurried
):
    planner = node(**unhurried)
    planner.autostart()
    assert observer.transition("deactivate")
    assert observer.set(planner__iterations=3, planner__horizon=5) == []
    assert observer.transition("activate")
    wait_until(lambda: 3 in statistics.values("iterations"))


def test_another_model_without_a_restart(node, observer, wait_until):
    planner = node()
    planner.autostart()
    for name in ("deactivate", "cleanup"):
        assert observer.transition(name)
    assert (
        observer.set(
            dynamics__plugin="diff_drive",
            state__type="nav_msgs/msg/Odometry",
            command__type="geometry_msgs/msg/TwistStamped",
        )
        == []
    )
    # The fields of the new messages are not named yet: refused, and still there to be mended.
    assert not observer.transition("configure")
    assert observer.lifecycle() == "unconfigured"
    assert "state.fields.yaw" in observer.parameters()
    assert (
        observer.set(
            state__fields__x="x",
            state__fields__y="y",
            state__fields__yaw="yaw",
            command__fields__v="linear.x",
            command__fields__yaw_rate="angular.z",
        )
        == []
    )
    assert observer.transition("configure")
    assert "goal.weight.yaw" in observer.parameters()
    assert "goal.weight.x_dot" not in observer.parameters()
    publisher = observer.node.create_publisher(Odometry, "state", 1)
    observer.node.create_timer(0.02, lambda: publisher.publish(Odometry()))
    commands = observer.listen(TwistStamped, "command")
    assert observer.transition("activate")
    wait_until(lambda: commands and commands[-1][1].twist.linear.x > 0.1)
    assert commands[-1][1].header.frame_id == "base_link"


def test_deactivating_sends_the_safe_command_last(node, observer, states, wait_until):
    commands = observer.listen(Float64MultiArray, "command")
    planner = node()
    planner.autostart()
    wait_until(lambda: commands and list(commands[-1][1].data) != SAFE)
    assert observer.transition("deactivate")
    wait_until(lambda: list(commands[-1][1].data) == SAFE)
    count = len(commands)
    time.sleep(0.2)
    assert len(commands) == count
    assert observer.transition("activate")
    wait_until(lambda: len(commands) > count and list(commands[-1][1].data) != SAFE)
    assert observer.transition("deactivate")
    assert observer.transition("cleanup")
    assert observer.transition("configure")
    assert observer.lifecycle() == "inactive"


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("planner.samples", "many", "planner.samples"),
        ("planner.elites", 65, "planner.elites"),
        ("goal.weight.x", -1.0, "goal.weight.x"),
        ("dynamics.plugin", "double", "double_integrator"),
        ("state.fields.x", "nonsense", "state.fields.x"),
    ],
)
def test_a_wrong_yaml_leaves_it_unconfigured_until_it_is_mended_there(
    node, observer, drive, write_yaml, capfd, name, value, text
):
    file = write_yaml(drive | {name: value})
    node(file).autostart()
    assert observer.lifecycle() == "unconfigured"
    message = capfd.readouterr().err
    assert text in message
    assert str(file) in message
    assert not observer.transition("configure")
    write_yaml(drive)
    assert observer.transition("configure")
    assert observer.transition("activate")


def test_a_wrong_yaml_can_be_mended_by_setting_the_parameter(node, observer, drive, write_yaml):
    node(write_yaml(drive | {"planner.samples": 0, "goal.weight.x": "much"})).autostart()
    assert observer.lifecycle() == "unconfigured"
    assert observer.set(planner__samples=64, goal__weight__x=1.0) == []
    assert observer.transition("configure")
    assert observer.get("goal.weight.x") == 1.0


def test_an_unknown_name_in_the_yaml_is_refused_until_it_is_gone(
    node, observer, drive, write_yaml, capfd
):
    node(write_yaml(drive | {"planner.sampels": 64})).autostart()
    assert "did you mean 'planner.samples'" in capfd.readouterr().err
    assert observer.lifecycle() == "unconfigured"
    write_yaml(drive)
    assert observer.transition("configure")


def test_words_and_sections_of_a_yaml_are_read_again_when_it_changes(
    node, observer, write_yaml, tmp_path
):
    pytest.importorskip("mujoco")
    robot = tmp_path / "robot.xml"
    robot.write_text(
        """<mujoco><worldbody><body name="trunk"><freejoint name="root"/><geom size="0.1"/>
        <body><joint name="hip" axis="0 1 0"/><geom size="0.1"/></body></body></worldbody>
        <actuator><motor joint="hip" ctrlrange="-1 1"/></actuator></mujoco>"""
    )
    values = {
        "planner.samples": 16,
        "planner.horizon": 4,
        "planner.device": "cpu",
        "dynamics.plugin": "mujoco",
        "dynamics.file": str(robot),
        "costs": ["near"],
        "near.plugin": "quadratic",
        "state.sources": ["joints", "base"],
        "state.joints": "joint_states",
        "state.base": "odometry",
    }
    node(write_yaml(values | {"dynamics.outputs.com": "subtreecom trunk"})).autostart()
    assert observer.lifecycle() == "active"
    assert observer.get("state.base.type") == "nav_msgs/msg/Odometry"
    assert observer.get("state.base.fields.root_qw") == "qw"
    assert observer.get("dynamics.outputs") == ["com: subtreecom trunk"]
    assert observer.transition("deactivate")
    assert observer.transition("cleanup")
    write_yaml(
        values
        | {"state.base": "pose", "state.base.type": "nav_msgs/msg/Odometry"}
        | {"dynamics.outputs.up": "framezaxis body trunk"}
    )
    assert observer.transition("configure")
    assert observer.get("state.base.topic") == "pose"
    assert observer.get("dynamics.outputs") == ["up: framezaxis body trunk"]


def test_a_model_that_raises_while_controlling_costs_commands_not_the_node(
    node, observer, states, wait_until, statistics, newest
):
    commands = observer.listen(Float64MultiArray, "command")
    planner = node()
    planner.autostart()
    wait_until(lambda: statistics.status == FRESH)
    step = planner.ready.planner.dynamics.step

    def broken(*arguments):
        raise RuntimeError("the model broke")

    planner.ready.planner.dynamics.step = broken
    wait_until(lambda: statistics.cause == PLAN_FAILED)
    wait_until(lambda: statistics.status == STOPPED)
    wait_until(lambda: list(commands[-1][1].data) == SAFE)
    # On a busy machine another cause may be the last one for a period.
    wait_until(lambda: "RuntimeError: the model broke" in newest()["message"])
    # On a busy machine a step may take no period.
    taken = {STATUSES[int(index)] for index in statistics.values("status")}
    values = newest()
    assert all(int(values[f"steps to {status}"]) >= 1 for status in taken)
    planner.ready.planner.dynamics.step = step
    wait_until(lambda: statistics.status == FRESH)


def test_a_rebuild_that_fails_can_be_mended_and_activated(node, observer, states):
    node().autostart()
    assert observer.transition("deactivate")
    assert observer.set(planner__elites=5000) == []
    assert not observer.transition("activate")
    assert observer.lifecycle() == "inactive"
    assert observer.set(planner__elites=8) == []
    assert observer.transition("activate")


def test_two_robots_are_told_apart_in_diagnostics(observer, monkeypatch, wait_until):
    monkeypatch.setattr(sys, "argv", ["node"])
    seen = observer.listen(DiagnosticArray, "/diagnostics")
    robots = [PlannerNode(namespace=f"/robot_{number}") for number in (1, 2)]
    executor = SingleThreadedExecutor()
    for robot in robots:
        executor.add_node(robot)

    def names():
        executor.spin_once(timeout_sec=0.1)
        statuses = [status for _, message in list(seen) for status in message.status]
        return {(status.name, status.hardware_id) for status in statuses}

    told = {(f"/robot_{n}/cem_planner: control", f"/robot_{n}/cem_planner") for n in (1, 2)}
    wait_until(lambda: names() == told)
    for robot in robots:
        robot.close()
        robot.destroy_node()


def test_a_destroyed_node_leaves_the_log_to_the_next_one_of_its_name(observer, wait_until):
    log = observer.listen_to_log()
    gc.disable()  # It must not need the garbage collector, which runs now or in a minute.
    try:
        for count in (1, 2):
            robot = PlannerNode()
            wait_until(lambda: observer.node.count_publishers("/rosout") == 2)
            robot.get_logger().info("here I am")
            wait_until(lambda expected=count: log().count("here I am") == expected)
            robot.close()
            robot.destroy_node()
            wait_until(lambda: observer.node.count_publishers("/rosout") == 1)
    finally:
        gc.enable()
