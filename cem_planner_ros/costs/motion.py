# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Costs of the speeds of a mobile robot: backwards, off a wanted speed, turning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from cem_planner_ros.costs.base import Cost
from cem_planner_ros.dynamics.base import Dynamics
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.plugins.parameter import Parameter


class MotionCost(Cost):
    """A cost of one speed of the robot: a state, or an action if there is no such state."""

    places = ()
    kind = "forward"
    """Which speed: "forward", "sideways" or "turning", as in `Dynamics.forward_names`."""

    def __init__(
        self,
        dynamics: Dynamics,
        values: Mapping[str, Any] | None = None,
        *,
        device: torch.device | str = "cpu",
    ):
        super().__init__(dynamics, values, device=device)
        speeds = getattr(dynamics, f"{self.kind}_names")
        found = [
            (of_states, names.index(name))
            for of_states, names in ((True, dynamics.state_names), (False, dynamics.action_names))
            for name in speeds
            if name in names
        ]
        if not found:
            raise ConfigurationError(
                f"needs a state or an action {' or '.join(speeds)}, the model has: "
                f"{', '.join((*dynamics.state_names, *dynamics.action_names))}"
            )
        self._is_state, self._row = found[0]

    def speed(self, state: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        """Return the speed (N,) in states (nx, N) under actions (nu, N)."""
        return (state if self._is_state else action)[self._row]


class PreferForward(MotionCost):
    """The backward speed, at every step."""

    parameters = (Parameter("weight", 1.0, "Weight of each m/s backwards.", unit="s/m", low=0.0),)

    weight: torch.Tensor

    def stage(
        self,
        state: torch.Tensor,
        action: torch.Tensor,
        previous_action: torch.Tensor,
        time: torch.Tensor,
    ) -> torch.Tensor:
        """Return weight max(0, -v), shape (N,)."""
        return self.weight * torch.relu(-self.speed(state, action))


class VelocityTracking(MotionCost):
    """The squared difference from a wanted speed, at every step."""

    parameters = (
        Parameter("weight", 1.0, "Weight of the squared difference.", unit="s^2/m^2", low=0.0),
        Parameter("wanted", 0.5, "Desired speed; a negative one is backwards.", unit="m/s"),
    )

    weight: torch.Tensor
    wanted: torch.Tensor

    def stage(
        self,
        state: torch.Tensor,
        action: torch.Tensor,
        previous_action: torch.Tensor,
        time: torch.Tensor,
    ) -> torch.Tensor:
        """Return weight (v - wanted)^2, shape (N,)."""
        error = self.speed(state, action) - self.wanted
        return self.weight * error * error


class Twirling(MotionCost):
    """The squared yaw rate, at every step, so that the robot does not turn without need."""

    kind = "turning"
    parameters = (
        Parameter("weight", 0.02, "Weight of the squared yaw rate.", unit="s^2/rad^2", low=0.0),
    )

    weight: torch.Tensor

    def stage(
        self,
        state: torch.Tensor,
        action: torch.Tensor,
        previous_action: torch.Tensor,
        time: torch.Tensor,
    ) -> torch.Tensor:
        """Return weight yaw_rate^2, shape (N,)."""
        rate = self.speed(state, action)
        return self.weight * rate * rate
