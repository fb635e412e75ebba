# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Costs of the size and of the change of actions."""

from __future__ import annotations

import torch

from cem_planner_ros.costs.base import Cost
from cem_planner_ros.dynamics.base import Dynamics
from cem_planner_ros.plugins.parameter import Parameter, named


class Effort(Cost):
    """The weighted squared distance of the action from its rest value, at every step."""

    places = ()
    weight: torch.Tensor
    rest: torch.Tensor

    @classmethod
    def parameters_for(cls, dynamics: Dynamics) -> tuple[Parameter, ...]:
        """Return a weight and a rest value for each action."""
        return named(
            "weight", dynamics.action_names, 0.0, "Weight of (action - rest)^2 of {name}.", low=0.0
        ) + named("rest", dynamics.action_names, 0.0, "Value of {name} that has no cost.")

    def stage(
        self,
        state: torch.Tensor,
        action: torch.Tensor,
        previous_action: torch.Tensor,
        time: torch.Tensor,
    ) -> torch.Tensor:
        """Return sum_i weight_i (action_i - rest_i)^2, shape (N,)."""
        effort = action - self.rest
        return (self.weight * effort * effort).sum(0)


class ActionRate(Cost):
    """The weighted squared change of the action from one model step to the next."""

    places = ()
    weight: torch.Tensor

    @classmethod
    def parameters_for(cls, dynamics: Dynamics) -> tuple[Parameter, ...]:
        """Return a weight for each action."""
        return named(
            "weight", dynamics.action_names, 0.0, "Weight of the squared change of {name}.", low=0.0
        )

    def stage(
        self,
        state: torch.Tensor,
        action: torch.Tensor,
        previous_action: torch.Tensor,
        time: torch.Tensor,
    ) -> torch.Tensor:
        """Return sum_i weight_i (action_i - previous_action_i)^2, shape (N,)."""
        change = action - previous_action
        return (self.weight * change * change).sum(0)
