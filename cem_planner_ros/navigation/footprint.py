"""The outline of a robot, covered by discs."""

from __future__ import annotations

import functools
import math
import re
from dataclasses import dataclass

import numpy as np

from cem_planner_ros.errors import ConfigurationError

DENSE = 2000
"""Number of points of the outline at which a cover by discs is checked."""

INTERIOR = 15
"""Number of points along a side of the square around a footprint; points inside it are kept."""

INSETS = np.linspace(0.02, 0.98, 49)
"""Distances towards the middle of the robot at which centres of discs are tried."""


@dataclass(frozen=True, eq=False)
class Footprint:
    """
    Equal discs that cover the border of a robot; whatever touches the robot touches a disc.

    Attributes:
        corners: (n, 2), m, in the robot's frame, x ahead and y to the left; empty for a circle.
        centers: (discs, 2), m.
        radius: radius of each disc, m.
        overhang: largest distance by which a disc sticks out, m.
    """

    corners: np.ndarray
    centers: np.ndarray
    radius: float
    overhang: float

    @classmethod
    def of(cls, corners: str, radius: float, discs: int) -> Footprint:
        """
        Return the footprint with corners given as text; a circle if the text is empty.

        Raises ConfigurationError unless the text gives three or more corners around the origin.
        """
        if not corners.strip():
            return cls(np.zeros((0, 2)), np.zeros((1, 2)), radius, 0.0)
        try:
            numbers = [float(word) for word in re.sub(r"[,;\[\]()]", " ", corners).split()]
        except ValueError:
            numbers = []
        if len(numbers) < 6 or len(numbers) % 2 or not np.isfinite(numbers).all():
            raise ConfigurationError(
                f"footprint is {corners!r}, allowed: x and y of three corners or more"
            )
        polygon = np.array(numbers).reshape(-1, 2)
        angles = np.unwrap(np.arctan2(polygon[:, 1], polygon[:, 0]), axis=0)
        turn = abs(angles[-1] - angles[0])
        if not (np.linalg.norm(polygon, axis=1).min() > 1e-3 and math.pi < turn < 2.0 * math.pi):
            raise ConfigurationError(
                f"footprint is {corners!r}, allowed: corners in order around the robot's origin"
            )
        outline = _along(polygon, DENSE)
        best: tuple[float, float, np.ndarray] | None = None
        for inset in INSETS:
            centers = _with_corners((1.0 - inset) * polygon, discs)
            distance = np.linalg.norm(outline[:, None] - centers, axis=2)
            cover = distance.min(1).max()
            overhang = cover - distance.min(0).min()
            if best is None or overhang < best[0]:
                best = overhang, cover, centers
        overhang, cover, centers = best
        # This also covers the outline between two of its points.
        around = np.linalg.norm(np.roll(polygon, -1, axis=0) - polygon, axis=1).sum()
        slack = 0.5 * around / DENSE
        return cls(polygon, centers, float(cover + slack), float(overhang + slack))

    @functools.cached_property
    def reach(self) -> float:
        """The largest distance from the robot's origin to the outline, m."""
        if not len(self.corners):
            return self.radius
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
            return np.hypot(x, y) - self.radius
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
            corners = self.radius * np.stack((np.cos(angle), np.sin(angle)), -1)
        cos, sin = math.cos(yaw), math.sin(yaw)
        turned = corners @ np.array([[cos, sin], [-sin, cos]]) + [x, y]
        return np.vstack((turned, turned[:1]))

    def discs_at(self, x: np.ndarray, y: np.ndarray, yaw: np.ndarray) -> np.ndarray:
        """Return the centres (..., discs, 2) of the discs in poses (...)."""
        cos, sin = np.cos(yaw)[..., None], np.sin(yaw)[..., None]
        ahead, aside = self.centers.T
        return np.stack(
            (
                x[..., None] + cos * ahead - sin * aside,
                y[..., None] + sin * ahead + cos * aside,
            ),
            -1,
        )


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


def _along(polygon: np.ndarray, count: int) -> np.ndarray:
    """Return `count` points (count, 2) at equal distances along a closed polygon."""
    closed = np.vstack((polygon, polygon[:1]))
    lengths = np.concatenate(([0.0], np.cumsum(np.linalg.norm(np.diff(closed, axis=0), axis=1))))
    where = np.arange(count) / count * lengths[-1]
    return np.stack([np.interp(where, lengths, closed[:, i]) for i in (0, 1)], -1)
