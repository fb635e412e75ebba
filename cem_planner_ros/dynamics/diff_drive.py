"""Robots with two driven wheels on one axis."""

import torch

from cem_planner_ros.dynamics.base import INTEGRATOR, DifferentialEquation
from cem_planner_ros.plugins.parameter import Parameter


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


def velocity_loop(
    command: torch.Tensor, speed: torch.Tensor, lag: torch.Tensor, acceleration: torch.Tensor
) -> torch.Tensor:
    """
    Return the acceleration (N,) of a motor's speed loop, clamp((command - speed) / lag, +-limit).

    This is a first-order loop with saturation (Astrom and Murray, Feedback Systems).
    """
    return torch.clamp((command - speed) / lag, -acceleration, acceleration)


class DiffDriveLag(DifferentialEquation):
    """
    A unicycle with motors: both speeds follow their commands by `velocity_loop`.

    Slip is not modelled: the speeds are those of the robot.
    """

    state_names = ("x", "y", "yaw", "v", "yaw_rate")
    action_names = ("v", "yaw_rate")
    action_low = DiffDrive.action_low
    action_high = DiffDrive.action_high
    action_units = DiffDrive.action_units
    angle_names = ("yaw",)
    position_names = ("x", "y")
    parameters = (
        Parameter("lag", 0.15, "Time constant of both speeds.", unit="s", low=1e-3),
        Parameter(
            "acceleration",
            1.0,
            "Largest acceleration and deceleration of v.",
            unit="m/s^2",
            low=1e-3,
        ),
        Parameter(
            "yaw_acceleration",
            4.0,
            "Largest angular acceleration and deceleration.",
            unit="rad/s^2",
            low=1e-3,
        ),
        INTEGRATOR,
    )

    lag: torch.Tensor
    acceleration: torch.Tensor
    yaw_acceleration: torch.Tensor

    def derivative(self, state: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        """Return the time derivative of the state, shape (5, N)."""
        _, _, yaw, v, yaw_rate = state
        v_dot = velocity_loop(action[0], v, self.lag, self.acceleration)
        yaw_ddot = velocity_loop(action[1], yaw_rate, self.lag, self.yaw_acceleration)
        return torch.stack((v * torch.cos(yaw), v * torch.sin(yaw), yaw_rate, v_dot, yaw_ddot))
