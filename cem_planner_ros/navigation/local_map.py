# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""A local occupancy grid from laser scans."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from cem_planner_ros.navigation.costmap import OCCUPIED

UNKNOWN, FREE = -1, 0
"""The other values of a cell, as in nav_msgs/OccupancyGrid."""

MAX_MARGIN = 0.2
"""Largest distance before its end at which a beam stops clearing because of its neighbours, m."""


class LocalMap:
    """
    A square occupancy grid in a fixed frame; its window moves with the sensor.

    A cell has the value that was seen last. A beam makes the cell in which it ends occupied, and
    the cells that it crossed before free. A cell that a beam of the scan hits is occupied after the
    scan, even if another beam crossed it. Only a beam that crosses an occupied cell and ends behind
    it clears that cell. Between two neighbouring beams that both continue, unknown cells become
    free, because far away beams are more than a cell apart.

    The value of each cell is computed from the nearest beam (Thrun, Burgard, Fox: Probabilistic
    Robotics, table 9.2, without probabilities).

    Args:
        size: number of cells along a side.
        resolution: length of a cell's side, m.
    """

    def __init__(self, size: int = 200, resolution: float = 0.025):
        self.size = size
        self.resolution = resolution
        self.cells = np.full((size, size), UNKNOWN, np.int8)
        """(size, size), row = y, column = x; UNKNOWN, FREE or OCCUPIED."""
        self._corner = np.full(2, -(size // 2))  # (x, y) of the first cell, in cells

    @property
    def origin(self) -> tuple[float, float]:
        """Position of the corner of the first cell in the fixed frame, (x, y) in m."""
        x, y = self._corner * self.resolution
        return float(x), float(y)

    def update(
        self,
        pose: Sequence[float],
        ranges: np.ndarray,
        angle_min: float,
        angle_increment: float,
        range_min: float,
        range_max: float,
    ) -> None:
        """
        Move the window to the sensor, and add a scan.

        Ranges have the meaning of sensor_msgs/LaserScan and REP 117. Ranges below `range_min` or
        above `range_max`, -inf and NaN are discarded. inf means that there is no obstacle up to
        `range_max`.

        Args:
            pose: pose of the sensor in the fixed frame: x, y (m), yaw (rad).
            ranges: (B,), m.
            angle_min: angle of the first beam in the sensor's frame, rad.
            angle_increment: angle from beam to beam, rad; negative if the sensor turns clockwise.
            range_min, range_max: m.

        Raises ValueError if there is no beam, or if pose or angles are not finite.
        """
        ranges = np.asarray(ranges, np.float64)
        numbers = (*pose, angle_min, angle_increment)
        if not (ranges.size and all(map(math.isfinite, numbers)) and angle_increment):
            raise ValueError("the scan has no beams, or its pose or angles are not finite")
        if angle_increment < 0.0:
            angle_min += (len(ranges) - 1) * angle_increment
            angle_increment = -angle_increment
            ranges = ranges[::-1]
        x, y, yaw = pose
        self._roll(x, y)
        hit = (ranges >= range_min) & (ranges <= range_max)
        ends = np.where(hit, ranges, np.where(ranges == np.inf, range_max, np.nan))
        angles = yaw + angle_min + angle_increment * np.arange(len(ranges))
        self._clear(x, y, angles, angle_increment, self._reach(ends))
        ranges, angles = ranges[hit], angles[hit]
        points = np.stack((x + ranges * np.cos(angles), y + ranges * np.sin(angles)))
        columns, rows = np.floor(points / self.resolution).astype(int) - self._corner[:, None]
        inside = (columns >= 0) & (columns < self.size) & (rows >= 0) & (rows < self.size)
        self.cells[rows[inside], columns[inside]] = OCCUPIED

    def _roll(self, x: float, y: float) -> None:
        """Move the window by whole cells so that (x, y), m, is in the middle."""
        corner = np.floor(np.array((x, y)) / self.resolution).astype(int) - self.size // 2
        (right, up), self._corner = corner - self._corner, corner
        if right or up:
            before, size = self.cells, self.size
            self.cells = np.full_like(before, UNKNOWN)
            if max(abs(right), abs(up)) < size:
                kept = before[max(up, 0) : size + min(up, 0), max(right, 0) : size + min(right, 0)]
                row, column = max(-up, 0), max(-right, 0)
                self.cells[row : row + kept.shape[0], column : column + kept.shape[1]] = kept

    def _reach(self, ends: np.ndarray) -> np.ndarray:
        """
        Return the distance (B,), m, up to which each beam clears; it ended at (B,), m, or NaN.

        A beam clears up to half a cell before its end, and less if a neighbour ended earlier: on a
        surface seen at a flat angle, a beam crosses cells of the surface before it hits the
        surface.
        """
        nearer = np.fmin(np.roll(ends, 1), np.roll(ends, -1))
        stop = np.fmax(np.fmin(ends, nearer), ends - MAX_MARGIN) - 0.5 * self.resolution
        return np.where(np.isnan(ends), 0.0, stop)

    def _clear(
        self, x: float, y: float, angles: np.ndarray, increment: float, reach: np.ndarray
    ) -> None:
        """Clear the cells that the beams from (x, y) crossed; `angles` and `reach` are (B,)."""
        count = len(reach)
        # The last beam is followed by the first one, or by a beam that clears nothing.
        closed = (count + 0.5) * increment > math.tau
        reach = np.append(reach, [reach[0] if closed else 0.0] * 2).astype(np.float32)
        # Half the width of a cell across the beam: a beam that crosses a cell is nearer to its
        # centre. A little more, for beams along the edge of two cells, which end in either by
        # rounding.
        width = 0.505 * self.resolution * (np.abs(np.cos(angles)) + np.abs(np.sin(angles)))
        width = np.append(width, [width[0]] * 2).astype(np.float32)
        steps = np.arange(self.size) + 0.5
        dx = ((self._corner[0] + steps) * self.resolution - x).astype(np.float32)
        dy = ((self._corner[1] + steps) * self.resolution - y).astype(np.float32)[:, None]
        distance = np.sqrt(dx * dx + dy * dy)
        beam = np.arctan2(dy, dx)
        beam -= math.remainder(angles[0], math.tau)
        beam[beam < 0.0] += math.tau
        beam *= 1.0 / increment
        previous = np.minimum(beam.astype(np.intp), count)
        nearest = np.minimum((beam + 0.5).astype(np.intp), count)
        aside = np.abs(beam - nearest) * increment * distance
        crossed = (aside <= width.take(nearest)) & (distance < reach.take(nearest))
        between = distance < np.minimum(reach, np.roll(reach, -1)).take(previous)
        self.cells[crossed | (between & (self.cells == UNKNOWN))] = FREE
