# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""
The interface of an execution, which runs the iterations, and the execution in eager PyTorch.

An execution is made from a `Setup`. It reads the tensors of the problem, and refines the tensors of
the belief in place. `EagerExecution` needs only PyTorch. `cem_planner_ros.compile.choose` chooses
faster executions.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch

from cem_planner_ros.planning import noise as coloured
from cem_planner_ros.planning.actuators import Actuators
from cem_planner_ros.planning.batches import BatchedRollout
from cem_planner_ros.planning.rollout import Rollout
from cem_planner_ros.planning.search import Belief, Iteration, Limits, Numbers, Problem
from cem_planner_ros.planning.settings import Search
from cem_planner_ros.planning.warm_start import BeliefMover, Move
from cem_planner_ros.plugins.plan_inputs import PlanInputs, pinned


class Setup(NamedTuple):
    """The arguments of every execution."""

    rollout: Rollout  # of the model and the costs
    search: Search  # the settings
    inputs: PlanInputs  # the tensors of `problem` that are written on the host before each plan
    problem: Problem  # the tensors to read
    belief: Belief  # the tensors to refine; they say on which device the search runs
    seed: int  # of the noise
    threads: int  # CPU threads for compiled code, and for a rollout through members

    @classmethod
    def allocate(
        cls,
        rollout: Rollout,
        search: Search,
        *,
        device: torch.device | str = "cpu",
        seed: int = 0,
        threads: int = 1,
    ) -> Setup:
        """Return a setup with new tensors; limits, numbers and belief are still to be filled."""

        def zeros(*shape: int) -> torch.Tensor:
            return torch.zeros(shape, device=device)

        nx, nu = len(rollout.dynamics.state_names), len(rollout.dynamics.action_names)
        spline = search.spline
        inputs = PlanInputs(
            device, state=(nx,), previous_action=(nu,), applied=(nu,), durations=(search.horizon,)
        )
        inputs.host["durations"][:] = search.dt
        inputs.send()
        first, basis = spline.basis(0)
        problem = Problem(
            state=inputs.state,
            previous_action=inputs.previous_action,
            durations=inputs.durations,
            first=torch.from_numpy(first).to(device),
            basis=torch.from_numpy(basis).to(device),
            limits=Limits.allocate(spline.knots, nu, device),
            actuators=Actuators(lag=zeros(nu), applied=inputs.applied),
            numbers=Numbers(*(zeros() for _ in Numbers._fields)),
        )
        shape = (spline.knots, nu, search.modes)
        belief = Belief(
            mean=zeros(*shape),
            std=zeros(*shape),
            injected=zeros(*shape, search.injected),
            best_cost=zeros(search.modes),
        )
        return cls(rollout, search, inputs, problem, belief, seed, threads)


class Found(NamedTuple):
    """What the last iterations found, in arrays that are valid until the next plan."""

    mean: np.ndarray  # (P, nu, M)
    best: np.ndarray  # (P, nu, M), the best candidate
    best_cost: np.ndarray  # (M,), inf if no candidate was valid
    valid_share: float  # of the candidates of the last iteration
    simulated_share: float = 1.0  # of the candidates of the last iteration, before the deadline


