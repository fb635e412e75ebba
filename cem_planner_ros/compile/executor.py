"""How an iteration is executed, and why it is not executed as was asked for."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from cem_planner_ros.compile.cpu import BLOCK, Kernel, Trajectory, padded, tiled
from cem_planner_ros.compile.library import has_compiler
from cem_planner_ros.compile.translate import UnsupportedError
from cem_planner_ros.compile.watch import ChangedError, Watch, watched
from cem_planner_ros.errors import describe, first_line
from cem_planner_ros.planning import cross_entropy, noise
from cem_planner_ros.planning.actuators import Actuators
from cem_planner_ros.planning.rollout import Rollout
from cem_planner_ros.planning.search import Belief, Iteration, Problem
from cem_planner_ros.planning.settings import Search

BACKENDS = ("auto", "cudagraph", "compile", "eager")


class TorchExecution:
    """
    Iterations in PyTorch, eager or compiled, on any device.

    `evaluate` stands for the rollout, and the keyword arguments for what else an `Iteration` calls;
    they compute the same faster.
    """

    name = "eager"
    kernel = None
    watch: Watch | None = None
    """Of what must not change, because it was captured."""

    def __init__(
        self,
        rollout: Rollout,
        search: Search,
        problem: Problem,
        belief: Belief,
        seed: int,
        evaluate: Callable[..., torch.Tensor] | None = None,
        **others: Callable[..., torch.Tensor] | torch.Tensor,
    ):
        self.reason = ""
        self._search = search
        self._problem = problem
        self._belief = belief
        self._seed = seed
        self._device = belief.mean.device
        self._generator = torch.Generator(self._device)
        knots, actions, _ = belief.mean.shape
        self._rollout = rollout
        self.candidates = belief.mean
        """Knots (P, nu, M n) of the last iteration."""
        factors = noise.factors(knots, search.noise_beta, actions)
        self._factors = None
        if factors is not None:
            self._factors = torch.tensor(factors, dtype=torch.float32, device=self._device)
            if search.control_cost:
                precision = torch.from_numpy(noise.precisions(factors))
                others["precision"] = precision.to(self._device)
        self._iteration: Callable = Iteration(evaluate or rollout, search, **others)

    def compile(self) -> None:
        """Compile the iteration with `torch.compile`; raises whatever that raises."""
        self._iteration = torch.compile(self._iteration, dynamic=False)
        uses = torch.zeros(1, self._search.injected, dtype=torch.bool, device=self._device)
        self.run(uses, 0, range(1))
        self.name = "torch.compile"

    def run(
        self, uses: torch.Tensor, plan: int, iterations: range, until: float = math.inf
    ) -> tuple[torch.Tensor, int]:
        """
        Refine the belief in place; return the last costs (M, n) and how many iterations were done.

        The noise depends on the seed and on the numbers of plan and iteration alone.

        Args:
            uses: (I, J), which injected slots are candidates in which iteration.
            plan: number of the plan.
            iterations: their numbers.
            until: s on `time.monotonic`; no iteration but the first begins after it.
        """
        done = 0
        for iteration in iterations:
            # Python's hash of integers is the same in every process.
            self._generator.manual_seed(hash((self._seed, plan, iteration)) & (2**63 - 1))
            population = self._search.population(iteration)
            self.candidates, cost = self._refine(population, uses[iteration])
            done += 1
            if until < math.inf and self._device.type == "cuda":
                # A GPU is told what to do and works later; what counts is when it is done.
                torch.cuda.current_stream(self._device).synchronize()
            if time.monotonic() >= until:
                break
        return cost, done

    def trajectory(
        self, state: np.ndarray, actions: np.ndarray, durations: np.ndarray
    ) -> np.ndarray:
        """Return what `Rollout.predict` does."""
        return self._rollout.predict(state, actions, durations, self._device)

    def _refine(self, population: int, use: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Do one iteration in place; return knots (P, nu, M n) and costs (M, n)."""
        noise = self._draw(population)
        problem = self._problem
        if self.name == "eager" and problem.state.is_cpu and not problem.actuators.lag.any():
            problem = problem._replace(actuators=None)  # All follow at once.
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
    A rollout of which each thread does all operations, for a share of the candidates.

    PyTorch would share each operation, and the threads would wait for one another after each; with
    large products of matrices in between they seldom wait for the interpreter.
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
            with torch.no_grad():  # Which is a thread's own.
                return self._rollout(state, part, *others)

        return torch.cat(list(self._pool.map(evaluate, sequence.chunk(self._threads, -1))))


