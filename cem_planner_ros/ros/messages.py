# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Writing vectors into ROS messages, by the fields that the YAML names."""

from __future__ import annotations

import array
import importlib
import math
import operator
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from builtin_interfaces.msg import Time
from rclpy.duration import Duration
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64, Float64MultiArray

from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.fields import (
    ANGLES,
    COMMAND_TYPES,
    JOINT_KINDS,
    JOINT_STATE,
    JOINT_TRAJECTORY,
    MULTI_ARRAY,
    NUMBER,
    PARTS,
    POINT_KINDS,
    POSITION,
    QUATERNION,
    STATE_TYPES,
    WORLD,
    part_of,
)
from cem_planner_ros.readers import SHORTEST, offsets, quaternion, rotate, unit_quaternion

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
"""QoS of a latched topic: later subscribers receive the last message."""


def message_class(type_name: str) -> type:
    """
    Return the class of a message type, such as sensor_msgs/msg/JointState.

    Raises ConfigurationError if its package is not installed.
    """
    package, _, name = type_name.split("/")
    try:
        return getattr(importlib.import_module(f"{package}.msg"), name)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(
            f"messages of {type_name} need the package {package}, which cannot be imported "
            f"({error}): sudo apt install ros-$ROS_DISTRO-{package.replace('_', '-')}"
        ) from error


Writer = Callable[..., object]
"""
A function that makes a message from a vector, a stamp and a frame.

That of a joint trajectory also takes the later points, as (time from start in s, action).
"""


def command_writer(type_name: str, fields: Mapping[str, str], horizon: float = 0.0) -> Writer:
    """
    Return a function that makes a message from an action (nu,), a stamp and a frame.

    Args:
        type_name: the message type.
        fields: {action: field}.
        horizon: time after which a joint trajectory reaches its point, s.

    Raises ConfigurationError if the package of the message is not installed.
    """
    grammar = COMMAND_TYPES[type_name]
    matches = [grammar.match(field) for field in fields.values()]
    if grammar is NUMBER:
        return lambda action, stamp, frame: Float64(data=float(action[0]))
    if grammar is MULTI_ARRAY:
        return _array_writer([int(match.group(1)) for match in matches])
    if grammar in (JOINT_STATE, JOINT_TRAJECTORY):
        return _joint_command_writer(type_name, [match.groups() for match in matches], horizon)
    return _parts_writer(type_name, list(fields.values()))


def state_writer(type_name: str, fields: Mapping[str, str]) -> Writer:
    """Return a function that makes a message from a state (nx,), a stamp and a frame."""
    grammar = STATE_TYPES[type_name]
    matches = [grammar.match(field) for field in fields.values()]
    if grammar is MULTI_ARRAY:
        return _array_writer([int(match.group(1)) for match in matches])
    if grammar is JOINT_STATE:
        return _joint_state_writer([match.groups() for match in matches])
    return _parts_writer(type_name, list(fields.values()))


def _array_writer(indices: list[int]) -> Writer:
    def write(values: np.ndarray, stamp: Time, frame: str) -> Float64MultiArray:
        data = np.zeros(max(indices) + 1)
        data[indices] = values
        return Float64MultiArray(data=array.array("d", data.tobytes()))

    return write


def _table(
    entries: list[tuple[str | None, ...]], kinds: tuple[str, ...], lacking: float
) -> tuple[list[str], Callable[[np.ndarray], dict[str, array.array]]]:
    """
    Return the joints of fields, and a function that puts values into an array for each kind.

    A joint of which a kind is not among the fields has the value `lacking` in it.
    """
    joints = list(dict.fromkeys(joint for _, joint, *_ in entries))
    added = offsets(entries)
    places = [(kinds.index(kind), joints.index(joint)) for kind, joint, *_ in entries]

    def columns(values: np.ndarray) -> dict[str, array.array]:
        table = np.full((len(kinds), len(joints)), lacking)
        for (row, column), value in zip(places, values - added, strict=True):
            table[row, column] = value
        return {
            kind: array.array("d", row.tobytes()) for kind, row in zip(kinds, table, strict=True)
        }

    return joints, columns


