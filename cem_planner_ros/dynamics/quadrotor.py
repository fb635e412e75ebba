# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""A quadrotor whose inner loop tracks body rates."""

import torch

from cem_planner_ros.dynamics.base import INTEGRATOR, DifferentialEquation
from cem_planner_ros.plugins.parameter import Parameter


class Quadrotor(DifferentialEquation):
    """
    A rigid body under gravity and thrust; the actions are thrust and body rates.

    p_dot = v, v_dot = R(q) (0, 0, thrust) - (0, 0, g) - drag v, q_dot = q * (0, rates) / 2
    (Faessler, Franchi and Scaramuzza, Differential Flatness of Quadrotor Dynamics Subject to Rotor
    Drag, 2018, with one drag coefficient). q is a unit quaternion from body to world. The thrust is
    per mass, along the body's z axis.
    """

    state_names = ("x", "y", "z", "x_dot", "y_dot", "z_dot", "qw", "qx", "qy", "qz")
    action_names = ("thrust", "roll_rate", "pitch_rate", "yaw_rate")
    action_low = (0.0, -6.0, -6.0, -3.0)
    action_high = (20.0, 6.0, 6.0, 3.0)
    action_units = ("m/s^2", "rad/s", "rad/s", "rad/s")
    position_names = ("x", "y", "z")
    quaternion_names = (("qw", "qx", "qy", "qz"),)
    parameters = (
        Parameter("gravity", 9.81, "Gravitational acceleration.", unit="m/s^2", low=0.0),
        Parameter("drag", 0.1, "Deceleration per speed.", unit="1/s", low=0.0),
        INTEGRATOR,
    )

    gravity: torch.Tensor
    drag: torch.Tensor

    def derivative(self, state: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        """Return the time derivative of the state, shape (10, N)."""
        _, _, _, vx, vy, vz, w, x, y, z = state
        thrust, p, q, r = action
        # Integration changes the norm of the quaternion, so it is normalised here. An all-zero
        # quaternion, as in an empty state, is no rotation; the thrust is then zero.
        scale = 2.0 * thrust / torch.clamp(w * w + x * x + y * y + z * z, min=1e-6)
        return torch.stack(
            (
                vx,
                vy,
                vz,
                scale * (x * z + w * y) - self.drag * vx,
                scale * (y * z - w * x) - self.drag * vy,
                scale * 0.5 * (w * w - x * x - y * y + z * z) - self.gravity - self.drag * vz,
                -0.5 * (x * p + y * q + z * r),
                0.5 * (w * p + y * r - z * q),
                0.5 * (w * q + z * p - x * r),
                0.5 * (w * r + x * q - y * p),
            )
        )
