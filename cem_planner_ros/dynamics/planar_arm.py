# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""An arm of two links in a vertical plane."""

import torch

from cem_planner_ros.dynamics.base import INTEGRATOR, DifferentialEquation
from cem_planner_ros.plugins.parameter import Parameter


class PlanarArm(DifferentialEquation):
    """
    Two uniform rods with a motor in each joint.

    M(q) q_ddot + C(q, q_dot) q_dot + G(q) + damping q_dot = torques (Spong, Hutchinson and
    Vidyasagar, Robot Modeling and Control, the planar elbow manipulator). The shoulder angle is
    measured from the horizontal (pi / 2 is up), the elbow angle from the stretched arm. With
    gravity 0 the plane is horizontal.
    """

    state_names = ("shoulder", "elbow", "shoulder_dot", "elbow_dot")
    action_names = ("shoulder_torque", "elbow_torque")
    action_low = (-20.0, -10.0)
    action_high = (20.0, 10.0)
    action_units = ("Nm", "Nm")
    angle_names = ("shoulder", "elbow")
    parameters = (
        Parameter("upper_mass", 1.0, "Mass of the link at the shoulder.", unit="kg", low=1e-3),
        Parameter("upper_length", 0.5, "Length of the link at the shoulder.", unit="m", low=1e-3),
        Parameter("lower_mass", 1.0, "Mass of the link behind the elbow.", unit="kg", low=1e-3),
        Parameter("lower_length", 0.5, "Length of the link behind the elbow.", unit="m", low=1e-3),
        Parameter("damping", 0.1, "Torque of a joint per angular speed.", unit="Nm s", low=0.0),
        Parameter("gravity", 9.81, "Gravitational acceleration.", unit="m/s^2", low=0.0),
        INTEGRATOR,
    )

    upper_mass: torch.Tensor
    upper_length: torch.Tensor
    lower_mass: torch.Tensor
    lower_length: torch.Tensor
    damping: torch.Tensor
    gravity: torch.Tensor

    def derivative(self, state: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        """Return the joint speeds and accelerations, shape (4, N)."""
        q1, q2, w1, w2 = state
        # A uniform rod has its centre of mass in the middle, and the moment of inertia m l^2 / 3
        # about its end.
        lower = self.lower_mass * self.lower_length * self.lower_length / 3.0
        upper = (self.upper_mass / 3.0 + self.lower_mass) * self.upper_length * self.upper_length
        coupling = 0.5 * self.lower_mass * self.upper_length * self.lower_length
        cos, sin = coupling * torch.cos(q2), coupling * torch.sin(q2)
        m11, m12, m22 = upper + lower + 2.0 * cos, lower + cos, lower
        g2 = 0.5 * self.lower_mass * self.lower_length * self.gravity * torch.cos(q1 + q2)
        g1 = (0.5 * self.upper_mass + self.lower_mass) * self.upper_length * self.gravity
        t1 = action[0] + sin * w2 * (2.0 * w1 + w2) - g1 * torch.cos(q1) - g2 - self.damping * w1
        t2 = action[1] - sin * w1 * w1 - g2 - self.damping * w2
        determinant = m11 * m22 - m12 * m12
        return torch.stack(
            (
                w1,
                w2,
                (m22 * t1 - m12 * t2) / determinant,
                (m11 * t2 - m12 * t1) / determinant,
            )
        )
