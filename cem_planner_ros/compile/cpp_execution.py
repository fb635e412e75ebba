# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The search as a generated C++ library: sampling, rollout and refit in one call."""

from __future__ import annotations

import math

import numpy as np
import torch

from cem_planner_ros.compile.cpu import BLOCK, Kernel, Trajectory, padded, tiled
from cem_planner_ros.planning import cross_entropy
from cem_planner_ros.planning import noise as coloured
from cem_planner_ros.planning.execution import InPlaceExecution, Setup


class CppExecution(InPlaceExecution):
    """Iterations as a generated C++ library on the CPU."""

    name = "kernel"

    def __init__(self, setup: Setup, reason: str = "", kernel: Kernel | None = None):
        super().__init__(setup, reason)
        rollout, search, _, problem, belief, seed, threads = setup
        self.kernel = kernel or Kernel(rollout, search.samples)
        """What the rollout was compiled into; another search of the same rollout can use it."""
        self._trajectories: dict[int, Trajectory] = {}
        self._modes = search.modes
        self._populations = [search.population(i) for i in range(search.iterations)]
        knots, actions, _ = belief.mean.shape
        stride = padded(search.modes * self._populations[0])
        self._all_costs = torch.zeros(stride)
        self.candidates = torch.zeros(knots, actions, stride)
        """Knots of the last iteration, and room beside them."""
        self._arguments = self.kernel.arguments(
            knots=knots,
            horizon=search.horizon,
            order=search.order,
            modes=search.modes,
            stride=stride,
            elites=search.elites,
            kept=search.kept,
            slots=search.injected,
            weighting=cross_entropy.WEIGHTINGS.index(search.weighting),
            samples=torch.tensor(self._populations),
            explorers=torch.tensor([int(search.explore * n) for n in self._populations]),
            truncate=int(search.sampling == "truncate"),
            threads=threads,
            seed=seed & 0xFFFFFFFF,
            candidates=self.candidates,
            costs=self._all_costs,
            ranks=cross_entropy.rank_weights(search.elites),
            **problem.as_arguments(),
            first=problem.first,
            basis=problem.basis,
            **belief._asdict(),
            # A kernel that another search was compiled with has the risk of that search.
            **rollout.particles.as_arguments(rollout.dynamics.members),
        )
        factors = coloured.factors(knots, search.noise_beta, actions)
        if factors is not None:
            self._arguments.set(factor=tiled(torch.tensor(factors, dtype=torch.float32)))
        if search.control_cost:
            self._arguments.set(control_cost=search.control_cost, control=torch.zeros(stride))
            if factors is not None:
                self._arguments.set(precision=torch.from_numpy(coloured.precisions(factors)))

    def trajectory(
        self, state: np.ndarray, actions: np.ndarray, durations: np.ndarray
    ) -> np.ndarray:
        """Return what `Rollout.predict` does."""
        if self._rollout.dynamics.members > 1:  # Theirs is the mean of several.
            return self._rollout.predict(state, actions, durations)
        horizon = len(durations)
        if horizon not in self._trajectories:
            self._trajectories[horizon] = Trajectory(self.kernel, horizon)
        trajectory = self._trajectories[horizon]
        if actions.ndim == 2 or actions.shape[2] <= BLOCK:
            return trajectory(state, actions, durations)
        parts = np.split(actions, range(BLOCK, actions.shape[2], BLOCK), axis=2)
        return np.concatenate([trajectory(state, part, durations) for part in parts], axis=2)

    def measure(self) -> torch.Tensor:
        """Return seconds (3,) to which those of sampling, rollout and refit are added from now."""
        spent = torch.zeros(3, dtype=torch.float64)
        self._arguments.set(spent=spent)
        return spent

    def run(
        self,
        uses: torch.Tensor,
        plan: int,
        iterations: range,
        until: float = math.inf,
        noise: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, int]:
        """Do as `Execution.run`."""
        if noise is not None:
            rows = torch.zeros_like(self.candidates)
            rows[..., : noise[0, 0].numel()] = noise.flatten(2)
            noise = rows
        self._arguments.set(
            plan=plan & 0xFFFFFFFF,
            begin=iterations.start,
            end=iterations.stop,
            until=until,
            use=uses,
            noise=0 if noise is None else noise,
        )
        self.kernel.refresh()
        done = self.kernel.search(self._arguments)
        samples = self._populations[iterations.start + done - 1]
        self._costs = self._all_costs[: self._modes * samples].view(self._modes, samples)
        return self._costs, done

    def outdated(self) -> str:
        """Return which attribute of a plugin changed since compiling the kernel, as a text."""
        return self.kernel.watch.outdated(self.name)
