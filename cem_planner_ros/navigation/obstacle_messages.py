# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Moving obstacles from a point cloud with a point for each of them."""

from __future__ import annotations

import numpy as np

from cem_planner_ros.navigation.moving_obstacles import MovingObstacles
from cem_planner_ros.navigation.poses import Pose, turn_of_rows
from cem_planner_ros.readers import LARGEST, MessageError, point_count, read_fields

FIELDS = ("x", "y", "vx", "vy", "radius")
"""Fields that each message has: m and m/s, in its frame."""

AGE = "age"
"""Field that a message may have: time from the measurement of a point to the stamp, s."""

MOST = 1000
"""Largest number of moving obstacles in a message; the stop guard looks at all of them."""


def moving_obstacles_of(message, frame: Pose, time: float, stamp: float) -> MovingObstacles:
    """
    Return the moving obstacles of a sensor_msgs/PointCloud2, in the frame of the states.

    Args:
        message: a point for each obstacle.
        frame: pose of the frame of the message.
        time, stamp: as in `MovingObstacles`.

    Raises MessageError if the message cannot be used.
    """
    count = point_count(message)
    if count > MOST:
        raise MessageError(f"it has more than {MOST} points, expected one for each moving obstacle")
    values = _values(message) if count else np.zeros((0, 6))
    turn = turn_of_rows(frame.yaw)
    velocities = values[:, 2:4] @ turn
    places = values[:, :2] @ turn + (frame.x, frame.y)
    return MovingObstacles(
        places + values[:, 5:] * velocities, velocities, values[:, 4], time, stamp
    )


def _values(message) -> np.ndarray:
    """Return x, y, both speeds, radius and age (n, 6). Raises MessageError for a wrong one."""
    has_age = any(field.name == AGE for field in message.fields)
    names = (*FIELDS, AGE) if has_age else FIELDS
    values = read_fields(message, names)
    for name, column in zip(names, values.T, strict=True):
        is_positive = name in ("radius", AGE)
        low = 0.0 if is_positive else -LARGEST
        bad = ~((column >= low) & (column <= LARGEST))  # NaN is bad too.
        if bad.any():
            raise MessageError(f"the {name} of a point is not a number from {low:g} to {LARGEST:g}")
    return values if has_age else np.column_stack((values, np.zeros(len(values))))
