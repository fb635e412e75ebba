# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Whether a robot that follows a path moves on."""

from __future__ import annotations

import math

from cem_planner_ros.navigation.poses import Pose


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
