# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""State messages in every condition, without a node."""

import math

import numpy as np
import pytest
import rclpy
from builtin_interfaces.msg import Time
from nav_msgs.msg import Odometry
from rclpy.qos import QoSProfile
from sensor_msgs.msg import JointState

from cem_planner_ros.control.state_parts import StateParts
from cem_planner_ros.readers import part_reader, state_reader
from cem_planner_ros.ros.state_input import MAX_CAUSES, StateInput, state_qos

NOW = 1_700_000_000.0


X = {"x": "position[a]"}


class Inlet:
    """A state input whose clocks stand unless they are moved."""

    def __init__(self, fields=X, read=None):
        self.time = 50.0
        self.warnings = []
        self.use(
            fields,
            read or state_reader("sensor_msgs/msg/JointState", fields),
            self.clock,
            lambda: NOW + self.time - 50.0,
        )

    def clock(self):
        return self.time

    def use(self, fields, read, clock, stamp_clock, **options):
        count = len(fields)
        self.parts = StateParts(clock, np.zeros(count, bool))
        given = clock, stamp_clock, self.warnings.append, self.parts, np.arange(count), fields
        self.input = StateInput(read, *given, "/joint_states", **options)

    @property
    def newest(self):
        return self.parts.newest

    def take(self, value=1.0, stamp=None, name="a"):
        message = JointState(name=[name], position=[value])
        if stamp is not None:
            message.header.stamp = Time(sec=int(stamp), nanosec=int(stamp % 1 * 1e9))
        self.input(message)
        return self.newest


class Simulated(Inlet):
    """A state input whose messages are stamped on the clock of the loop."""

    def __init__(self):
        super().__init__()
        self.time = 100.0
        read = state_reader("sensor_msgs/msg/JointState", X)
        self.use(X, read, self.clock, self.clock)


@pytest.fixture
def inlet():
    return Inlet()


def test_a_state_is_true_at_its_stamp(inlet):
    assert inlet.take(stamp=NOW - 0.03).time == pytest.approx(49.97, abs=1e-6)


def in_frame(frame):
    inlet, fields = Inlet(), {"x": "x"}
    read = state_reader("nav_msgs/msg/Odometry", fields)
    inlet.use(fields, read, inlet.clock, lambda: NOW, frame=frame)
    return inlet


def test_a_state_in_another_frame_than_goal_and_costmap_is_dropped():
    inlet, message = in_frame("odom"), Odometry()
    message.header.frame_id = "map"
    inlet.input(message)
    assert inlet.newest is None
    assert "frame is 'map', expected 'odom' (frame_id)" in inlet.warnings[0]
    message.header.frame_id = "odom"
    inlet.input(message)
    assert inlet.newest is not None


@pytest.mark.parametrize(("frame", "heard"), [("/odom", "odom"), ("odom", "/odom")])
def test_frames_are_the_same_with_and_without_a_leading_slash(frame, heard):
    inlet, message = in_frame(frame), Odometry()
    message.header.frame_id, message.child_frame_id = heard, "/base"
    inlet.input(message)
    assert inlet.newest is not None
    assert not inlet.warnings
    assert inlet.input.child_frame == "base"


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


@pytest.mark.parametrize(
    ("ahead", "cause"),
    [
        (0.11, "stamp in the future under use_sim_time"),
        (1000.0, "stamp in the future under use_sim_time"),
        (1.7e9, "stamp in the future under use_sim_time"),
        (-61.0, "stamp of another clock under use_sim_time"),
    ],
)
def test_on_the_clock_of_a_simulation_a_stamp_that_cannot_be_is_of_before_a_reset(ahead, cause):
    inlet = Simulated()
    inlet.take(1.0, 99.99)
    inlet.take(2.0, 100.0 + ahead)
    assert inlet.newest.state == [1.0]
    assert inlet.newest.time == pytest.approx(99.99)
    assert [cause in warning for warning in inlet.warnings] == [True]
    inlet.time += 0.02
    inlet.take(3.0, 100.02)
    assert inlet.newest.state == [3.0]


def test_a_state_that_comes_before_the_step_of_the_simulations_clock_is_true_now():
    inlet = Simulated()
    inlet.take(1.0, 100.05)
    assert inlet.newest.time == 100.0
    assert not inlet.input.disbelieved
    assert not inlet.warnings


