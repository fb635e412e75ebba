"""Between ROS messages and vectors, by the names that the YAML gives."""

from __future__ import annotations

import array
import math
from collections.abc import Callable, Mapping

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Twist, TwistStamped
from nav_msgs.msg import Odometry
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray

from cem_planner_ros.fields import COMMAND_TYPES, STATE_TYPES

MESSAGES = {
    "sensor_msgs/msg/JointState": JointState,
    "nav_msgs/msg/Odometry": Odometry,
    "std_msgs/msg/Float64MultiArray": Float64MultiArray,
    "geometry_msgs/msg/Twist": Twist,
    "geometry_msgs/msg/TwistStamped": TwistStamped,
}
"""Message classes by the name of their type."""


class MessageError(ValueError):
    """A message cannot be used; the text says why, in the same words for the same cause."""


def stamp_of(message) -> float | None:
    """Return a message's stamp in s, None if it has none or it was left at zero."""
    header = getattr(message, "header", None)
    if header is None or (header.stamp.sec == 0 and header.stamp.nanosec == 0):
        return None
    return header.stamp.sec + 1e-9 * header.stamp.nanosec


def state_reader(type_name: str, fields: Mapping[str, str]) -> Callable[[object], np.ndarray]:
    """
    Return a function from a message of the type to the state (nx,), in the order of `fields`.

    It raises MessageError if a field is missing or not finite.
    """
    matches = [STATE_TYPES[type_name].match(field) for field in fields.values()]
    if type_name.endswith("JointState"):
        read = _joint_reader([match.groups() for match in matches])
    elif type_name.endswith("Odometry"):
        read = _odometry_reader([match.group(1) for match in matches])
    else:
        read = _array_reader([int(match.group(1)) for match in matches])

    def checked(message) -> np.ndarray:
        state = read(message)
        if not np.isfinite(state).all():
            name = list(fields)[int(np.argmin(np.isfinite(state)))]
            raise MessageError(f"'{name}' is not finite")
        return state

    return checked


def command_reader(type_name: str, fields: Mapping[str, str]) -> Callable[[object], np.ndarray]:
    """
    Return a function from a command message to the action (nu,), in the order of `fields`.

    It raises MessageError if a field is missing.
    """
    matches = [COMMAND_TYPES[type_name].match(field) for field in fields.values()]
    if type_name.endswith("MultiArray"):
        return _array_reader([int(match.group(1)) for match in matches])
    paths = [match.groups() for match in matches]
    stamped = type_name.endswith("TwistStamped")

    def read(message) -> np.ndarray:
        twist = message.twist if stamped else message
        return np.array([getattr(getattr(twist, part), axis) for part, axis in paths])

    return read


def command_writer(
    type_name: str, fields: Mapping[str, str]
) -> Callable[[np.ndarray, Time, str], object]:
    """Return a function from an action (nu,), a stamp and a frame to a message of the type."""
    matches = [COMMAND_TYPES[type_name].match(field) for field in fields.values()]
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
    """Return a function from a state (nx,), a stamp and a frame to a message of the type."""
    matches = [STATE_TYPES[type_name].match(field) for field in fields.values()]
    if type_name.endswith("MultiArray"):
        return command_writer(type_name, fields)
    if type_name.endswith("JointState"):
        entries = [match.groups() for match in matches]
        joints = list(dict.fromkeys(joint for _, joint in entries))

        def write_joints(state: np.ndarray, stamp: Time, frame: str) -> JointState:
            message = JointState(name=joints)
            message.header.stamp = stamp
            for kind in ("position", "velocity", "effort"):
                data = array.array("d", bytes(8 * len(joints)))
                for (entry, joint), value in zip(entries, state, strict=True):
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


def euler(x: float, y: float, z: float, w: float) -> tuple[float, float, float]:
    """Return (roll, pitch, yaw) in rad of a quaternion; the inverse of `quaternion`."""
    return (
        math.atan2(2 * (w * x + y * z), 1 - 2 * (x * x + y * y)),
        math.asin(max(-1.0, min(1.0, 2 * (w * y - z * x)))),
        math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z)),
    )


def _joint_reader(entries: list[tuple[str, str]]) -> Callable[[JointState], np.ndarray]:
    names: list[str] | None = None
    indices: list[int] = []

    def read(message: JointState) -> np.ndarray:
        nonlocal names, indices
        # Looked up again only when the publisher changes its joints or their order.
        if message.name != names:
            missing = sorted({joint for _, joint in entries} - set(message.name))
            if missing:
                raise MessageError(
                    f"no joint '{missing[0]}', the message has: {', '.join(message.name) or 'none'}"
                )
            names = list(message.name)
            indices = [names.index(joint) for _, joint in entries]
        try:
            return np.array(
                [
                    getattr(message, kind)[index]
                    for (kind, _), index in zip(entries, indices, strict=True)
                ]
            )
        except IndexError:
            raise MessageError("fewer values than joints") from None

    return read


def _odometry_reader(names: list[str]) -> Callable[[Odometry], np.ndarray]:
    def read(message: Odometry) -> np.ndarray:
        position, q = message.pose.pose.position, message.pose.pose.orientation
        norm = math.sqrt(q.x * q.x + q.y * q.y + q.z * q.z + q.w * q.w)
        if not norm > 1e-6:
            raise MessageError("the orientation is not a rotation")
        angles = dict(
            zip(
                ("roll", "pitch", "yaw"),
                euler(q.x / norm, q.y / norm, q.z / norm, q.w / norm),
                strict=True,
            )
        )
        values = []
        for name in names:
            part, _, axis = name.partition(".")
            if axis:
                values.append(getattr(getattr(message.twist.twist, part), axis))
            else:
                values.append(angles[name] if name in angles else getattr(position, name))
        return np.array(values)

    return read


def _array_reader(indices: list[int]) -> Callable[[Float64MultiArray], np.ndarray]:
    def read(message: Float64MultiArray) -> np.ndarray:
        if len(message.data) <= max(indices):
            raise MessageError(f"{len(message.data)} values, expected at least {max(indices) + 1}")
        return np.asarray(message.data)[indices]

    return read
