# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The distance to a goal."""

from __future__ import annotations

import torch

from cem_planner_ros.costs.quadratic import TargetCost
from cem_planner_ros.dynamics.base import Dynamics
from cem_planner_ros.plugins.parameter import Parameter, named


class Goal(TargetCost):
    """
    The distance to a goal, in units of tolerances: quadratic nearby, linear far away.

    weight (sqrt(1 + d^2) - 1) with d^2 = sum_i (error_i / tolerance_i)^2, the pseudo-Huber cost
    (Hartley and Zisserman, Multiple View Geometry, A6.8). With a squared error, a goal far away
    would outweigh every other cost; here it does not.
    """

    weight: torch.Tensor
    terminal_weight: torch.Tensor
    tolerance: torch.Tensor

    @classmethod
    def parameters_for(cls, dynamics: Dynamics) -> tuple[Parameter, ...]:
        """Return two weights, and a target and a tolerance for each state and output."""
        return (
            Parameter("weight", 1.0, "Weight of the distance in every step.", low=0.0),
            Parameter(
                "terminal_weight", 0.0, "Weight of the distance at the end of the horizon.", low=0.0
            ),
            *named("target", dynamics.signal_names, 0.0, "Target value of {name}."),
            *named(
                "tolerance",
                dynamics.signal_names,
                0.0,
                "Distance at which the cost changes from quadratic to linear.",
                low=0.0,
            ),
        )

    def distance(self, state: torch.Tensor) -> torch.Tensor:
        """Return sqrt(1 + d^2) - 1, shape (N,)."""
        counts = self.tolerance > 0.0
        error = torch.where(counts, self.error(state) / self.tolerance, 0.0)
        return torch.sqrt(1.0 + (error * error).sum(0)) - 1.0

    def stage(
        self,
        state: torch.Tensor,
        action: torch.Tensor,
        previous_action: torch.Tensor,
        time: torch.Tensor,
    ) -> torch.Tensor:
        """Return the cost of the distance after one step, shape (N,)."""
        return self.weight * self.distance(state)

    def terminal(self, state: torch.Tensor) -> torch.Tensor:
        """Return the cost of the distance at the end of the horizon, shape (N,)."""
        return self.terminal_weight * self.distance(state)
