# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Reading references from messages, which are any objects with the fields of their type."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np

from cem_planner_ros.fields import (
    ANGLES,
    BODY_TRAJECTORY,
    JOINT_STATE,
    JOINT_TRAJECTORY,
    MULTI_ARRAY,
    POINT_KINDS,
    POSITION,
    QUATERNION,
    REFERENCE_TYPES,
    TWIST,
)
from cem_planner_ros.navigation.references import ReferenceSource
from cem_planner_ros.readers import (
    LARGEST,
    SHORTEST,
    MessageError,
    command_reader,
    common_frame,
    euler,
    frame_name,
    missing,
    part_reader,
    rotate,
    stamp_of,
)

_BODY = (*POSITION, *QUATERNION, *TWIST.names)
"""What is read of a body, in this order: position, attitude, linear and angular velocity."""

Transform = tuple[np.ndarray, np.ndarray]
"""The pose of a frame: translation (3,), m, and unit quaternion (w, x, y, z)."""


class ReceivedReference(NamedTuple):
    """
    What a message says, in the frame of the message.

    Attributes:
        frame: the frame of poses; "" for the frame of the states, and for what is in none.
        stamp: when it was sent or when it begins, s; None without a stamp.
        offsets: (n,), s, times of the points from the beginning; None for a set-point.
        values: returns the values (n, nr), given the pose of the frame, or None; raises
            MessageError if they cannot be used.
    """

    frame: str
    stamp: float | None
    offsets: np.ndarray | None
    values: Callable[[Transform | None], np.ndarray]


def reference_reader(source: ReferenceSource) -> Callable[[object], ReceivedReference]:
    """
    Return a function that reads a message of a source.

    The function raises MessageError, with the reason, if the message cannot be used. A trajectory
    without points is read as one: n is 0.
    """
    grammar = REFERENCE_TYPES[source.type]
    if grammar is JOINT_TRAJECTORY:
        return _joint_trajectory_reader(source)
    if grammar is BODY_TRAJECTORY or source.type == "nav_msgs/msg/Path":
        return _body_reader(source)
    if source.type == "geometry_msgs/msg/PoseStamped":
        return _body_reader(source)
    if grammar in (JOINT_STATE, MULTI_ARRAY):
        read = part_reader(source.type, source.fields)
    else:
        read = command_reader(source.type, source.fields)

    def read_set_point(message) -> ReceivedReference:
        values = read(message)
        if np.isnan(values).any() and grammar is JOINT_STATE:
            raise MessageError(missing(source.fields, np.isnan(values), message.name))
        values = _finite(values[None], source)
        return ReceivedReference("", stamp_of(message), None, lambda frame: values)

    return read_set_point


def _finite(values: np.ndarray, source: ReferenceSource) -> np.ndarray:
    """Return values (n, nr). Raises MessageError if one is not finite, or too large for errors."""
    for signal, column in zip(source.fields, values.T, strict=True):
        what = f"'{source.fields[signal]}', the reference of {signal},"
        if not np.isfinite(column).all():
            raise MessageError(f"{what} is not finite")
        most = np.abs(column).max(initial=0.0)
        if most > LARGEST:
            raise MessageError(f"{what} is as large as {most:g}, expected at most {LARGEST:g}")
    return values


def _ascending(offsets: np.ndarray) -> np.ndarray:
    """Return times (n,), s. Raises MessageError if they do not ascend."""
    wrong = np.flatnonzero(np.diff(offsets) <= 0.0)
    if len(wrong):
        k = int(wrong[0])
        raise MessageError(
            f"its times do not ascend: point {k + 2} is at {offsets[k + 1]:g} s, point {k + 1} at "
            f"{offsets[k]:g} s"
        )
    return offsets


def _seconds(duration) -> float:
    return duration.sec + 1e-9 * duration.nanosec


def _joint_trajectory_reader(source: ReferenceSource) -> Callable[[object], ReceivedReference]:
    read_first = command_reader(source.type, source.fields)
    kinds = {POINT_KINDS[field.partition("[")[0]]: name for name, field in source.fields.items()}

    def read(message) -> ReceivedReference:
        names = message.joint_names
        for attribute, signal in kinds.items():
            if any(len(getattr(point, attribute)) == 0 for point in message.points):
                raise MessageError(
                    f"its points have no {attribute}, which {signal} follows: send them, or leave "
                    f"{signal} out of the signals"
                )
        rows = [
            read_first(SimpleNamespace(joint_names=names, points=[point]))
            for point in message.points
        ]
        values = _finite(np.array(rows).reshape(-1, len(source.fields)), source)
        offsets = np.array([_seconds(point.time_from_start) for point in message.points])
        stamp = stamp_of(message)
        return ReceivedReference("", stamp, _ascending(offsets), lambda frame: values)

    return read


