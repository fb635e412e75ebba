# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Costmaps from messages: whole grids, and updates of parts of them."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from cem_planner_ros.navigation.costmap import Costmap
from cem_planner_ros.navigation.moving_obstacles import MovingObstacles
from cem_planner_ros.navigation.poses import Pose, compose
from cem_planner_ros.navigation.received_poses import planar_pose
from cem_planner_ros.readers import LARGEST, MessageError

MAX_CELLS = 1_000_000
"""Largest number of cells of a costmap; its distance field then takes 0.1 s."""

LETHAL, INSCRIBED, UNKNOWN = 254, 253, 255
"""Values of a raw costmap: obstacle, within the inscribed radius of an obstacle, unknown."""


def _occupancy() -> np.ndarray:
    """Return the occupancy (256,), int8, of each raw value. 1 to 252 are mapped to 1 to 98."""
    table = np.zeros(256, np.int8)
    values = np.arange(1, INSCRIBED)
    table[1:INSCRIBED] = 1 + 97 * (values - 1) // 251
    table[[INSCRIBED, LETHAL, UNKNOWN]] = 99, 100, -1
    return table


OCCUPANCY = _occupancy()


def occupancy(data) -> np.ndarray:
    """Convert cells of a raw costmap (uint8) to cells of an occupancy grid, int8."""
    return OCCUPANCY[np.frombuffer(bytes(data), np.uint8)]


class ReceivedGrid:
    """The newest grid that was received, in the frame of its message."""

    def __init__(self) -> None:
        self.frame = ""
        """The frame of the message."""
        self._cells: np.ndarray | None = None
        self._resolution = math.nan
        self._origin = Pose(0.0, 0.0, 0.0)

    def forget(self) -> None:
        """Forget the grid."""
        self._cells = None

    def take(self, message) -> None:
        """
        Receive a whole grid. Raises MessageError if it cannot be used.

        Args:
            message: a nav_msgs/OccupancyGrid or a nav2_msgs/Costmap.
        """
        is_raw = hasattr(message, "metadata")
        info = message.metadata if is_raw else message.info
        width, height = (info.size_x, info.size_y) if is_raw else (info.width, info.height)
        is_grid = 0 < width * height == len(message.data)
        if not (is_grid and 0.0 < info.resolution <= LARGEST / max(width, height)):
            raise MessageError(
                f"it has {len(message.data)} cells of {info.resolution:g} m, expected "
                f"{width} x {height} of more than 0 m, and at most {LARGEST:g} m in all"
            )
        if len(message.data) > MAX_CELLS:
            raise MessageError(f"it has {len(message.data)} cells, allowed: {MAX_CELLS}")
        cells = occupancy(message.data) if is_raw else np.array(message.data, np.int8)
        self._origin = planar_pose(info.origin.position, info.origin.orientation)
        self._cells, self._resolution = cells.reshape(height, width), info.resolution
        self.frame = message.header.frame_id

    def update(self, message) -> None:
        """
        Receive an update of a part of the grid. Raises MessageError if it cannot be used.

        Args:
            message: a map_msgs/OccupancyGridUpdate or a nav2_msgs/CostmapUpdate.
        """
        if self._cells is None:
            raise MessageError("an update came before the whole costmap")
        is_raw = hasattr(message, "size_x")
        width = message.size_x if is_raw else message.width
        height = message.size_y if is_raw else message.height
        cells = self._cells.copy()  # A costmap that was handed over must not change.
        patch = cells[message.y : message.y + height, message.x : message.x + width]
        # Below zero, Python would count from the other edge of the costmap.
        is_within = message.x >= 0 and message.y >= 0 and patch.shape == (height, width)
        if not is_within or patch.size != len(message.data):
            raise MessageError("an update does not fit into the costmap")
        patch[:] = np.reshape(occupancy(message.data) if is_raw else message.data, patch.shape)
        self._cells = cells

    def costmap(self, pose_of_frame: Callable[[str], Pose], time: float, lethal: int) -> Costmap:
        """
        Return the grid in the frame of the states.

        Args:
            pose_of_frame: returns where a frame is; raises FrameError if that is not known.
            time: of the grid, s.
            lethal: as in `Costmap`.

        Raises MessageError if there is no grid, or its frame is not known.
        """
        if self._cells is None:
            raise MessageError("no costmap has come, expected a whole one")
        origin = compose(pose_of_frame(self.frame), self._origin)
        return Costmap(self._cells, self._resolution, origin, time, lethal)


def without_recent(
    costmap: Costmap, moving: MovingObstacles | None, padding: float, max_age: float
) -> Costmap:
    """Return a costmap `without` moving obstacles, if both are of about the same time, s."""
    if moving is None or not abs(costmap.time - moving.time) <= max_age:
        return costmap
    return costmap.without(moving, padding)
