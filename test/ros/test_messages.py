import math

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from hypothesis import given
from hypothesis import strategies as st
from nav_msgs.msg import Odometry
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64, Float64MultiArray

from cem_planner_ros.ros import messages
from cem_planner_ros.ros.messages import MessageError

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
    ],
)
def test_a_written_state_is_read_again(kind, fields, state):
    message = messages.state_writer(kind, fields)(np.array(state), Time(sec=7), "odom")
    np.testing.assert_allclose(messages.state_reader(kind, fields)(message), state, atol=1e-12)
    assert messages.stamp_of(message) == (None if "Array" in kind else 7.0)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("std_msgs/msg/Float64MultiArray", {"a": "data[1]", "b": "data[0]"}),
        ("geometry_msgs/msg/Twist", {"v": "linear.x", "w": "angular.z"}),
        ("geometry_msgs/msg/TwistStamped", {"v": "linear.y", "w": "angular.x"}),
    ],
)
def test_a_written_command_is_read_again(kind, fields):
    message = messages.command_writer(kind, fields)(np.array([1.5, -2.5]), Time(sec=3), "base")
    assert list(messages.command_reader(kind, fields)(message)) == [1.5, -2.5]
    if "Stamped" in kind:
        assert (message.header.stamp.sec, message.header.frame_id) == (3, "base")


def test_a_written_number_is_read_again():
    message = messages.command_writer("std_msgs/msg/Float64", {"f": "data"})(
        np.array([-2.5]), Time(), "base"
    )
    assert message == Float64(data=-2.5)
    assert list(messages.command_reader("std_msgs/msg/Float64", {"f": "data"})(message)) == [-2.5]


def test_a_joint_whose_zero_is_not_the_model_s_is_read_with_an_offset():
    fields = {
        "up": "position[hinge] + 3.14159",
        "down": "position[hinge]-.5",
        "w": "velocity[hinge]",
    }
    read = messages.state_reader("sensor_msgs/msg/JointState", fields)
    state = read(JointState(name=["hinge"], position=[0.25], velocity=[4.0]))
    np.testing.assert_allclose(state, [3.39159, -0.25, 4.0])


def test_joints_are_found_by_name_also_when_their_order_changes():
    read = messages.state_reader("sensor_msgs/msg/JointState", {"x": "position[b]"})
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
        messages.state_reader("sensor_msgs/msg/JointState", JOINTS)(message)


def test_a_part_of_a_state_is_read_from_a_message_that_lacks_the_rest():
    read = messages.part_reader("sensor_msgs/msg/JointState", JOINTS)
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
    angles = messages.euler(*(length * number for number in messages.quaternion(0.3, -0.2, 1.5)))
    np.testing.assert_allclose(angles, (0.3, -0.2, 1.5), atol=1e-9)
    message = Odometry()
    turn = message.pose.pose.orientation
    turn.z, turn.w = length, length
    assert messages.state_reader("nav_msgs/msg/Odometry", {"yaw": "yaw"})(message) == [
        pytest.approx(math.pi / 2)
    ]


@pytest.mark.parametrize(
    "numbers",
    [(0.0, 0.0, 0.0, 0.0), (math.nan, 0.0, 0.0, 1.0), (0.0, 0.0, math.inf, 1.0)],
    ids=["zero", "nan", "inf"],
)
def test_a_quaternion_that_is_no_rotation_is_refused(numbers):
    with pytest.raises(MessageError, match="orientation is not a rotation"):
        messages.euler(*numbers)


def test_an_array_too_short_and_an_orientation_that_is_none_are_refused():
    with pytest.raises(MessageError, match="2 values, expected at least 4"):
        messages.state_reader("std_msgs/msg/Float64MultiArray", {"x": "data[3]"})(
            Float64MultiArray(data=[1.0, 2.0])
        )
    message = Odometry()
    message.pose.pose.orientation.w = 0.0
    with pytest.raises(MessageError, match="not a rotation"):
        messages.state_reader("nav_msgs/msg/Odometry", ODOMETRY)(message)


@given(roll=angle, pitch=st.floats(-1.5, 1.5), yaw=angle)
def test_euler_inverts_quaternion(roll, pitch, yaw):
    angles = messages.euler(*messages.quaternion(roll, pitch, yaw))
    np.testing.assert_allclose(angles, (roll, pitch, yaw), atol=1e-6)
