# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Gymnasium's walking robots as tasks: its model files, its rewards, an episode without reset."""

from __future__ import annotations

import math

import torch

from cem_planner_ros.benchmarks.robot_tasks import Reset, Reward, RewardTask
from cem_planner_ros.costs.base import rows_of
from cem_planner_ros.dynamics.base import Dynamics


class RunForward(Reward):
    """
    The forward speed, and 1 while the robot stands, if it may fall.

    `height` (m) and `pitch` (rad) are the ranges of rootz and rooty in which it stands.
    """

    height = -math.inf, math.inf
    pitch = -math.inf, math.inf

    def __init__(self, dynamics: Dynamics, *args, **options):
        super().__init__(dynamics, *args, **options)
        self._x, self._z, self._pitch = rows_of(dynamics, "rootx", "rootz", "rooty")
        self._may_fall = math.isfinite(self.pitch[0])

    def reward(
        self, state: torch.Tensor, action: torch.Tensor, previous_state: torch.Tensor
    ) -> torch.Tensor:
        """Return the forward speed minus the effort, and 1 while it stands, (N,)."""
        speed = (state[self._x] - previous_state[self._x]) / self.dt
        reward = speed - self.effort * (action * action).sum(0)
        return reward + (~self.has_fallen(state)).to(reward) if self._may_fall else reward

    def has_fallen(self, state: torch.Tensor) -> torch.Tensor:
        """Return in which states (nx, N) height or pitch is out of its range, (N,)."""
        if not self._may_fall:
            return super().has_fallen(state)
        z, pitch = state[self._z], state[self._pitch]
        upright = (z > self.height[0]) & (z < self.height[1])
        return ~(upright & (pitch > self.pitch[0]) & (pitch < self.pitch[1]))


class RunHopper(RunForward):
    """The reward of Hopper-v5."""

    dt = 0.008
    effort = 1e-3
    height = 0.7, math.inf
    pitch = -0.2, 0.2


class RunWalker(RunForward):
    """The reward of Walker2d-v5."""

    dt = 0.008
    effort = 1e-3
    height = 0.8, 2.0
    pitch = -1.0, 1.0


class StandUp(Reward):
    """The reward of HumanoidStandup-v5 without the cost of impacts, of which costs see nothing."""

    dt = 0.015
    timestep = 0.003

    def __init__(self, dynamics: Dynamics, *args, **options):
        super().__init__(dynamics, *args, **options)
        (self._z,) = rows_of(dynamics, "root_z")

    def reward(
        self, state: torch.Tensor, action: torch.Tensor, previous_state: torch.Tensor
    ) -> torch.Tensor:
        """Return the height over the time step of the file, minus the effort, plus 1, (N,)."""
        return state[self._z] / self.timestep - self.effort * (action * action).sum(0) + 1.0


def around(spread: float, is_normal: bool = False) -> Reset:
    """
    Return the reset of a run that begins near the pose of the file.

    Positions differ from it by up to `spread`, uniform. So do speeds from 0; with `is_normal` they
    have the standard deviation `spread`.
    """

    def reset(model, data, random) -> None:
        data.qpos[:] += random.uniform(-spread, spread, model.nq)
        data.qvel[:] = (
            random.normal(0.0, spread, model.nv)
            if is_normal
            else random.uniform(-spread, spread, model.nv)
        )

    return reset


ASSETS = "gymnasium:envs/mujoco/assets"

RAISES = (("noise_beta", 4.0), ("elites", 5))
"""What the preset changes where motors raise a heavy body (docs/tuning.md)."""

TASKS = {
    name: RewardTask(
        file=f"{ASSETS}/{file}.xml",
        cost=cost,
        reset=reset,
        steps=steps,
        beta=beta,
        settings=settings,
    )
    for name, file, cost, reset, steps, beta, settings in (
        ("HalfCheetah", "half_cheetah", RunForward, around(0.1, is_normal=True), 100, 0.25, ()),
        ("Hopper", "hopper", RunHopper, around(0.005), 100, 0.25, ()),
        ("Walker2d", "walker2d_v5", RunWalker, around(0.005), 100, 0.25, ()),
        ("HumanoidStandup", "humanoidstandup", StandUp, around(0.01), 40, 2.0, RAISES),
    )
}
"""
The exponent of iCEM's noise is that of the settings that its authors published with their code; of
Hopper and Walker2d, which are not among these, that of HalfCheetah.
"""
