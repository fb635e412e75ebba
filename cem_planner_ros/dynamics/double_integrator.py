# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""A point mass in the plane."""

import torch

from cem_planner_ros.dynamics.base import Dynamics


class DoubleIntegrator(Dynamics):
    """A point mass in the plane; the action is its acceleration. The step is exact."""

    state_names = ("x", "y", "x_dot", "y_dot")
    action_names = ("x_ddot", "y_ddot")
    action_low = (-1.0, -1.0)
    action_high = (1.0, 1.0)
    action_units = ("m/s^2", "m/s^2")
    position_names = ("x", "y")

    def step(self, state: torch.Tensor, action: torch.Tensor, dt: torch.Tensor) -> torch.Tensor:
        """Integrate the constant acceleration over `dt` exactly."""
        position, velocity = state[:2], state[2:]
        return torch.cat(
            (position + dt * velocity + 0.5 * dt * dt * action, velocity + dt * action)
        )
