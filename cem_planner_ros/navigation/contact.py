# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The cells that a robot touches, and how near it may come to them."""

from __future__ import annotations

import math

import numpy as np

SAME_CELL = 0.75
"""Largest distance of two cells, in sides of a cell, that are the same cell in two costmaps."""

BESIDE = 2.0
"""Largest distance of a cell from a touched cell of the same obstacle, in sides of a cell."""


class Contact:
    """
    The cells that a robot touches, with the clearance that each had when contact began.

    While contact lasts, each cell keeps this clearance, so the robot never comes nearer, however
    long it is commanded to. The robot may slide along an obstacle: a cell beside a touched cell may
    come as near as the touched cell was. The share of the footprint that is on obstacles is limited
    in the same way.
    """

    def __init__(self):
        self._clear()

    def _clear(self) -> None:
        self._points, self._clearance = np.zeros((0, 2)), np.zeros(0)
        self.overlap = 0.0
        """Share of the footprint that was on occupied cells when the contact began."""

    def __bool__(self) -> bool:
        return bool(len(self._points))

    def update(
        self, points: np.ndarray, clearance: np.ndarray, overlap: float, margin: float, side: float
    ) -> None:
        """
        Update the contact for the present pose of the robot.

        Args:
            points: (m, 2), centres of the cells around it, m.
            clearance: (m,), distance of each cell to the footprint, m; negative inside the
                footprint.
            overlap: share of the footprint that is on occupied cells.
            margin: clearance below which a cell is touched, m.
            side: side of a cell, m.
        """
        touched = clearance < margin
        if not touched.any():
            self._clear()
            return
        points, clearance = points[touched], clearance[touched]
        own, beside = self._kept(points, side)
        # When the robot slides, a cell may come as near as its neighbours, and then keeps that.
        slid = np.minimum(own, np.maximum(clearance, beside))
        self._points, self._clearance = points, np.where(np.isinf(own), clearance, slid)
        if not overlap or not self.overlap:
            self.overlap = overlap

    def least(self, points: np.ndarray, margin: float, side: float) -> np.ndarray:
        """Return the clearance (m,) that cells (m, 2) must keep, m; arguments as for `update`."""
        return np.minimum(self._kept(points, side)[1], margin)

    def _kept(self, points: np.ndarray, side: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the clearance (m,) that cells (m, 2), and those beside them, keep; inf if none."""
        if not self:
            nothing = np.full(len(points), math.inf)
            return nothing, nothing
        distance = np.linalg.norm(points[:, None] - self._points, axis=2)
        nearest = distance.argmin(1)
        is_known = distance[np.arange(len(points)), nearest] <= SAME_CELL * side
        own = np.where(is_known, self._clearance[nearest], math.inf)
        return own, np.where(distance <= BESIDE * side, self._clearance, math.inf).min(1)
