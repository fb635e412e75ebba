"""Writing vectors into ROS messages, by the fields that the YAML names."""

from __future__ import annotations

import array
import math
from collections.abc import Callable, Mapping

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Twist, TwistStamped
from nav_msgs.msg import Odometry
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64, Float64MultiArray

from cem_planner_ros.fields import COMMAND_TYPES, STATE_TYPES
from cem_planner_ros.readers import (
    MessageError,
    command_reader,
    euler,
    frame_name,
    missing,
    offsets,
    part_reader,
    stamp_of,
    state_reader,
)

__all__ = [
    "LATCHED",
    "MESSAGES",
    "MessageError",
    "command_reader",
    "command_writer",
    "euler",
    "frame_name",
    "missing",
    "part_reader",
    "quaternion",
    "stamp_of",
    "state_reader",
    "state_writer",
]

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
"""QoS of a latched topic: later subscribers receive the last message."""

MESSAGES = {
    "sensor_msgs/msg/JointState": JointState,
    "nav_msgs/msg/Odometry": Odometry,
    "std_msgs/msg/Float64": Float64,
    "std_msgs/msg/Float64MultiArray": Float64MultiArray,
    "geometry_msgs/msg/Twist": Twist,
    "geometry_msgs/msg/TwistStamped": TwistStamped,
}
"""Message classes by the name of their type."""


def command_writer(
    type_name: str, fields: Mapping[str, str]
) -> Callable[[np.ndarray, Time, str], object]:
    """Return a function that makes a message from an action (nu,), a stamp and a frame."""
    matches = [COMMAND_TYPES[type_name].match(field) for field in fields.values()]
    if type_name.endswith("Float64"):
        return lambda action, stamp, frame: Float64(data=float(action[0]))
    if type_name.endswith("MultiArray"):
        indices = [int(match.group(1)) for match in matches]

        def write_array(action: np.ndarray, stamp: Time, frame: str) -> Float64MultiArray:
            data = np.zeros(max(indices) + 1)
            data[indices] = action
            return Float64MultiArray(data=array.array("d", data.tobytes()))

        return write_array
    paths = [match.groups() for match in matches]

    def write_twist(action: np.ndarray, stamp: Time, frame: str) -> Twist | TwistStamped:
        message = MESSAGES[type_name]()
        twist = message
        if isinstance(message, TwistStamped):
            message.header.stamp = stamp
            message.header.frame_id = frame
            twist = message.twist
        for (part, axis), value in zip(paths, action, strict=True):
            setattr(getattr(twist, part), axis, float(value))
        return message

    return write_twist


def state_writer(
    type_name: str, fields: Mapping[str, str]
) -> Callable[[np.ndarray, Time, str], object]:
    """Return a function that makes a message from a state (nx,), a stamp and a frame."""
    matches = [STATE_TYPES[type_name].match(field) for field in fields.values()]
    if type_name.endswith("MultiArray"):
        return command_writer(type_name, fields)
    if type_name.endswith("JointState"):
        entries = [match.groups() for match in matches]
        added = offsets(entries)
        joints = list(dict.fromkeys(joint for _, joint, *_ in entries))

        def write_joints(state: np.ndarray, stamp: Time, frame: str) -> JointState:
            message = JointState(name=joints)
            message.header.stamp = stamp
            for kind in ("position", "velocity", "effort"):
                data = array.array("d", bytes(8 * len(joints)))
                for (entry, joint, *_), value in zip(entries, state - added, strict=True):
                    if entry == kind:
                        data[joints.index(joint)] = value
                setattr(message, kind, data)
            return message

        return write_joints
    names = [match.group(1) for match in matches]

    def write_odometry(state: np.ndarray, stamp: Time, frame: str) -> Odometry:
        message = Odometry()
        message.header.stamp = stamp
        message.header.frame_id = frame
        message.child_frame_id = "base_link"
        angles = {"roll": 0.0, "pitch": 0.0, "yaw": 0.0}
        for name, value in zip(names, map(float, state), strict=True):
            part, _, axis = name.partition(".")
            if axis:
                setattr(getattr(message.twist.twist, part), axis, value)
            elif name in angles:
                angles[name] = value
            else:
                setattr(message.pose.pose.position, name, value)
        orientation = message.pose.pose.orientation
        orientation.x, orientation.y, orientation.z, orientation.w = quaternion(**angles)
        return message

    return write_odometry


def quaternion(roll: float, pitch: float, yaw: float) -> tuple[float, float, float, float]:
    """Return (x, y, z, w) of the rotation Rz(yaw) Ry(pitch) Rx(roll), angles in rad (REP-103)."""
    cr, sr = math.cos(roll / 2), math.sin(roll / 2)
    cp, sp = math.cos(pitch / 2), math.sin(pitch / 2)
    cy, sy = math.cos(yaw / 2), math.sin(yaw / 2)
    return (
        sr * cp * cy - cr * sp * sy,
        cr * sp * cy + sr * cp * sy,
        cr * cp * sy - sr * sp * cy,
        cr * cp * cy + sr * sp * sy,
    )
