"""
The search on a GPU: a rollout generated like that of the CPU, in an iteration captured as a graph.

A rollout in PyTorch is some thousand launches of a few microseconds each; generated, it is one. The
rest of an iteration is some dozens, and a CUDA graph launches them all at once.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch.utils import cpp_extension

from cem_planner_ros.errors import first_line
from cem_planner_ros.planning.actuators import Actuators
from cem_planner_ros.planning.backend import TorchExecution
from cem_planner_ros.planning.kernel import compare, fill, step_code
from cem_planner_ros.planning.rollout import Rollout
from cem_planner_ros.planning.search import Belief, Problem, Search
from cem_planner_ros.planning.translate import UnsupportedError

THREADS = 128
"""Of a block; a multiple of a warp. Small blocks spread few candidates over many processors."""

_SOURCE = Path(__file__).with_name("rollout.cu")


class CudaRollout:
    """
    A rollout as one CUDA kernel; called as `Rollout` is.

    Raises UnsupportedError if the model or a cost cannot be translated or compiled, or if the
    kernel does not compute what PyTorch does.
    """

    def __init__(self, rollout: Rollout, device: torch.device):
        sizes, parts, self._numbers = step_code(rollout, device)
        for number in self._numbers:
            if number.device != device:
                raise UnsupportedError(f"a constant lives on {number.device}, not on {device}")
        pointers = [number.data_ptr() for number in self._numbers]
        self._pointers = torch.tensor(pointers or [0], device=device)
        home = cpp_extension.CUDA_HOME
        try:
            # PyTorch asks for a toolkit's headers, which this needs as little as PyTorch itself.
            cpp_extension.CUDA_HOME = home or "/usr"
            self._kernel = torch.cuda._compile_kernel(fill(_SOURCE, sizes, parts), "rollout")
        except Exception as error:  # NVRTC may be missing, or refuse the code.
            raise UnsupportedError(f"NVRTC: {error}") from error
        finally:
            cpp_extension.CUDA_HOME = home
        compare(rollout, self, device)

    def __call__(
        self,
        state: torch.Tensor,
        sequence: torch.Tensor,
        previous_action: torch.Tensor,
        durations: torch.Tensor,
        actuators: Actuators | None = None,
    ) -> torch.Tensor:
        """Return the cost (N,) of each sequence, as `Rollout.__call__`."""
        horizon, _, samples = sequence.shape
        costs = torch.empty_like(sequence[0, 0])
        if actuators is None:
            actuators = Actuators(torch.zeros_like(previous_action), previous_action)
        tensors = (state, previous_action, *actuators, durations, sequence.contiguous())
        tensors += (self._pointers, costs)
        self._kernel(
            grid=(-(-samples // THREADS), 1, 1),
            block=(THREADS, 1, 1),
            args=[*tensors, horizon, samples],
        )
        return costs


class CapturedExecution(TorchExecution):
    """Iterations captured as CUDA graphs, one for each size of the population."""

    name = "cudagraph"

    def __init__(
        self, rollout: Rollout, search: Search, problem: Problem, belief: Belief, seed: int
    ):
        evaluate, reason = None, ""
        try:
            evaluate = CudaRollout(rollout, belief.mean.device)
        except Exception as error:  # Tracing runs the plugin, which may raise anything.
            reason = f"no CUDA kernel: {first_line(error)}"
        super().__init__(rollout, search, problem, belief, seed, evaluate)
        self.reason = reason
        self._use = torch.zeros(search.injected, dtype=torch.bool, device=self._device)
        self._graphs = {
            population: self._capture(population)
            for population in {search.population(i) for i in range(search.iterations)}
        }

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
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            left = super()._refine(population, self._use)
        return graph, left

    def _refine(self, population: int, use: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        graph, left = self._graphs[population]
        self._use.copy_(use)
        graph.replay()
        return left