class Execution(Protocol):
    """What runs the iterations of a search; for each plan `begin`, `run` and `found`."""

    name: str
    reason: str
    """Why no faster execution runs; empty if this is the fastest one for the device."""
    least_share: float
    """Smallest share of the candidates of an iteration that are simulated at a deadline."""
    candidates: torch.Tensor
    """Knots (P, nu, at least M n) of the last iteration."""

    def begin(self, move: Move) -> None:
        """
        Bring the plan inputs to the device, and move the belief of the last plan.

        Both may be left for `run` to do.
        """

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
            until: s on `time.monotonic`; after it, no iteration begins except the first. An
                iteration of a model that rolls out itself ends then, see `BatchedRollout`.
            noise: (P, nu, M, n), standard normal, coloured; used in each iteration instead of drawn
                noise.
        """

    def found(self) -> Found:
        """Return what the last run found."""

    def trajectory(
        self, state: np.ndarray, actions: np.ndarray, durations: np.ndarray
    ) -> np.ndarray:
        """Return the states that action sequences lead through, as `Rollout.predict` does."""

    def outdated(self) -> str:
        """Return why the execution no longer computes what the plugins do; empty if it does."""


class InPlaceExecution:
    """What those executions share that leave moving and reading the belief to PyTorch."""

    least_share = 1.0

    def __init__(self, setup: Setup, reason: str):
        self.reason = reason
        self.candidates = setup.belief.mean
        self._rollout = setup.rollout
        self._inputs = setup.inputs
        self._belief = belief = setup.belief
        self._device = belief.mean.device
        self._best = setup.search.kept + 1
        self._move = BeliefMover(setup.search, setup.problem, belief)
        self._costs = torch.full((setup.search.modes, setup.search.population(0)), torch.nan)
        self._fetched = None
        if self._device.type == "cuda":
            size = 2 * belief.mean.numel() + belief.best_cost.numel() + self._costs.numel()
            self._fetched = pinned(torch.zeros(size))

    def begin(self, move: Move) -> None:
        """Do as `Execution.begin`."""
        self._inputs.send()
        self._move(move)

    def found(self) -> Found:
        """Do as `Execution.found`."""
        belief = self._belief
        mean, best, best_cost, costs = self._on_host(
            belief.mean, belief.injected[..., self._best], belief.best_cost, self._costs
        )
        return Found(mean, best, best_cost, np.count_nonzero(np.isfinite(costs)) / costs.size)

    def trajectory(
        self, state: np.ndarray, actions: np.ndarray, durations: np.ndarray
    ) -> np.ndarray:
        """Return what `Rollout.predict` does."""
        return self._rollout.predict(state, actions, durations, self._device)

    def outdated(self) -> str:
        """Return "": each step calls the plugins themselves."""
        return ""

    def _on_host(self, *tensors: torch.Tensor) -> list[np.ndarray]:
        """Return the tensors as arrays on the host, valid until the next call."""
        if self._fetched is None:
            return [tensor.numpy() for tensor in tensors]
        sizes = [tensor.numel() for tensor in tensors]
        parts = self._fetched[: sum(sizes)].split(sizes)
        here = [part.view(tensor.shape) for part, tensor in zip(parts, tensors, strict=True)]
        for place, tensor in zip(here, tensors, strict=True):
            place.copy_(tensor, non_blocking=True)
        # One wait for all copies.
        torch.cuda.current_stream(self._device).synchronize()
        return [place.numpy() for place in here]


class EagerExecution(InPlaceExecution):
    """
    Iterations in PyTorch, on any device.

    Args:
        setup: see `Setup`.
        reason: why no faster execution runs.
        evaluate: a faster replacement of the rollout.
    """

    name = "eager"

    def __init__(
        self,
        setup: Setup,
        reason: str = "",
        evaluate: Callable[..., torch.Tensor] | None = None,
    ):
        super().__init__(setup, reason)
        rollout, self._search, _, self._problem, _, self._seed, threads = setup
        self._generator = torch.Generator(self._device)
        knots, actions, _ = self._belief.mean.shape
        factors = coloured.factors(knots, self._search.noise_beta, actions)
        self._factors = precision = None
        if factors is not None:
            self._factors = torch.tensor(factors, dtype=torch.float32, device=self._device)
            if self._search.control_cost:
                precision = torch.from_numpy(coloured.precisions(factors)).to(self._device)
        through_all = rollout.dynamics.members > 1 and rollout.particles.propagation == "all"
        self._batches = None
        of_engine = rollout.dynamics.rolls_out_itself and rollout.dynamics.members == 1
        if evaluate is None and of_engine and self._belief.mean.is_cpu:
            evaluate = self._batches = BatchedRollout(rollout, self._search)
            self.least_share = self._batches.least_share
        # With particles, the members of a candidate depend on its place among all candidates.
        if evaluate is None and self._belief.mean.is_cpu and through_all and threads > 1:
            evaluate = SharedRollout(rollout, threads)
        self._iteration: Callable = Iteration(evaluate or rollout, self._search, precision)

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
        if self._batches is not None:
            self._batches.until = until
        for iteration in iterations:
            # Python's hash of integers is the same in every process.
            self._generator.manual_seed(hash((self._seed, plan, iteration)) & (2**63 - 1))
            population = self._search.population(iteration)
            self.candidates, self._costs = self._refine(population, uses[iteration], noise)
            done += 1
            if iteration == iterations[-1]:
                break  # What reads the result waits for it.
            if until < math.inf and self._device.type == "cuda":
                # The GPU works asynchronously; the time counts when it has finished.
                torch.cuda.current_stream(self._device).synchronize()
            if time.monotonic() >= until:
                break
        return self._costs, done

    def found(self) -> Found:
        """Do as `Execution.found`; candidates that were not simulated do not count as invalid."""
        found = super().found()
        if self._batches is None:
            return found
        batches = self._batches
        return found._replace(
            valid_share=batches.valid_share, simulated_share=batches.simulated_share
        )

    def _refine(
        self, population: int, use: torch.Tensor, noise: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Do one iteration in place; return knots (P, nu, M n) and costs (M, n)."""
        if noise is None:
            noise = self._draw(population)
        # A GPU would be waited for.
        has_lag = self.name != "eager" or self._belief.mean.is_cuda
        has_rate = has_lag or bool(self._problem.limits.first.isfinite().any())
        has_lag = has_lag or bool(self._problem.actuators.lag.any())
        refined, knots, cost = self._iteration(
            self._problem, self._belief, use, noise, has_lag, has_rate
        )
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

    def __call__(self, state: torch.Tensor, sequence: torch.Tensor, *others: Any) -> torch.Tensor:
        """Return the cost (N,) of each sequence, as `Rollout.__call__`."""

        def evaluate(part: torch.Tensor) -> torch.Tensor:
            with torch.no_grad():  # This setting is separate for each thread.
                return self._rollout(state, part, *others)

        return torch.cat(list(self._pool.map(evaluate, sequence.chunk(self._threads, -1))))
