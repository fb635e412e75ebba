"""
Reading messages into vectors, by the fields that the YAML names.

A message is any object with the fields of its type. Bags without ROS and topics with ROS are
therefore read in the same way.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from cem_planner_ros.fields import COMMAND_TYPES, STATE_TYPES

SHORTEST = 1e-6
"""Smallest length of a quaternion; a shorter one is no rotation."""


class MessageError(ValueError):
    """A message cannot be used; the text gives the reason, always the same text for a reason."""


def stamp_of(message) -> float | None:
    """Return the stamp of a message, s; None if it has none or the stamp is zero."""
    header = getattr(message, "header", None)
    if header is None or (header.stamp.sec == 0 and header.stamp.nanosec == 0):
        return None
    return header.stamp.sec + 1e-9 * header.stamp.nanosec


def state_reader(type_name: str, fields: Mapping[str, str]) -> Callable[[object], np.ndarray]:
    """
    Return a function that reads the state (nx,), in the order of `fields`, from a message.

    The function raises MessageError if a field is missing or not finite.
    """
    read_part = part_reader(type_name, fields)

    def read(message) -> np.ndarray:
        state = read_part(message)
        if np.isnan(state).any():
            raise MessageError(missing(fields, np.isnan(state), message.name))
        return state

    return read


def part_reader(type_name: str, fields: Mapping[str, str]) -> Callable[[object], np.ndarray]:
    """
    Return a function that reads parts of the state (nx,) from a message; NaN if missing.

    Only a JointState may lack parts: a joint, or all positions, velocities or efforts. The function
    raises MessageError if a field is not finite, or missing in any other way.
    """
    matches = [STATE_TYPES[type_name].match(field) for field in fields.values()]
    if type_name.endswith("JointState"):
        return _joint_reader(list(fields), [match.groups() for match in matches])
    if type_name.endswith("Odometry"):
        read = _odometry_reader([match.group(1) for match in matches])
    else:
        read = _array_reader([int(match.group(1)) for match in matches])

    def checked(message) -> np.ndarray:
        state = read(message)
        if not np.isfinite(state).all():
            raise _not_finite(list(fields)[int(np.argmin(np.isfinite(state)))])
        return state

    return checked


def missing(fields: Mapping[str, str], lacks: np.ndarray, joints: Iterable[str]) -> str:
    """Return a message that names the missing fields of a state; `lacks` is (nx,), bool."""
    names = ", ".join(field for field, lack in zip(fields.values(), lacks, strict=True) if lack)
    return f"no {names}; there are the joints: {', '.join(joints) or 'none'}"


def frame_name(name: str) -> str:
    """Return the name of a frame without the leading slash, which tf allowed and tf2 does not."""
    return name.lstrip("/")


def command_reader(type_name: str, fields: Mapping[str, str]) -> Callable[[object], np.ndarray]:
    """
    Return a function that reads the action (nu,), in the order of `fields`, from a message.

    The function raises MessageError if a field is missing.
    """
    matches = [COMMAND_TYPES[type_name].match(field) for field in fields.values()]
    if type_name.endswith("Float64"):
        return lambda message: np.array([message.data])
    if type_name.endswith("MultiArray"):
        return _array_reader([int(match.group(1)) for match in matches])
    paths = [match.groups() for match in matches]
    stamped = type_name.endswith("TwistStamped")

    def read(message) -> np.ndarray:
        twist = message.twist if stamped else message
        return np.array([getattr(getattr(twist, part), axis) for part, axis in paths])

    return read


def euler(x: float, y: float, z: float, w: float) -> tuple[float, float, float]:
    """
    Return (roll, pitch, yaw), rad, of a quaternion of any length; inverse of `quaternion`.

    Raises MessageError if the quaternion is no rotation: all zero or not finite.
    """
    length = math.hypot(x, y, z, w)
    if not SHORTEST < length < math.inf:
        raise MessageError("its orientation is not a rotation: all zero or not finite")
    x, y, z, w = x / length, y / length, z / length, w / length
    return (
        math.atan2(2 * (w * x + y * z), 1 - 2 * (x * x + y * y)),
        math.asin(max(-1.0, min(1.0, 2 * (w * y - z * x)))),
        math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z)),
    )


def offsets(entries: list[tuple[str | None, ...]]) -> np.ndarray:
    """Return the offsets of the fields of a joint state, from their groups in JOINT_STATE."""
    return np.array([float(f"{sign or '+'}{number or 0}") for *_, sign, number in entries])


def _not_finite(field: str) -> MessageError:
    return MessageError(f"'{field}' is not finite")


def _joint_reader(
    names: list[str], entries: list[tuple[str | None, ...]]
) -> Callable[[object], np.ndarray]:
    added = offsets(entries)
    wanted = {joint for _, joint, *_ in entries}
    kinds = sorted({kind for kind, *_ in entries})
    joints: list[str] | None = None
    places: list[tuple[int, str, int]] = []  # index in the state, kind, index in the message

    def read(message) -> np.ndarray:
        nonlocal joints, places
        # Looked up again only if the publisher changes its joints or their order.
        if message.name != joints:
            given = list(message.name)
            repeated = sorted(joint for joint in wanted if given.count(joint) > 1)
            if repeated:
                raise MessageError(f"joint '{repeated[0]}' is named more than once")
            places = [
                (index, kind, given.index(joint))
                for index, (kind, joint, *_) in enumerate(entries)
                if joint in given
            ]
            joints = given
        state = np.full(len(entries), np.nan)
        if not places:
            return state
        values = {kind: getattr(message, kind) for kind in kinds}
        for kind, given in values.items():
            if len(given) not in (0, len(joints)):  # Empty: the publisher has none.
                raise MessageError(
                    f"{len(given)} values of {kind}, expected one for each of the {len(joints)} "
                    "joints, or none"
                )
        for index, kind, place in places:
            if len(values[kind]):
                state[index] = values[kind][place]
                if not math.isfinite(state[index]):
                    raise _not_finite(names[index])
        return state + added

    return read


def _odometry_reader(names: list[str]) -> Callable[[object], np.ndarray]:
    def read(message) -> np.ndarray:
        position, q = message.pose.pose.position, message.pose.pose.orientation
        angles = dict(zip(("roll", "pitch", "yaw"), euler(q.x, q.y, q.z, q.w), strict=True))
        values = []
        for name in names:
            part, _, axis = name.partition(".")
            if axis:
                values.append(getattr(getattr(message.twist.twist, part), axis))
            else:
                values.append(angles[name] if name in angles else getattr(position, name))
        return np.array(values)

    return read


def _array_reader(indices: list[int]) -> Callable[[object], np.ndarray]:
    def read(message) -> np.ndarray:
        if len(message.data) <= max(indices):
            raise MessageError(f"{len(message.data)} values, expected at least {max(indices) + 1}")
        return np.asarray(message.data)[indices]

    return read
