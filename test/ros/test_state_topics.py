"""A state from two topics, over DDS: what the node says while one is silent, and what it plans."""

import re

import pytest
from geometry_msgs.msg import TwistStamped
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray

from cem_planner_ros.control.ladder import FRESH, STOPPED
from cem_planner_ros.control.tick import NO_STATE, STALE_STATE

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
