# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""What the node says while it cannot control: what is missing, and what is there instead."""

import math
import re

import numpy as np
import pytest
import torch
from nav_msgs.msg import Odometry
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray

from cem_planner_ros.control.ladder import FRESH
from cem_planner_ros.control.tick import StateSample
from cem_planner_ros.ros.alerts import ERROR, INFO, REPEAT, WARNING, Alert, Alerts
from cem_planner_ros.ros.state_watch import StateWatch, rate_of, too_rare

JOINTS = {
    "state__type": "sensor_msgs/msg/JointState",
    "state__topic": "joint_states",
    "state__fields__x": "position[a]",
    "state__fields__y": "position[b]",
    "state__fields__x_dot": "velocity[a]",
    "state__fields__y_dot": "velocity[b]",
}


class Log:
    """Stands for a node's logger."""

    def __init__(self):
        self.lines = []

    def info(self, text):
        self.lines.append((INFO, text))

    def warning(self, text):
        self.lines.append((WARNING, text))

    def error(self, text):
        self.lines.append((ERROR, text))


@pytest.fixture
def says(capfd, wait_until):
    """A function that waits until the log says something; returns the lines that do."""
    seen = []

    def wait_for(pattern, count=1):
        def found():
            seen.append(capfd.readouterr().err)
            return re.findall(f".*{pattern}.*", "".join(seen))

        wait_until(lambda: len(found()) >= count)
        return found()

    return wait_for


@pytest.fixture
def repeat(observer):
    """A function that publishes a message, made anew each time, at a rate in Hz."""

    def publish(make, topic, rate):
        publisher = observer.node.create_publisher(type(make()), topic, 1)
        observer.node.create_timer(1.0 / rate, lambda: publisher.publish(make()))

    return publish


def joints(names="ab", values=(0.0, 0.0)):
    zeros = [0.0] * len(names)
    return JointState(name=list(names), position=list(values)[: len(names)], velocity=zeros)


def test_an_alert_is_logged_at_once_and_again_while_it_lasts():
    log = Log()
    alerts = Alerts(log)
    here = [Alert("a", "a is off", ERROR), Alert("b", "b waits", INFO)]
    alerts.update(here, 0.0)
    alerts.update(here, 0.9 * REPEAT)
    assert log.lines == [(ERROR, "a is off"), (INFO, "b waits")]
    alerts.update([], 0.95 * REPEAT)
    assert alerts.present == []
    alerts.update(here, 0.99 * REPEAT)  # It came and went: no reason to be louder.
    assert len(log.lines) == 2
    alerts.update(here, REPEAT)
    assert log.lines[2:] == [(ERROR, "a is off")]
    alerts.forget()
    alerts.update(here, REPEAT)
    assert len(log.lines) == 5


def test_how_often_states_come_is_known_from_three_on_and_while_they_come():
    assert math.isnan(rate_of([0.0, 0.5], 0.6))
    assert rate_of([0.0, 0.5, 1.0, 1.5], 1.6) == pytest.approx(2.0)
    assert math.isnan(rate_of([0.0, 0.5, 1.0, 1.5], 4.0))
    assert too_rare(2.0, 0.1) == "states come at 2 Hz, max_state_age 0.1 s needs more than 10"
    assert too_rare(20.0, 0.1) == too_rare(math.nan, 0.1) == ""


