# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Squared errors over the horizon and at its end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from cem_planner_ros.costs.attitude import with_nearer_signs
from cem_planner_ros.costs.base import Cost, rows_of
from cem_planner_ros.dynamics.base import Dynamics, wrap
from cem_planner_ros.plugins.parameter import Parameter, named


class TargetCost(Cost):
    """
    A cost of the difference between the states and outputs, and a target.

    A quaternion q and -q are one attitude, so the one that is nearer to the target counts.
    """

    places = ("target",)
    reads_outputs = True
    target: torch.Tensor

    def __init__(
        self,
        dynamics: Dynamics,
        values: Mapping[str, Any] | None = None,
        *,
        device: torch.device | str = "cpu",
    ):
        super().__init__(dynamics, values, device=device)
        self._is_angle = [name in dynamics.angle_names for name in dynamics.signal_names]
        self._quaternions = [
            rows_of(dynamics, *names, outputs=True) for names in dynamics.quaternion_names
        ]

    def error(self, state: torch.Tensor) -> torch.Tensor:
        """Return signals - target, shape (nx + ny, N), angles wrapped to [-pi, pi)."""
        state = with_nearer_signs(state, self.target, self._quaternions)
        return wrap(state - self.target, self._is_angle)


class StateCost(TargetCost):
    """The weighted squared difference of states and outputs from a target, angles wrapped."""

    weight: torch.Tensor

    @classmethod
    def parameters_for(cls, dynamics: Dynamics) -> tuple[Parameter, ...]:
        """Return a weight and a target for each state and output."""
        return named(
            "weight", dynamics.signal_names, 0.0, "Weight of the squared error of {name}.", low=0.0
        ) + named("target", dynamics.signal_names, 0.0, "Target value of {name}.")

    def squared_error(self, state: torch.Tensor) -> torch.Tensor:
        """Return sum_i weight_i (state_i - target_i)^2, shape (N,), angles wrapped."""
        error = self.error(state)
        return (self.weight * error * error).sum(0)


class Quadratic(StateCost):
    """Squared errors, actions and changes of action at every step, with a weight for each."""

    action_weight: torch.Tensor
    rate_weight: torch.Tensor

    @classmethod
    def parameters_for(cls, dynamics: Dynamics) -> tuple[Parameter, ...]:
        """Return weights and targets of states and outputs, and weights of the actions."""
        return (
            super().parameters_for(dynamics)
            + named(
                "action_weight", dynamics.action_names, 0.0, "Weight of {name} squared.", low=0.0
            )
            + named(
                "rate_weight",
                dynamics.action_names,
                0.0,
                "Weight of the squared change of {name} from one model step to the next.",
                low=0.0,
            )
        )

    def stage(
        self,
        state: torch.Tensor,
        action: torch.Tensor,
        previous_action: torch.Tensor,
        time: torch.Tensor,
    ) -> torch.Tensor:
        """Return the weighted squares of one step, shape (N,)."""
        change = action - previous_action
        effort = self.action_weight * action * action + self.rate_weight * change * change
        return self.squared_error(state) + effort.sum(0)


class Terminal(StateCost):
    """Squared state error at the end of the horizon only."""

    def terminal(self, state: torch.Tensor) -> torch.Tensor:
        """Return the weighted squared error of the last state, shape (N,)."""
        return self.squared_error(state)
