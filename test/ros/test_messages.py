# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
import math
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from geometry_msgs.msg import PoseStamped, Quaternion, TwistStamped, Vector3
from hypothesis import given
from hypothesis import strategies as st
from nav_msgs.msg import Odometry
from scipy.spatial.transform import Rotation
from sensor_msgs.msg import Imu, JointState
from std_msgs.msg import Float64, Float64MultiArray

from cem_planner_ros import readers
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.fields import QUATERNION
from cem_planner_ros.readers import MessageError
from cem_planner_ros.ros import messages

JOINTS = {"x": "position[slider]", "w": "velocity[hinge]", "f": "effort[slider]"}
ODOMETRY = {"yaw": "yaw", "x": "x", "v": "linear.x", "w": "angular.z", "roll": "roll", "z": "z"}
number = st.floats(-100.0, 100.0)
angle = st.floats(-3.1, 3.1)


@pytest.mark.parametrize(
    ("kind", "fields", "state"),
    [
        ("sensor_msgs/msg/JointState", JOINTS, [1.0, 2.0, 3.0]),
        ("sensor_msgs/msg/JointState", {"x": "position[a] - 2", "y": "velocity[a]"}, [0.5, 1.0]),
        ("nav_msgs/msg/Odometry", ODOMETRY, [0.5, 1.0, 2.0, 3.0, -0.25, 4.0]),
        ("std_msgs/msg/Float64MultiArray", {"a": "data[2]", "b": "data[0]"}, [1.0, 2.0]),
        (
            "geometry_msgs/msg/PoseStamped",
            {"x": "x", "w": "qw", "a": "qx", "b": "qy", "c": "qz"},
            [3.0, 0.5, -0.5, 0.5, 0.5],
        ),
        ("geometry_msgs/msg/TwistStamped", {"v": "linear.z", "w": "angular.x"}, [1.0, -2.0]),
        (
            "sensor_msgs/msg/Imu",
            {"roll": "roll", "w": "angular.z", "up": "world.acceleration.z"},
            [0.3, 2.0, 9.81],
        ),
        (
            "nav_msgs/msg/Odometry",
            {"yaw": "yaw", **{axis: f"world.linear.{axis}" for axis in "xyz"}},
            [2.0, 1.0, 2.0, 3.0],
        ),
    ],
)
def test_a_written_state_is_read_again(kind, fields, state):
    message = messages.state_writer(kind, fields)(np.array(state), Time(sec=7), "odom")
    np.testing.assert_allclose(readers.state_reader(kind, fields)(message), state, atol=1e-12)
    assert readers.stamp_of(message) == (None if "Array" in kind else 7.0)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("std_msgs/msg/Float64MultiArray", {"a": "data[1]", "b": "data[0]"}),
        ("geometry_msgs/msg/Twist", {"v": "linear.x", "w": "angular.z"}),
        ("geometry_msgs/msg/TwistStamped", {"v": "linear.y", "w": "angular.x"}),
        ("geometry_msgs/msg/Wrench", {"f": "force.z", "t": "torque.x"}),
        ("geometry_msgs/msg/WrenchStamped", {"f": "force.z", "t": "torque.x"}),
        ("geometry_msgs/msg/PoseStamped", {"x": "x", "yaw": "yaw"}),
        ("sensor_msgs/msg/JointState", {"a": "velocity[a]", "b": "velocity[b]"}),
        ("sensor_msgs/msg/JointState", {"a": "position[a] + 3.5", "b": "effort[b]"}),
        ("trajectory_msgs/msg/JointTrajectory", {"a": "position[a] - 1", "b": "position[b]"}),
        ("trajectory_msgs/msg/JointTrajectory", {"a": "velocity[a]", "b": "acceleration[b]"}),
    ],
)
def test_a_written_command_is_read_again(kind, fields):
    message = messages.command_writer(kind, fields)(np.array([1.5, -2.5]), Time(sec=3), "base")
    assert list(readers.command_reader(kind, fields)(message)) == [1.5, -2.5]
    if "Stamped" in kind:
        assert (message.header.stamp.sec, message.header.frame_id) == (3, "base")


def test_kinds_that_no_action_commands_stay_empty_in_a_joint_state():
    write = messages.command_writer("sensor_msgs/msg/JointState", {"a": "velocity[left]"})
    message = write(np.array([2.0]), Time(), "")
    assert (list(message.name), list(message.velocity)) == (["left"], [2.0])
    assert not message.position
    assert not message.effort


def test_a_joint_without_an_action_of_a_kind_is_not_commanded_by_it():
    fields = {"a": "position[arm]", "b": "velocity[wheel]"}
    message = messages.command_writer("sensor_msgs/msg/JointState", fields)(
        np.array([1.0, 2.0]), Time(), ""
    )
    assert list(message.name) == ["arm", "wheel"]
    np.testing.assert_array_equal(message.position, [1.0, math.nan])
    np.testing.assert_array_equal(message.velocity, [math.nan, 2.0])


