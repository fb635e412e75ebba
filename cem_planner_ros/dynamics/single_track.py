# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""A car with slipping tyres."""

import torch

from cem_planner_ros.dynamics.base import INTEGRATOR, DifferentialEquation
from cem_planner_ros.plugins.parameter import Parameter


class SingleTrack(DifferentialEquation):
    """
    The dynamic bicycle with a tyre model. The actions are steering angle and acceleration.

    The equations are those of Newton and Euler for the centre of gravity
    (Rajamani, Vehicle Dynamics and Control, section 2.3, with v_x not constant). The lateral force
    of an axle is that of Pacejka's formula without curvature, mu F_z sin(C atan(B slip)), where F_z
    is the load of the axle at rest (Pacejka, Tyre and Vehicle Dynamics, section 4.3). The
    acceleration of the car does not reduce it.

    slip = atan(-v_lateral / max(|v_along|, low_speed)), both in the axes of the wheel. Below
    `low_speed` this is not the slip angle, which is undefined at standstill and makes the equations
    stiff. There the force ends the lateral motion of the wheel: the car becomes a kinematic
    bicycle, can stand still, and can drive backwards.
    """

    state_names = ("x", "y", "yaw", "v_x", "v_y", "yaw_rate")
    action_names = ("steering", "acceleration")
    action_low = (-0.5, -6.0)
    action_high = (0.5, 3.0)
    action_units = ("rad", "m/s^2")
    angle_names = ("yaw",)
    position_names = ("x", "y")
    parameters = (
        Parameter("mass", 1500.0, "Mass of the car.", unit="kg", low=1e-2),
        Parameter(
            "inertia", 2500.0, "Moment of inertia about the vertical axis.", unit="kg m^2", low=1e-4
        ),
        Parameter(
            "front",
            1.2,
            "Distance from the centre of gravity to the front axle.",
            unit="m",
            low=0.01,
        ),
        Parameter(
            "rear", 1.4, "Distance from the centre of gravity to the rear axle.", unit="m", low=0.01
        ),
        Parameter(
            "friction", 0.9, "Friction coefficient of tyre and road, mu.", low=0.01, high=3.0
        ),
        Parameter(
            "stiffness",
            8.0,
            "Stiffness factor B of the tyres (magic formula).",
            unit="1/rad",
            low=0.1,
        ),
        Parameter("shape", 1.4, "Shape factor C of the tyres (magic formula).", low=0.1, high=2.0),
        Parameter("gravity", 9.81, "Gravitational acceleration.", unit="m/s^2", low=0.0),
        Parameter(
            "low_speed",
            3.0,
            "Speed below which the slip is computed as at this speed.",
            unit="m/s",
            low=0.01,
        ),
        INTEGRATOR,
    )

    mass: torch.Tensor
    inertia: torch.Tensor
    front: torch.Tensor
    rear: torch.Tensor
    friction: torch.Tensor
    stiffness: torch.Tensor
    shape: torch.Tensor
    gravity: torch.Tensor
    low_speed: torch.Tensor

    def derivative(self, state: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        """Return the time derivative of the state, shape (6, N)."""
        _, _, yaw, v_x, v_y, yaw_rate = state
        steering, acceleration = action
        sin, cos = torch.sin(steering), torch.cos(steering)
        share = self.mass * self.gravity / (self.front + self.rear)  # N/m, load over lever arm
        v_front = v_y + self.front * yaw_rate
        front = self._force(v_x * cos + v_front * sin, v_front * cos - v_x * sin, share * self.rear)
        rear = self._force(v_x, v_y - self.rear * yaw_rate, share * self.front)
        return torch.stack(
            (
                v_x * torch.cos(yaw) - v_y * torch.sin(yaw),
                v_x * torch.sin(yaw) + v_y * torch.cos(yaw),
                yaw_rate,
                acceleration - front * sin / self.mass + v_y * yaw_rate,
                (front * cos + rear) / self.mass - v_x * yaw_rate,
                (self.front * front * cos - self.rear * rear) / self.inertia,
            )
        )

    def _force(
        self, v_along: torch.Tensor, v_lateral: torch.Tensor, load: torch.Tensor
    ) -> torch.Tensor:
        """Return the lateral force (N,) of an axle, N; speeds in the wheel's axes, m/s."""
        speed = torch.maximum(torch.abs(v_along), self.low_speed)
        slip = torch.atan(-v_lateral / speed)
        return self.friction * load * torch.sin(self.shape * torch.atan(self.stiffness * slip))
