# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The tasks (models and costs) on which planners are measured."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from cem_planner_ros.costs.base import Cost
from cem_planner_ros.costs.quadratic import Quadratic, Terminal
from cem_planner_ros.dynamics.base import Dynamics
from cem_planner_ros.dynamics.cartpole import CartPole
from cem_planner_ros.dynamics.diff_drive import DiffDrive
from cem_planner_ros.dynamics.double_integrator import DoubleIntegrator
from cem_planner_ros.dynamics.quadrotor import Quadrotor


class SwingUp(Cost):
    """x^2 + 10 (1 - cos theta) + 0.1 x_dot^2 + 0.1 theta_dot^2 + 0.0001 force^2."""

    def stage(
        self,
        state: torch.Tensor,
        action: torch.Tensor,
        previous_action: torch.Tensor,
        time: torch.Tensor,
    ) -> torch.Tensor:
        """Return the cost of the usual cart-pole swing-up, force 10 N being u = 1."""
        x, x_dot, theta, theta_dot = state
        return (
            x * x
            + 10.0 * (1.0 - torch.cos(theta))
            + 0.1 * x_dot * x_dot
            + 0.1 * theta_dot * theta_dot
            + 1e-4 * action[0] * action[0]
        )


class Doorway(Cost):
    """A wall at x = 0 with a door 0.4 m wide at y = 0; the target is at (1, 1)."""

    def stage(
        self,
        state: torch.Tensor,
        action: torch.Tensor,
        previous_action: torch.Tensor,
        time: torch.Tensor,
    ) -> torch.Tensor:
        """Return the squared distance, speed and effort, and 100 inside the wall."""
        x, y, x_dot, y_dot = state
        in_wall = (torch.abs(x) < 0.1) & (torch.abs(y) > 0.2)
        return (
            (x - 1.0) ** 2
            + (y - 1.0) ** 2
            + 0.1 * (x_dot * x_dot + y_dot * y_dot)
            + 0.01 * (action[0] * action[0] + action[1] * action[1])
            + torch.where(in_wall, 100.0, 0.0)
        )


class PastPillar(Cost):
    """A pillar of radius 0.5 m at (2, 0) on the way to the target at (4, 0, 1)."""

    def stage(
        self,
        state: torch.Tensor,
        action: torch.Tensor,
        previous_action: torch.Tensor,
        time: torch.Tensor,
    ) -> torch.Tensor:
        """Return the squared distance, speed, rates and effort, and 100 inside the pillar."""
        x, y, z, vx, vy, vz = state[:6]
        in_pillar = (x - 2.0) ** 2 + y * y < 0.25
        distance = (x - 4.0) ** 2 + y * y + (z - 1.0) ** 2
        speed = vx * vx + vy * vy + vz * vz
        rates = action[1] ** 2 + action[2] ** 2 + action[3] ** 2
        return (
            distance
            + 0.1 * speed
            + 0.01 * rates
            + 0.001 * (action[0] - 9.81) ** 2
            + torch.where(in_pillar, 100.0, 0.0)
        )


@dataclass(frozen=True)
class BenchmarkTask:
    """
    A closed loop on the exact model.

    `success` takes the states (steps, nx) of a run. `dt` is model step and period, s.
    """

    dynamics: Callable[..., Dynamics]
    cost: type[Cost]
    start: tuple[float, ...]
    dt: float
    steps: int
    success: Callable[[np.ndarray], bool]


def _is_up(states: np.ndarray) -> bool:
    angle = np.remainder(states[-50:, 2] + math.pi, 2 * math.pi) - math.pi
    return bool((np.abs(angle) < 0.2).all())


def _went_through_the_door(states: np.ndarray) -> bool:
    x, y = states[:, 0], states[:, 1]
    hit = ((np.abs(x) < 0.1) & (np.abs(y) > 0.2)).any()
    return not hit and math.hypot(x[-1] - 1.0, y[-1] - 1.0) < 0.1


def _flew_past(states: np.ndarray) -> bool:
    hit = ((states[:, 0] - 2.0) ** 2 + states[:, 1] ** 2 < 0.25).any()
    return not hit and float(np.linalg.norm(states[-1, :3] - [4.0, 0.0, 1.0])) < 0.2


TASKS = {
    "cartpole": BenchmarkTask(
        functools.partial(CartPole, {"integrator": "euler"}),
        SwingUp,
        (0.0, 0.0, math.pi, 0.0),
        0.02,
        300,
        _is_up,
    ),
    "doorway": BenchmarkTask(
        DoubleIntegrator, Doorway, (-1.0, 1.0, 0.0, 0.0), 0.1, 100, _went_through_the_door
    ),
    "quadrotor": BenchmarkTask(
        Quadrotor, PastPillar, (0.0, 0.0, 1.0, *(0.0,) * 3, 1.0, *(0.0,) * 3), 0.04, 100, _flew_past
    ),
}


def diff_drive(device: torch.device | str = "cpu") -> tuple[Dynamics, list[Cost]]:
    """Return a robot with quadratic costs of pose, action and change of action."""
    model = DiffDrive({"integrator": "euler"}, device=device)
    way = Quadratic(
        model,
        {
            "target": {"x": 2.0, "y": 1.0},
            "weight": {"x": 1.0, "y": 1.0, "yaw": 0.1},
            "action_weight": {"v": 0.05, "yaw_rate": 0.02},
            "rate_weight": {"v": 0.1, "yaw_rate": 0.05},
        },
        device=device,
    )
    end = Terminal(model, {"weight": {"x": 10.0, "y": 10.0}}, device=device)
    return model, [way, end]
