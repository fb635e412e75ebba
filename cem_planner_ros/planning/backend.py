"""How an iteration is executed, and why it is not executed as was asked for."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import NamedTuple

import torch

from cem_planner_ros.planning import cross_entropy, noise
from cem_planner_ros.planning.kernel import Kernel, padded, tiled
from cem_planner_ros.planning.rollout import Rollout
from cem_planner_ros.planning.search import Belief, Iteration, Limits, Numbers, Search
from cem_planner_ros.planning.translate import UnsupportedError

BACKENDS = ("auto", "compile", "eager")


class Problem(NamedTuple):
    """What the iterations of one period share; arguments of `Iteration` by name."""

    state: torch.Tensor
    previous_action: torch.Tensor
    durations: torch.Tensor
    first: torch.Tensor
    basis: torch.Tensor
    limits: Limits
    numbers: Numbers


class TorchExecution:
    """Iterations in PyTorch, eager or compiled, on any device."""

    name = "eager"

    def __init__(self, rollout: Rollout, search: Search, device: torch.device, seed: int):
        self.reason = ""
        self._search = search
        self._device = device
        self._seed = seed
        self._generator = torch.Generator(device)
        self._iteration: Callable = Iteration(rollout, search)
        self._factor = None
        if search.noise_beta:
            factor = noise.factor(search.spline.knots, search.noise_beta)
            self._factor = torch.tensor(factor, dtype=torch.float32, device=device)

    def compile(self, problem: Problem, belief: Belief) -> None:
        """Compile the iteration with `torch.compile`; raises whatever that raises."""
        self._iteration = torch.compile(self._iteration, dynamic=False)
        uses = torch.zeros(1, self._search.injected, dtype=torch.bool, device=self._device)
        self.run(problem, belief, uses, 0, range(1))
        self.name = "torch.compile"

    def run(
        self,
        problem: Problem,
        belief: Belief,
        uses: torch.Tensor,
        plan: int,
        iterations: range,
        until: float = math.inf,
    ) -> tuple[Belief, torch.Tensor, int]:
        """
        Return the belief after some iterations, the last costs (M, n), and how many were done.

        The noise depends on the seed and on the numbers of plan and iteration alone.

        Args:
            problem: what the iterations share.
            belief: where they begin.
            uses: (I, J), which injected slots are candidates in which iteration.
            plan: number of the plan.
            iterations: their numbers.
            until: s on `time.monotonic`; no iteration but the first begins after it.
        """
        done = 0
        for iteration in iterations:
            belief, cost = self._iterate(problem, belief, uses[iteration], plan, iteration)
            done += 1
            if time.monotonic() >= until:
                break
        return belief, cost, done

    def _iterate(
        self, problem: Problem, belief: Belief, use: torch.Tensor, plan: int, iteration: int
    ) -> tuple[Belief, torch.Tensor]:
        search = self._search
        # Python's hash of integers is the same in every process.
        self._generator.manual_seed(hash((self._seed, plan, iteration)) & (2**63 - 1))
        white = torch.randn(
            search.spline.knots,
            len(problem.limits.low),
            search.modes,
            search.population(iteration),
            generator=self._generator,
            device=self._device,
        )
        if self._factor is not None:
            white = torch.tensordot(self._factor, white, 1)
        return self._iteration(
            problem.state,
            problem.previous_action,
            problem.durations,
            problem.first,
            problem.basis,
            belief,
            use,
            white,
            problem.limits,
            problem.numbers,
        )


class KernelExecution:
    """Iterations as a generated C++ library on the CPU."""

    name = "kernel"

    def __init__(self, rollout: Rollout, search: Search, seed: int, threads: int):
        self.reason = ""
        self._kernel = Kernel(rollout)
        self._search = search
        knots, actions = search.spline.knots, len(rollout.dynamics.action_names)
        self._populations = [search.population(i) for i in range(search.iterations)]
        stride = padded(search.modes * self._populations[0])
        self._costs = torch.zeros(stride)
        self.candidates = torch.zeros(knots, actions, stride)
        self._arguments = self._kernel.arguments(
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
            costs=self._costs,
            ranks=torch.tensor(cross_entropy.rank_weights(search.elites)),
        )
        if search.noise_beta:
            factor = torch.tensor(noise.factor(knots, search.noise_beta), dtype=torch.float32)
            self._arguments.set(factor=tiled(factor.repeat(actions, 1, 1)))

    def run(
        self,
        problem: Problem,
        belief: Belief,
        uses: torch.Tensor,
        plan: int,
        iterations: range,
        until: float = math.inf,
        noise: torch.Tensor | None = None,
    ) -> tuple[Belief, torch.Tensor, int]:
        """Do as `TorchExecution.run`, in place; `noise` (P, nu, stride) replaces what is drawn."""
        limits = problem.limits
        self._arguments.set(
            plan=plan & 0xFFFFFFFF,
            begin=iterations.start,
            end=iterations.stop,
            until=until,
            use=uses,
            noise=noise if noise is not None else 0,
            temperature=float(problem.numbers.temperature),
            momentum=float(problem.numbers.momentum),
            state=problem.state,
            before=problem.previous_action,
            durations=problem.durations,
            first=problem.first,
            basis=problem.basis,
            low=limits.low,
            high=limits.high,
            step_reach=limits.step,
            first_reach=limits.first,
            std_initial=limits.std_initial,
            std_min=limits.std_min,
            mean=belief.mean,
            std=belief.std,
            injected=belief.injected,
            best_cost=belief.best_cost,
        )
        done = self._kernel.search(self._arguments)
        samples, modes = self._populations[iterations.start + done - 1], self._search.modes
        return belief, self._costs[: modes * samples].view(modes, samples), done


Execution = TorchExecution | KernelExecution


def choose(
    backend: str,
    rollout: Rollout,
    search: Search,
    device: torch.device,
    seed: int,
    threads: int,
    problem: Problem,
    belief: Belief,
) -> Execution:
    """
    Return the fastest execution that works for a rollout, its `reason` saying why nothing faster.

    With `backend` "auto" or "compile" it is the C++ kernel on the CPU; where that cannot be made,
    and on other devices, it is `torch.compile`; where that fails too, it is eager PyTorch.

    Args:
        backend: one of BACKENDS.
        rollout: the model and the costs.
        search: the settings.
        device: where the tensors live.
        seed: of the noise.
        threads: for the kernel.
        problem, belief: to compile for and to try with.
    """
    reasons = []
    if backend != "eager":
        if device.type == "cpu":
            try:
                return KernelExecution(rollout, search, seed, threads)
            except UnsupportedError as error:
                reasons.append(f"no C++ kernel: {error}")
            except Exception as error:  # Tracing runs the plugin, which may raise anything.
                text = str(error).strip().splitlines() or [""]
                reasons.append(f"no C++ kernel: {type(error).__name__}: {text[0]}")
        execution = TorchExecution(rollout, search, device, seed)
        try:
            execution.compile(problem, belief)
            execution.reason = "; ".join(reasons)
            return execution
        except Exception as error:  # Whatever the compiler raises, eager still plans.
            text = str(error).strip().splitlines() or [""]
            reasons.append(f"torch.compile failed: {type(error).__name__}: {text[0]}")
    execution = TorchExecution(rollout, search, device, seed)
    execution.reason = "; ".join(reasons)
    return execution
