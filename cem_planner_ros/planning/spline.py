# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Action sequences as uniform B-splines: few knots for a long horizon."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

ORDERS = (0, 1, 3)


@dataclass(frozen=True)
class Spline:
    """
    Uniform B-splines; their knots are `spacing` model steps apart on an absolute grid.

    The basis sums to one and is never negative (de Boor, A Practical Guide to Splines, IX), so an
    action sequence keeps the bounds and rate limits of its knots.

    Attributes:
        horizon: H.
        order: 0 holds a knot, 1 interpolates linearly, 3 is twice differentiable.
        spacing: model steps from knot to knot.
    """

    horizon: int
    order: int
    spacing: int

    @property
    def knots(self) -> int:
        """The number of knots P that a horizon needs, wherever it begins between two knots."""
        return (self.horizon + 2 * (self.spacing - 1)) // self.spacing + self.order

    def basis(self, cell: int) -> tuple[np.ndarray, np.ndarray]:
        """
        Return the first knot (H,) and the weights (H, order + 1) of each step of a plan.

        The plan begins in `cell`. The action of step k is the weighted sum of the knots first[k],
        first[k] + 1, ...
        """
        steps = cell % self.spacing + np.arange(self.horizon)
        first = steps // self.spacing
        t = ((steps % self.spacing) + 0.5) / self.spacing
        if self.order == 0:
            weights = np.ones((1, self.horizon))
        elif self.order == 1:
            weights = np.array([1 - t, t])
        else:
            weights = np.array(
                [(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, 3 * (t + t**2 - t**3) + 1, t**3]
            )
            weights = weights / 6
        return first.astype(np.int64), np.ascontiguousarray(weights.T, np.float32)

    def actions(self, knots: np.ndarray, phase: int) -> np.ndarray:
        """Return the actions (H, nu, ...) of knots (P, nu, ...) of a plan from a phase on."""
        if self.order == 0 and self.spacing == 1:
            return knots.astype(np.float64)
        first, basis = _basis(self, phase)
        if self.order == 0:
            return knots[first].astype(np.float64)
        weights = basis.T.reshape(basis.shape[1], -1, *(1,) * (knots.ndim - 1))
        return sum(w * knots[first + k] for k, w in enumerate(weights)).astype(np.float64)

    def nearest_knots(self, sequences: np.ndarray, phase: int) -> np.ndarray:
        """
        Return the knots (P, nu, E) whose splines are closest to action sequences (E, H, nu).

        The splines are exact if every step has its own knot.
        """
        first, basis = _basis(self, phase)
        weights = np.zeros((self.horizon, self.knots))
        for k in range(basis.shape[1]):
            weights[np.arange(len(first)), first + k] += basis[:, k]
        return np.einsum("ph,ehu->pue", np.linalg.pinv(weights), sequences)


@functools.lru_cache(maxsize=64)
def _basis(spline: Spline, phase: int) -> tuple[np.ndarray, np.ndarray]:
    return spline.basis(phase)
