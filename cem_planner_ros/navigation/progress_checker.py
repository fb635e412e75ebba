"""Whether a robot that follows a path gets on, and how much of the path is left."""

from __future__ import annotations

import math

import numpy as np

from cem_planner_ros.navigation.poses import Pose
from cem_planner_ros.navigation.surroundings import ReferencePath

BEHIND, AHEAD = 0.5, 2.0
"""m of the path behind and ahead of the last place, among which the next place is looked for."""


class ProgressChecker:
    """
    Says when a robot has not moved for too long.

    Args:
        radius: m by which the robot has to come away from where it was.
        angle: rad by which turning is progress too; None if it is not.
        allowance: s that this may take.
    """

    def __init__(self, radius: float, angle: float | None, allowance: float):
        self._radius = radius
        self._angle = angle
        self._allowance = allowance
        self._from: Pose | None = None
        self._since = 0.0
        self._now = 0.0

    def is_stuck(self, pose: Pose, now: float) -> bool:
        """Return whether the robot, in a pose now (s), has made no progress for too long."""
        if self._from is None or self._has_moved(pose):
            self._from, self._since = pose, now
        self._now = now
        return now - self._since > self._allowance

    def wait(self, now: float) -> None:
        """Do not count the time until now (s), in which the robot was not allowed to move."""
        self._since += now - self._now if self._from is not None else 0.0
        self._now = now

    def _has_moved(self, pose: Pose) -> bool:
        turned = abs(math.remainder(pose.yaw - self._from.yaw, math.tau))
        moved = math.dist(pose[:2], self._from[:2])
        return moved > self._radius or (self._angle is not None and turned > self._angle)


class PathPlace:
    """
    Where a robot is on the path that it follows.

    The place is looked for around the place before, so that a path may cross itself and lead back.
    """

    def __init__(self):
        self._path: ReferencePath | None = None
        self._length = 0.0

    def find(self, path: ReferencePath, pose: Pose) -> float:
        """Return the arc length, m, of the place on a path that belongs to a pose."""
        here = np.array(pose[:2])
        if path is self._path:
            around = self._length - BEHIND, self._length + AHEAD
            self._length = path.nearest(here, *around)
        else:
            # A new path begins near the robot; another of its parts may be a little nearer.
            self._path, self._length = path, path.nearest(here, before=AHEAD)
            nearest = path.nearest(here)
            off = [np.linalg.norm(path.at(np.array(s)) - here) for s in (self._length, nearest)]
            if off[0] > off[1] + BEHIND:
                self._length = nearest
        return self._length
