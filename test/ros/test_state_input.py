"""State messages in every condition, without a node."""

import math

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from nav_msgs.msg import Odometry
from sensor_msgs.msg import JointState

from cem_planner_ros.ros.messages import state_reader
from cem_planner_ros.ros.state_input import MAX_CAUSES, StateInput

NOW = 1_700_000_000.0


class Inlet:
    """A state input whose clocks stand unless they are moved."""

    def __init__(self):
        self.time = 50.0
        self.warnings = []
        read = state_reader("sensor_msgs/msg/JointState", {"x": "position[a]"})
        self.input = StateInput(
            read, lambda: self.time, lambda: NOW + self.time - 50.0, self.warnings.append
        )

    def take(self, value=1.0, stamp=None, name="a"):
        message = JointState(name=[name], position=[value])
        if stamp is not None:
            message.header.stamp = Time(sec=int(stamp), nanosec=int(stamp % 1 * 1e9))
        self.input(message)
        return self.input.newest


@pytest.fixture
def inlet():
    return Inlet()


def test_a_state_is_true_at_its_stamp(inlet):
    assert inlet.take(stamp=NOW - 0.03).time == pytest.approx(49.97, abs=1e-6)


def test_a_state_in_another_frame_than_goal_and_costmap_is_dropped():
    warnings, message = [], Odometry()
    read = state_reader("nav_msgs/msg/Odometry", {"x": "x"})
    inlet = StateInput(read, lambda: 50.0, lambda: NOW, warnings.append, frame="odom")
    message.header.frame_id = "map"
    inlet(message)
    assert inlet.newest is None
    assert "frame is 'map', expected 'odom' (frame_id)" in warnings[0]
    message.header.frame_id = "odom"
    inlet(message)
    assert inlet.newest is not None


def test_a_state_without_a_stamp_is_true_at_its_arrival(inlet):
    assert inlet.take().time == 50.0


@pytest.mark.parametrize(
    ("stamp", "cause"),
    [
        (NOW + 0.1, "stamp in the future"),
        (NOW + 1e6, "stamp in the future"),
        (12.5, "stamp of another clock"),
    ],
)
def test_a_stamp_that_cannot_be_is_counted_and_the_arrival_counts(inlet, stamp, cause):
    for count in (1, 2, 3):
        inlet.time += 0.01
        assert inlet.take(stamp=stamp + 0.01 * count).time == inlet.time
        assert inlet.input.disbelieved[cause] == count
    assert len(inlet.warnings) == 1


def test_clocks_of_two_machines_that_differ_by_a_little_do_no_harm(inlet):
    assert inlet.take(stamp=NOW + 0.001).time == 50.0
    assert not inlet.input.disbelieved


def test_a_message_that_was_overtaken_is_dropped(inlet):
    inlet.take(1.0, stamp=NOW - 0.01)
    assert inlet.take(2.0, stamp=NOW - 0.02).state == [1.0]
    assert inlet.input.dropped["older than the one before"] == 1
    assert inlet.take(3.0, stamp=NOW).state == [3.0]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_state_that_is_not_finite_is_dropped(inlet, value):
    inlet.take(1.0)
    assert inlet.take(value).state == [1.0]
    assert inlet.input.dropped["'x' is not finite"] == 1


def test_what_is_counted_is_bounded(inlet):
    for number in range(100):
        inlet.take(name=f"joint_{number}")
    assert sum(inlet.input.dropped.values()) == 100
    assert len(inlet.input.dropped) <= MAX_CAUSES + 1
    assert len(inlet.warnings) <= MAX_CAUSES + 1


def test_a_thousand_states_a_second_leave_the_newest(inlet):
    for number in range(1000):
        inlet.time += 0.001
        inlet.take(float(number))
    np.testing.assert_array_equal(inlet.input.newest.state, [999.0])
    assert inlet.input.received == 1000


def test_a_stamp_that_is_repeated_never_makes_an_old_state_new(inlet):
    """An estimator that hangs and goes on publishing; after a minute too."""
    first = inlet.take(stamp=NOW).time
    for seconds in (0.1, 10.0, 59.0, 61.0, 1000.0):
        inlet.time = 50.0 + seconds
        assert inlet.take(stamp=NOW).time == first
    assert inlet.input.dropped["same stamp as the one before"] == 5