def test_a_joint_trajectory_reaches_the_action_at_the_next_command_and_then_those_of_the_plan():
    write = messages.command_writer(
        "trajectory_msgs/msg/JointTrajectory", {"a": "position[j]"}, horizon=0.02
    )
    later = [(0.1, np.array([2.0])), (0.2, np.array([3.0]))]
    message = write(np.array([1.0]), Time(sec=5), "", later)
    assert list(message.joint_names) == ["j"]
    assert [list(point.positions) for point in message.points] == [[1.0], [2.0], [3.0]]
    times = [point.time_from_start.nanosec for point in message.points]
    assert times == [20_000_000, 100_000_000, 200_000_000]
    assert message.header.stamp == Time()  # Zero: it begins when it arrives.
    assert not message.points[0].velocities


def test_a_message_of_a_package_that_is_not_installed_is_refused_with_what_to_install():
    with pytest.raises(ConfigurationError, match=r"no_such_msgs.*apt install ros-.*-no-such-msgs"):
        messages.message_class("no_such_msgs/msg/AckermannDriveStamped")


def test_the_drive_of_a_car_is_written_field_by_field(monkeypatch):
    """With a stand-in where ackermann_msgs is not installed."""

    class Drive(SimpleNamespace):
        def __init__(self):
            super().__init__(header=TwistStamped().header, drive=SimpleNamespace())

    package = ModuleType("ackermann_msgs.msg")
    package.AckermannDriveStamped = Drive
    monkeypatch.setitem(sys.modules, "ackermann_msgs", ModuleType("ackermann_msgs"))
    monkeypatch.setitem(sys.modules, "ackermann_msgs.msg", package)
    kind, fields = "ackermann_msgs/msg/AckermannDriveStamped", {"v": "speed", "s": "steering_angle"}
    message = messages.command_writer(kind, fields)(np.array([1.5, -0.2]), Time(sec=3), "base")
    assert (message.drive.speed, message.drive.steering_angle) == (1.5, -0.2)
    assert message.header.frame_id == "base"
    assert list(readers.command_reader(kind, fields)(message)) == [1.5, -0.2]


def test_a_written_number_is_read_again():
    message = messages.command_writer("std_msgs/msg/Float64", {"f": "data"})(
        np.array([-2.5]), Time(), "base"
    )
    assert message == Float64(data=-2.5)
    assert list(readers.command_reader("std_msgs/msg/Float64", {"f": "data"})(message)) == [-2.5]


def test_a_joint_whose_zero_is_not_the_model_s_is_read_with_an_offset():
    fields = {
        "up": "position[hinge] + 3.14159",
        "down": "position[hinge]-.5",
        "w": "velocity[hinge]",
    }
    read = readers.state_reader("sensor_msgs/msg/JointState", fields)
    state = read(JointState(name=["hinge"], position=[0.25], velocity=[4.0]))
    np.testing.assert_allclose(state, [3.39159, -0.25, 4.0])


def test_joints_are_found_by_name_also_when_their_order_changes():
    read = readers.state_reader("sensor_msgs/msg/JointState", {"x": "position[b]"})
    assert read(JointState(name=["a", "b"], position=[1.0, 2.0])) == [2.0]
    assert read(JointState(name=["b", "a"], position=[3.0, 4.0])) == [3.0]


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (
            JointState(name=["hinge"], velocity=[1.0]),
            "no position[slider], effort[slider]; there are the joints: hinge",
        ),
        (JointState(), "no position[slider], velocity[hinge], effort[slider]; .* joints: none"),
        (
            JointState(name=["hinge", "slider"], position=[1.0, 1.0]),
            "no velocity[hinge], effort[slider]; there are the joints: hinge, slider",
        ),
        (
            JointState(name=["hinge", "slider"], position=[1.0, 1.0], velocity=[2.0]),
            "1 values of velocity, expected one for each of the 2 joints, or none",
        ),
        (
            JointState(name=["slider", "hinge"], position=[1.0, 1.0, 3.0]),
            "3 values of position, expected one for each of the 2 joints, or none",
        ),
        (
            JointState(name=["slider", "slider", "hinge"], position=[1.0, 2.0, 3.0]),
            "joint 'slider' is named more than once",
        ),
        (
            JointState(
                name=["hinge", "slider"],
                position=[1.0, math.nan],
                velocity=[1.0, 1.0],
                effort=[0.0, 0.0],
            ),
            "'x' is not finite",
        ),
    ],
)
def test_a_joint_state_that_cannot_be_used_is_refused(message, text):
    with pytest.raises(MessageError, match=text.replace("[", r"\[")):
        readers.state_reader("sensor_msgs/msg/JointState", JOINTS)(message)


def test_a_part_of_a_state_is_read_from_a_message_that_lacks_the_rest():
    read = readers.part_reader("sensor_msgs/msg/JointState", JOINTS)
    nan = math.nan
    for message, part in (
        (JointState(name=["hinge"], velocity=[2.0]), [nan, 2.0, nan]),
        (JointState(name=["slider", "hinge"], position=[1.0, 5.0]), [1.0, nan, nan]),
        (JointState(name=["finger"], position=[0.1]), [nan, nan, nan]),
        (JointState(), [nan, nan, nan]),
    ):
        np.testing.assert_array_equal(read(message), part)


