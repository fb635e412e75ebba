# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The outline of a robot, covered by discs."""

from __future__ import annotations

import functools
import math
import re
from dataclasses import dataclass

import numpy as np

from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.navigation.poses import placed
from cem_planner_ros.readers import LARGEST

PARTS = 300
"""Number of parts of an outline that are covered by discs, about."""

INTERIOR = 15
"""Number of points along a side of the square around a footprint; points inside it are kept."""

HALVINGS = 8
"""Number of steps in which the smallest overhang is searched."""


@dataclass(frozen=True, eq=False)
class Footprint:
    """
    Discs that cover the border of a robot; whatever touches the robot touches a disc.

    Attributes:
        corners: (n, 2), m, in the robot's frame, x ahead and y to the left; empty for a circle.
        centers: (discs, 2), m.
        radii: (discs,), m.
        overhang: largest distance by which a disc sticks out, m.
    """

    corners: np.ndarray
    centers: np.ndarray
    radii: np.ndarray
    overhang: float

    @classmethod
    def of(cls, corners: str, radius: float, discs: int) -> Footprint:
        """
        Return the footprint with corners given as text; a circle if the text is empty.

        `radius` is that of the circle, m. `discs` is the largest number of discs.

        Raises ConfigurationError unless the text gives three or more corners around the origin.
        """
        if not corners.strip():
            return cls(np.zeros((0, 2)), np.zeros((1, 2)), np.array([radius]), 0.0)
        try:
            numbers = [float(word) for word in re.sub(r"[,;\[\]()]", " ", corners).split()]
        except ValueError:
            numbers = []
        polygon = np.array(numbers if len(numbers) % 2 == 0 else []).reshape(-1, 2)
        try:
            return cls.around(polygon, discs)
        except ValueError as error:
            raise ConfigurationError(f"footprint is {corners!r}, allowed: {error}") from error

    @classmethod
    def around(cls, corners: np.ndarray, discs: int) -> Footprint:
        """
        Return the footprint with corners (n, 2), m, covered by at most so many discs.

        Raises ValueError, with what is expected, unless there are three or more corners in order
        around the origin.
        """
        if len(corners) < 3 or not (np.abs(corners) <= LARGEST).all():  # NaN is not either.
            raise ValueError(f"x and y of three corners or more, each at most {LARGEST:g} m")
        angles = np.unwrap(np.arctan2(corners[:, 1], corners[:, 0]), axis=0)
        turn = abs(angles[-1] - angles[0])
        if not (np.linalg.norm(corners, axis=1).min() > 1e-3 and math.pi < turn < 2.0 * math.pi):
            raise ValueError("corners in order around the robot's origin")
        return cls(corners, *_cover(corners, discs))

    def covered(self, most: int) -> Footprint:
        """Return the same outline, covered by at most so many discs."""
        if len(self.centers) <= most:
            return self
        return Footprint.around(self.corners, most)

    @functools.cached_property
    def reach(self) -> float:
        """The largest distance from the robot's origin to the outline, m."""
        if not len(self.corners):
            return float(self.radii[0])
        return float(np.linalg.norm(self.corners, axis=1).max())

    @functools.cached_property
    def enclosing(self) -> tuple[np.ndarray, np.ndarray, float]:
        """
        The smaller one of a box and a circle that enclose the outline, as a box with round corners.

        Its centre (2,), half of its sides before rounding (2,), and the distance, m, by which it is
        larger on all sides: (0, 0), (0, 0) and `reach` for a circle.
        """
        if len(self.corners):
            low, high = self.corners.min(0), self.corners.max(0)
            if np.prod(high - low) <= math.pi * self.reach**2:
                return 0.5 * (low + high), 0.5 * (high - low), 0.0
        return np.zeros(2), np.zeros(2), self.reach

    @functools.cached_property
    def interior(self) -> np.ndarray:
        """Evenly spaced points (n, 2), m, inside the outline, at most INTERIOR on a side."""
        steps = np.linspace(-self.reach, self.reach, INTERIOR)
        x, y = (values.ravel() for values in np.meshgrid(steps, steps))
        is_within = self.distance(x, y) <= 0.0
        return np.column_stack((x[is_within], y[is_within]))

    def distance(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return the distance (...), m, of points (...) in the robot's frame; negative inside."""
        if not len(self.corners):
            return np.hypot(x, y) - self.radii[0]
        squared = np.full(x.shape, math.inf)
        is_inside = np.zeros(x.shape, bool)
        corners = self.corners.tolist()
        for (x0, y0), (x1, y1) in zip(corners, [*corners[1:], corners[0]], strict=True):
            side_x, side_y = x1 - x0, y1 - y0
            dx, dy = x - x0, y - y0
            scale = 1.0 / max(side_x**2 + side_y**2, 1e-12)
            share = dx * (scale * side_x) + dy * (scale * side_y)
            share = np.minimum(np.maximum(share, 0.0), 1.0)
            off_x, off_y = dx - share * side_x, dy - share * side_y
            squared = np.minimum(squared, off_x * off_x + off_y * off_y)
            if y0 != y1:  # A ray to the right crosses the outline an odd number of times.
                crosses = (y0 > y) != (y1 > y)
                is_inside ^= crosses & (dx < dy * (side_x / side_y))
        distance = np.sqrt(squared)
        return np.where(is_inside, -distance, distance)

    def at(self, x: float, y: float, yaw: float) -> np.ndarray:
        """Return the closed outline (m, 2) of the robot in a pose."""
        corners = self.corners
        if not len(corners):
            angle = np.linspace(0.0, 2.0 * math.pi, 33)
            corners = self.radii[0] * np.stack((np.cos(angle), np.sin(angle)), -1)
        moved = placed(corners, np.array((x, y, yaw)))
        return np.vstack((moved, moved[:1]))


def _with_corners(polygon: np.ndarray, count: int) -> np.ndarray:
    """Return about `count` points (n, 2) along a closed polygon, including its corners."""
    sides = np.roll(polygon, -1, axis=0) - polygon
    lengths = np.linalg.norm(sides, axis=1)
    parts = np.maximum(1, np.round(count * lengths / lengths.sum()).astype(int))
    return np.vstack(
        [
            corner + np.arange(n)[:, None] / n * side
            for corner, side, n in zip(polygon, sides, parts, strict=True)
        ]
    )


def _cover(polygon: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray, float]:
    """
    Return centres (n, 2), radii (n,) and overhang of at most `most` discs that cover a border.

    Tried are the largest discs within the polygon (m, 2) that touch its border at one of many
    places, each larger by the overhang. Of these, the next one chosen is the one that covers the
    most of what is left (a greedy cover). The smallest overhang for which that works is returned.
    """
    ends = _with_corners(polygon, PARTS)
    parts = np.roll(ends, -1, axis=0) - ends
    normals = parts @ np.array([[0.0, 1.0], [-1.0, 0.0]])  # To the left of the parts.
    normals /= np.linalg.norm(parts, axis=1)[:, None]
    turn = polygon[:, 0] @ np.roll(polygon[:, 1], -1) - polygon[:, 1] @ np.roll(polygon[:, 0], -1)
    normals *= math.copysign(1.0, turn)
    touched = ends + 0.5 * parts
    to_ends = ends - touched[:, None]
    ahead = (to_ends * normals[:, None]).sum(2)
    squared = (to_ends**2).sum(2)
    with np.errstate(divide="ignore"):
        inner = np.where(ahead > 1e-9, squared / (2.0 * ahead), math.inf).min(1)
    centers = np.vstack((touched + inner[:, None] * normals, polygon))
    inner = -Footprint(polygon, centers, np.zeros(len(centers)), 0.0).distance(*centers.T)
    distance = np.linalg.norm(ends[:, None] - centers, axis=2)
    # A disc covers a part of the outline, which is straight, if it covers both its ends.
    farther = np.maximum(distance, np.roll(distance, -1, axis=0))
    needed = (farther - inner).max(0)
    chosen, low, high = [int(needed.argmin())], 0.0, float(needed.min())
    for _ in range(HALVINGS):
        overhang = 0.5 * (low + high)
        found = _chosen((farther <= inner + overhang).astype(np.float32), most)
        if found:
            chosen, high = found, overhang
        else:
            low = overhang
    return centers[chosen], inner[chosen] + high, high


def _chosen(covers: np.ndarray, most: int) -> list[int]:
    """
    Return which columns of `covers` cover each row, [] if those would be more than `most`.

    `covers` is 1 where a column covers a row, else 0; as float32, because BLAS adds such columns.
    """
    chosen: list[int] = []
    left = np.ones(len(covers), np.float32)
    while left.any():
        gains = left @ covers
        best = int(gains.argmax())
        if len(chosen) == most or not gains[best]:
            return []
        chosen.append(best)
        left *= 1.0 - covers[:, best]
    return chosen
