"""A robot with two driven wheels on one axis."""

import torch

from cem_planner_ros.dynamics.base import INTEGRATOR, DifferentialEquation


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
    parameters = (INTEGRATOR,)

    def derivative(self, state: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        """Return (x_dot, y_dot, yaw_dot), shape (3, N)."""
        yaw = state[2]
        v, yaw_rate = action
        return torch.stack((v * torch.cos(yaw), v * torch.sin(yaw), yaw_rate))