class Running(Simulated):
    """Its clock goes on at each reading, by more than messages are apart."""

    def clock(self):
        self.time += 0.02
        return self.time


def test_a_state_of_a_simulation_is_as_old_as_its_stamp_while_the_clock_goes_on():
    inlet = Running()
    for number in range(5):
        inlet.take(float(number), 100.0 + 0.01 * number)
        assert inlet.newest.state == [number]
        assert inlet.newest.time == pytest.approx(100.0 + 0.01 * number)
    assert not inlet.warnings


def test_clocks_of_two_machines_that_differ_by_a_little_do_no_harm(inlet):
    assert inlet.take(stamp=NOW + 0.001).time == 50.0
    assert not inlet.input.disbelieved


def test_a_message_that_was_overtaken_is_dropped(inlet):
    inlet.take(1.0, stamp=NOW - 0.01)
    assert inlet.take(2.0, stamp=NOW - 0.02).state == [1.0]
    assert inlet.input.dropped["older than the previous message"] == 1
    assert inlet.take(3.0, stamp=NOW).state == [3.0]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_state_that_is_not_finite_is_dropped(inlet, value):
    inlet.take(1.0)
    assert inlet.take(value).state == [1.0]
    assert inlet.input.dropped["'x' is not finite"] == 1


def test_what_is_counted_is_bounded(inlet):
    for number in range(100):
        inlet.input(JointState(name=["a"], position=[1.0] * (number + 2)))
    assert sum(inlet.input.dropped.values()) == 100
    assert len(inlet.input.dropped) <= MAX_CAUSES + 1
    assert len(inlet.warnings) <= MAX_CAUSES + 1


def test_a_thousand_states_a_second_leave_the_newest(inlet):
    for number in range(1000):
        inlet.time += 0.001
        inlet.take(float(number))
    np.testing.assert_array_equal(inlet.newest.state, [999.0])
    assert inlet.input.received == 1000


def test_a_stamp_that_is_repeated_never_makes_an_old_state_new(inlet):
    """An estimator that hangs and goes on publishing; after a minute too."""
    first = inlet.take(stamp=NOW).time
    for seconds in (0.1, 10.0, 59.0, 61.0, 1000.0):
        inlet.time = 50.0 + seconds
        assert inlet.take(stamp=NOW).time == first
    assert inlet.input.dropped["same stamp as the previous message"] == 5


FIELDS = {
    "arm": "position[arm]",
    "arm_dot": "velocity[arm]",
    "hand": "position[hand]",
}


class Parts(Inlet):
    """A state of two joints that come in parts."""

    def __init__(self):
        super().__init__(FIELDS, part_reader("sensor_msgs/msg/JointState", FIELDS))

    def say(self, stamp=None, **joints):
        """Take a message in with (position, velocity) by joint; no velocities if one is None."""
        message = JointState(name=list(joints), position=[each[0] for each in joints.values()])
        velocities = [each[1] for each in joints.values()]
        if None not in velocities:
            message.velocity = velocities
        if stamp is not None:
            message.header.stamp = Time(sec=int(stamp), nanosec=int(stamp % 1 * 1e9))
        self.input(message)
        return self.newest


@pytest.fixture
def parts():
    return Parts()


def test_the_parts_of_several_publishers_make_one_state_as_old_as_its_oldest(parts):
    assert parts.say(NOW, arm=(1.0, 2.0)) is None
    assert parts.input.missing == "no position[hand]; there are the joints: arm"
    parts.time += 0.01
    newest = parts.say(NOW + 0.01, hand=(3.0, None))
    np.testing.assert_array_equal(newest.state, [1.0, 2.0, 3.0])
    assert newest.time == pytest.approx(50.0, abs=1e-6)
    assert parts.input.missing == ""
    parts.time += 0.01
    newest = parts.say(NOW + 0.02, arm=(1.5, 2.5))
    np.testing.assert_array_equal(newest.state, [1.5, 2.5, 3.0])
    assert newest.time == pytest.approx(50.01, abs=1e-6)
    assert not parts.warnings
    assert not parts.input.dropped


def test_two_parts_with_the_same_stamp_are_both_taken(parts):
    parts.say(NOW, arm=(1.0, 2.0))
    assert parts.say(NOW, hand=(3.0, None)) is not None
    assert not parts.input.dropped


