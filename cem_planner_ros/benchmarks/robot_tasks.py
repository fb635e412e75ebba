# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Robots as tasks of a benchmark: a file, its reward, how a run begins and ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from cem_planner_ros.costs.base import Cost
from cem_planner_ros.dynamics.base import Dynamics

if TYPE_CHECKING:
    import mujoco

FALLEN = 10.0
"""What a planned step costs in a state in which the run ends."""


class Reward(Cost):
    """
    Minus the reward of a step, and FALLEN where the robot has fallen.

    A subclass says `dt`, s, and `effort`, the weight of the squared actions.
    """

    reads_previous_state = True
    dt = 0.05
    effort = 0.1

    def reward(
        self, state: torch.Tensor, action: torch.Tensor, previous_state: torch.Tensor
    ) -> torch.Tensor:
        """Return the reward (N,) of the step from `previous_state` to `state`, both (nx, N)."""
        raise NotImplementedError

    def has_fallen(self, state: torch.Tensor) -> torch.Tensor:
        """Return in which of the states (nx, N) the run ends, (N,)."""
        return torch.zeros_like(state[0], dtype=torch.bool)

    def stage(
        self,
        state: torch.Tensor,
        action: torch.Tensor,
        previous_action: torch.Tensor,
        time: torch.Tensor,
        previous_state: torch.Tensor,
    ) -> torch.Tensor:
        """Return the cost (N,) of a step, as it is planned with."""
        reward = self.reward(state, action, previous_state)
        return torch.where(self.has_fallen(state), FALLEN, 0.0) - reward


@dataclass(frozen=True)
class RobotTask:
    """
    A robot to control.

    Attributes:
        file: its model, as in `dynamics.file`.
        cost: minus its reward; says too when a run ends.
        reset: (model, data, random) puts the robot where a run begins.
        steps: control steps of a run.
        beta: exponent of the noise of the published iCEM.
        horizon: H, the number of planned steps; 0 for that of the suite.
        rollouts: budgets of this task alone; those of the suite if empty.
        settings: settings in the robot's own units, which the preset has besides its own.
    """

    file: str
    cost: type[Reward]
    reset: Callable[[mujoco.MjModel, mujoco.MjData, np.random.Generator], None]
    steps: int
    beta: float
    horizon: int = 0
    rollouts: tuple[int, ...] = ()
    settings: Mapping[str, float] = field(default_factory=dict)

    def model(self) -> Dynamics:
        """Return its physics as a model, in one thread."""
        from cem_planner_ros.dynamics.mujoco import Mujoco

        return Mujoco({"file": self.file})


Act = Callable[[np.ndarray, float], np.ndarray]
"""(state (nx,), time, s) -> action (nu,)"""


def episode(task: RobotTask, act: Act, seed: int) -> float:
    """Return the sum of rewards of a run; it ends early where the robot has fallen."""
    import mujoco

    robot = task.model()
    model = robot.model
    reward = task.cost(robot)
    data = mujoco.MjData(model)
    task.reset(model, data, np.random.default_rng(seed))
    repeats = round(reward.dt / model.opt.timestep)
    total = 0.0
    for step in range(task.steps):
        before = _column(data.qpos, data.qvel)
        action = act(before[:, 0].numpy(), step * reward.dt)
        data.ctrl[:] = action
        mujoco.mj_step(model, data, repeats)
        state = _column(data.qpos, data.qvel)
        total += float(reward.reward(state, _column(action), before))
        if reward.has_fallen(state).any():
            break
    return total


def _column(*parts: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.concatenate(parts).astype(np.float64))[:, None]
