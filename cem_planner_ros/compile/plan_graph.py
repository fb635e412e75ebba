# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""
The search on a GPU: a whole plan as one graph of few kernels.

What a plan begins with is written to memory of the host that the device reads; the graph takes it
over, moves the belief, and does its iterations, each of them sample, roll out, select and refit
(`search.cu`, `rollout.cu`); the last one writes the result to the host's memory. So a plan is one
launch and one wait. There is a graph for each number of iterations, and how many there is time for
is decided before the launch, from the times of earlier plans.
"""

from __future__ import annotations

import ctypes
import math
import time
from collections.abc import Callable

import numpy as np
import torch

from cem_planner_ros.compile.cpu import tiled
from cem_planner_ros.compile.cuda import CudaRollout, DeviceArguments, Header, on_host, search_text
from cem_planner_ros.compile.driver import Gpu
from cem_planner_ros.compile.watch import watched
from cem_planner_ros.errors import first_line
from cem_planner_ros.planning import cross_entropy, noise
from cem_planner_ros.planning.execution import Found, Setup
from cem_planner_ros.planning.search import Belief
from cem_planner_ros.planning.warm_start import Move
from cem_planner_ros.plugins.plan_inputs import PlanInputs

DRAWN = 64
"""Candidates that a block of `sample` draws, as in search.cu."""

REFIT_THREADS = 128

SELECTIONS = (
    (1024, 256, "select_4"),
    (2048, 512, "select_4"),
    (4096, 512, "select_8"),
    (8192, 512, "select_16"),
    (16384, 1024, "select_16"),
)
"""
Candidates at most, threads and kernel of a selection; it holds their costs in registers.

