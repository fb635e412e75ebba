# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""
Reading messages into vectors, by the fields that the YAML names.

A message is any object with the fields of its type. Bags without ROS and topics with ROS are
therefore read in the same way.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from cem_planner_ros.fields import (
    ANGLES,
    COMMAND_TYPES,
    JOINT_STATE,
    JOINT_TRAJECTORY,
    MULTI_ARRAY,
    NUMBER,
    PARTS,
    POINT_KINDS,
    QUATERNION,
    REFERENCE_TYPES,
    STATE_TYPES,
    WORLD,
    part_of,
)

SHORTEST = 1e-6
"""Smallest length of a quaternion; a shorter one is no rotation."""

LARGEST = 1e9
"""Largest absolute value of a place or a reference, so that no product overflows float32."""

POINT_FIELDS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 8: "f8"}
"""NumPy's type of each `datatype` of sensor_msgs/PointField, without the byte order."""


class MessageError(ValueError):
    """A message cannot be used; the text gives the reason, always the same text for a reason."""


class FrameError(MessageError):
    """A frame that is not known where the states are."""


def stamp_of(message) -> float | None:
    """Return the stamp of a message, s; None if it has none or the stamp is zero."""
    header = getattr(message, "header", None)
    if header is None or (header.stamp.sec == 0 and header.stamp.nanosec == 0):
        return None
    return header.stamp.sec + 1e-9 * header.stamp.nanosec


def age_of(stamp: float | None, now: float, most: float, parameter: str) -> float:
    """
    Return the age of a message with this stamp, s; 0 without a stamp.

    An old message stays old. With clocks that differ a little, one from the future is new. A
    simulated clock that was not read yet shows 0, and every message is new.

    Args:
        stamp: as `stamp_of` returns it.
        now: present time on the clock of the stamps, s.
        most: s by which the stamp may be in the future.
        parameter: where `most` is from.

    Raises MessageError if the stamp is further in the future.
    """
    age = 0.0 if stamp is None else now - stamp
    if age < -most and now > 0.0:
        raise MessageError(f"its stamp is in the future by more than {parameter}")
    return max(age, 0.0)


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
    grammar = STATE_TYPES[type_name]
    matches = [grammar.match(field) for field in fields.values()]
    if grammar is JOINT_STATE:
        return _joint_reader(list(fields), [match.groups() for match in matches])
    if grammar is MULTI_ARRAY:
        read = _array_reader([int(match.group(1)) for match in matches])
    else:
        read = _parts_reader(type_name, list(fields.values()))

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


def common_frame(headers: Iterable) -> str:
    """Return the frame that headers name, "" if none does. Raises MessageError for several."""
    frames = {frame_name(header.frame_id) for header in headers} - {""}
    if len(frames) > 1:
        raise MessageError(f"its poses are in several frames: {', '.join(sorted(frames))}")
    return next(iter(frames), "")


def command_reader(type_name: str, fields: Mapping[str, str]) -> Callable[[object], np.ndarray]:
    """
    Return a function that reads the action (nu,), in the order of `fields`, from a message.

    A set-point is read likewise, of a type of REFERENCE_TYPES.

    Of a joint trajectory it reads the first point. It raises MessageError if a field is missing.
    """
    grammar = {**REFERENCE_TYPES, **COMMAND_TYPES}[type_name]
    matches = [grammar.match(field) for field in fields.values()]
    if grammar is NUMBER:
        return lambda message: np.array([message.data])
    if grammar is MULTI_ARRAY:
        return _array_reader([int(match.group(1)) for match in matches])
    if grammar not in (JOINT_STATE, JOINT_TRAJECTORY):
        return _parts_reader(type_name, list(fields.values()))
    read_joints = _joint_reader(list(fields), [match.groups() for match in matches])

    def read(message) -> np.ndarray:
        if grammar is JOINT_TRAJECTORY:
            message = _FirstPoint(message)
        action = read_joints(message)
        if np.isnan(action).any():
            raise MessageError(missing(fields, np.isnan(action), message.name))
        return action

    return read


def unit_quaternion(x: float, y: float, z: float, w: float) -> np.ndarray:
    """
    Return (w, x, y, z) of a quaternion of any length, of length one and with w >= 0.

    The quaternions q and -q are the same rotation, and estimators send either. One message always
    gives the same state, hence the sign. Raises MessageError if the quaternion is no rotation.
    """
    length = math.hypot(x, y, z, w)
    if not SHORTEST < length < math.inf:
        raise MessageError("its orientation is not a rotation: all zero or not finite")
    return np.array((w, x, y, z)) / math.copysign(length, w)


