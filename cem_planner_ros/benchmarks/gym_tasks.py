"""Gymnasium's walking robots as tasks: its model files, its rewards, an episode without reset."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from cem_planner_ros.costs.base import Cost, rows_of
from cem_planner_ros.dynamics.base import Dynamics

FALLEN = 10.0
"""What a planned step costs in a state in which Gymnasium ends the episode."""


class Reward(Cost):
    """
    Minus Gymnasium's reward of a step, and FALLEN where the robot has fallen.

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
        """Return in which of the states (nx, N) the episode ends, (N,)."""
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


@dataclass(frozen=True)
class GymTask:
    """
    A robot of Gymnasium.

    Attributes:
        file: its model, in Gymnasium.
        cost: minus its reward.
        beta: exponent of the noise in the settings that the authors of iCEM published with their
            code, of this robot or, for Hopper and Walker2d, of HalfCheetah.
        spread: of the first positions, uniform, and speeds: uniform, or normal if `is_normal`.
        is_normal: see `spread`.
    """

    file: str
    cost: type[Reward]
    beta: float
    spread: float
    is_normal: bool = False

    def model(self) -> Dynamics:
        """Return its physics as a model, in one thread."""
        from cem_planner_ros.dynamics.mujoco import Mujoco

        return Mujoco({"file": f"gymnasium:envs/mujoco/assets/{self.file}"})


TASKS = {
    "HalfCheetah": GymTask("half_cheetah.xml", RunForward, 0.25, 0.1, is_normal=True),
    "Hopper": GymTask("hopper.xml", RunHopper, 0.25, 0.005),
    "Walker2d": GymTask("walker2d_v5.xml", RunWalker, 0.25, 0.005),
    "HumanoidStandup": GymTask("humanoidstandup.xml", StandUp, 2.0, 0.01),
}

Act = Callable[[np.ndarray, float], np.ndarray]
"""(state (nx,), time, s) -> action (nu,)"""


def episode(task: GymTask, act: Act, steps: int, seed: int) -> float:
    """Return the sum of rewards of at most `steps` steps; it ends where Gymnasium ends it."""
    import mujoco

    robot = task.model()
    model = robot.model
    reward = task.cost(robot)
    data = mujoco.MjData(model)
    random = np.random.default_rng(seed)
    data.qpos[:] += random.uniform(-task.spread, task.spread, model.nq)
    low, high = -task.spread, task.spread
    speeds = (
        random.normal(0.0, high, model.nv)
        if task.is_normal
        else random.uniform(low, high, model.nv)
    )
    data.qvel[:] = speeds
    repeats = round(reward.dt / model.opt.timestep)
    total = 0.0
    for step in range(steps):
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
