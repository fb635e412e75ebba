# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""A pendulum with a motor in its hinge."""

import torch

from cem_planner_ros.dynamics.base import INTEGRATOR, DifferentialEquation
from cem_planner_ros.plugins.parameter import Parameter


class Pendulum(DifferentialEquation):
    """
    A point mass on a massless rod, with damping in the hinge; theta = 0 is upright.

    m l^2 theta_ddot = m g l sin theta - b theta_dot + torque (Tedrake, Underactuated Robotics,
    chapter 2, with theta measured from the top).
    """

    state_names = ("theta", "theta_dot")
    action_names = ("torque",)
    action_low = (-3.0,)
    action_high = (3.0,)
    action_units = ("Nm",)
    angle_names = ("theta",)
    parameters = (
        Parameter("mass", 1.0, "Mass at the end of the rod.", unit="kg", low=1e-3),
        Parameter("length", 1.0, "Length of the rod.", unit="m", low=1e-3),
        Parameter("damping", 0.1, "Torque of the hinge per angular speed.", unit="Nm s", low=0.0),
        Parameter("gravity", 9.81, "Gravitational acceleration.", unit="m/s^2", low=0.0),
        INTEGRATOR,
    )

    mass: torch.Tensor
    length: torch.Tensor
    damping: torch.Tensor
    gravity: torch.Tensor

    def derivative(self, state: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        """Return (theta_dot, theta_ddot), shape (2, N)."""
        theta, theta_dot = state
        torque = action[0] - self.damping * theta_dot
        theta_ddot = self.gravity / self.length * torch.sin(theta) + torque / (
            self.mass * self.length * self.length
        )
        return torch.stack((theta_dot, theta_ddot))
