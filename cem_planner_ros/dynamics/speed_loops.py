# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Robots in the plane whose motors make their speeds follow commands."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch

from cem_planner_ros.dynamics.base import INTEGRATOR, DifferentialEquation
from cem_planner_ros.plugins.parameter import Parameter


def velocity_loop(
    command: torch.Tensor, speed: torch.Tensor, lag: torch.Tensor, acceleration: torch.Tensor
) -> torch.Tensor:
    """
    Return the acceleration (N,) of a motor's speed loop, clamp((command - speed) / lag, +-limit).

    This is a first-order loop with saturation (Astrom and Murray, Feedback Systems).
    """
    return torch.clamp((command - speed) / lag, -acceleration, acceleration)


def followed(
    command: torch.Tensor,
    speed: torch.Tensor,
    lag: torch.Tensor,
    acceleration: torch.Tensor,
    dt: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """
    Return the speed (N,) after `velocity_loop` over `dt`, and the distance (N,) driven meanwhile.

    Both are exact for a constant command c. While the error e = c - v is larger than acceleration
    lag, the speed changes with the largest acceleration. From then on e decays as exp(-t / lag).

    Args:
        command: (N,), m/s or rad/s.
        speed: (N,), at the beginning, in the same unit.
        lag: 0-d or (N,), s.
        acceleration: 0-d or (N,), m/s^2 or rad/s^2.
        dt: 0-d, s; any multiple of `lag`.
    """
    error = command - speed
    size = torch.abs(error)
    saturated = torch.minimum(torch.relu((1.0 / acceleration) * size - lag), dt)
    left = size - acceleration * saturated
    end = left * torch.exp((1.0 / lag) * (saturated - dt))
    missed = saturated * (size - 0.5 * acceleration * saturated) + lag * (left - end)
    sign = torch.sign(error)
    return command - sign * end, command * dt - sign * missed


def loop_parameters(yaw_acceleration: float) -> tuple[Parameter, ...]:
    """Return the parameters of `SpeedLoops`, with a default of the angular one, rad/s^2."""
    return (
        Parameter("lag", 0.15, "Time constant of the speeds.", unit="s", low=1e-3),
        Parameter(
            "acceleration",
            1.0,
            "Largest acceleration and deceleration of each linear speed.",
            unit="m/s^2",
            low=1e-3,
        ),
        Parameter(
            "yaw_acceleration",
            yaw_acceleration,
            "Largest angular acceleration and deceleration.",
            unit="rad/s^2",
            low=1e-3,
        ),
        INTEGRATOR,
    )


class SpeedLoops(DifferentialEquation):
    """
    A robot in the plane whose speeds, in its own frame, follow their commands by `velocity_loop`.

    The states are x, y, yaw and a speed for each action, in the order of the actions. In a step the
    speeds, and the distances that they add up to, are exact, however short the lag is. The
    integrator computes the pose from these distances as if they were driven evenly.
    """

    angle_names = ("yaw",)
    position_names = ("x", "y")

    lag: torch.Tensor
    acceleration: torch.Tensor
    yaw_acceleration: torch.Tensor

    @abstractmethod
    def kinematics(
        self, yaw: torch.Tensor, speeds: Sequence[torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return (x_dot, y_dot, yaw_dot), each (N,), for a heading and speeds (N,)."""

    @abstractmethod
    def loops(self, action: torch.Tensor) -> Sequence[tuple[torch.Tensor, torch.Tensor]]:
        """Return what each speed shall become (N,), and its largest acceleration."""

    def derivative(self, state: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        """Return the time derivative of the state, shape (3 + nu, N)."""
        _, _, yaw, *speeds = state
        accelerations = [
            velocity_loop(command, speed, self.lag, limit)
            for speed, (command, limit) in zip(speeds, self.loops(action), strict=True)
        ]
        return torch.stack((*self.kinematics(yaw, speeds), *accelerations))

    def step(self, state: torch.Tensor, action: torch.Tensor, dt: torch.Tensor) -> torch.Tensor:
        """Return the state (nx, N) after holding `action` (nu, N) for `dt`."""
        speeds, distances = [], []
        for speed, (command, limit) in zip(state[3:], self.loops(action), strict=True):
            end, distance = followed(command, speed, self.lag, limit, dt)
            speeds.append(end)
            distances.append(distance)
        pose = self.integrate(
            lambda pose: torch.stack(self.kinematics(pose[2], distances)), state[:3], 1.0
        )
        return torch.cat((pose, torch.stack(speeds)))
