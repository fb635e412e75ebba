# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Obstacles that move: where they are predicted to be, and how near the robot comes to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from cem_planner_ros.navigation.footprint import Footprint

ROUNDING = 1e-6
"""Tolerance of clearances for the rounding of float64, m."""

STANDING = 1.5
"""Time for which a robot that has braked is looked at, s."""

CORNERS = 16
"""Corners of the outline that stands for a disc in drawings."""


@dataclass(frozen=True, eq=False)
class MovingObstacles:
    """
    Discs that move with constant velocity, in the frame of the state.

    Attributes:
        positions: (n, 2), at `time`, m.
        velocities: (n, 2), over ground, m/s.
        radii: (n,), m.
        time: time of the positions on the clock of the control loop, s.
        stamp: the same moment on the clock with which states are stamped (ROS time in the node), s.
    """

    positions: np.ndarray
    velocities: np.ndarray
    radii: np.ndarray
    time: float
    stamp: float

    def after(self, seconds: float) -> MovingObstacles:
        """Return the obstacles as they are predicted to be some seconds later."""
        return replace(
            self,
            positions=self.positions + seconds * self.velocities,
            time=self.time + seconds,
            stamp=self.stamp + seconds,
        )

    def outlines(self) -> np.ndarray:
        """Return closed outlines (n, CORNERS + 1, 2) of the discs, m, for drawings."""
        angles = np.linspace(0.0, 2.0 * np.pi, CORNERS + 1)
        circle = np.stack((np.cos(angles), np.sin(angles)), -1)
        return self.positions[:, None] + self.radii[:, None, None] * circle

    def nearest(self, point: np.ndarray, count: int) -> np.ndarray:
        """Return x, y, both speeds and the radius (k, 5) of the nearest `count` obstacles."""
        order = np.argsort(np.linalg.norm(self.positions - point, axis=1) - self.radii)[:count]
        facts = np.column_stack((self.positions, self.velocities, self.radii))
        return facts[order]

    def clearance(self, footprint: Footprint, way: np.ndarray, step: float) -> np.ndarray:
        """
        Return the distance (m, n), m, of each obstacle to the footprint in poses (m, 3).

        The robot is in the first pose at `time`, and in each other one `step` s after the one
        before.
        """
        passed = step * np.arange(len(way))[:, None, None]
        offset = self.positions + passed * self.velocities - way[:, None, :2]
        cos, sin = np.cos(way[:, 2:]), np.sin(way[:, 2:])
        dx, dy = offset[..., 0], offset[..., 1]
        return footprint.distance(cos * dx + sin * dy, cos * dy - sin * dx) - self.radii


class MovingObstacleCheck:
    """
    Decides whether the robot may drive a way on which it brakes to a standstill.

    The robot must keep the margin to each obstacle until it stands. This is not required where
    stopping is no help, because an obstacle comes nearer than the margin even if the robot brakes
    at once and then stands for STANDING s. Then a command must be no worse for this obstacle than
    that. How bad a way is, is the integral of what lacks of the margin; earlier moments weigh more.
    So the robot may leave the way of somebody, and does not stop in it.

    Args:
        footprint: the outline of the robot.
        obstacles: the obstacles at the time of the first pose of each way.
        margin: smallest clearance to keep, m.
        step: time from pose to pose of a way, s.
        brake: returns the way (n, 3) on which the robot brakes at once.
    """

    def __init__(
        self,
        footprint: Footprint,
        obstacles: MovingObstacles,
        margin: float,
        step: float,
        brake: Callable[[], np.ndarray],
    ):
        self._footprint = footprint
        self._obstacles = obstacles
        self._margin = margin
        self._step = step
        self._brake = brake
        self._braking: np.ndarray | None = None

    def allows(self, way: np.ndarray) -> bool:
        """Return whether the robot may drive a way (n, 3), m and rad, that ends in standstill."""
        is_met = (self._lack(way) > ROUNDING).any(0)
        if not is_met.any():
            return True
        if self._braking is None:
            self._braking = self._brake()
        count = max(len(way), len(self._braking)) + round(STANDING / self._step)
        is_worse = self._harm(way, count) > self._harm(self._braking, count) + ROUNDING
        return not (is_met & is_worse).any()

    def _lack(self, way: np.ndarray) -> np.ndarray:
        """Return what lacks of the margin (m, n), m, to each obstacle in each pose of a way."""
        clearance = self._obstacles.clearance(self._footprint, way, self._step)
        return np.maximum(self._margin - clearance, 0.0)

    def _harm(self, way: np.ndarray, count: int) -> np.ndarray:
        """Return how bad (n,) a way is, if the robot stands at its end until pose `count`."""
        way = np.concatenate((way, np.repeat(way[-1:], count - len(way), axis=0)))
        return np.linspace(1.0, 0.0, count) @ self._lack(way)