def _body_reader(source: ReferenceSource) -> Callable[[object], ReceivedReference]:
    """Return a reader of poses and, in a trajectory, velocities of bodies."""
    matches = [REFERENCE_TYPES[source.type].match(field) for field in source.fields.values()]
    fields = [match.group(1) for match in matches]
    joints = [match.group(2) if match.re.groups > 1 else None for match in matches]
    has_attitude = bool({*fields} & {*ANGLES, *QUATERNION})
    has_pose = has_attitude or bool({*fields} & {*POSITION})
    has_twist = bool({*fields} & {*TWIST.names})

    def bodies_of(message) -> Mapping[str, np.ndarray]:
        """Return what is read of each joint, (n, 13); NaN for what is not needed."""
        if source.type == "geometry_msgs/msg/PoseStamped":
            return {"": _rows([message.pose], has_attitude)}
        if source.type == "nav_msgs/msg/Path":
            return {"": _rows([each.pose for each in message.poses], has_attitude)}
        names = list(message.joint_names)
        for name in names:
            if names.count(name) > 1 and (name in joints or None in joints):
                raise MessageError(f"joint '{name}' is named more than once, expected once")
        return {
            name: _trajectory_rows(message, index, has_pose, has_attitude, has_twist)
            for index, name in enumerate(names)
            if name in joints or None in joints
        }

    def read(message) -> ReceivedReference:
        frame, stamp, offsets = _frame_and_times(source.type, message)
        bodies = bodies_of(message)
        if not bodies and None in joints:
            raise MessageError("it names no joint")
        chosen = []
        for joint in joints:
            if joint is None and len(bodies) > 1:
                raise MessageError(
                    f"it has the joints {', '.join(bodies)}, expected fields that name one, as in "
                    f"x[{next(iter(bodies))}]"
                )
            chosen.append(next(iter(bodies)) if joint is None else joint)
            if chosen[-1] not in bodies:
                raise MessageError(
                    f"no joint {joint}; there are the joints: {', '.join(message.joint_names)}"
                )

        def values(transform: Transform | None) -> np.ndarray:
            moved = bodies
            if transform is not None:
                moved = {name: _moved(body, *transform) for name, body in bodies.items()}
            pairs = zip(chosen, fields, strict=True)
            columns = [_column(moved[name], field) for name, field in pairs]
            return _finite(np.stack(columns, 1), source)

        values(None)
        return ReceivedReference(frame, stamp, offsets, values)

    return read


def _frame_and_times(kind: str, message) -> tuple[str, float | None, np.ndarray | None]:
    """Return frame, stamp, s, and times of the points from then on (n,), s, None for one pose."""
    frame = frame_name(message.header.frame_id)
    if kind == "geometry_msgs/msg/PoseStamped":
        return frame, stamp_of(message), None
    if kind != "nav_msgs/msg/Path":
        offsets = np.array([_seconds(point.time_from_start) for point in message.points])
        return frame, stamp_of(message), _ascending(offsets)
    frame = common_frame(each.header for each in (message, *message.poses))
    stamps = [stamp_of(pose) for pose in message.poses]
    if len(stamps) == 1:
        return frame, stamps[0], None
    if None in stamps:
        raise MessageError(
            "its poses have no stamps, expected one for each pose: the time at which to be there"
        )
    begin = stamps[0] if stamps else None
    return frame, begin, _ascending(np.array([stamp - begin for stamp in stamps]))


def _rows(
    poses: Sequence, has_attitude: bool, place: str = "position", turn: str = "orientation"
) -> np.ndarray:
    """Return (n, 13) of poses; velocities are NaN, and attitudes unless they are needed."""
    rows = np.full((len(poses), len(_BODY)), np.nan)
    rows[:, :3] = np.reshape([_xyz(getattr(pose, place)) for pose in poses], (-1, 3))
    if not has_attitude:
        return rows
    turns = [getattr(pose, turn) for pose in poses]
    rows[:, 3:7] = np.reshape([(q.w, *_xyz(q)) for q in turns], (-1, 4))
    lengths = np.linalg.norm(rows[:, 3:7], axis=1, keepdims=True)
    if not ((lengths > SHORTEST) & (lengths < np.inf)).all():
        raise MessageError("its orientation is not a rotation: all zero or not finite")
    rows[:, 3:7] /= lengths
    return rows


def _trajectory_rows(
    message, index: int, has_pose: bool, has_attitude: bool, has_twist: bool
) -> np.ndarray:
    """Return (n, 13) of one joint of a trajectory. Raises MessageError if a part is missing."""
    joints = len(message.joint_names)
    for number, point in enumerate(message.points, 1):
        for what, is_needed in (("transforms", has_pose), ("velocities", has_twist)):
            count = len(getattr(point, what))
            if is_needed and count != joints:
                raise MessageError(
                    f"point {number} has {count} {what}, expected one for each of the {joints} "
                    "joints"
                )
    rows = np.full((len(message.points), len(_BODY)), np.nan)
    if has_pose:
        transforms = [point.transforms[index] for point in message.points]
        rows = _rows(transforms, has_attitude, "translation", "rotation")
    if has_twist:
        twists = [point.velocities[index] for point in message.points]
        given = [(*_xyz(twist.linear), *_xyz(twist.angular)) for twist in twists]
        rows[:, 7:] = np.reshape(given, (-1, 6))
    return rows


def _xyz(vector) -> tuple[float, float, float]:
    return vector.x, vector.y, vector.z


def _moved(body: np.ndarray, translation: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Return (n, 13) of a body in the frame in which its own frame has a pose."""
    u, w, v = q[1:], body[:, 3:4], body[:, 4:7]
    vector = q[0] * v + w * u + np.cross(u, v)
    attitude = np.hstack((q[0] * w - v @ u[:, None], vector))
    place = translation + rotate(q, body[:, :3])
    return np.hstack((place, attitude, rotate(q, body[:, 7:10]), rotate(q, body[:, 10:])))


def _column(body: np.ndarray, field: str) -> np.ndarray:
    """Return a field (n,) of a body (n, 13)."""
    if field in ANGLES:
        index = ANGLES.index(field)
        return np.array([euler(x, y, z, w)[index] for w, x, y, z in body[:, 3:7]])
    return body[:, _BODY.index(field)]
