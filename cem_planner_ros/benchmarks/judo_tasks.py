# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Tasks of judo as tasks of the benchmark: its files, its rewards, and its own optimisers."""

from __future__ import annotations

import importlib
from collections.abc import Callable

import numpy as np
import torch

from cem_planner_ros.benchmarks.robot_tasks import Reward, RobotTask
from cem_planner_ros.costs.base import rows_of
from cem_planner_ros.dynamics.base import Dynamics
from cem_planner_ros.errors import ConfigurationError

OFFSET = 0.25
"""Distance (m) of the place behind the cylinder, at which the pusher is rewarded."""


class PushCylinder(Reward):
    """The reward of cylinder_push, with the goal at the origin."""

    dt = 0.04

    def __init__(self, dynamics: Dynamics, *args, **options):
        super().__init__(dynamics, *args, **options)
        self._pusher = rows_of(dynamics, "slider_x", "slider_y")
        self._cart = rows_of(dynamics, "slider_cart_x", "slider_cart_y")

    def reward(
        self, state: torch.Tensor, action: torch.Tensor, previous_state: torch.Tensor
    ) -> torch.Tensor:
        """Return minus the squared distances of the cylinder and of the place behind it, (N,)."""
        cart = state[self._cart]
        distance = torch.linalg.norm(cart, dim=0)
        behind = cart * (1.0 + OFFSET / distance)
        error = state[self._pusher] - behind
        return -0.05 * distance**2 - 0.25 * (error * error).sum(0)


def around_the_goal(model, data, random) -> None:
    """Put the pusher 1 m and the cylinder 2 m from the goal, each in a random direction."""
    directions = random.uniform(0.0, 2.0 * np.pi, 2)
    for place, (angle, distance) in enumerate(zip(directions, (1.0, 2.0), strict=True)):
        data.qpos[2 * place : 2 * place + 2] = distance * np.array([np.cos(angle), np.sin(angle)])


TASKS = {
    "cylinder_push": RobotTask(
        "judo:models/xml/cylinder_push.xml",
        PushCylinder,
        around_the_goal,
        steps=150,
        beta=0.25,
        horizon=25,
        rollouts=(32,),
        settings={"std_initial": 0.1},  # 1 m; the actuators take -10 to 10 m.
    ),
}

SPLINES = {"cylinder_push": "zero"}
"""The kind of spline that judo has for each task, as scipy names it."""

OPTIMISERS = {
    "judo_cem": ("CrossEntropyMethod", "CrossEntropyMethodConfig"),
    "judo_mppi": ("MPPI", "MPPIConfig"),
    "judo_ps": ("PredictiveSampling", "PredictiveSamplingConfig"),
}
"""{method: classes of judo.optimizers}."""

Score = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(state (nx,), actions (N, H, nu)) -> costs (N,)"""


def is_installed() -> bool:
    """Return whether judo's optimisers can be imported, which need scipy and viser."""
    try:
        importlib.import_module("judo.optimizers")
    except ImportError:
        return False
    return True


class Controller:
    """
    An optimiser of judo with its settings of a task, one iteration in a control step.

    Args:
        method: of OPTIMISERS.
        task: one of TASKS.
        score: costs of action sequences.
        bounds: (2, nu), of the actions.
        rollouts: in a control step.
        seed: of the noise, which judo draws from NumPy's global generator.

    Raises ConfigurationError if judo is not installed.
    """

    def __init__(
        self,
        method: str,
        task: RobotTask,
        score: Score,
        bounds: np.ndarray,
        rollouts: int,
        seed: int,
    ):
        name = next(name for name, known in TASKS.items() if known is task)
        try:
            judo = importlib.import_module("judo.optimizers")
            self._interpolate = importlib.import_module("scipy.interpolate").interp1d
        except ImportError as error:
            raise ConfigurationError(
                f"the method '{method}' needs judo and scipy (pip install judo-rai): {error}"
            ) from error
        optimiser, settings = (getattr(judo, name) for name in OPTIMISERS[method])
        values = settings()
        values.set_override(name)
        values.num_rollouts = rollouts
        self._score, self._bounds = score, bounds
        self._optimiser = optimiser(values, bounds.shape[1])
        self._horizon, self._dt = task.horizon, task.cost.dt
        self._kind = SPLINES[name]
        self._knots = np.zeros((values.num_nodes, bounds.shape[1]))
        self._times = self._knot_times(0.0)
        np.random.seed(seed)

    def act(self, state: np.ndarray, time: float) -> np.ndarray:
        """Return the action (nu,) for a state (nx,) at `time`, s."""
        times = self._knot_times(time)
        mean = self._at(self._times, self._knots, times)
        self._optimiser.pre_optimization(self._times, times)
        knots = np.clip(self._optimiser.sample_control_knots(mean), *self._bounds)
        actions = self._at(times, knots, time + self._dt * np.arange(self._horizon))
        costs = self._score(state, actions)
        self._knots = self._optimiser.update_nominal_knots(knots, -costs)
        self._times = times
        return self._at(times, self._knots, np.array([time]))[0]

    def _knot_times(self, time: float) -> np.ndarray:
        return time + np.linspace(0.0, self._horizon * self._dt, len(self._knots))

    def _at(self, times: np.ndarray, knots: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        ends = knots[..., 0, :], knots[..., -1, :]
        curve = self._interpolate(
            times, knots, kind=self._kind, axis=-2, fill_value=ends, bounds_error=False
        )
        return curve(wanted)