@pytest.mark.parametrize(("looks", "rate"), [(2, 5.0), (1, math.nan)])
def test_the_rate_of_states_is_unknown_with_a_new_one_in_each_period(looks, rate):
    """At 200 Hz, they seemed to come at the rate of plans, and too rarely for slow ones."""
    now = 0.0
    watch = StateWatch({}, lambda: now)
    for tick in range(20):
        now = 0.2 / looks * tick
        watch.see(StateSample(np.zeros(2), float(tick // looks)))
    assert watch.rate == pytest.approx(rate, nan_ok=True)


@pytest.mark.parametrize(
    ("angles", "is_told"),
    [
        ([170.0, 179.9, -179.8], True),
        ([350.0, 359.0, 2.0], True),
        ([3.0, 3.1, -3.1], False),  # It wraps in rad.
        ([100.0, 100.3, 100.6], False),  # It turned often, and does not jump.
        ([-3.0, 400.0, -3.0], False),  # It jumps by something else.
    ],
)
def test_an_angle_that_wraps_in_degrees_is_told(angles, is_told):
    watch = StateWatch({"theta": 1}, lambda: 0.0)
    for time_, angle in enumerate(angles):
        watch.see(StateSample(np.array([0.0, angle]), float(time_)))
    assert ("'theta' looks like degrees" in watch.degrees) == is_told


def test_without_a_plant_it_says_what_is_missing(node, says, newest, wait_until):
    node().autostart()
    line, *_ = says("stopped: no message on")
    assert "'/state' (expects std_msgs/Float64MultiArray; 0 publishers)" in line
    wait_until(lambda: "stopped (no_state): no message on '/state'" in newest()["message"])
    assert newest()["message"].count("stopped") == 1  # It is not said twice.
    # Also that nobody listens, which states alone would not show.
    says("no subscriber of the commands on '/command' .sends std_msgs/Float64MultiArray")
    says("stopped: no message on", count=2)  # As long as it lasts.


def test_another_type_and_another_topic_are_named(node, says, elsewhere):
    elsewhere.create_publisher(Float64MultiArray, "joint_states", 1)
    elsewhere.create_publisher(JointState, "robot/joint_states", 1)
    node(**JOINTS).autostart()
    says(
        r"stopped: no message on '/joint_states' \(expects sensor_msgs/JointState; 0 publishers, "
        r"1 of std_msgs/Float64MultiArray\); sensor_msgs/JointState comes on '/robot/joint_states'"
    )


@pytest.mark.parametrize(
    ("make", "pattern"),
    [
        (lambda: joints(values=(math.nan, 0.0)), "no state on '/joint_states' .*'x' is not finite"),
        (lambda: joints("ac"), "no state on '/joint_states' .*joint.*: a, c"),
    ],
    ids=["NaN", "a joint is missing"],
)
def test_states_that_cannot_be_used_are_told_with_the_reason(node, says, repeat, make, pattern):
    node(**JOINTS).autostart()
    repeat(make, "joint_states", 30.0)
    says(f"stopped: {pattern}")


def test_states_that_come_too_rarely_are_told_with_both_rates(
    node, says, repeat, newest, wait_until
):
    node(max_state_age=0.1).autostart()
    repeat(lambda: Float64MultiArray(data=[0.0] * 4), "state", 2.0)
    line, *_ = says("states come at")
    assert re.search(
        r"states come at (1|2|3)\.?\d* Hz, max_state_age 0.1 s needs more than 10", line
    )
    wait_until(lambda: "max_state_age 0.1 s" in newest()["message"])


def test_states_that_stop_are_told_with_how_long_ago(node, says, states, statistics, wait_until):
    node().autostart()
    wait_until(lambda: statistics.status == FRESH)
    states.on = False
    says(r"stopped: no message on '/state' for \d+\.\d s \(1 publisher\)")


def test_states_that_are_old_when_they_come_are_told(node, says, observer, repeat):
    def late():
        message = joints()
        stamp = observer.node.get_clock().now().nanoseconds - 700_000_000
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp, 10**9)
        return message

    node(**JOINTS).autostart()
    repeat(late, "joint_states", 30.0)
    says(r"stopped: the state is 0\.[6-9]\d* s old .*max_state_age is 0.2 s")


def test_a_frame_that_is_not_frame_id_is_told_for_any_cost(
    node, says, repeat, statistics, unhurried, wait_until
):
    def odometry():
        message = Odometry()
        message.header.frame_id = "/map"
        return message

    fields = {"x": "x", "y": "y", "x_dot": "linear.x", "y_dot": "linear.y"}
    node(
        state__type="nav_msgs/msg/Odometry",
        **unhurried,
        **{f"state__fields__{name}": field for name, field in fields.items()},
    ).autostart()
    repeat(odometry, "state", 30.0)
    says("states on '/state' are in the frame 'map', frame_id is 'odom'")
    wait_until(lambda: statistics.status == FRESH)  # It goes on all the same.


def test_two_commanders_are_told_by_name(node, says, states, observer, newest, wait_until):
    observer.node.create_publisher(Float64MultiArray, "command", 1)
    node().autostart()
    says("others publish on the command topic '/command' too")
    wait_until(lambda: "end or remap /observer" in newest()["message"])


def test_two_plants_are_told_by_name(node, says, states, elsewhere):
    elsewhere.create_publisher(Float64MultiArray, "state", 1)
    node().autostart()
    says("several nodes publish states on '/state': /elsewhere, /observer")


def test_invalid_candidates_are_told_by_their_share(
    node, says, states, statistics, unhurried, wait_until
):
    planner = node(**unhurried)
    planner.autostart()
    wait_until(lambda: statistics.status == FRESH)
    cost = planner.ready.planner.costs[0]
    stage = cost.stage

    def partly(state, action, previous_action, time):
        value = stage(state, action, previous_action, time)
        return value.where(torch.arange(len(value)) % 2 == 0, math.nan)

    cost.stage = partly
    says(r"50 % of the candidates have a NaN or infinite cost")
    cost.stage = lambda *arguments: stage(*arguments) * math.nan
    says("stopped: every candidate has a NaN or infinite cost")


def test_a_clock_that_nobody_publishes_is_told(node, says, states):
    node(use_sim_time=True).autostart()
    says(r"the clock stands still.*publishers on '/clock': 0")


def test_nothing_is_said_where_all_is_well(
    node, states, statistics, observer, unhurried, wait_until, capfd
):
    observer.listen(Float64MultiArray, "command")
    node(**unhurried).autostart()
    wait_until(lambda: len(statistics.messages) > 15)
    said = capfd.readouterr().err
    assert "stopped" not in said.partition("active:")[2].replace("planning again", "")
    assert "no subscriber of the commands" not in said
    assert "publishers" not in said


def test_an_arm_is_held_where_it_is_from_the_first_command_on(node, observer, repeat, wait_until):
    """The actions stand for set-points of joints a and b, which are far from zero."""
    measured = {f"action__measured_by__{n}_ddot": n for n in "xy"}
    measured |= {f"action__safe__{n}_ddot": "measured" for n in "xy"}
    commands = observer.listen(Float64MultiArray, "command")
    node(**JOINTS | measured, action__rate__x_ddot=0.1).autostart()
    repeat(lambda: joints(values=(0.7, -0.6)), "joint_states", 50.0)
    wait_until(lambda: len(commands) > 10)
    values = np.array([message.data for _, message in commands])
    np.testing.assert_allclose(values[0], [0.7, -0.6])
    assert np.abs(np.diff(values[:, 0])).max() < 0.1 * 0.02 + 1e-9
    # `ros2 param set` gives a number or the word.
    assert observer.set(action__safe__x_ddot=0.25) == []
    assert observer.get("action.safe.x_ddot") == 0.25
    assert observer.set(action__safe__x_ddot="measured") == []
    (refusal,) = observer.set(action__safe__x_ddot="here")
    assert "a finite number" in refusal
    assert "or measured" in refusal
    assert observer.transition("deactivate")
    wait_until(lambda: list(commands[-1][1].data) == [0.7, -0.6])


def test_a_set_point_that_waits_for_a_blocked_joint_is_told(
    node, observer, says, repeat, newest, wait_until, unhurried
):
    """The action is the speed of joint a, which stays where it is."""
    sent = observer.listen(Float64MultiArray, "command")
    bounds = {"action__low__x_ddot": -0.5, "action__high__x_ddot": 0.5}
    speed = {"command__integrate__x_ddot": "x", **bounds}
    node(**JOINTS | speed | unhurried, goal__target__x=9.0).autostart()
    repeat(lambda: joints(values=(0.7, 0.0)), "joint_states", 50.0)
    says(r"the set-point waits for x, which is farther behind than command.max_lead 0.2 s allows")
    wait_until(lambda: "waits for x" in newest()["message"])
    most = 0.5 * (1.0 / unhurried["control_rate"] + 0.2)
    assert sent[-1][1].data[0] == pytest.approx(0.7 + most)
    # With a wider limit, set while it controls, it goes on.
    assert observer.set(command__max_lead=1.0) == []
    wait_until(lambda: sent[-1][1].data[0] > 0.7 + most + 0.1)
