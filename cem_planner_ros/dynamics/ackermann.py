"""A car that rolls without slip."""

import torch

from cem_planner_ros.dynamics.base import INTEGRATOR, DifferentialEquation
from cem_planner_ros.parameters import Parameter


class Ackermann(DifferentialEquation):
    """
    The kinematic bicycle: speed of the rear axle and steering angle are the actions.

    x_dot = v cos yaw, y_dot = v sin yaw, yaw_dot = v tan(steering) / wheel_base, for the middle of
    the rear axle (LaValle, Planning Algorithms, section 13.1.2.1). How fast speed and steering may
    change is `action.rate` of the node.
    """

    state_names = ("x", "y", "yaw")
    action_names = ("v", "steering")
    action_low = (-1.0, -0.5)
    action_high = (2.0, 0.5)
    action_units = ("m/s", "rad")
    angle_names = ("yaw",)
    parameters = (
        Parameter("wheel_base", 0.5, "From the rear to the front axle.", unit="m", low=1e-3),
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