def test_when_one_publisher_stops_the_state_gets_old_whatever_the_other_says(parts):
    for _ in range(100):
        parts.time += 0.02
        parts.say(hand=(3.0, None))
        if parts.time < 51.0:
            last = parts.say(arm=(1.0, 2.0)).time
    assert parts.newest.time == last < 51.0
    parts.say(arm=(1.0, 2.0))
    assert parts.newest.time == parts.time


def test_the_velocity_may_come_from_another_publisher_than_the_position(parts):
    parts.say(NOW, arm=(1.0, None), hand=(3.0, None))
    assert parts.newest is None
    parts.input(JointState(name=["arm"], velocity=[2.0]))
    np.testing.assert_array_equal(parts.newest.state, [1.0, 2.0, 3.0])


def test_a_part_that_was_overtaken_is_dropped_and_the_rest_of_its_message_taken(parts):
    parts.say(NOW - 0.01, arm=(1.0, 2.0))
    newest = parts.say(NOW - 0.02, arm=(9.0, 9.0), hand=(3.0, 0.0))
    np.testing.assert_array_equal(newest.state, [1.0, 2.0, 3.0])
    parts.say(NOW - 0.03, arm=(8.0, 8.0))
    assert parts.input.dropped == {"older than the previous message": 1}
    np.testing.assert_array_equal(parts.newest.state, [1.0, 2.0, 3.0])


def test_what_a_state_lacks_is_known_with_all_joints_that_were_named(parts):
    assert parts.input.missing == ""
    parts.say(finger=(1.0, 0.0))
    parts.say(arm=(1.0, None))
    lacks = "no velocity[arm], position[hand]; there are the joints: finger, arm"
    assert parts.input.missing == lacks
    assert not parts.warnings  # Somebody else may say it.
    parts.say(arm=(1.0, 2.0), hand=(0.0, 0.0))
    assert parts.input.missing == parts.input.oldest == ""
    parts.time += 0.1
    parts.say(arm=(1.0, 2.0))
    assert parts.input.oldest == "position[hand]"


@pytest.mark.parametrize("back", [900.0, 0.03])
def test_a_state_that_was_being_read_when_the_clock_was_set_back_does_not_count(inlet, back):
    """The executor's thread sets the clock and forgets, the loop's thread is reading."""
    inlet.time = 1000.0
    read, jumps = state_reader("sensor_msgs/msg/JointState", X), [True]

    def read_meanwhile(message):
        if jumps:
            jumps.pop()
            inlet.time -= back
            inlet.input.forget()
        return read(message)

    inlet.use(X, read_meanwhile, inlet.clock, inlet.clock)
    assert inlet.take(1.0, stamp=1000.0) is None
    assert inlet.input.dropped == {"the clock was set while the message was read": 1}
    inlet.time += 0.01
    assert inlet.take(2.0, stamp=inlet.time).time == pytest.approx(inlet.time)


def test_a_state_of_before_the_clock_was_set_back_never_keeps_new_ones_out(inlet):
    """Also where nobody said that the clock was set."""
    inlet.take(1.0)
    inlet.time -= 40.0
    newest = inlet.take(2.0)
    assert (newest.time, list(newest.state)) == (inlet.time, [2.0])


def test_nothing_is_lost_between_two_looks_at_a_topic(context, wait_until):
    """An arm at 50 Hz and a gripper at 150 Hz, looked at 10 times a second."""
    node = rclpy.create_node("parts")
    subscription = node.create_subscription(
        JointState, "states", lambda message: None, state_qos("sensor_msgs/msg/JointState", 10.0)
    )
    publisher = node.create_publisher(JointState, "states", QoSProfile(depth=50))
    wait_until(lambda: publisher.get_subscription_count() == 1)
    parts = Parts()
    for number in range(1, 21):
        publisher.publish(JointState(name=["hand"], position=[float(number)]))
        if number == 1:
            publisher.publish(JointState(name=["arm"], position=[5.0], velocity=[6.0]))

    def hand():
        parts.input.look(subscription)
        return parts.newest and parts.newest.state[2]

    wait_until(lambda: hand() == 20.0)
    np.testing.assert_array_equal(parts.newest.state, [5.0, 6.0, 20.0])
    assert parts.input.received == 21
    node.destroy_node()


def test_of_states_that_come_whole_the_newest_is_enough():
    assert state_qos("nav_msgs/msg/Odometry", 50.0).depth == 1
