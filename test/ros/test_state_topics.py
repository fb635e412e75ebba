# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""A state from two topics, over DDS: what the node says while one is silent, and what it plans."""

import itertools
import re
from collections import Counter
from importlib.util import find_spec
from types import SimpleNamespace

import numpy as np
import pytest
from geometry_msgs.msg import TwistStamped
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory

from cem_planner_ros.control.ladder import FRESH, STOPPED
from cem_planner_ros.control.tick import NO_STATE, STALE_STATE
from cem_planner_ros.ros.state_topics import StateTopics

SAFE = [0.125, 0.0]

TWO = {
    "state__sources": ["places", "speeds"],
    "state__places__topic": "joint_states",
    "state__places__fields__x": "position[a]",
    "state__places__fields__y": "position[b]",
    "state__speeds__topic": "twist",
    "state__speeds__type": "geometry_msgs/msg/TwistStamped",
    "state__speeds__fields__x_dot": "linear.x",
    "state__speeds__fields__y_dot": "linear.y",
    "state__speeds__max_age": 1.0,
}


class Two:
    """Publishes places at 50 Hz and speeds at 20 Hz, while they are on."""

    def __init__(self, node):
        self._node = node
        self.on = set()
        self._places = node.create_publisher(JointState, "joint_states", 1)
        self._speeds = node.create_publisher(TwistStamped, "twist", 1)
        node.create_timer(0.02, self._say_places)
        node.create_timer(0.05, self._say_speeds)

    def _say_places(self):
        if "places" in self.on:
            message = JointState(name=["b", "a"], position=[0.0, 0.0])
            message.header.stamp = self._node.get_clock().now().to_msg()
            self._places.publish(message)

    def _say_speeds(self):
        if "speeds" in self.on:
            message = TwistStamped()
            message.header.stamp = self._node.get_clock().now().to_msg()
            self._speeds.publish(message)


@pytest.fixture
def two(observer):
    return Two(observer.node)


def test_a_state_of_two_topics_is_planned_from_while_both_are_heard(
    node, observer, two, wait_until, statistics, newest, unhurried
):
    commands = observer.listen(Float64MultiArray, "command")
    node(**TWO, **unhurried).autostart()
    wait_until(lambda: statistics.cause == NO_STATE)
    two.on.add("places")
    wait_until(
        lambda: re.search(
            r"no message on '/twist' \(expects geometry_msgs/TwistStamped; .*source speeds",
            newest()["message"],
        )
    )
    assert statistics.cause == NO_STATE
    two.on.add("speeds")
    wait_until(lambda: statistics.status == FRESH)
    wait_until(lambda: commands[-1][1].data[0] > 0.0)  # The target is ahead.
    values = newest()
    assert int(values["states of places read"]) > 0
    assert int(values["states of speeds read"]) > 0
    two.on.remove("speeds")
    wait_until(lambda: statistics.cause == STALE_STATE)
    wait_until(lambda: statistics.status == STOPPED)
    wait_until(
        lambda: re.search(
            r"no message on '/twist' for \d+\.\d s .*source speeds", newest()["message"]
        )
    )
    two.on.add("speeds")
    wait_until(lambda: statistics.status == FRESH)


def test_a_cause_that_is_counted_while_diagnostics_are_made_does_no_harm():
    """The planner thread counts, the executor's thread tells."""

    class Cause(str):
        def __format__(self, spec):
            dropped["another cause"] += 1
            return str(self)

    dropped = Counter({Cause("a cause"): 1})
    states = SimpleNamespace(received=3, dropped=dropped, disbelieved=Counter())
    one = SimpleNamespace(source=SimpleNamespace(name=""), input=states)
    facts = StateTopics.facts(SimpleNamespace(each=[one]))
    assert facts["states dropped: a cause"] == 1


def test_what_a_source_lacks_is_told_by_its_own_topic(node, two, wait_until, newest, unhurried):
    changed = TWO | {"state__places__fields__y": "position[c]"}
    two.on |= {"places", "speeds"}
    node(**changed, **unhurried).autostart()
    wait_until(
        lambda: re.search(
            r"no state on '/joint_states' can be used \(source places\): no position\[c\]; there "
            r"are the joints: b, a",
            newest()["message"],
        )
    )
    assert "twist" not in newest()["message"]


