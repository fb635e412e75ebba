# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""A path to drive along, by its length; it never changes, and a new path replaces it."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np

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
        return self.nearest_and_distance(point, after, before)[0]

    def nearest_and_distance(
        self, point: np.ndarray, after: float = 0.0, before: float = math.inf
    ) -> tuple[float, float]:
        """Return the arc length as `nearest`, and the distance, m, of the point from there."""
        return _nearest(self, float(point[0]), float(point[1]), after, before)

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


@functools.lru_cache(maxsize=8)
def _nearest(
    path: ReferencePath, px: float, py: float, after: float, before: float
) -> tuple[float, float]:
    """Do as `nearest_and_distance`; several costs ask for the same point in a plan."""
    first = path.lengths.searchsorted(after, side="right") - 1
    last = path.lengths.searchsorted(before)
    first = min(max(first, 0), len(path.points) - 2)
    part = slice(first, max(last, first + 1))
    x, y = path._units[part].T
    dx, dy = px - path.points[:-1, 0][part], py - path.points[:-1, 1][part]
    begins, spans = path.lengths[:-1][part], path._spans[part]
    # A segment outside of the allowed lengths shrinks to its nearer end.
    low, high = (np.minimum(np.maximum(bound - begins, 0.0), spans) for bound in (after, before))
    along = np.minimum(np.maximum(dx * x + dy * y, low), high)
    squared = (along * x - dx) ** 2 + (along * y - dy) ** 2
    nearest = squared.argmin()
    return float(begins[nearest] + along[nearest]), math.sqrt(squared[nearest])
