# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Robots with two driven wheels on one axis."""

from collections.abc import Sequence

import torch

from cem_planner_ros.dynamics.base import INTEGRATOR, DifferentialEquation
from cem_planner_ros.dynamics.speed_loops import SpeedLoops, loop_parameters


class DiffDrive(DifferentialEquation):
    """
    A unicycle driven by its forward speed and its yaw rate.

    x_dot = v cos yaw, y_dot = v sin yaw, yaw_dot = yaw_rate (LaValle, Planning Algorithms,
    section 13.1.2.3).
    """

    state_names = ("x", "y", "yaw")
    action_names = ("v", "yaw_rate")
    action_low = (-0.35, -1.9)
    action_high = (0.5, 1.9)
    action_units = ("m/s", "rad/s")
    angle_names = ("yaw",)
    position_names = ("x", "y")
    parameters = (INTEGRATOR,)

    def derivative(self, state: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        """Return (x_dot, y_dot, yaw_dot), shape (3, N)."""
        yaw = state[2]
        v, yaw_rate = action
        return torch.stack((v * torch.cos(yaw), v * torch.sin(yaw), yaw_rate))


class DiffDriveLag(SpeedLoops):
    """
    A unicycle with motors: both speeds follow their commands by `velocity_loop`.

    Slip is not modelled: the speeds are those of the robot.
    """

    state_names = ("x", "y", "yaw", "v", "yaw_rate")
    action_names = ("v", "yaw_rate")
    action_low = DiffDrive.action_low
    action_high = DiffDrive.action_high
    action_units = DiffDrive.action_units
    parameters = loop_parameters(yaw_acceleration=4.0)

    def kinematics(
        self, yaw: torch.Tensor, speeds: Sequence[torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return (x_dot, y_dot, yaw_dot), each (N,)."""
        v, yaw_rate = speeds
        return v * torch.cos(yaw), v * torch.sin(yaw), yaw_rate

    def loops(self, action: torch.Tensor) -> Sequence[tuple[torch.Tensor, torch.Tensor]]:
        """Return what each speed shall become (N,), and its largest acceleration."""
        return (action[0], self.acceleration), (action[1], self.yaw_acceleration)
