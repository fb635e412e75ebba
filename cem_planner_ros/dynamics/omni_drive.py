"""A robot that drives in every direction."""

import torch

from cem_planner_ros.dynamics.base import INTEGRATOR, DifferentialEquation
from cem_planner_ros.dynamics.diff_drive import velocity_loop
from cem_planner_ros.plugins.parameter import Parameter


class OmniDrive(DifferentialEquation):
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
    angle_names = ("yaw",)
    position_names = ("x", "y")
    parameters = (
        Parameter("lag", 0.15, "Time constant of the speeds.", unit="s", low=1e-3),
        Parameter(
            "acceleration", 1.0, "Largest acceleration of v_x and of v_y.", unit="m/s^2", low=1e-3
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
        """Return the time derivative of the state, shape (6, N)."""
        _, _, yaw, v_x, v_y, yaw_rate = state
        cos, sin = torch.cos(yaw), torch.sin(yaw)
        return torch.stack(
            (
                v_x * cos - v_y * sin,
                v_x * sin + v_y * cos,
                yaw_rate,
                velocity_loop(action[0], v_x, self.lag, self.acceleration),
                velocity_loop(action[1], v_y, self.lag, self.acceleration),
                velocity_loop(action[2], yaw_rate, self.lag, self.yaw_acceleration),
            )
        )