class KernelExecution:
    """Iterations as a generated C++ library on the CPU."""

    name = "kernel"

    def __init__(
        self,
        rollout: Rollout,
        search: Search,
        problem: Problem,
        belief: Belief,
        seed: int,
        threads: int,
        kernel: Kernel | None = None,
    ):
        self.reason = ""
        self.kernel = kernel or Kernel(rollout)
        self.watch = self.kernel.watch
        self._rollout = rollout
        self._trajectories: dict[int, Trajectory] = {}
        self._modes = search.modes
        self._populations = [search.population(i) for i in range(search.iterations)]
        knots, actions, _ = belief.mean.shape
        stride = padded(search.modes * self._populations[0])
        self._costs = torch.zeros(stride)
        self.candidates = torch.zeros(knots, actions, stride)
        """Knots of the last iteration, as those of `TorchExecution`, and room beside them."""
        limits = problem.limits
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
            costs=self._costs,
            ranks=cross_entropy.rank_weights(search.elites),
            state=problem.state,
            before=problem.previous_action,
            **problem.actuators._asdict(),
            durations=problem.durations,
            first=problem.first,
            basis=problem.basis,
            low=limits.low,
            high=limits.high,
            step_reach=limits.step,
            first_reach=limits.first,
            std_initial=limits.std_initial,
            std_min=limits.std_min,
            **problem.numbers._asdict(),
            **belief._asdict(),
        )
        factors = noise.factors(knots, search.noise_beta, actions)
        if factors is not None:
            self._arguments.set(factor=tiled(torch.tensor(factors, dtype=torch.float32)))
        if search.control_cost:
            self._arguments.set(control_cost=search.control_cost, control=torch.zeros(stride))
            if factors is not None:
                self._arguments.set(precision=torch.from_numpy(noise.precisions(factors)))

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
        """Do as `TorchExecution.run`; `noise` (P, nu, stride) replaces what is drawn."""
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
        return self._costs[: self._modes * samples].view(self._modes, samples), done


Execution = TorchExecution | KernelExecution


def choose(
    backend: str,
    rollout: Rollout,
    search: Search,
    problem: Problem,
    belief: Belief,
    seed: int,
    threads: int,
    kernel: Kernel | None = None,
) -> Execution:
    """
    Return the fastest execution that works for a rollout, its `reason` saying why nothing faster.

    With `backend` "auto" it is the C++ kernel on the CPU, and a CUDA graph on a GPU; where that
    cannot be made, it is `torch.compile`; where that fails too, it is eager PyTorch. "compile"
    leaves the CUDA graph out.

    Args:
        backend: one of BACKENDS.
        rollout: the model and the costs.
        search: the settings.
        problem, belief: the tensors to read and to refine; they say where the search runs.
        seed: of the noise.
        threads: for the kernel, and for the rollout of a model with members.
        kernel: one that was made for the same rollout; None to make it.
    """
    reasons = []

    def gave_up(what: str, error: Exception) -> None:
        why = first_line(error) if isinstance(error, UnsupportedError) else describe(error)
        reasons.append(f"{what}: {why}")

    on_cpu = belief.mean.device.type == "cpu"
    through_all = rollout.dynamics.members > 1 and rollout.particles.propagation == "all"
    is_one_kernel = through_all and rollout.dynamics.member is not None
    if backend == "cudagraph" and on_cpu:
        reasons.append("no CUDA graph: the device is a CPU")
    if rollout.dynamics.rolls_out_itself:
        backend = "eager"
        reasons.append("the model rolls out by itself, not in PyTorch")
    elif rollout.reads_numbers and backend != "eager":
        backend = "eager"
        reasons.append(
            f"no {'C++ kernel' if on_cpu else 'CUDA graph'}: {', '.join(rollout.reads_numbers)} "
            "reads a number of a tensor in Python (item(), float(), if), so nothing can be "
            "compiled; compute with the tensor, choose with torch.where"
        )
    elif rollout.dynamics.members > 1 and on_cpu and not is_one_kernel:
        # Large products of matrices are what takes the time, and no compiler makes them faster.
        backend = "eager"
        reasons.append("the model has members, which run side by side in PyTorch")
    if backend != "eager":
        # Tracing runs the plugin, which may raise anything; and whatever a compiler raises, eager
        # still plans.
        if on_cpu:
            try:
                execution = KernelExecution(rollout, search, problem, belief, seed, threads, kernel)
                execution.reason = "; ".join(reasons)
                return execution
            except Exception as error:
                gave_up("no C++ kernel", error)
        elif backend != "compile":
            from cem_planner_ros.compile.cuda import CapturedExecution

            try:
                watch = watched(rollout, belief.mean.device)
                execution = CapturedExecution(rollout, search, problem, belief, seed)
                execution.watch = watch
                return execution
            except Exception as error:
                gave_up("no CUDA graph", error)
        execution = TorchExecution(rollout, search, problem, belief, seed)
        try:
            if on_cpu and not has_compiler():
                raise UnsupportedError("it needs the C++ compiler too")
            execution.compile()
            execution.reason = "; ".join(reasons)
            return execution
        except Exception as error:
            gave_up("torch.compile failed", error)
    return eager("; ".join(reasons), rollout, search, problem, belief, seed, threads)


def eager(
    reason: str,
    rollout: Rollout,
    search: Search,
    problem: Problem,
    belief: Belief,
    seed: int,
    threads: int,
) -> TorchExecution:
    """Return an execution that calls the plugins in each step; arguments as those of `choose`."""
    members = rollout.dynamics.members
    through_all = members > 1 and rollout.particles.propagation == "all"
    # One of candidates that run through members of their own cannot be told from its place.
    is_shared = belief.mean.is_cpu and through_all and threads > 1
    evaluate = SharedRollout(rollout, threads) if is_shared else None
    execution = TorchExecution(rollout, search, problem, belief, seed, evaluate)
    execution.reason = reason
    return execution


def changed(execution: Execution) -> str:
    """Return what a plugin changed that an execution was compiled with, in words, or nothing."""
    if execution.watch is not None:
        try:
            execution.watch.check()
        except ChangedError as error:
            return (
                f"a plugin changes what the {execution.name} was compiled with: {error}; change "
                "tensors in place (copy_, fill_), which are read anew for each plan"
            )
    return ""
