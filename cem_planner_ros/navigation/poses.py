# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Poses in the plane."""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Pose(NamedTuple):
    """A pose in the plane: position, m, and heading, rad."""

    x: float
    y: float
    yaw: float


def interpolate(poses: Sequence[tuple[float, Pose]], time: float, max_gap: float) -> Pose | None:
    """
    Return the pose at a time, s, interpolated between its neighbours; the yaw the short way.

    Args:
        poses: (time, pose), in the order of time.
        time: s.
        max_gap: largest time between the neighbours, s.

    Returns: None if the time is not between two poses, or they are too far apart.
    """
    after = bisect.bisect_left(poses, time, key=lambda entry: entry[0])
    if after == len(poses):
        return None
    end, (x1, y1, yaw1) = poses[after]
    if end == time:
        return Pose(x1, y1, yaw1)
    if after == 0:
        return None
    begin, (x0, y0, yaw0) = poses[after - 1]
    if end - begin > max_gap:
        return None
    share = (time - begin) / (end - begin)
    turn = math.remainder(yaw1 - yaw0, math.tau)
    return Pose(x0 + share * (x1 - x0), y0 + share * (y1 - y0), yaw0 + share * turn)


def compose(pose: Pose, offset: Pose) -> Pose:
    """Return the pose that is at `offset` from `pose`, in the frame in which `pose` is given."""
    x, y, yaw = pose
    forward, left, turn = offset
    cosine, sine = math.cos(yaw), math.sin(yaw)
    return Pose(x + cosine * forward - sine * left, y + sine * forward + cosine * left, yaw + turn)


def placed(points: np.ndarray, poses: np.ndarray) -> np.ndarray:
    """Return where points (m, 2), m, of a body are in poses (..., 3), m and rad: (..., m, 2)."""
    x, y, yaw = np.moveaxis(poses, -1, 0)[..., None]
    cosine, sine = np.cos(yaw), np.sin(yaw)
    forward, left = points.T
    return np.stack((x + cosine * forward - sine * left, y + sine * forward + cosine * left), -1)


def turn_of_rows(yaw: float) -> np.ndarray:
    """Return the matrix (2, 2) that turns row vectors, to its left, by an angle, rad."""
    cosine, sine = math.cos(yaw), math.sin(yaw)
    return np.array([[cosine, sine], [-sine, cosine]])
