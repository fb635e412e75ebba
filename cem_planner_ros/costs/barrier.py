# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Soft limits of states and outputs."""

from __future__ import annotations

import torch

from cem_planner_ros.costs.base import Cost
from cem_planner_ros.dynamics.base import Dynamics
from cem_planner_ros.plugins.parameter import Parameter, named

FAR = 1e9
"""A limit that no state reaches."""


class Barrier(Cost):
    """
    The weighted squared distance of states and outputs beyond their limits; zero within.

    This is a quadratic penalty (Nocedal and Wright, Numerical Optimization, section 17.1). With a
    larger weight, a limit is exceeded less. Angles are not wrapped.
    """

    places = ("low", "high")
    reads_outputs = True
    weight: torch.Tensor
    low: torch.Tensor
    high: torch.Tensor

    @classmethod
    def parameters_for(cls, dynamics: Dynamics) -> tuple[Parameter, ...]:
        """Return a weight and two limits for each state and output."""
        names = dynamics.signal_names
        return (
            named("weight", names, 0.0, "Weight of the squared excess of {name}.", low=0.0)
            + named("low", names, -FAR, "Limit below which {name} has a cost.")
            + named("high", names, FAR, "Limit above which {name} has a cost.")
        )

    def stage(
        self,
        state: torch.Tensor,
        action: torch.Tensor,
        previous_action: torch.Tensor,
        time: torch.Tensor,
    ) -> torch.Tensor:
        """Return sum_i weight_i excess_i^2, shape (N,)."""
        excess = torch.relu(self.low - state) + torch.relu(state - self.high)
        return (self.weight * excess * excess).sum(0)
