"""
The search on a GPU: a rollout generated like that of the CPU, in an iteration captured as a graph.

A rollout in PyTorch needs some thousand launches of a few microseconds each. The generated rollout
is one launch, and so are the rate limits. The rest of an iteration needs some dozens of launches; a
CUDA graph launches all of them at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from torch.utils import cpp_extension

from cem_planner_ros.compile.cpu import COMPARED, compare
from cem_planner_ros.compile.generate import fill, step_code
from cem_planner_ros.compile.watch import watched
from cem_planner_ros.compile.writer import UnsupportedError
from cem_planner_ros.errors import first_line
from cem_planner_ros.planning.actuators import Actuators
from cem_planner_ros.planning.execution import EagerExecution, Setup
from cem_planner_ros.planning.rollout import Rollout
from cem_planner_ros.planning.search import Limits

THREADS = 128
"""
Number of threads in a block; a multiple of a warp. Small blocks spread few candidates over many
processors.
"""

IN_REGISTERS = 512
"""
Numbers that a kernel reads before its loop; a thread has 255 registers.

With the 296 of all costs of driving that saves a fifth of the time. Weights of networks, which are
more, would go to each thread's own memory, and are read where they are used.
"""

_SOURCES = Path(__file__).parent


def _compiled(name: str, text: str) -> Callable[..., None]:
    """
    Return the kernel called `name`: a function of its arguments and of how many threads to start.

    Raises UnsupportedError, NVRTC's reason in it, if that cannot compile the text.
    """
    home = cpp_extension.CUDA_HOME
    try:
        # PyTorch asks for a toolkit's headers, which this needs as little as PyTorch itself.
        cpp_extension.CUDA_HOME = home or "/usr"
        kernel = torch.cuda._compile_kernel(text, name)
    except Exception as error:  # NVRTC may be missing, or refuse the code.
        raise UnsupportedError(f"NVRTC: {error}") from error
    finally:
        cpp_extension.CUDA_HOME = home

    def launch(threads: int, *arguments: torch.Tensor | int) -> None:
        blocks = -(-threads // THREADS)
        kernel(grid=(blocks, 1, 1), block=(THREADS, 1, 1), args=list(arguments))

    return launch


class CudaRollout:
    """
    A rollout as one CUDA kernel; called as `Rollout` is.

    Raises UnsupportedError if the model or a cost cannot be translated or compiled, or if the
    kernel does not compute what PyTorch does, compared with at most so many `samples`.
    """

    def __init__(self, rollout: Rollout, device: torch.device, samples: int = COMPARED):
        sizes, parts, self._numbers = step_code(rollout, device)
        for number in self._numbers:
            if number.device != device:
                raise UnsupportedError(f"a constant lives on {number.device}, not on {device}")
        self._device = device
        pointers = [number.data_ptr() for number in self._numbers]
        self._pointers = torch.tensor(pointers or [0], device=device)
        if parts["NUMBERS"].count("\n") >= IN_REGISTERS:
            parts["NUMBERS"] = re.sub(
                r"const float (\w+) = (.*);", r"#define \1 \2", parts["NUMBERS"]
            )
        text = fill(_SOURCES / "rollout.cu", sizes, parts)
        self._launch = _compiled("rollout", text)
        self._nx = sizes["NX"]
        compare(rollout, self, device, samples)

    def __call__(
        self,
        state: torch.Tensor,
        sequence: torch.Tensor,
        previous_action: torch.Tensor,
        durations: torch.Tensor,
        actuators: Actuators | None = None,
    ) -> torch.Tensor:
        """Return the cost (N,) of each sequence, as `Rollout.__call__`."""
        if actuators is None:
            actuators = Actuators(torch.zeros_like(previous_action), previous_action)
        costs = sequence.new_empty(sequence.shape[-1])
        begin = (state, previous_action, *actuators, durations)
        self._run(begin, sequence.contiguous(), costs, costs, keeps_states=False)
        return costs

    def predict(self, state: np.ndarray, actions: np.ndarray, durations: np.ndarray) -> np.ndarray:
        """Return what `Rollout.predict` does."""
        horizon, nu = actions.shape[:2]
        samples = actions[0, 0].size
        parts = (state, np.zeros(3 * nu), durations, actions.ravel())
        # To the device in one piece.
        given = torch.tensor(np.concatenate(parts), dtype=torch.float32, device=self._device)
        *begin, sequence = given.split((self._nx, nu, nu, nu, horizon, actions.size))
        costs = given.new_empty(samples)
        states = given.new_empty(horizon + 1, self._nx, samples)
        sequence = sequence.view(horizon, nu, samples)
        self._run(begin, sequence, costs, states, keeps_states=True)
        found = states.cpu().numpy().astype(np.float64)
        return found if actions.ndim == 3 else found[..., 0]

    def _run(
        self,
        begin: Iterable[torch.Tensor],
        sequence: torch.Tensor,
        costs: torch.Tensor,
        states: torch.Tensor,
        keeps_states: bool,
    ) -> None:
        horizon, _, samples = sequence.shape
        tensors = (*begin, sequence, self._pointers, costs, states)
        self._launch(samples, *tensors, int(keeps_states), horizon, samples)


def rate_limiter() -> Callable[..., torch.Tensor]:
    """Return `search.limit_rate` as one CUDA kernel; raises UnsupportedError as `CudaRollout`."""
    launch = _compiled("limit_rate", (_SOURCES / "limit_rate.cu").read_text())

    def limited(knots: torch.Tensor, previous_action: torch.Tensor, limits: Limits) -> torch.Tensor:
        knots = knots.contiguous()
        result = torch.empty_like(knots)
        count, actions = knots.shape[:2]
        samples = knots[0, 0].numel()
        bounds = (limits.first, limits.step, limits.low, limits.high)
        tensors = (knots, previous_action, *bounds, result)
        launch(actions * samples, *tensors, count, actions, samples)
        return result

    return limited


class CapturedExecution(EagerExecution):
    """Iterations captured as CUDA graphs, one for each size of the population."""

    name = "cudagraph"

    def __init__(self, setup: Setup):
        rollout, search, belief = setup.rollout, setup.search, setup.belief
        self._watch = watched(rollout, belief.mean.device)
        self._kernel, others, reason = None, {}, ""
        # Kernels and graphs go to the streams of the current device.
        with torch.cuda.device(belief.mean.device):
            try:
                others["limit_rate"] = rate_limiter()
                self._kernel = CudaRollout(rollout, belief.mean.device, search.samples)
            except Exception as error:  # Tracing runs the plugin, which may raise anything.
                reason = f"no CUDA kernel: {first_line(error)}"
            super().__init__(setup, reason, self._kernel or rollout, **others)
            self._use = torch.zeros(search.injected, dtype=torch.bool, device=self._device)
            self._graphs = {
                population: self._capture(population)
                for population in {search.population(i) for i in range(search.iterations)}
            }

    def run(self, *arguments) -> tuple[torch.Tensor, int]:
        """Do as `Execution.run`."""
        with torch.cuda.device(self._device):
            return super().run(*arguments)

    def trajectory(
        self, state: np.ndarray, actions: np.ndarray, durations: np.ndarray
    ) -> np.ndarray:
        """Return what `Rollout.predict` does."""
        if self._kernel is None:
            return super().trajectory(state, actions, durations)
        with torch.cuda.device(self._device):
            return self._kernel.predict(state, actions, durations)

    def _capture(self, population: int) -> tuple[torch.cuda.CUDAGraph, tuple[torch.Tensor, ...]]:
        """Return the graph of an iteration, and where it leaves knots and costs."""
        # What is made on first use must be there before the capture.
        aside = torch.cuda.Stream(self._device)
        aside.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(aside):
            for _ in range(3):
                super()._refine(population, self._use)
        torch.cuda.current_stream(self._device).wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self._generator)
        # The planner in use may allocate on its own thread meanwhile.
        with torch.cuda.graph(graph, stream=aside, capture_error_mode="thread_local"):
            left = super()._refine(population, self._use)
        return graph, left

    def outdated(self) -> str:
        """Return which attribute of a plugin changed since the graph was captured, for messages."""
        return self._watch.outdated(self.name)

    def _refine(
        self, population: int, use: torch.Tensor, noise: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        graph, left = self._graphs[population]
        self._use.copy_(use)
        graph.replay()
        return left
