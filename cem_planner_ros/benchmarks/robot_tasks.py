# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Robots as tasks of a benchmark: model and costs, budget, how a run begins and ends."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from cem_planner_ros.configuration import load_yaml
from cem_planner_ros.costs.base import Cost
from cem_planner_ros.dynamics.mujoco import Mujoco
from cem_planner_ros.navigation.surroundings import NOTHING
from cem_planner_ros.paths import share
from cem_planner_ros.planning.planner import Planner
from cem_planner_ros.planning.rollout import Rollout
from cem_planner_ros.planning.settings import Search

if TYPE_CHECKING:
    import mujoco

FALLEN = 10.0
"""What a planned step costs in a state in which the run ends."""

HORIZON = 30

SIZES = ("samples", "horizon", "dt")
"""Settings of the search that depend on the task and the machine, and belong to no preset."""


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
class ControlProblem:
    """
    What a method plans with.

    Attributes:
        model: the physics, in one thread.
        costs: the terms of the objective.
        dt: duration of a model step, s.
        horizon: H.
        period: time from one action to the next, s.
        low, high: (nu,), bounds of the actions.
        nominal: (nu,), the action with which a search begins.
    """

    model: Mujoco
    costs: Sequence[Cost]
    dt: float
    horizon: int
    period: float
    low: np.ndarray
    high: np.ndarray
    nominal: np.ndarray

    def has_fallen(self, state: np.ndarray) -> bool:
        """Return whether the run ends in a state (nx,)."""
        column = torch.from_numpy(state)[:, None]
        return any(bool(cost.has_fallen(column)) for cost in self.costs if isinstance(cost, Reward))

    def score(self, steps: int, dt: float) -> Callable[..., np.ndarray]:
        """
        Return what computes the costs (N,) of action sequences.

        Its arguments are a state (nx,), action sequences (N, steps, nu), and the action (nu,) in
        force before them, without which it is the nominal one. `dt` is the duration of a step, s.
        """
        rollout = Rollout(self.model, self.costs, dt)
        edges, durations = dt * np.arange(steps + 1), torch.full((steps,), dt)

        def score(
            state: np.ndarray, samples: np.ndarray, before: np.ndarray | None = None
        ) -> np.ndarray:
            before = self.nominal if before is None else before
            origin = rollout.prepare(state, before, 0.0, 0.0, NOTHING, edges)
            start, sequences, previous = (
                torch.from_numpy(np.asarray(values, np.float32))
                for values in (state - origin, samples, before)
            )
            return rollout(start, sequences.permute(1, 2, 0), previous, durations).numpy()

        return score


Reset = Callable[["mujoco.MjModel", "mujoco.MjData", np.random.Generator], None]
"""(model, data, random) puts a robot where a run begins."""


@dataclass(frozen=True, kw_only=True)
class RobotTask(ABC):
    """
    A robot to control.

    Attributes:
        reset: puts the robot where a run begins.
        steps: control periods of a run.
        beta: exponent of the noise of the published iCEM.
        rollouts: budgets of this task alone; those of the suite if empty.
    """

    reset: Reset
    steps: int
    beta: float = 0.25
    rollouts: tuple[int, ...] = ()

    @abstractmethod
    def problem(self) -> ControlProblem:
        """Return what a method plans with."""

    @abstractmethod
    def preset(self, rollouts: int, seed: int) -> Planner:
        """Return a planner with the settings that docs/tuning.md names for the robot."""

    def defaults(self, rollouts: int, seed: int) -> Planner:
        """Return a planner with the default settings."""
        return planner(self.problem(), rollouts, seed, {})


@dataclass(frozen=True, kw_only=True)
class RewardTask(RobotTask):
    """
    A robot of a model file.

    Attributes:
        file: its model, as in `dynamics.file`.
        cost: minus its reward; says too when a run ends.
        settings: what the preset of the robot changes in the file PRESET.
    """

    file: str
    cost: type[Reward]
    settings: tuple[tuple[str, float], ...] = ()

    def problem(self) -> ControlProblem:
        """Return what a method plans with; a period is one model step."""
        model = Mujoco({"file": self.file})
        cost = self.cost(model)
        low, high = np.array([model.action_low, model.action_high])
        middle = 0.5 * (low + high)
        return ControlProblem(model, [cost], cost.dt, HORIZON, cost.dt, low, high, middle)

    def preset(self, rollouts: int, seed: int) -> Planner:
        """Return a planner with the settings that docs/tuning.md names for the robot."""
        return planner(self.problem(), rollouts, seed, preset() | dict(self.settings))


PRESET = "half_cheetah.yaml"
"""The shipped file whose section `planner` is the preset for robots with contacts."""


def preset() -> dict:
    """Return the settings of the search that the file PRESET has for robots with contacts."""
    found = search_of(load_yaml(share("config") / PRESET))
    return {name: value for name, value in found.items() if name not in SIZES}


def search_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of `Search` that are among parameters, by their names there."""
    names = [field.name for field in fields(Search)]
    return {name: values[f"planner.{name}"] for name in names if f"planner.{name}" in values}


def planner(problem: ControlProblem, rollouts: int, seed: int, settings: dict) -> Planner:
    """Return a planner of at most so many rollouts in a control period."""
    settings = {"horizon": problem.horizon, "dt": problem.dt} | settings
    settings["samples"] = samples_within(rollouts, settings)
    return Planner(
        problem.model,
        problem.costs,
        seed=seed,
        low=problem.low,
        high=problem.high,
        nominal=problem.nominal,
        period=problem.period,
        **settings,
    )


def samples_within(rollouts: int, settings: dict) -> int:
    """Return the largest N whose iterations have no more rollouts than allowed."""
    for samples in range(rollouts, 0, -1):
        search = Search(**{**settings, "samples": samples})
        if sum(search.population(i) for i in range(search.iterations)) <= rollouts:
            return samples
    raise ValueError(f"{rollouts} rollouts are too few for {settings}")


Act = Callable[[np.ndarray, float], np.ndarray]
"""(state (nx,), time, s) -> action (nu,)"""


def controlled_by(planner: Planner) -> Act:
    """Return a controller that sends the first action of a plan in each period."""
    return lambda state, time: planner.plan(state, time).actions[0]


def episode(task: RobotTask, act: Act, seed: int) -> float:
    """
    Return minus the costs of a run; it ends early where the robot has fallen.

    The cost of a period is that of a plan of one step. Outputs of the model are those of a rollout.
    """
    import mujoco

    problem = task.problem()
    robot, period = problem.model, problem.period
    model, data = robot.model, mujoco.MjData(robot.model)
    task.reset(model, data, np.random.default_rng(seed))
    repeats = round(period / model.opt.timestep)
    judge, previous, total = problem.score(1, period), problem.nominal, 0.0
    for step in range(task.steps):
        state = np.concatenate((data.qpos, data.qvel, data.act))
        action = act(state, step * period)
        total -= float(judge(state, action[None, None], previous)[0])
        previous = action
        data.ctrl[robot.actuators] = action
        mujoco.mj_step(model, data, repeats)
        if problem.has_fallen(np.concatenate((data.qpos, data.qvel, data.act))):
            total += FALLEN  # Which is for plans alone.
            break
    return total
