# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Cars that roll without slip."""

from collections.abc import Sequence

import torch

from cem_planner_ros.dynamics.base import INTEGRATOR, DifferentialEquation
from cem_planner_ros.dynamics.speed_loops import SpeedLoops, loop_parameters
from cem_planner_ros.plugins.parameter import Parameter


class Ackermann(DifferentialEquation):
    """
    The kinematic bicycle. The actions are the speed of the rear axle and the steering angle.

    x_dot = v cos yaw, y_dot = v sin yaw, yaw_dot = v tan(steering) / wheel_base, for the middle of
    the rear axle (LaValle, Planning Algorithms, section 13.1.2.1). The parameter `action.rate` of
    the node limits how fast speed and steering may change.
    """

    state_names = ("x", "y", "yaw")
    action_names = ("v", "steering")
    action_low = (-1.0, -0.5)
    action_high = (2.0, 0.5)
    action_units = ("m/s", "rad")
    angle_names = ("yaw",)
    position_names = ("x", "y")
    wheel_base_parameter = "wheel_base"
    parameters = (
        Parameter(
            "wheel_base", 0.5, "Distance from the rear to the front axle.", unit="m", low=1e-3
        ),
        INTEGRATOR,
    )

    wheel_base: torch.Tensor

    def derivative(self, state: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        """Return (x_dot, y_dot, yaw_dot), shape (3, N)."""
        yaw = state[2]
        v, steering = action
        return torch.stack(
            (v * torch.cos(yaw), v * torch.sin(yaw), v * torch.tan(steering) / self.wheel_base)
        )


class AckermannDrive(SpeedLoops):
    """
    A car commanded by speed and yaw rate, for drivers that take a twist.

    The steering limits the yaw rate to |yaw_rate| <= |v| / turning_radius, both for the command, as
    for cars in Gazebo and Nav2, and for the present speeds. Both speeds follow the command by
    `velocity_loop`.
    """

    state_names = ("x", "y", "yaw", "v", "yaw_rate")
    action_names = ("v", "yaw_rate")
    action_low = (-0.7, -0.7)
    action_high = (0.7, 0.7)
    action_units = ("m/s", "rad/s")
    radius_parameter = "turning_radius"
    parameters = (
        Parameter("turning_radius", 1.0, "Smallest turning radius.", unit="m", low=1e-3),
        *loop_parameters(yaw_acceleration=2.0),
    )

    turning_radius: torch.Tensor

    def _turned(self, v: torch.Tensor, yaw_rate: torch.Tensor) -> torch.Tensor:
        """Return the yaw rate (N,), limited by the steering at a speed."""
        most = torch.abs(v) / self.turning_radius
        return torch.maximum(torch.minimum(yaw_rate, most), -most)

    def kinematics(
        self, yaw: torch.Tensor, speeds: Sequence[torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return (x_dot, y_dot, yaw_dot), each (N,)."""
        v, yaw_rate = speeds
        return v * torch.cos(yaw), v * torch.sin(yaw), self._turned(v, yaw_rate)

    def loops(self, action: torch.Tensor) -> Sequence[tuple[torch.Tensor, torch.Tensor]]:
        """Return what each speed shall become (N,), and its largest acceleration."""
        v, yaw_rate = action
        return (v, self.acceleration), (self._turned(v, yaw_rate), self.yaw_acceleration)
