# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""A pole hinged on a driven cart."""

import torch

from cem_planner_ros.dynamics.base import INTEGRATOR, DifferentialEquation
from cem_planner_ros.plugins.parameter import Parameter


class CartPole(DifferentialEquation):
    """
    A uniform pole on a cart, without friction; theta = 0 is upright.

    Equations of motion as in Florian, "Correct equations for the dynamics of the cart-pole system"
    (2007), eq. 23 and 24 with the friction terms left out. The default parameters are those of
    Barto, Sutton and Anderson (1983).
    """

    state_names = ("x", "x_dot", "theta", "theta_dot")
    action_names = ("force",)
    action_low = (-10.0,)
    action_high = (10.0,)
    action_units = ("N",)
    angle_names = ("theta",)
    parameters = (
        Parameter("cart_mass", 1.0, "Mass of the cart.", unit="kg", low=1e-3),
        Parameter("pole_mass", 0.1, "Mass of the pole.", unit="kg", low=1e-4),
        Parameter("half_length", 0.5, "Half the length of the pole.", unit="m", low=1e-3),
        Parameter("gravity", 9.8, "Gravitational acceleration.", unit="m/s^2", low=0.0),
        INTEGRATOR,
    )

    cart_mass: torch.Tensor
    pole_mass: torch.Tensor
    half_length: torch.Tensor
    gravity: torch.Tensor

    def derivative(self, state: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        """Return (x_dot, x_ddot, theta_dot, theta_ddot), shape (4, N)."""
        _, x_dot, theta, theta_dot = state
        sin, cos = torch.sin(theta), torch.cos(theta)
        total_mass = self.cart_mass + self.pole_mass
        pole_moment = self.pole_mass * self.half_length
        push = (action[0] + pole_moment * theta_dot * theta_dot * sin) / total_mass
        theta_ddot = (self.gravity * sin - cos * push) / (
            self.half_length * (4.0 / 3.0 - self.pole_mass * cos * cos / total_mass)
        )
        x_ddot = push - pole_moment * theta_ddot * cos / total_mass
        return torch.stack((x_dot, x_ddot, theta_dot, theta_ddot))
