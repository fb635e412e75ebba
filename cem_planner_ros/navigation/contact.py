"""What a robot touches, and how much nearer it may come there."""

from __future__ import annotations

import math

import numpy as np

SAME_CELL = 0.75
"""Cells that are nearer than so many sides of a cell are one, also in the costmap that follows."""

BESIDE = 2.0
"""A cell within so many sides of a touched one belongs to the same obstacle."""


class Contact:
    """
    The cells that a robot touches, with the clearance that each had when contact began.

    While contact lasts a cell keeps that clearance: whoever pushes for a minute is as near as in
    the first period. A robot may slide along an obstacle: a cell beside a touched one may come as
    near as that one was. The share of the footprint that is on obstacles is kept in the same way.
    """

    def __init__(self):
        self._clear()

    def _clear(self) -> None:
        self._points, self._clearance = np.zeros((0, 2)), np.zeros(0)
        self.overlap = 0.0
        """Share of the footprint that was on occupied cells when the first came under it."""

    def __bool__(self) -> bool:
        return bool(len(self._points))

    def update(
        self, points: np.ndarray, clearance: np.ndarray, overlap: float, margin: float, side: float
    ) -> None:
        """
        Take in where the robot is now.

        Args:
            points: (m, 2), centres of the cells around it, m.
            clearance: (m,), distance of each to the footprint, below zero within it, m.
            overlap: share of the footprint that is on occupied cells.
            margin: clearance below which a cell is touched, m.
            side: of a cell, m.
        """
        touched = clearance < margin
        if not touched.any():
            self._clear()
            return
        points, clearance = points[touched], clearance[touched]
        own, beside = self._kept(points, side)
        # By sliding, a cell may come as near as those beside it, and then that is what it keeps.
        slid = np.minimum(own, np.maximum(clearance, beside))
        self._points, self._clearance = points, np.where(np.isinf(own), clearance, slid)
        if not overlap or not self.overlap:
            self.overlap = overlap

    def least(self, points: np.ndarray, margin: float, side: float) -> np.ndarray:
        """Return the clearance (m,) that cells (m, 2) must keep, m; arguments as for `update`."""
        return np.minimum(self._kept(points, side)[1], margin)

    def _kept(self, points: np.ndarray, side: float) -> tuple[np.ndarray, np.ndarray]:
        """Return what cells (m, 2), and what those beside them, keep (m,); inf for nothing."""
        if not self:
            nothing = np.full(len(points), math.inf)
            return nothing, nothing
        distance = np.linalg.norm(points[:, None] - self._points, axis=2)
        nearest = distance.argmin(1)
        is_known = distance[np.arange(len(points)), nearest] <= SAME_CELL * side
        own = np.where(is_known, self._clearance[nearest], math.inf)
        return own, np.where(distance <= BESIDE * side, self._clearance, math.inf).min(1)
