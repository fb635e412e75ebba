# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""A robot that drives in every direction."""

from collections.abc import Sequence

import torch

from cem_planner_ros.dynamics.speed_loops import SpeedLoops, loop_parameters


class OmniDrive(SpeedLoops):
    """
    A robot on omnidirectional wheels with motors.

    x_dot = v_x cos yaw - v_y sin yaw, y_dot = v_x sin yaw + v_y cos yaw, yaw_dot = yaw_rate
    (Siegwart and Nourbakhsh, Introduction to Autonomous Mobile Robots, section 3.2); the speeds, in
    the robot's frame, follow their commands by `velocity_loop`.
    """

    state_names = ("x", "y", "yaw", "v_x", "v_y", "yaw_rate")
    action_names = ("v_x", "v_y", "yaw_rate")
    action_low = (-0.35, -0.5, -1.9)
    action_high = (0.5, 0.5, 1.9)
    action_units = ("m/s", "m/s", "rad/s")
    parameters = loop_parameters(yaw_acceleration=4.0)

    def kinematics(
        self, yaw: torch.Tensor, speeds: Sequence[torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return (x_dot, y_dot, yaw_dot), each (N,)."""
        v_x, v_y, yaw_rate = speeds
        cos, sin = torch.cos(yaw), torch.sin(yaw)
        return v_x * cos - v_y * sin, v_x * sin + v_y * cos, yaw_rate

    def loops(self, action: torch.Tensor) -> Sequence[tuple[torch.Tensor, torch.Tensor]]:
        """Return what each speed shall become (N,), and its largest acceleration."""
        v_x, v_y, yaw_rate = action
        limit = self.acceleration
        return (v_x, limit), (v_y, limit), (yaw_rate, self.yaw_acceleration)
