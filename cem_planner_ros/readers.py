"""
From messages to vectors, by the names that the YAML gives.

A message is anything with the fields of its type, so a bag is read without ROS as a topic is with.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from cem_planner_ros.fields import COMMAND_TYPES, STATE_TYPES


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
    """Return (roll, pitch, yaw) in rad of a quaternion; the inverse of `quaternion`."""
    return (
        math.atan2(2 * (w * x + y * z), 1 - 2 * (x * x + y * y)),
        math.asin(max(-1.0, min(1.0, 2 * (w * y - z * x)))),
        math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z)),
    )


def offsets(entries: list[tuple[str | None, ...]]) -> np.ndarray:
    """Return what is added to the fields of a joint state, given their groups in JOINT_STATE."""
    return np.array([float(f"{sign or '+'}{number or 0}") for *_, sign, number in entries])


def _joint_reader(entries: list[tuple[str | None, ...]]) -> Callable[[object], np.ndarray]:
    fields, added = [entry[:2] for entry in entries], offsets(entries)
    names: list[str] | None = None
    indices: list[int] = []

    def read(message) -> np.ndarray:
        nonlocal names, indices
        # Looked up again only when the publisher changes its joints or their order.
        if message.name != names:
            missing = sorted({joint for _, joint in fields} - set(message.name))
            if missing:
                raise MessageError(
                    f"no joint '{missing[0]}', the message has: {', '.join(message.name) or 'none'}"
                )
            names = list(message.name)
            indices = [names.index(joint) for _, joint in fields]
        try:
            return added + [
                getattr(message, kind)[index]
                for (kind, _), index in zip(fields, indices, strict=True)
            ]
        except IndexError:
            raise MessageError("fewer values than joints") from None

    return read


def _odometry_reader(names: list[str]) -> Callable[[object], np.ndarray]:
    def read(message) -> np.ndarray:
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


def _array_reader(indices: list[int]) -> Callable[[object], np.ndarray]:
    def read(message) -> np.ndarray:
        if len(message.data) <= max(indices):
            raise MessageError(f"{len(message.data)} values, expected at least {max(indices) + 1}")
        return np.asarray(message.data)[indices]

    return read