def rotate(q: np.ndarray, vector: np.ndarray | Sequence[float]) -> np.ndarray:
    """Return vectors (..., 3) rotated by a unit quaternion q (w, x, y, z)."""
    twice = 2.0 * np.cross(q[1:], vector)
    return np.asarray(vector) + q[0] * twice + np.cross(q[1:], twice)


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


class _FirstPoint:
    """The first point of a joint trajectory, with the attributes of a joint state."""

    def __init__(self, message):
        if not message.points:
            raise MessageError("no point, expected at least one")
        self.name = message.joint_names
        for kind, attribute in POINT_KINDS.items():
            setattr(self, kind, getattr(message.points[0], attribute))


def _parts_reader(type_name: str, fields: list[str]) -> Callable[[object], np.ndarray]:
    """Return a function that reads fields from the parts of a rigid body, or plain fields."""
    needed = dict.fromkeys(part_of(field)[0] for field in fields)
    if any(field.startswith(WORLD) for field in fields):
        needed["orientation"] = None
    getters = {part: operator.attrgetter(PARTS[type_name][part]) for part in needed}
    is_imu = type_name.endswith("/Imu")
    covariances = [f"{PARTS[type_name][part]}_covariance" for part in needed] if is_imu else []

    def read(message) -> np.ndarray:
        for name in covariances:
            if getattr(message, name)[0] == -1.0:
                raise MessageError(f"{name}[0] is -1, so the sensor does not measure it")
        parts = {part: get(message) for part, get in getters.items()}
        known: dict[str, float] = {}
        q = None
        if "orientation" in parts:
            given = parts["orientation"]
            numbers = (given.x, given.y, given.z, given.w)
            q = unit_quaternion(*numbers)
            known = dict(zip((*QUATERNION, *ANGLES), (*q, *euler(*numbers)), strict=True))
        values = []
        for field in fields:
            part, axis = part_of(field)
            if field in known:
                values.append(known[field])
            elif field.startswith(WORLD):
                vector = parts[part]
                turned = rotate(q, np.array((vector.x, vector.y, vector.z)))
                values.append(turned["xyz".index(axis)])
            else:
                values.append(getattr(parts[part], axis))
        return np.array(values, float)

    return read


def _array_reader(indices: list[int]) -> Callable[[object], np.ndarray]:
    def read(message) -> np.ndarray:
        if len(message.data) <= max(indices):
            raise MessageError(f"{len(message.data)} values, expected at least {max(indices) + 1}")
        return np.asarray(message.data)[indices]

    return read


def point_count(message) -> int:
    """
    Return the number of points of a sensor_msgs/PointCloud2.

    Raises MessageError if its data has another size.
    """
    count = message.width * message.height
    is_whole = (
        message.row_step >= message.width * message.point_step
        and len(message.data) >= message.height * message.row_step
    )
    if count and not is_whole:
        raise MessageError(
            f"its data has {len(message.data)} bytes, expected {message.height} rows of "
            f"{message.row_step} bytes with {message.width} points of {message.point_step} bytes"
        )
    return count


def read_fields(message, names: Sequence[str]) -> np.ndarray:
    """
    Return the values (n, k) of k fields of a cloud with n > 0 points, float64.

    Raises MessageError if a field is missing or has no place in a point.
    """
    count, fields = point_count(message), {field.name: field for field in message.fields}
    missing = [name for name in names if name not in fields]
    if missing:
        raise MessageError(
            f"it has no field '{missing[0]}', its fields are {', '.join(fields) or 'none'}; "
            f"expected {', '.join(names)}"
        )
    order = ">" if message.is_bigendian else "<"
    rows = np.frombuffer(message.data, np.uint8)[: message.height * message.row_step]
    rows = rows.reshape(message.height, -1)[:, : message.width * message.point_step]
    points = rows.reshape(count, message.point_step)
    values = np.empty((count, len(names)))
    for column, name in enumerate(names):
        field = fields[name]
        name_of_type = POINT_FIELDS.get(field.datatype)
        kind = None if name_of_type is None else np.dtype(order + name_of_type)
        if kind is None or field.offset + kind.itemsize > message.point_step:
            raise MessageError(
                f"field '{name}' has datatype {field.datatype} at byte {field.offset} of "
                f"{message.point_step}, expected such as FLOAT32 (7) within the point"
            )
        bytes_of = points[:, field.offset : field.offset + kind.itemsize]
        values[:, column] = np.ascontiguousarray(bytes_of).view(kind)[:, 0]
    return values