These were the fastest for each number of candidates on an H200.
"""

FEW_BLOCKS = 128
"""Blocks of `sample` up to which each has more threads; more blocks share the processors anyway."""

NARROWED = 4096
"""Candidates that a block of `narrow` takes the elites of, where there are more than those."""

GRAPHS = 32
"""At most; with more iterations not each number of them has one."""

NEWEST = 0.1
"""Share that the last plan has in the time of an iteration, a mean that forgets."""


class GraphExecution:
    """Whole plans as CUDA graphs, which read the inputs and move the belief by themselves."""

    name = "cudagraph"
    least_share = 1.0

    def __init__(self, setup: Setup, gpu: Gpu | None = None):
        rollout, search, inputs, problem, belief, seed, _ = setup
        self._watch = watched(rollout, belief.mean.device)
        self._gpu = gpu or Gpu(belief.mean.device)
        self._rollout, self._search, self._problem = rollout, search, problem
        self._kernel, self.reason = None, ""
        try:
            self._kernel = CudaRollout(rollout, self._gpu, search.samples)
        except Exception as error:  # Tracing runs the plugin, which may raise anything.
            self.reason = f"no CUDA kernel: {first_line(error)}"
        inputs.others_write = True
        before = [tensor.clone() for tensor in belief]
        self._allocate(belief, seed, inputs)
        self._functions = self._load()
        count = search.iterations
        counts = sorted({1, *range(count, 0, -math.ceil(count / GRAPHS))})
        self._pace = 0.0  # s for an iteration
        uses = torch.zeros(count, search.injected, dtype=torch.bool, device=self._device)
        self._header.use = uses.data_ptr()
        through_pytorch = self._kernel is None
        if through_pytorch:
            self._warm_up()
        self._graphs = {
            n: self._gpu.graph(lambda n=n: self._enqueue(n), through_pytorch) for n in counts
        }
        self._last = self._graphs[count]
        modes, populations = search.modes, {n: search.population(n - 1) for n in counts}
        self._cost_of = {
            n: self._costs[0, : modes * samples].view(modes, samples)
            for n, samples in populations.items()
        }
        for _ in range(2):  # The first one takes longer.
            self._pace = 0.0
            self.begin(Move(0, 0, 0.0, False))
            self.run(uses, 0, range(count))
            self._pace /= NEWEST
        for tensor, value in zip(belief, before, strict=True):
            tensor.copy_(value)

    def begin(self, move: Move) -> None:
        """Do as `Execution.begin`, in the next run; what several calls ask for adds up."""
        header = self._header
        header.shift = min(header.shift + move.shift, self._search.spline.knots)
        header.phase, header.carry = move.phase, move.std_carry
        header.near = move.bounds_mean

    def found(self) -> Found:
        """Do as `Execution.found`: the graph wrote it to the memory of the host."""
        valid_share = sum(self._valid_shares.tolist()) / self._search.modes
        return Found(*self._found, valid_share)

    def run(
        self,
        uses: torch.Tensor,
        plan: int,
        iterations: range,
        until: float = math.inf,
        noise: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, int]:
        """Do as `Execution.run`; iterations begin with the first."""
        done = self._affordable(len(iterations), until)
        self._header.use, self._header.plan = uses.data_ptr(), plan & 0xFFFFFFFF
        if self._kernel is not None:
            self._kernel.refresh()
        began = time.perf_counter()
        self._last = self._graphs[done]
        if noise is None:
            self._last()
        else:  # For comparisons with other executions; a graph always draws.
            self._arguments.set(noise=noise.contiguous())
            self._enqueue(done)
            self._arguments.noise = 0
        self._gpu.wait()
        self._header.shift = 0
        took = (time.perf_counter() - began) / done
        self._pace += NEWEST * (took - self._pace)
        return self._cost_of[done], done

    def repeat(self) -> None:
        """Launch the last plan's graph again, without a wait: for measuring what the GPU does."""
        self._last()

    def outdated(self) -> str:
        """Return what a plugin changed that the graph was made with, in words."""
        return self._watch.outdated(self.name)

    def trajectory(
        self, state: np.ndarray, actions: np.ndarray, durations: np.ndarray
    ) -> np.ndarray:
        """Return what `Rollout.predict` does."""
        if self._kernel is None or self._kernel.members > 1:  # Theirs is the mean of several.
            return self._rollout.predict(state, actions, durations, self._device)
        return self._kernel.predict(state, actions, durations)

    def _affordable(self, at_most: int, until: float) -> int:
        """Return how many iterations begin before `until`, as far as earlier plans tell."""
        if until < math.inf and self._pace:
            left = (until - time.monotonic()) / self._pace
            at_most = min(at_most, math.ceil(max(1.0, left)))
        if at_most in self._graphs:
            return at_most
        return max(n for n in self._graphs if n <= at_most)

    def _allocate(self, belief: Belief, seed: int, inputs: PlanInputs) -> None:
        """Make what the kernels read and write."""
        search, problem = self._search, self._problem
        self._device = device = belief.mean.device
        knots, nu, modes = belief.mean.shape
        spline = search.spline
        members = self._kernel.members if self._kernel else 1
        stride = -(-modes * search.population(0) // DRAWN) * DRAWN
        self.candidates = self._zeros(knots, nu, stride)
        """Knots of the last iteration, and room beside them."""
        is_plain = search.order == 0 and search.knot_spacing == 1
        self._sequence = self.candidates
        if not is_plain:
            self._sequence = self._zeros(search.horizon, nu, stride)
        self._costs = self._zeros(members, stride)
        # Rows of the phases that the first step of a plan may have.
        basis = np.concatenate([spline.basis(phase)[1][:1] for phase in range(spline.spacing)])
        self._arguments = DeviceArguments()
        self._arguments.set(
            **(self._kernel.always if self._kernel else {}),
            horizon=search.horizon,
            actions=nu,
            knots=knots,
            order=spline.order,
            spacing=spline.spacing,
            modes=modes,
            slots=search.injected,
            kept=search.kept,
            moved=search.kept + 2,
            truncate=int(search.sampling == "truncate"),
            stride=stride,
            count=inputs.here.numel(),
            seed=seed & 0xFFFFFFFF,
            given=inputs.here,
            inputs=inputs.there,
            **problem.as_arguments(),
            basis=torch.from_numpy(basis).to(device),
            **belief._asdict(),
            candidates=self.candidates,
            sequence=self._sequence,
            follow=self._zeros(search.horizon, nu, 2),
            costs=self._costs,
            **self._host_memory(knots, nu, modes),
            **self._noise_tensors(knots, nu, modes, stride),
            **self._selection_tensors(modes),
        )
        self._nu, self._rows = nu, knots * nu

    def _zeros(self, *shape: int, kind: torch.dtype = torch.float32) -> torch.Tensor:
        return torch.zeros(shape, dtype=kind, device=self._device)

    def _host_memory(self, knots: int, nu: int, modes: int) -> dict[str, torch.Tensor]:
        """Make what host and device exchange for each plan: its header, and its result."""
        size, shape = ctypes.sizeof(Header), (knots, nu, modes)
        header = on_host(torch.zeros(size, dtype=torch.uint8), self._device)
        self._header = Header.from_buffer(header.numpy())
        sizes = (math.prod(shape),) * 2 + (modes,) * 2
        result = on_host(torch.zeros(sum(sizes)), self._device)
        mean, best, best_cost, valid = result.split(sizes)
        self._found = mean.view(shape).numpy(), best.view(shape).numpy(), best_cost.numpy()
        self._valid_shares = valid.numpy()
        on_device = self._zeros(size, kind=torch.uint8)
        return {"given_header": header, "header": on_device, "result": result}

    def _noise_tensors(
        self, knots: int, nu: int, modes: int, stride: int
    ) -> dict[str, float | torch.Tensor | None]:
        """Make what colours the noise, and what the control cost of MPPI needs."""
        search = self._search
        factors = noise.factors(knots, search.noise_beta, nu)
        made: dict[str, float | torch.Tensor | None] = {
            **dict.fromkeys(("factor", "precision", "drift", "control")),
            "control_cost": search.control_cost,
        }
        if factors is not None:
            factor = tiled(torch.tensor(factors, dtype=torch.float32))
            made["factor"] = factor.to(self._device)
        if search.control_cost:
            made["drift"] = self._zeros(knots, nu, modes, kind=torch.float64)
            made["control"] = self._zeros(stride)
            if factors is not None:
                made["precision"] = torch.from_numpy(noise.precisions(factors)).to(self._device)
        return made

    def _selection_tensors(self, modes: int) -> dict[str, int | torch.Tensor | None]:
        """Make what the selection of the elites, or of all candidates, reads and writes."""
        search, elites = self._search, self._search.elites
        most, key = search.population(0), torch.int64
        chunks = -(-most // NARROWED)
        narrows = most > SELECTIONS[-1][0] and 2 * chunks * elites <= most
        weighted = most if search.weighting == "softmax" else elites
        return {
            "elites": elites,
            "weighting": cross_entropy.WEIGHTINGS.index(search.weighting),
            "ranks": cross_entropy.rank_weights(elites, self._device),
            "chunks": chunks,
            "narrowed": self._zeros(modes, chunks, elites, kind=key) if narrows else None,
            "listed": self._zeros(modes, 2, elites, kind=key),
            "index": self._zeros(modes, elites, kind=torch.int32),
            "weight": self._zeros(modes * weighted),
            "chosen": self._zeros(modes, 4),
        }

    def _load(self) -> dict[str, Callable[..., None]]:
        """Return the kernels of the search by name."""
        module = self._gpu.module(search_text(self.candidates.shape[1]))
        shared = 4 * DRAWN * (self._rows // self.candidates.shape[1])
        is_short = shared <= self._gpu.most_shared
        names = [
            "begin",
            "narrow",
            "refit",
            "drift",
            "control",
            "select_4",
            "select_8",
            "select_16",
            "select_any",
        ]
        functions = {name: module.function(name) for name in names}
        if is_short:
            functions["sample"] = module.function("sample", shared)
        else:
            functions["sample"] = module.function("sample_long")
        return functions

    def _enqueue(self, iterations: int) -> None:
        """Launch what a plan of so many iterations is made of."""
        functions, arguments = self._functions, self._arguments
        functions["begin"]((1, 1), 1024, arguments)
        for iteration in range(iterations):
            samples = self._search.population(iteration)
            total = self._search.modes * samples
            arguments.set(
                iteration=iteration,
                samples=samples,
                explorers=int(self._search.explore * samples),
                total=total,
                is_last=int(iteration + 1 == iterations),
            )
            blocks = -(-total // DRAWN)
            most = 16 if blocks * self._nu <= FEW_BLOCKS else 8
            warps = min(most, -(-arguments.knots // 4))
            functions["sample"]((blocks, self._nu), 32 * warps, arguments)
            if arguments.control:
                functions["drift"]((-(-self._rows * self._search.modes // 128), 1), 128, arguments)
                functions["control"]((-(-total // 128), 1), 128, arguments)
            self._evaluate(total)
            self._select(samples)
            threads = 4 * REFIT_THREADS if self._search.weighting == "softmax" else REFIT_THREADS
            functions["refit"]((self._rows, self._search.modes), threads, arguments)

    def _evaluate(self, total: int) -> None:
        if self._kernel is not None:
            self._kernel.enqueue(self._arguments)
            return
        problem = self._problem
        sequence = self._sequence[..., :total]
        begin = problem.state, sequence, problem.previous_action, problem.durations
        self._costs[0, :total] = self._rollout(*begin, problem.actuators)

    def _select(self, samples: int) -> None:
        arguments, modes = self._arguments, self._search.modes
        given, narrowed = samples, arguments.narrowed
        # A population that decays may have become small.
        chunks = -(-samples // NARROWED)
        if samples <= SELECTIONS[-1][0]:
            arguments.narrowed = 0
        if arguments.narrowed:
            arguments.chunks = chunks
            self._functions["narrow"]((chunks, modes), NARROWED // 4, arguments)
            given = chunks * arguments.elites
        threads, name = next(
            ((threads, name) for most, threads, name in SELECTIONS if given <= most),
            (1024, "select_any"),
        )
        self._functions[name]((modes, 1), threads, arguments)
        arguments.narrowed = narrowed

    @torch.no_grad()
    def _warm_up(self) -> None:
        """Run what PyTorch makes on first use, which must be there before a graph is made of it."""
        for _ in range(3):
            self._enqueue(self._search.iterations)
        self._gpu.wait()
