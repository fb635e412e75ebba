# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""How near a robot that brakes comes to the obstacles of a costmap."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from cem_planner_ros.navigation.contact import Contact
from cem_planner_ros.navigation.costmap import Costmap
from cem_planner_ros.navigation.footprint import Footprint
from cem_planner_ros.navigation.moving_obstacles import ROUNDING
from cem_planner_ros.navigation.poses import placed

HALF_DIAGONAL = math.sqrt(0.5)
"""Half the diagonal of a cell of side 1: a disc of this radius covers the cell."""

OVERLAP_ROUNDING = 0.02
"""Tolerance of the overlap, as a share of the footprint, because points represent the footprint."""


class CostmapCheck:
    """
    Decides whether the robot may drive a way on which it brakes to a standstill.

    The robot must keep the margin to each occupied cell. The distance from the footprint, including
    its inside, to the disc around each cell is exact. If the robot touches something already, the
    limits of `Contact` apply. If it has come nearer than when contact began, because it was pushed
    or slid, ways are allowed that come nowhere nearer than braking at once.

    Args:
        footprint: the outline of the robot.
        costmap: the newest one.
        contact: what the robot touches; it is updated.
        margin: smallest clearance to keep, m.
        poses: (n, 3), m and rad, of all ways that will be asked for; the first one is that of the
            robot now.
        brake: returns the poses (n, 3) of the ways on which the robot brakes at once.
    """

    def __init__(
        self,
        footprint: Footprint,
        costmap: Costmap,
        contact: Contact,
        margin: float,
        poses: np.ndarray,
        brake: Callable[[], np.ndarray],
    ):
        self._footprint = footprint
        self._costmap = costmap
        self._margin = margin
        self._brake = brake
        self._points = self._cells(poses)
        here, side = poses[:1], costmap.resolution
        self._clearance_here = self._clearance(here)[0]
        self._is_touching = bool((self._clearance_here < margin).any())
        overlap = self._overlap(here)[0] if self._is_touching else 0.0
        contact.update(self._points, self._clearance_here, overlap, margin, side)
        self._least, self._most = np.full(len(self._points), margin), math.inf
        """The clearance (m,), m, that each cell must keep, and the largest overlap."""
        if self._is_touching:
            self._least = contact.least(self._points, margin, side)
            self._most = contact.overlap
        self._can_relax = self._is_touching

    def allows(self, way: np.ndarray) -> bool:
        """Return whether the robot may drive through poses (n, 3), m and rad, to a standstill."""
        nearest, overlap = self._clearance(way).min(0, initial=math.inf), 0.0
        if self._is_touching:
            overlap = self._overlap(way).max() - OVERLAP_ROUNDING
        if self._are_kept(nearest, overlap):
            return True
        if not self._can_relax:
            return False
        self._relax()
        return self._are_kept(nearest, overlap)

    def _are_kept(self, nearest: np.ndarray, overlap: float) -> bool:
        """Return whether a clearance (m,), m, of the cells, and an overlap, keep the limits."""
        return bool((nearest >= self._least - ROUNDING).all() and overlap <= self._most)

    def _relax(self) -> None:
        """Allow what braking at once would not avoid."""
        self._can_relax = False
        braking = self._brake()
        unavoidable = self._clearance(braking).min(0)
        is_touched = self._clearance_here < self._margin
        self._least = np.where(is_touched, np.minimum(self._least, unavoidable), self._least)
        self._most = max(self._most, self._overlap(braking).max())

    @property
    def _reach(self) -> float:
        """
        The distance from the robot's origin, m, within which a cell can matter.

        A cell farther away keeps the margin for any heading of the robot.
        """
        return self._footprint.reach + self._margin + HALF_DIAGONAL * self._costmap.resolution

    def _cells(self, poses: np.ndarray) -> np.ndarray:
        """Return the centres (m, 2) of the occupied cells around poses (n, 3)."""
        low, high = poses[:, :2].min(0), poses[:, :2].max(0)
        radius = self._reach + 0.5 * math.hypot(*(high - low))
        return self._costmap.outlines(0.5 * (low + high), radius)

    def _clearance(self, way: np.ndarray) -> np.ndarray:
        """
        Return the distance (n, m), m, of the cells to the footprint in poses (n, 3).

        It is inf for a cell that is too far away to matter.
        """
        dx = self._points[:, 0] - way[:, :1]
        dy = self._points[:, 1] - way[:, 1:2]
        clearance = np.full(dx.shape, math.inf)
        near = np.nonzero(dx * dx + dy * dy < self._reach**2)
        if near[0].size:
            dx, dy = dx[near], dy[near]
            cos, sin = np.cos(way[:, 2])[near[0]], np.sin(way[:, 2])[near[0]]
            distance = self._footprint.distance(cos * dx + sin * dy, cos * dy - sin * dx)
            clearance[near] = distance - HALF_DIAGONAL * self._costmap.resolution
        return clearance

    def _overlap(self, way: np.ndarray) -> np.ndarray:
        """Return the share (n,) of the footprint in poses (n, 3) that is on occupied cells."""
        return self._costmap.is_occupied(placed(self._footprint.interior, way)).mean(1)
