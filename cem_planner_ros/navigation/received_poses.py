# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Goals and paths as they were received, in the frame of their message."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from cem_planner_ros.navigation.poses import Pose
from cem_planner_ros.navigation.reference_path import ReferencePath
from cem_planner_ros.readers import LARGEST, MessageError, common_frame, euler, stamp_of

STILL = 0.01
"""
Smallest change of a goal or path, m and rad, that is taken over; maps are corrected all the time.
"""


class ReceivedPoses(NamedTuple):
    """A goal (one pose) or a path, in the frame of its message."""

    frame: str
    poses: list[Pose]
    times: np.ndarray | None = None  # (n,), s of ROS time


def planar_pose(position, orientation) -> Pose:
    """
    Return the planar pose of a position and a quaternion of any length.

    Raises MessageError if the position is not finite, or too far away, or the quaternion is no
    rotation.
    """
    check_position(position.x, position.y)
    yaw = euler(orientation.x, orientation.y, orientation.z, orientation.w)[2]
    return Pose(position.x, position.y, yaw)


def check_position(*coordinates: float) -> None:
    """Raise MessageError if coordinates, m, are not finite or too far away to compute with."""
    if not all(map(math.isfinite, coordinates)):
        raise MessageError("its position is not finite")
    if max(map(abs, coordinates)) > LARGEST:
        raise MessageError(f"its position is too far away, expected at most {LARGEST:g} m")


def path_of(message) -> ReceivedPoses | None:
    """Return the path of a nav_msgs/Path, None if it is empty. Raises MessageError if wrong."""
    if not message.poses:
        return None
    frame = common_frame(each.header for each in (message, *message.poses))
    stamps = [stamp_of(each) for each in message.poses]
    times = None
    if None not in stamps:
        times = np.array(stamps)
    return ReceivedPoses(frame, [pose_of(each) for each in message.poses], times)


def pose_of(message) -> Pose:
    """Return the pose of a geometry_msgs/PoseStamped. Raises MessageError if it is wrong."""
    return planar_pose(message.pose.position, message.pose.orientation)


def is_same(one: Pose, other: Pose) -> bool:
    """Return whether two poses are equal within STILL."""
    turned = math.remainder(one.yaw - other.yaw, math.tau)
    return math.dist(one[:2], other[:2]) < STILL and abs(turned) < STILL


def is_same_path(one: ReferencePath, other: ReferencePath) -> bool:
    """Return whether two paths are equal within STILL."""
    if one.points.shape != other.points.shape or np.abs(one.points - other.points).max() >= STILL:
        return False
    if (one.headings is None) != (other.headings is None):
        return False
    if one.headings is not None:
        turned = np.exp(1j * (one.headings - other.headings))
        if np.abs(np.angle(turned)).max() >= STILL:
            return False
    if one.times is None or other.times is None:
        return one.times is other.times
    return bool(np.abs(one.times - other.times).max() < STILL)
