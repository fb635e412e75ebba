# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""
The surroundings of a mobile robot: goal, path, costmap and moving obstacles; references.

Everything is in the frame of the state (`frame_id`), in m and rad. Objects of this module never
change; a new object replaces an old one.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from cem_planner_ros.navigation.footprint import Footprint
from cem_planner_ros.navigation.moving_obstacles import MovingObstacles
from cem_planner_ros.navigation.poses import Pose
from cem_planner_ros.navigation.references import Reference

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


SHORTEST_LEG = 0.05
"""Length, m, below which the part between two reversals of a path counts as noise."""

CORRECTION = 2.0
"""Largest distance, m, by which a correction of its frame moves a point of a path."""

SAME_LENGTH = 0.01
"""Largest difference of lengths along two paths that count as the same path, moved, m."""


@dataclass(frozen=True, eq=False)
class ReferencePath:
    """
    A polyline to drive along.

    Attributes:
        points: (n, 2), m, n >= 2; neighbouring points are different.
        times: (n,), s, ascending: when to be at each point, on the clock with which states are
            stamped (ROS time in the node); None for a path without times.
        headings: (n,), rad: the wanted heading of the robot at each point; None for the direction
            of the path.
    """

    points: np.ndarray
    times: np.ndarray | None = None
    headings: np.ndarray | None = None

    @classmethod
    def through(
        cls,
        points: np.ndarray,
        times: np.ndarray | None = None,
        headings: np.ndarray | None = None,
    ) -> ReferencePath:
        """
        Return a path through points (n, 2), without points that repeat the previous one.

        Times that do not ascend are ignored, and so are headings that are not finite. Raises
        ValueError, with the reason, if the points make no path.
        """
        points = np.asarray(points, float).reshape(-1, 2)
        if not np.isfinite(points).all():
            raise ValueError("a point of the path is not finite")
        moves = np.ones(len(points), bool)
        moves[1:] = np.linalg.norm(np.diff(points, axis=0), axis=1) > 1e-6
        if moves.sum() < 2:
            raise ValueError(f"the path has {moves.sum()} different points, expected at least 2")
        if times is not None:
            times = np.asarray(times, float)[moves]
            if not (np.diff(times) > 0.0).all():
                times = None
        if headings is not None:
            headings = np.asarray(headings, float)[moves]
            if not np.isfinite(headings).all():
                headings = None
        return cls(points[moves], times, headings)

    @functools.cached_property
    def lengths(self) -> np.ndarray:
        """Arc length at each point (n,), m."""
        return np.concatenate(([0.0], np.cumsum(np.linalg.norm(self._steps, axis=1))))

    @functools.cached_property
    def legs(self) -> np.ndarray:
        """
        Arc lengths (k + 1,), m, of the ends of the legs: the robot stops between two legs.

        A leg ends where the path turns by more than 120 degrees, and where the headings say that
        the robot changes between driving forwards and backwards. Two such places within
        SHORTEST_LEG end no leg: they are noise of the points.
        """
        unit = self._units
        is_end = np.zeros(len(unit), bool)
        is_end[1:] = (unit[1:] * unit[:-1]).sum(1) < -0.5
        if self.headings is not None:
            facing = np.stack((np.cos(self.headings), np.sin(self.headings)), -1)
            along = (unit * (facing[1:] + facing[:-1])).sum(1)
            # A robot that moves sideways drives neither forwards nor backwards.
            clear = np.flatnonzero(np.abs(along) > 1.0)
            changes = np.sign(along[clear][1:]) != np.sign(along[clear][:-1])
            is_end[clear[1:][changes]] = True
        legs = [0.0]
        for place in self.lengths[:-1][is_end]:
            if place - legs[-1] >= SHORTEST_LEG:
                legs.append(place)
            elif len(legs) > 1:
                legs.pop()
        if len(legs) > 1 and self.lengths[-1] - legs[-1] < SHORTEST_LEG:
            legs.pop()
        return np.array([*legs, self.lengths[-1]])

    @functools.cached_property
    def _steps(self) -> np.ndarray:
        return np.diff(self.points, axis=0)

    @functools.cached_property
    def _spans(self) -> np.ndarray:
        return np.diff(self.lengths)

    @functools.cached_property
    def _units(self) -> np.ndarray:
        return self._steps / self._spans[:, None]

    @functools.cached_property
    def _turned(self) -> np.ndarray:
        """By how much the path has turned until each segment (n - 1,), in either direction, rad."""
        x, y = self._units.T
        along, across = x[1:] * x[:-1] + y[1:] * y[:-1], x[:-1] * y[1:] - y[:-1] * x[1:]
        return np.concatenate(([0.0], np.cumsum(np.abs(np.arctan2(across, along)))))

    @functools.cached_property
    def _unwrapped(self) -> np.ndarray | None:
        return None if self.headings is None else np.unwrap(self.headings)

    def _segment(self, length: np.ndarray) -> np.ndarray:
        """Return the indices (...) of the segments in which arc lengths (...), m, lie."""
        index = self.lengths.searchsorted(length, side="right") - 1
        return np.minimum(np.maximum(index, 0), len(self.points) - 2)

    def at(self, length: np.ndarray) -> np.ndarray:
        """Return the points (..., 2) at arc lengths (...), m; beyond an end the end itself."""
        index = self._segment(length)
        beyond = np.minimum(np.maximum(length, 0.0), self.lengths[-1]) - self.lengths[index]
        return self.points[index] + beyond[..., None] * self._units[index]

    def along(self, length: np.ndarray) -> np.ndarray:
        """Return the unit vectors (..., 2) of the direction of the path at arc lengths (...), m."""
        return self._units[self._segment(length)]

    def turning(self, begin: float, end: float) -> float:
        """Return the angle, rad, by which the path turns between two arc lengths, m, in all."""
        first, last = self._segment(np.array((begin, end)))
        return float(self._turned[last] - self._turned[first])

    def heading(self, length: np.ndarray) -> np.ndarray:
        """Return the wanted heading (...) of the robot at arc lengths (...), rad."""
        if self._unwrapped is None:
            along = self.along(length)
            return np.arctan2(along[..., 1], along[..., 0])
        return np.interp(length, self.lengths, self._unwrapped)

    def nearest(self, point: np.ndarray, after: float = 0.0, before: float = math.inf) -> float:
        """Return the arc length, between `after` and `before`, that is nearest to a point (2,)."""
        first = self.lengths.searchsorted(after, side="right") - 1
        last = self.lengths.searchsorted(before)
        first = min(max(first, 0), len(self.points) - 2)
        part = slice(first, max(last, first + 1))
        x, y = self._units[part].T
        dx, dy = (point - self.points[:-1][part]).T
        begins, spans = self.lengths[:-1][part], self._spans[part]
        # A segment outside of the allowed lengths shrinks to its nearer end.
        low, high = (
            np.minimum(np.maximum(bound - begins, 0.0), spans) for bound in (after, before)
        )
        along = np.minimum(np.maximum(dx * x + dy * y, low), high)
        nearest = ((along * x - dx) ** 2 + (along * y - dy) ** 2).argmin()
        return float(begins[nearest] + along[nearest])

    def first_near(self, point: np.ndarray, distance: float) -> float:
        """Return the smallest arc length, m, of a place within a distance, m, of a point (2,)."""
        spans, unit = self._spans, self._units
        offset = point - self.points[:-1]
        along = (unit * offset).sum(1)
        off = np.linalg.norm(offset - along[:, None] * unit, axis=1)
        half = np.sqrt(np.maximum(distance**2 - off**2, 0.0))
        begin = np.maximum(along - half, 0.0)
        is_near = (off <= distance) & (begin <= np.minimum(along + half, spans))
        if not is_near.any():
            return self.nearest(point)
        index = np.argmax(is_near)
        return float(self.lengths[index] + begin[index])

    def is_moved(self, other: ReferencePath) -> bool:
        """Return whether two paths are equal, except for a correction of their frame."""
        return other is self or (
            self.points.shape == other.points.shape
            and bool(np.abs(self.points - other.points).max() < CORRECTION)
            and np.allclose(self.lengths, other.lengths, atol=SAME_LENGTH)
        )


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


@dataclass(frozen=True)
class GoalTolerance:
    """
    The tolerances within which a goal is reached.

    Attributes:
        xy: largest distance to the goal, m.
        yaw: largest error of the heading, rad.
        speed: speed below which the robot counts as standing, m/s.
        yaw_rate: yaw rate below which the robot counts as standing, rad/s.
        is_stateful: whether the distance is no longer checked once it was below `xy`.
    """

    xy: float
    yaw: float
    speed: float
    yaw_rate: float
    is_stateful: bool = False


@dataclass(frozen=True, eq=False)
class Surroundings:
    """
    What is known of the surroundings; an unknown part is None.

    `tolerance` says when the goal is reached. If it is None, the parameters `drive.*` do. If
    `footprint` is None, the robot has the one of the parameters. `references` has the reference of
    each cost that follows one, by the name of the cost, from the first message on.
    """

    goal: Pose | None = None
    path: ReferencePath | None = None
    costmap: Costmap | None = None
    moving_obstacles: MovingObstacles | None = None
    tolerance: GoalTolerance | None = None
    references: Mapping[str, Reference] = field(default_factory=dict)
    footprint: Footprint | None = None


NOTHING = Surroundings()