def _joint_state_writer(entries: list[tuple[str | None, ...]]) -> Writer:
    joints, columns = _table(entries, JOINT_KINDS, 0.0)

    def write(state: np.ndarray, stamp: Time, frame: str) -> JointState:
        message = JointState(name=joints, **columns(state))
        message.header.stamp = stamp
        return message

    return write


def _joint_command_writer(
    type_name: str, entries: list[tuple[str | None, ...]], horizon: float
) -> Writer:
    """
    Return a writer of commands for joints, as a joint state or as a joint trajectory.

    Kinds that no field names stay empty. A joint that lacks one of the others has NaN in it, which
    means no command in ros2_control.
    """
    message_type = message_class(type_name)
    kinds = tuple(kind for kind in POINT_KINDS if any(entry[0] == kind for entry in entries))
    joints, columns = _table(entries, kinds, math.nan)
    if COMMAND_TYPES[type_name] is JOINT_STATE:

        def write_joints(action: np.ndarray, stamp: Time, frame: str) -> object:
            message = message_type(name=joints, **columns(action))
            message.header.stamp = stamp
            return message

        return write_joints
    point_type = message_class("trajectory_msgs/msg/JointTrajectoryPoint")

    def point(time: float, action: np.ndarray) -> object:
        rows = {POINT_KINDS[kind]: row for kind, row in columns(action).items()}
        return point_type(time_from_start=Duration(seconds=time).to_msg(), **rows)

    def write_trajectory(
        action: np.ndarray, stamp: Time, frame: str, later: Sequence[tuple[float, np.ndarray]] = ()
    ) -> object:
        # A stamp of zero begins the trajectory when the message arrives.
        points = [point(*each) for each in ((horizon, action), *later)]
        return message_type(joint_names=joints, points=points)

    return write_trajectory


def _parts_writer(type_name: str, fields: list[str]) -> Writer:
    """Return a writer of messages with the parts of a rigid body, or of plain fields."""
    message_type = message_class(type_name)
    paths = PARTS[type_name]
    has_header = hasattr(message_type(), "header")
    getters = {part: operator.attrgetter(path) for part, path in paths.items()}
    plain = [field for field in fields if not field.startswith(WORLD)]
    turned = dict.fromkeys(part_of(field)[0] for field in fields if field not in plain)

    def write(values: np.ndarray, stamp: Time, frame: str) -> object:
        message = message_type()
        if has_header:
            message.header.stamp = stamp
            message.header.frame_id = frame
        if hasattr(message, "child_frame_id"):
            message.child_frame_id = "base_link"
        given = dict(zip(fields, map(float, values), strict=True))
        parts = {part: get(message) for part, get in getters.items()}
        if "orientation" in parts:
            turn = parts["orientation"]
            turn.x, turn.y, turn.z, turn.w = numbers = _orientation(given)
        for field in plain:
            part, axis = part_of(field)
            if part != "orientation":
                setattr(parts[part], axis, given[field])
        for part in turned:
            vector = [given.get(f"{WORLD}{part}.{axis}", 0.0) for axis in POSITION]
            inverse = unit_quaternion(*numbers) * (1.0, -1.0, -1.0, -1.0)
            parts[part].x, parts[part].y, parts[part].z = map(float, rotate(inverse, vector))
        return message

    return write


def _orientation(given: Mapping[str, float]) -> tuple[float, float, float, float]:
    """Return (x, y, z, w) of the angles, or else of the quaternion, among named values."""
    if any(name in given for name in ANGLES):
        return quaternion(*(given.get(name, 0.0) for name in ANGLES))
    w, x, y, z = (given.get(name, 0.0) for name in QUATERNION)
    length = math.hypot(w, x, y, z)
    if length < SHORTEST:  # Of a state that is all zero.
        return 0.0, 0.0, 0.0, 1.0
    return x / length, y / length, z / length, w / length
