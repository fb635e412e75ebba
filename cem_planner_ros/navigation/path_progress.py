# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Where a robot is on its path, whose parts it drives in their order."""

from __future__ import annotations

import math

import numpy as np

from cem_planner_ros.navigation.reference_path import ReferencePath

SLACK = 0.1
"""m by which the place may move between two looks, beside twice what the robot moved."""

JUMP = 1.0
"""m between two looks, beyond which the robot was carried, or not looked at for long."""

LOST = 2.0
"""m from the place on the path, beyond which all of the path is looked at again."""

SAME_DISTANCE = 0.2
"""m by which a place may be further away than the nearest one and come before it."""

AT_END = 0.08
"""m from the end of a leg, within which the next one begins."""

NEAR_END = 0.25
"""m from the end of a leg, within which the next one begins after PATIENCE."""

PATIENCE = 1.0
"""s without progress, after which the robot comes no nearer to the end of a leg."""

PROGRESS = 0.01
"""m that count as progress."""

DETOUR = 2.0
"""
Length of a part of a path over the distance of its ends, from which on its ends are two places.

A half circle has 1.6; the legs of a hairpin have more as soon as they run side by side.
"""

GENTLE = 2.0 * math.acos(1.0 / DETOUR)
"""
Angle, rad; where a part of a path turns by less in all, it does not come near itself.

The distance of the ends of a curve of length L that turns by k < pi is at least L cos(k / 2), that
of the two equal sides of a triangle (Schur's theorem).
"""

SHORT = 0.3
"""m of path whose ends are one place, wherever it turns."""

SAMPLES = 40
"""Points of a window, compared with one another."""


class PathProgress:
    """
    Follows the place of a robot along a path, never across it.

    The place moves as far as the robot does, about, and along the leg that is driven; the next leg
    begins where this one ends. So legs that lie side by side, crossings, loops and round trips are
    driven in order. A new path is begun at its earliest place that is about as near as the nearest
    one. A path whose frame was corrected is not a new one.
    """

    def __init__(self):
        self.path: ReferencePath | None = None
        """The one that was looked at last."""
        self.place = 0.0
        """Arc length, m, where the robot is."""
        self._leg = 0
        self._point = np.zeros(2)
        self._farthest = 0.0
        self._since = 0.0

    @property
    def leg(self) -> tuple[float, float]:
        """Between which arc lengths, m, the robot drives without turning round."""
        begin, end = self.path.legs[self._leg : self._leg + 2]
        return float(begin), float(end)

    @property
    def is_last_leg(self) -> bool:
        """Whether the path ends with the leg that is driven; true without a path."""
        return self.path is None or self._leg == len(self.path.legs) - 2

    @property
    def left(self) -> float:
        """Length of the path that is left, m; 0 without a path."""
        return 0.0 if self.path is None else float(self.path.lengths[-1]) - self.place

    def update(self, path: ReferencePath | None, point: np.ndarray, time: float) -> None:
        """
        Find the place of the robot.

        Args:
            path: the one that is driven now, None for none.
            point: (2,), m, where the robot is; one that is not finite changes nothing.
            time: s, on any clock.
        """
        before, self.path = self.path, path
        if path is None or not all(map(math.isfinite, point)):
            if path is not before:
                self.path = None  # It is begun with the next point.
            return
        moved = math.dist(point, self._point)
        if before is None or moved > JUMP or not path.is_moved(before):
            self._begin(point, time)
        else:
            begin, end = self.leg
            reach = 2.0 * moved + SLACK
            self.place, distance = path.nearest_and_distance(
                point, max(begin, self.place - reach), min(end, self.place + reach)
            )
            if distance > LOST:
                self._begin(point, time)
        self._point = np.array(point)
        if self.place > self._farthest + PROGRESS or time < self._since:
            self._farthest, self._since = self.place, time
        if not self.is_last_leg:
            end = self.leg[1]
            off = max(math.dist(path.at(end), point), end - self.place)
            is_patient = time - self._since < PATIENCE
            if off <= (AT_END if is_patient else NEAR_END):
                self._leg += 1
                self.place = self._farthest = end
                self._since = time

    def _begin(self, point: np.ndarray, time: float) -> None:
        path = self.path
        _, least = path.nearest_and_distance(point)
        radius = least + SAME_DISTANCE
        first = path.first_near(point, radius)
        self._leg = int(np.searchsorted(path.legs[1:-1], first + 1e-9))
        chord = 2.0 * math.sqrt(radius**2 - least**2)
        self.place = path.nearest(point, first, min(first + chord, self.leg[1]))
        self._farthest, self._since = self.place, time

    def window(self, back: float, ahead: float) -> tuple[float, float]:
        """
        Return the arc lengths, m, between which each point near the path has one place only.

        Around the place that is the part of the leg, at most `back` behind and `ahead` before it,
        that does not come near itself (DETOUR).
        """
        begin, end = self.leg
        low, high = max(begin, self.place - back), min(end, self.place + ahead)
        if self.path.turning(low, high) < GENTLE:
            return low, high
        lengths = np.linspace(low, high, SAMPLES)
        points = self.path.at(lengths)
        dx, dy = (points[:, i] - points[:, i, None] for i in (0, 1))
        part = lengths - lengths[:, None]
        is_near = (part > SHORT) & (part**2 > DETOUR**2 * (dx * dx + dy * dy))
        rows, columns = np.nonzero(is_near)
        is_ahead = lengths[rows] >= self.place
        if is_ahead.any():
            high = float(lengths[columns[is_ahead].min()])
        is_behind = ~is_ahead & (lengths[columns] <= high)
        if is_behind.any():
            low = min(float(lengths[rows[is_behind].max()]), self.place)
        return low, high