JOINTS = {
    "state__type": "sensor_msgs/msg/JointState",
    "state__topic": "joint_states",
    "state__fields__x": "position[a]",
    "state__fields__y": "position[b]",
    "state__fields__x_dot": "velocity[a]",
    "state__fields__y_dot": "velocity[b]",
    "command__type": "trajectory_msgs/msg/JointTrajectory",
    "command__fields__x_ddot": "position[a]",
    "command__fields__y_ddot": "position[b]",
}


def test_a_joint_trajectory_has_the_plan_that_follows_and_is_sent_more_often(
    node, observer, wait_until, statistics, unhurried
):
    sent = observer.listen(JointTrajectory, "command")
    publisher = observer.node.create_publisher(JointState, "joint_states", 1)
    state = JointState(name=["a", "b"], position=[0.0, 0.0], velocity=[0.0, 0.0])
    observer.node.create_timer(0.02, lambda: publisher.publish(state))
    more = {"command__preview": 3, "command__rate": 50.0}
    node(**JOINTS, **more, **unhurried).autostart()
    wait_until(lambda: statistics.status == FRESH)

    def are_sent_more_often():
        """Whether of the last 60 at most one in three came with statistics."""
        (since, _), *rest = list(sent)[-60:]
        return len(rest) == 59 and sum(at >= since for at, _ in list(statistics.messages)) <= 20

    wait_until(are_sent_more_often)
    messages = [message for _, message in sent[-60:]]
    followed = [message for message in messages if len(message.points) == 4]
    assert len(followed) > 30
    for message in followed:
        times = [p.time_from_start.sec + 1e-9 * p.time_from_start.nanosec for p in message.points]
        assert times[0] == pytest.approx(0.02)
        assert all(later > earlier for earlier, later in itertools.pairwise(times))
        assert all(np.abs(point.positions).max() <= 2.0 for point in message.points)
    assert observer.transition("deactivate")
    wait_until(lambda: list(sent[-1][1].points[0].positions) == SAFE)
    assert len(sent[-1][1].points) == 1  # Nothing is followed after the end.


def test_speeds_are_sent_as_positions_from_the_measured_one_on(
    node, observer, wait_until, statistics, unhurried
):
    sent = observer.listen(JointTrajectory, "command")
    publisher = observer.node.create_publisher(JointState, "joint_states", 1)
    state = JointState(name=["a", "b"], position=[-0.3, 0.0], velocity=[0.0, 0.0])
    integrated = {"command__integrate__x_ddot": "x"}  # Of this model's actions, as good as any.
    node(**JOINTS, **integrated, **unhurried).autostart()
    wait_until(lambda: statistics.cause == NO_STATE)
    assert not sent  # Without a measured position there is none to send.
    observer.node.create_timer(0.02, lambda: publisher.publish(state))
    wait_until(lambda: sent)
    first = sent[0][1].points[0].positions[0]
    period = 1.0 / unhurried["control_rate"]
    assert abs(first - -0.3) <= 2.0 * period + 1e-6
    wait_until(lambda: statistics.status == FRESH and len(sent) > 10)
    found = [message.points[0].positions[0] for _, message in sent]
    assert found[-1] > found[0]  # The target is ahead, and the integral goes on.


@pytest.mark.skipif(find_spec("ackermann_msgs") is not None, reason="ackermann_msgs is installed")
def test_a_command_whose_package_is_not_installed_is_refused_when_configured(
    node, observer, wait_until, capfd
):
    fields = {"command__fields__x_ddot": "speed", "command__fields__y_ddot": "steering_angle"}
    node(command__type="ackermann_msgs/msg/AckermannDriveStamped", **fields).autostart()
    assert observer.lifecycle() == "unconfigured"
    said = []

    def is_told():
        said.append(capfd.readouterr().err)
        return "need the package ackermann_msgs" in "".join(said)

    wait_until(is_told)