@pytest.mark.parametrize("length", [1e-3, 0.5, 1.0, 2.0, 1e200])
def test_a_quaternion_of_any_length_is_the_same_rotation(length):
    angles = readers.euler(*(length * number for number in readers.quaternion(0.3, -0.2, 1.5)))
    np.testing.assert_allclose(angles, (0.3, -0.2, 1.5), atol=1e-9)
    message = Odometry()
    turn = message.pose.pose.orientation
    turn.z, turn.w = length, length
    assert readers.state_reader("nav_msgs/msg/Odometry", {"yaw": "yaw"})(message) == [
        pytest.approx(math.pi / 2)
    ]


@pytest.mark.parametrize(
    "numbers",
    [(0.0, 0.0, 0.0, 0.0), (math.nan, 0.0, 0.0, 1.0), (0.0, 0.0, math.inf, 1.0)],
    ids=["zero", "nan", "inf"],
)
def test_a_quaternion_that_is_no_rotation_is_refused(numbers):
    with pytest.raises(MessageError, match="orientation is not a rotation"):
        readers.euler(*numbers)


def test_an_array_too_short_and_an_orientation_that_is_none_are_refused():
    with pytest.raises(MessageError, match="2 values, expected at least 4"):
        readers.state_reader("std_msgs/msg/Float64MultiArray", {"x": "data[3]"})(
            Float64MultiArray(data=[1.0, 2.0])
        )
    message = Odometry()
    message.pose.pose.orientation.w = 0.0
    with pytest.raises(MessageError, match="not a rotation"):
        readers.state_reader("nav_msgs/msg/Odometry", ODOMETRY)(message)


@given(roll=angle, pitch=st.floats(-1.5, 1.5), yaw=angle)
def test_euler_inverts_quaternion(roll, pitch, yaw):
    angles = readers.euler(*readers.quaternion(roll, pitch, yaw))
    np.testing.assert_allclose(angles, (roll, pitch, yaw), atol=1e-6)


@given(numbers=st.lists(number, min_size=4, max_size=4), length=st.floats(0.01, 100.0))
def test_a_quaternion_is_of_length_one_and_the_same_of_q_and_minus_q(numbers, length):
    size = math.hypot(*numbers)
    if size < 0.1:
        return
    x, y, z, w = (length * each / size for each in numbers)
    read = readers.state_reader("geometry_msgs/msg/PoseStamped", {q: q for q in QUATERNION})
    message = PoseStamped()
    message.pose.orientation = Quaternion(x=x, y=y, z=z, w=w)
    q = read(message)
    assert np.linalg.norm(q) == pytest.approx(1.0)
    assert q[0] >= 0.0
    turn = Rotation.from_quat((x, y, z, w))
    np.testing.assert_allclose(
        Rotation.from_quat(q, scalar_first=True).as_matrix(), turn.as_matrix(), atol=1e-9
    )
    if abs(w) > 1e-6:
        message.pose.orientation = Quaternion(x=-x, y=-y, z=-z, w=-w)
        np.testing.assert_array_equal(read(message), q)


@given(roll=angle, pitch=angle, yaw=angle, vector=st.lists(number, min_size=3, max_size=3))
def test_a_twist_of_odometry_is_in_the_body_and_on_request_in_the_world(roll, pitch, yaw, vector):
    turn = Rotation.from_euler("xyz", (roll, pitch, yaw))
    message = Odometry()
    x, y, z, w = turn.as_quat()
    message.pose.pose.orientation = Quaternion(x=x, y=y, z=z, w=w)
    for part in ("linear", "angular"):
        setattr(message.twist.twist, part, Vector3(**dict(zip("xyz", vector, strict=True))))
        for prefix, wanted in (("", vector), ("world.", turn.apply(vector))):
            fields = {axis: f"{prefix}{part}.{axis}" for axis in "xyz"}
            state = readers.state_reader("nav_msgs/msg/Odometry", fields)(message)
            np.testing.assert_allclose(state, wanted, atol=1e-9)


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("qw", "orientation_covariance"),
        ("angular.x", "angular_velocity_covariance"),
        ("world.acceleration.z", "linear_acceleration_covariance"),
    ],
)
def test_what_an_imu_says_that_it_does_not_measure_is_refused(field, text):
    message = Imu()
    read = readers.state_reader("sensor_msgs/msg/Imu", {"x": field})
    assert np.isfinite(read(message)).all()
    getattr(message, text)[0] = -1.0
    with pytest.raises(MessageError, match=rf"{text}\[0\] is -1"):
        read(message)


def test_an_imu_that_measures_no_orientation_still_measures_rates():
    message = Imu(angular_velocity=Vector3(x=1.0))
    message.orientation_covariance[0] = -1.0
    message.orientation.w = 0.0
    assert readers.state_reader("sensor_msgs/msg/Imu", {"w": "angular.x"})(message) == [1.0]
