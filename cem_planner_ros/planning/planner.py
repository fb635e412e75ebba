"""Receding-horizon planning by the Cross-Entropy Method."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from cem_planner_ros.costs.base import Cost
from cem_planner_ros.dynamics.base import Dynamics
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.planning import backend as backends
from cem_planner_ros.planning.plan import Plan, TimeGrid
from cem_planner_ros.planning.rollout import Rollout


class Planner:
    """
    Searches for the action sequence of least cost, from the last one shifted to the present.

    Each iteration draws N sequences from N(mean, std^2), clips them to the bounds, rolls them out,
    and refits mean and std to the K cheapest. The mean of the last iteration is the plan. Between
    calls the mean is moved by the time that passed, exactly, on a grid fixed in absolute time.

    Args:
        dynamics: the model.
        costs: the terms of the objective.
        samples: N.
        elites: K, at most N.
        iterations: I.
        horizon: H.
        dt: length of a model step, s.
        std_initial: std that every period begins with, as a share of half the action's range.
        std_min: floor of the std, as a share of half the action's range.
        low, high: (nu,), bounds of the action; those of the model if None.
        backend: "compile" or "eager"; `execution` says what became of it.
        device: where the tensors of model and costs live, and the search runs.
        threads: CPU threads of a compiled kernel.
        seed: of the noise.

    Raises ConfigurationError if the arguments do not go together.
    """

    def __init__(
        self,
        dynamics: Dynamics,
        costs: Sequence[Cost],
        *,
        samples: int = 1024,
        elites: int = 64,
        iterations: int = 4,
        horizon: int = 30,
        dt: float = 0.05,
        std_initial: float = 0.5,
        std_min: float = 0.02,
        low: Sequence[float] | None = None,
        high: Sequence[float] | None = None,
        backend: str = "compile",
        device: torch.device | str = "cpu",
        threads: int = 1,
        seed: int = 0,
    ):
        if not 1 <= elites <= samples:
            raise ConfigurationError(f"elites is {elites}, allowed: from 1 to samples ({samples})")
        if iterations < 1 or horizon < 1 or not dt > 0.0:
            raise ConfigurationError("iterations, horizon and dt must be positive")
        if not costs:
            raise ConfigurationError("costs is empty, allowed: at least one cost")
        self.dynamics = dynamics
        self.costs = tuple(costs)
        self.samples, self.iterations, self.horizon, self.dt = samples, iterations, horizon, dt
        self.rollout = Rollout(dynamics, costs, dt)
        self.device = torch.device(device)
        self._nu = len(dynamics.action_names)
        self._generator = torch.Generator(self.device)
        self._seed = seed
        self._noise = torch.empty(horizon, self._nu, samples, device=self.device)
        self._low, self._high = (torch.empty(self._nu, 1, device=self.device) for _ in range(2))
        self._std_min = torch.empty(self._nu, device=self.device)
        self.tune(
            low=dynamics.action_low if low is None else low,
            high=dynamics.action_high if high is None else high,
            std_initial=std_initial,
            std_min=std_min,
        )
        self.reset()
        self.execution = backends.choose(backend, self.rollout, elites, threads, self._example())

    def tune(
        self,
        *,
        low: Sequence[float],
        high: Sequence[float],
        std_initial: float,
        std_min: float,
    ) -> None:
        """Change what may change between two plans; arguments as in the constructor."""
        low_, high_ = np.asarray(low, np.float32), np.asarray(high, np.float32)
        if low_.shape != (self._nu,) or high_.shape != (self._nu,) or not (low_ < high_).all():
            raise ConfigurationError(
                f"action bounds are low {list(low)}, high {list(high)}, allowed: low < high for "
                f"each of {', '.join(self.dynamics.action_names)}"
            )
        half_range = 0.5 * (high_ - low_)
        self._low.copy_(torch.from_numpy(low_[:, None]))
        self._high.copy_(torch.from_numpy(high_[:, None]))
        self._std_min.copy_(torch.from_numpy(std_min * half_range))
        self._std_initial = torch.from_numpy(std_initial * half_range).to(self.device)
        self._middle = torch.from_numpy(0.5 * (low_ + high_)).to(self.device)

    def reset(self) -> None:
        """Forget the last plan and begin the noise anew."""
        self._generator.manual_seed(self._seed)
        self._grid: TimeGrid | None = None
        self._cell = 0
        self._mean = torch.zeros(self.horizon, self._nu, device=self.device)

    @torch.no_grad()
    def plan(
        self,
        state: np.ndarray,
        time: float,
        previous_action: np.ndarray | None = None,
        more: Callable[[int], bool] = lambda done: True,
    ) -> Plan:
        """
        Improve the plan for `state` at `time` and return it.

        A time earlier than that of the last plan forgets the last plan.

        Args:
            state: (nx,), in the units of the model.
            time: s, on any clock that does not jump.
            previous_action: (nu,), in force until now; the middle of the bounds if None.
            more: asked with the number of iterations done, before each but the first; False ends
                the search there.
        """
        start = self._tensor(state)
        previous = self._middle if previous_action is None else self._tensor(previous_action)
        edges = self._shift(time)
        durations = self._tensor(np.diff(edges))
        mean = self._mean
        std = self._std_initial.expand(self.horizon, -1)
        done = 0
        while done == 0 or (done < self.iterations and more(done)):
            self._noise.normal_(generator=self._generator)
            mean, std, cost = self.execution.iteration(
                start, previous, durations, mean, std, self._noise, *self._bounds()
            )
            done += 1
        self._mean = mean
        valid = torch.isfinite(cost)
        return Plan(
            edges=edges,
            actions=mean.cpu().numpy().astype(np.float64),
            cost=float(torch.where(valid, cost, torch.inf).min()),
            iterations=done,
            invalid_share=1.0 - float(valid.float().mean()),
        )

    @torch.no_grad()
    def predict(self, plan: Plan, state: np.ndarray) -> np.ndarray:
        """Return the states (H + 1, nx) that a plan leads through from `state` (nx,)."""
        durations = self._tensor(np.diff(plan.edges))
        actions = self._tensor(plan.actions)
        states = self.rollout.trajectory(self._tensor(state), actions, durations)
        return states.cpu().numpy().astype(np.float64)

    def _shift(self, time: float) -> np.ndarray:
        """Move the mean to `time` and return the edges (H + 1,) of the steps from there."""
        if self._grid is None or self._grid.cell(time) < self._cell:
            self._grid = TimeGrid(time, self.dt)
            self._cell = 0
            self._mean = self._middle.expand(self.horizon, -1)
        cell = self._grid.cell(time)
        # What comes in at the end of the horizon repeats the last action.
        step = torch.arange(self.horizon, device=self.device) + (cell - self._cell)
        self._mean = self._mean[step.clamp(max=self.horizon - 1)]
        self._cell = cell
        return self._grid.edges(time, self.horizon)

    def _bounds(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return self._low, self._high, self._std_min

    def _tensor(self, array: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(np.asarray(array, np.float32)).to(self.device)

    def _example(self) -> tuple[torch.Tensor, ...]:
        """Return arguments for an iteration, as `plan` would pass them."""
        nx = len(self.dynamics.state_names)
        durations = torch.full((self.horizon,), self.dt, device=self.device)
        mean = torch.zeros_like(self._mean)
        self._noise.zero_()
        start = torch.zeros(nx, device=self.device)
        std = self._std_initial.expand(self.horizon, -1)
        return start, self._middle, durations, mean, std, self._noise, *self._bounds()
