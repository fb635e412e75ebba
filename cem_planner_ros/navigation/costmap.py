# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""A costmap and its distance field; it never changes, and a new costmap replaces it."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace

import numpy as np

from cem_planner_ros.navigation.moving_obstacles import MovingObstacles
from cem_planner_ros.navigation.poses import Pose

OCCUPIED = 100
"""Value of a cell with an obstacle (nav_msgs/OccupancyGrid)."""

SUBDIVIDED = 2
"""How many times finer the distance field is than the map, so that no interpolation is needed."""

CAUTION = 0.17
"""
Of a cell's side, by which the distance field is made smaller.

The distance between centres forgets corners, and the nearest finer cell is up to 0.35 away: without
it a look-up would say up to 0.66 too much.
"""


@dataclass(frozen=True, eq=False)
class Costmap:
    """
    A costmap, as in nav_msgs/OccupancyGrid.

    Attributes:
        cells: (rows, columns), int8: -1 unknown, 0 free, up to 100 occupied; row 0 at the origin.
        resolution: side of a cell, m.
        origin: pose of the corner of cell (0, 0).
        time: time of the costmap on the clock of the control loop, s.
        lethal: cells from this value on are obstacles; unknown ones are not.
    """

    cells: np.ndarray
    resolution: float
    origin: Pose
    time: float
    lethal: int = OCCUPIED

    @functools.cached_property
    def distance(self) -> np.ndarray:
        """
        The distance field: distance from each finer cell to the edge of the nearest obstacle, m.

        (SUBDIVIDED rows, SUBDIVIDED columns), float32; Outside of obstacles a distance is at most
        half a cell's side too large and 0.7 of it too small. Inside of obstacles it is negative.
        Without obstacles it is the size of the map. Raises ImportError without SciPy.
        """
        from scipy.ndimage import distance_transform_edt

        occupied = self.cells >= self.lethal
        if not occupied.any():
            shape = [SUBDIVIDED * size for size in occupied.shape]
            return np.full(shape, self.resolution * max(occupied.shape), np.float32)
        # From centre to centre; the edge is half a cell before the centre of the first occupied
        # cell.
        outside, inside = distance_transform_edt(~occupied), distance_transform_edt(occupied)
        cells = (outside - inside - np.where(occupied, -0.5, 0.5) - CAUTION).astype(np.float32)
        return _finer(_finer(np.float32(self.resolution) * cells).T).T

    def index(self, points: np.ndarray) -> np.ndarray:
        """Return the row and column (..., 2) of the distance field at points (..., 2), m."""
        finer = SUBDIVIDED / self.resolution
        cos, sin = finer * math.cos(self.origin.yaw), finer * math.sin(self.origin.yaw)
        dx, dy = points[..., 0] - self.origin.x, points[..., 1] - self.origin.y
        place = np.empty(points.shape)
        place[..., 0], place[..., 1] = cos * dy - sin * dx, cos * dx + sin * dy
        return place

    def contains(self, point: np.ndarray) -> bool:
        """Return whether a point (2,), m, lies on the map."""
        place = self.index(np.asarray(point))
        return bool((place >= 0.0).all() and (place < np.array(self.distance.shape)).all())

    def is_occupied(self, points: np.ndarray) -> np.ndarray:
        """Return whether points (..., 2), m, are on occupied cells, (...)."""
        place = np.floor(self.index(points) / SUBDIVIDED)
        last = np.array(self.cells.shape) - 1
        row, column = np.moveaxis(np.clip(place, 0, last).astype(int), -1, 0)
        is_on_map = ((place >= 0) & (place <= last)).all(-1)
        return is_on_map & (self.cells[row, column] >= self.lethal)

    def without(self, moving: MovingObstacles, padding: float) -> Costmap:
        """
        Return this map without the occupied cells that belong to moving obstacles.

        Those are the cells whose centre is within `padding`, m, of a moving obstacle where it was
        at the time of the map.
        """
        moving = moving.after(self.time - moving.time)
        cells = self.cells.copy()
        for place, radius in zip(self.index(moving.positions), moving.radii, strict=True):
            middle, reach = place / SUBDIVIDED - 0.5, (radius + padding) / self.resolution
            low = np.maximum(np.ceil(middle - reach), 0.0)
            high = np.minimum(np.floor(middle + reach), np.array(cells.shape) - 1.0)
            if (low <= high).all():
                rows, columns = (np.arange(*ends) for ends in zip(low, high + 1.0, strict=True))
                off = np.hypot(rows[:, None] - middle[0], columns - middle[1])
                part = cells[int(low[0]) :, int(low[1]) :][: len(rows), : len(columns)]
                part[(off <= reach) & (part >= self.lethal)] = 0
        return replace(self, cells=cells)

    def outlines(self, center: np.ndarray, radius: float) -> np.ndarray:
        """
        Return the centres (m, 2), m, of the border cells of obstacles near a point.

        Border cells are occupied cells with at least one of four neighbours that is not occupied.

        Args:
            center: (2,), m.
            radius: m; some of the cells may be up to 1.5 times this distance away.

        Raises ValueError if the map has no cells or the center is not finite.
        """
        if not self.cells.size:
            raise ValueError("the costmap has no cells")
        row, column = self.index(np.asarray(center)) / SUBDIVIDED
        reach = radius / self.resolution
        (top, bottom), (left, right) = (
            (
                int(min(max(math.floor(place - reach), 0), size)),
                int(min(max(math.ceil(place + reach), 0), size)),
            )
            for place, size in zip((row, column), self.cells.shape, strict=True)
        )
        # One cell more on each side, because the neighbours decide whether a cell is a border cell.
        first_row, first_column = max(top - 1, 0), max(left - 1, 0)
        cells = self.cells[first_row : bottom + 1, first_column : right + 1] >= self.lethal
        outer = cells.copy()
        outer[1:-1, 1:-1] &= ~(
            cells[:-2, 1:-1] & cells[2:, 1:-1] & cells[1:-1, :-2] & cells[1:-1, 2:]
        )
        rows, columns = np.nonzero(outer)
        along = (columns + first_column + 0.5) * self.resolution
        across = (rows + first_row + 0.5) * self.resolution
        cos, sin = math.cos(self.origin.yaw), math.sin(self.origin.yaw)
        x = self.origin.x + cos * along - sin * across
        y = self.origin.y + sin * along + cos * across
        return np.column_stack((x, y))

    def clearance(self, points: np.ndarray) -> np.ndarray:
        """Return the distance (...), m, of points (..., 2) to obstacles."""
        last = np.array(self.distance.shape) - 1
        # Below 0, the cell of a number is that of 0, and rounding towards 0 is rounding down.
        place = np.minimum(np.maximum(self.index(points), 0.0), last).astype(int)
        return self.distance[place[..., 0], place[..., 1]]


def _finer(rows: np.ndarray) -> np.ndarray:
    """Return twice as many rows, interpolated a quarter cell before and behind each centre."""
    result = np.empty((2 * len(rows), *rows.shape[1:]), rows.dtype)
    mixed = 0.75 * rows
    result[0::2], result[1::2] = mixed, mixed
    result[2::2] += 0.25 * rows[:-1]
    result[1:-1:2] += 0.25 * rows[1:]
    # Up to half a cell outside of the map, the value at the edge is used.
    result[0] += 0.25 * rows[0]
    result[-1] += 0.25 * rows[-1]
    return result
