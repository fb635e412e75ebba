# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""A robot with a track on either side."""

import torch

from cem_planner_ros.dynamics.base import INTEGRATOR, DifferentialEquation
from cem_planner_ros.plugins.parameter import Parameter


class SkidSteer(DifferentialEquation):
    """
    A robot with two tracks, commanded by their speeds.

    In a turn the tracks slip, so the robot turns as if its tracks were `slip` times further apart.

    Mandow et al., Experimental kinematics for wheeled skid-steer mobile robots (2007).
    """

    api_version = 1
    state_names = ("x", "y", "yaw")
    action_names = ("left", "right")
    action_low = (-0.8, -0.8)
    action_high = (0.8, 0.8)
    action_units = ("m/s", "m/s")
    angle_names = ("yaw",)
    parameters = (
        Parameter("width", 0.4, "Distance between the tracks.", unit="m", low=0.01),
        Parameter("slip", 1.5, "Effective width in a turn, divided by width.", low=1.0),
        INTEGRATOR,
    )

    width: torch.Tensor
    slip: torch.Tensor

    def derivative(self, state: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        """Return (x_dot, y_dot, yaw_dot), shape (3, N)."""
        yaw = state[2]
        left, right = action
        v = 0.5 * (left + right)
        yaw_rate = (right - left) / (self.slip * self.width)
        return torch.stack((v * torch.cos(yaw), v * torch.sin(yaw), yaw_rate))
