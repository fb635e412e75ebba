# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The input of moving obstacles, from a point cloud with a point for each of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from sensor_msgs.msg import PointCloud2

from cem_planner_ros.configuration import Configuration
from cem_planner_ros.navigation.moving_obstacles import MovingObstacles
from cem_planner_ros.navigation.poses import turn_of_rows
from cem_planner_ros.readers import MessageError, stamp_of
from cem_planner_ros.ros.frames import Frames
from cem_planner_ros.ros.point_clouds import point_count, read_fields, write_fields

FIELDS = ("x", "y", "vx", "vy", "radius")
"""Fields that each message has: m and m/s, in its frame."""

AGE = "age"
"""Field that a message may have: time from the measurement of a point to the stamp, s."""

MOST = 1000
"""Largest number of moving obstacles in a message; the stop guard looks at all of them."""

LARGEST = 1e9
"""Largest absolute value of a field, so that no product overflows float32."""


class MovingObstaclesInput:
    """
    Makes moving obstacles from messages.

    Args:
        frames: transforms of the messages' frames.
        configuration: largest age of a message, and how many obstacles the costs consider.
        clock: clock of the control loop, s.
        stamp_clock: clock with which messages are stamped, s.
        changed: called with the moving obstacles of each message, None when they are forgotten.
    """

    def __init__(
        self,
        frames: Frames,
        configuration: Configuration,
        clock: Callable[[], float],
        stamp_clock: Callable[[], float],
        changed: Callable[[MovingObstacles | None], None],
    ):
        self._frames = frames
        self._clock = clock
        self._stamp_clock = stamp_clock
        self._changed = changed
        self.use(configuration)

    def use(self, configuration: Configuration) -> None:
        """Use other values from now on."""
        values = configuration.values
        self._max_age = values["drive.max_moving_obstacles_age"]
        self._counts = {
            parameter: values[parameter]
            for name, cost in configuration.costs.items()
            if "moving_obstacles" in cost.inputs
            and (parameter := f"{name}.moving_obstacles") in values
        }

    def forget(self) -> None:
        """Forget the moving obstacles: the clock was set."""
        self._changed(None)

    def take(self, message: PointCloud2) -> str:
        """
        Receive all moving obstacles of a moment; return what is wrong with it all the same, or "".

        Raises MessageError if the message cannot be used.
        """
        count = point_count(message)
        if count > MOST:
            raise MessageError(
                f"it has more than {MOST} points, expected one for each moving obstacle"
            )
        stamp, now = stamp_of(message), self._stamp_clock()
        # With clocks that differ a little, a message from the future is new.
        age = 0.0 if stamp is None else now - stamp
        if age < -self._max_age:
            raise MessageError(
                "its stamp is in the future by more than drive.max_moving_obstacles_age"
            )
        age = max(age, 0.0)
        frame = self._frames.pose_of(message.header.frame_id, stamp)
        values = _values(message) if count else np.zeros((0, 6))
        turn = turn_of_rows(frame.yaw)
        velocities = values[:, 2:4] @ turn
        places = values[:, :2] @ turn + (frame.x, frame.y)
        self._changed(
            MovingObstacles(
                places + values[:, 5:] * velocities,
                velocities,
                values[:, 4],
                self._clock() - age,
                now - age,
            )
        )
        for parameter, most in self._counts.items():
            if count > most:
                return (
                    f"there are more moving obstacles than {parameter}, {most}: plans consider the "
                    f"nearest {most}, the stop guard considers all"
                )
        return ""


def _values(message: PointCloud2) -> np.ndarray:
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


def moving_obstacles_message(
    positions: np.ndarray, velocities: np.ndarray, radii: np.ndarray
) -> PointCloud2:
    """Return moving obstacles as a message without header; (n, 2), (n, 2) and (n,), m and m/s."""
    columns = (*positions.T, *velocities.T, radii)
    return write_fields(dict(zip(FIELDS, columns, strict=True)))
