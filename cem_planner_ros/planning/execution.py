"""
The interface of an executor, which runs the iterations, and the eager PyTorch executor.

An executor is made from a `Setup`. It reads the tensors of the problem, and refines the tensors of
the belief in place. `EagerExecution` needs only PyTorch. `cem_planner_ros.compile.choose` chooses
faster executors.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, Protocol

import numpy as np
import torch

from cem_planner_ros.planning import noise as coloured
from cem_planner_ros.planning.actuators import Actuators
from cem_planner_ros.planning.rollout import Rollout
from cem_planner_ros.planning.search import Belief, Iteration, Problem
from cem_planner_ros.planning.settings import Search
from cem_planner_ros.plugins.plan_inputs import Staged


class Setup(NamedTuple):
    """The arguments of every executor."""

    rollout: Rollout  # of the model and the costs
    search: Search  # the settings
    inputs: Staged  # the tensors of `problem` that the host writes before each plan
    problem: Problem  # the tensors to read
    belief: Belief  # the tensors to refine; they say on which device the search runs
    seed: int  # of the noise
    threads: int  # CPU threads for compiled code, and for a rollout through members


class Execution(Protocol):
    """An executor: it runs the iterations of a search."""

    name: str
    reason: str
    """Why no faster executor runs; empty if this is the fastest one for the device."""
    candidates: torch.Tensor
    """Knots (P, nu, at least M n) of the last iteration."""

    def run(
        self,
        uses: torch.Tensor,
        plan: int,
        iterations: range,
        until: float = math.inf,
        noise: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, int]:
        """
        Refine the belief in place; return the last costs (M, n) and the number of iterations.

        The noise depends only on the seed and on the numbers of plan and iteration.

        Args:
            uses: (I, J), whether each injected slot is a candidate in each iteration.
            plan: number of the plan.
            iterations: numbers of the iterations.
            until: s on `time.monotonic`; after it, no iteration begins except the first.
            noise: (P, nu, M, n), standard normal, coloured; used in each iteration instead of drawn
                noise.
        """

    def trajectory(
        self, state: np.ndarray, actions: np.ndarray, durations: np.ndarray
    ) -> np.ndarray:
        """Return the states that action sequences lead through, as `Rollout.predict` does."""

    def outdated(self) -> str:
        """Return why the executor no longer computes what the plugins do; empty if it does."""


class EagerExecution:
    """
    Iterations in PyTorch, on any device.

    Args:
        setup: see `Setup`.
        reason: why no faster executor runs.
        evaluate: a faster replacement of the rollout.
        **others: further arguments of `Iteration`.
    """

    name = "eager"

    def __init__(
        self,
        setup: Setup,
        reason: str = "",
        evaluate: Callable[..., torch.Tensor] | None = None,
        **others: Callable[..., torch.Tensor] | torch.Tensor,
    ):
        self.reason = reason
        rollout, self._search, _, self._problem, self._belief, self._seed, threads = setup
        self._device = self._belief.mean.device
        self._generator = torch.Generator(self._device)
        self._rollout = rollout
        self.candidates = self._belief.mean
        knots, actions, _ = self._belief.mean.shape
        factors = coloured.factors(knots, self._search.noise_beta, actions)
        self._factors = None
        if factors is not None:
            self._factors = torch.tensor(factors, dtype=torch.float32, device=self._device)
            if self._search.control_cost:
                precision = torch.from_numpy(coloured.precisions(factors))
                others["precision"] = precision.to(self._device)
        through_all = rollout.dynamics.members > 1 and rollout.particles.propagation == "all"
        # With particles, the members of a candidate depend on its place among all candidates.
        if evaluate is None and self._belief.mean.is_cpu and through_all and threads > 1:
            evaluate = SharedRollout(rollout, threads)
        self._iteration: Callable = Iteration(evaluate or rollout, self._search, **others)

    def run(
        self,
        uses: torch.Tensor,
        plan: int,
        iterations: range,
        until: float = math.inf,
        noise: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, int]:
        """Do as `Execution.run`."""
        done = 0
        for iteration in iterations:
            # Python's hash of integers is the same in every process.
            self._generator.manual_seed(hash((self._seed, plan, iteration)) & (2**63 - 1))
            population = self._search.population(iteration)
            self.candidates, cost = self._refine(population, uses[iteration], noise)
            done += 1
            if until < math.inf and self._device.type == "cuda":
                # The GPU works asynchronously; the time counts when it has finished.
                torch.cuda.current_stream(self._device).synchronize()
            if time.monotonic() >= until:
                break
        return cost, done

    def trajectory(
        self, state: np.ndarray, actions: np.ndarray, durations: np.ndarray
    ) -> np.ndarray:
        """Return what `Rollout.predict` does."""
        return self._rollout.predict(state, actions, durations, self._device)

    def outdated(self) -> str:
        """Return "": each step calls the plugins themselves."""
        return ""

    def _refine(
        self, population: int, use: torch.Tensor, noise: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Do one iteration in place; return knots (P, nu, M n) and costs (M, n)."""
        if noise is None:
            noise = self._draw(population)
        problem = self._problem
        if self.name == "eager" and problem.state.is_cpu and not problem.actuators.lag.any():
            problem = problem._replace(actuators=None)  # No actuator has a lag.
        refined, knots, cost = self._iteration(problem, self._belief, use, noise)
        for mine, value in zip(self._belief, refined, strict=True):
            mine.copy_(value)
        return knots, cost

    def _draw(self, population: int) -> torch.Tensor:
        """Return noise (P, nu, M, n)."""
        white = torch.randn(
            *self._belief.mean.shape,
            population,
            generator=self._generator,
            device=self._device,
        )
        if self._factors is None:
            return white
        return torch.einsum("upq,qumn->pumn", self._factors, white)


class SharedRollout:
    """
    A rollout in which each thread does all operations for a share of the candidates.

    PyTorch would split each operation, and the threads would wait for each other after each one.
    Here the threads only share the interpreter, for which they seldom wait because most time is
    spent in large products of matrices.
    """

    def __init__(self, rollout: Rollout, threads: int):
        self._rollout = rollout
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, "rollout", lambda: torch.set_num_threads(1))

    def __call__(
        self, state: torch.Tensor, sequence: torch.Tensor, *others: torch.Tensor | Actuators | None
    ) -> torch.Tensor:
        """Return the cost (N,) of each sequence, as `Rollout.__call__`."""

        def evaluate(part: torch.Tensor) -> torch.Tensor:
            with torch.no_grad():  # This setting is separate for each thread.
                return self._rollout(state, part, *others)

        return torch.cat(list(self._pool.map(evaluate, sequence.chunk(self._threads, -1))))
