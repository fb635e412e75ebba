# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The progress of a robot that follows a path: whether it moves, and how far it has come."""

from __future__ import annotations

import math

import numpy as np

from cem_planner_ros.navigation.poses import Pose
from cem_planner_ros.navigation.reference_path import ReferencePath

BEHIND, AHEAD = 0.5, 2.0
"""Part of the path behind and ahead of the last place in which the next place is searched, m."""


class ProgressChecker:
    """
    Says when a robot has not moved for too long.

    Args:
        radius: distance that counts as progress, m.
        angle: turning angle that counts as progress, rad; None if turning does not count.
        allowance: longest time without progress, s.
    """

    def __init__(self, radius: float, angle: float | None, allowance: float):
        self._radius = radius
        self._angle = angle
        self._allowance = allowance
        self._from: Pose | None = None
        self._since = 0.0
        self._now = 0.0

    def is_stuck(self, pose: Pose, now: float) -> bool:
        """Return whether there was no progress for too long, given the pose at the time now, s."""
        was_set_back = now < self._since  # Where the clock was.
        if self._from is None or was_set_back or self._has_moved(pose):
            self._from, self._since = pose, now
        self._now = now
        return now - self._since > self._allowance

    def wait(self, now: float) -> None:
        """Do not count the time from the last call until now, s: the robot may not move."""
        self._since += now - self._now if self._from is not None else 0.0
        self._now = now

    def _has_moved(self, pose: Pose) -> bool:
        turned = abs(math.remainder(pose.yaw - self._from.yaw, math.tau))
        moved = math.dist(pose[:2], self._from[:2])
        return moved > self._radius or (self._angle is not None and turned > self._angle)


class PathPlace:
    """
    Finds the place of a robot on its path.

    Each search begins at the last place. The path may therefore cross itself and lead back.
    """

    def __init__(self):
        self._path: ReferencePath | None = None
        self._length = 0.0

    def find(self, path: ReferencePath, pose: Pose) -> float:
        """Return the arc length of the robot's place on a path, m."""
        here = np.array(pose[:2])
        if path is self._path:
            around = self._length - BEHIND, self._length + AHEAD
            self._length = path.nearest(here, *around)
        else:
            # A new path usually begins near the robot; another part of it may be a little nearer.
            self._path, self._length = path, path.nearest(here, before=AHEAD)
            nearest = path.nearest(here)
            off = [np.linalg.norm(path.at(np.array(s)) - here) for s in (self._length, nearest)]
            if off[0] > off[1] + BEHIND:
                self._length = nearest
        return self._length
