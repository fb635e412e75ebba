# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The distance to a goal pose."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from cem_planner_ros.costs.base import Cost, rows_of
from cem_planner_ros.dynamics.base import Dynamics
from cem_planner_ros.navigation.path_progress import PathProgress
from cem_planner_ros.navigation.surroundings import Surroundings
from cem_planner_ros.plugins.parameter import Parameter
from cem_planner_ros.plugins.plan_inputs import PlanInputs

DETOUR = 0.1
"""Length, m, by which a path that is nearly straight is longer than the straight way."""


class GoalPose(Cost):
    """
    The distance to the goal, and near the goal the error of the heading.

    A step costs weight (sqrt(1 + (d / tolerance)^2) - 1) for the distance d, which is linear far
    away (as in `goal`), and yaw_weight (1 - cos h) / (1 + (d / yaw_within)^2) for the error h of
    the heading. While there is a path, the cost is zero unless at most `within` of the path is
    left and this rest is nearly straight, because the straight way to the goal may lead through
    walls. Without a goal the cost is zero.
    """

    places = ()
    inputs = ("goal",)
    parameters = (
        Parameter("weight", 1.0, "Weight of the distance to the goal in every step.", low=0.0),
        Parameter(
            "terminal_weight",
            10.0,
            "Weight of the distance to the goal at the end of the horizon.",
            low=0.0,
        ),
        Parameter(
            "tolerance",
            0.2,
            "Distance to the goal at which the cost changes from quadratic to linear.",
            unit="m",
            low=1e-3,
        ),
        Parameter("yaw_weight", 1.0, "Weight of the error of the heading near the goal.", low=0.0),
        Parameter(
            "yaw_within",
            0.3,
            "Distance to the goal at which the error of the heading has half its weight.",
            unit="m",
            low=1e-3,
        ),
        Parameter(
            "within",
            1.0,
            "While there is a path, the cost counts only where at most this length of it remains.",
            unit="m",
            low=0.0,
        ),
    )

    weight: torch.Tensor
    terminal_weight: torch.Tensor
    tolerance: torch.Tensor
    yaw_weight: torch.Tensor
    yaw_within: torch.Tensor
    within: torch.Tensor

    def __init__(
        self,
        dynamics: Dynamics,
        values: Mapping[str, Any] | None = None,
        *,
        device: torch.device | str = "cpu",
    ):
        super().__init__(dynamics, values, device=device)
        self._rows = rows_of(dynamics, "x", "y", "yaw")
        # The goal: x, y, cosine and sine of the heading.
        self._inputs = PlanInputs(device, goal=(4,), counts=())
        self.reset()

    def reset(self) -> None:
        """Begin the next path at the place of the robot then."""
        self._progress = PathProgress()

    def prepare(self, state: np.ndarray, time: float, surroundings: Surroundings) -> None:
        """Take over the goal, and decide whether the cost is active."""
        goal, counts = surroundings.goal, False
        x, y, _ = (state[row] for row in self._rows)
        self._progress.update(surroundings.path, np.array([x, y]), time)
        if goal is not None:
            left, distance = self._progress.left, math.hypot(x - goal.x, y - goal.y)
            is_straight = self._progress.is_last_leg and left <= distance + DETOUR
            counts = left <= self.value("within") and is_straight
            place = (goal.x, goal.y) - self.origin[self._rows[:2]]
            self._inputs.host["goal"][:] = *place, math.cos(goal.yaw), math.sin(goal.yaw)
        self._inputs.host["counts"][...] = counts
        self._inputs.send()

    def _distance(self, state: torch.Tensor) -> torch.Tensor:
        """Return the squared distance (N,), m^2."""
        x, y = (state[row] - self._inputs.goal[i] for i, row in enumerate(self._rows[:2]))
        return x * x + y * y

    def stage(
        self,
        state: torch.Tensor,
        action: torch.Tensor,
        previous_action: torch.Tensor,
        time: torch.Tensor,
    ) -> torch.Tensor:
        """Return the cost of distance and heading after one step, shape (N,)."""
        squared, yaw = self._distance(state), state[self._rows[2]]
        heading = 1.0 - (
            torch.cos(yaw) * self._inputs.goal[2] + torch.sin(yaw) * self._inputs.goal[3]
        )
        near = 1.0 / (1.0 + squared / (self.yaw_within * self.yaw_within))
        cost = self.weight * self._far(squared) + self.yaw_weight * heading * near
        return self._inputs.counts * cost

    def terminal(self, state: torch.Tensor) -> torch.Tensor:
        """Return the cost of the distance at the end of the horizon, shape (N,)."""
        return self._inputs.counts * self.terminal_weight * self._far(self._distance(state))

    def _far(self, squared: torch.Tensor) -> torch.Tensor:
        return torch.sqrt(1.0 + squared / (self.tolerance * self.tolerance)) - 1.0
