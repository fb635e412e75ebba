# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The input of moving obstacles, from a point cloud with a point for each of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from sensor_msgs.msg import PointCloud2

from cem_planner_ros.configuration import Configuration
from cem_planner_ros.navigation.moving_obstacles import MovingObstacles
from cem_planner_ros.navigation.obstacle_messages import FIELDS, moving_obstacles_of
from cem_planner_ros.readers import age_of, stamp_of
from cem_planner_ros.ros.frames import Frames
from cem_planner_ros.ros.point_clouds import write_fields


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
        stamp, now = stamp_of(message), self._stamp_clock()
        age = age_of(stamp, now, self._max_age, "drive.max_moving_obstacles_age")
        frame = self._frames.pose_of(message.header.frame_id, stamp)
        moving = moving_obstacles_of(message, frame, self._clock() - age, now - age)
        self._changed(moving)
        count = len(moving.radii)
        for parameter, most in self._counts.items():
            if count > most:
                return (
                    f"there are more moving obstacles than {parameter}, {most}: plans consider the "
                    f"nearest {most}, the stop guard considers all"
                )
        return ""


def moving_obstacles_message(
    positions: np.ndarray, velocities: np.ndarray, radii: np.ndarray
) -> PointCloud2:
    """Return moving obstacles as a message without header; (n, 2), (n, 2) and (n,), m and m/s."""
    columns = (*positions.T, *velocities.T, radii)
    return write_fields(dict(zip(FIELDS, columns, strict=True)))
