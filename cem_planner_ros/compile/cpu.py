# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""
Compiling the search for the CPU: whole iterations in C++.

The step of the model and of the costs is traced once into a graph of PyTorch operations
(`make_fx`). Every operation on (rows, N) is written as C++ on scalars inside a loop over a block of
samples, which g++ vectorises; the state of the block stays in the cache over the whole horizon.
That is the rollout (`rollout.cpp`). Sampling, bounds and refitting around it (`search.cpp`) are the
same for every model with as many actions, so they are a library of their own: it takes longer to
compile than a rollout, but only once. H, N and P are arguments, so changing them compiles nothing,
and the numbers of plugins are read through pointers, so tuning them compiles nothing either.

Only what keeps samples apart can be written this way. Anything else raises `UnsupportedError`,
whose text says what it was.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

from cem_planner_ros.compile.arguments import HEADER, Arguments, check_layout
from cem_planner_ros.compile.generate import CHOICES, fill, step_code, traceable
from cem_planner_ros.compile.library import interruptible, load
from cem_planner_ros.compile.watch import watched
from cem_planner_ros.compile.writer import UnsupportedError
from cem_planner_ros.planning.actuators import INSTANT, Actuators
from cem_planner_ros.planning.rollout import Rollout

BLOCK = 64
"""Number of samples that run through the horizon together; a multiple of all vector lengths."""

TILE = 8
"""Number of rows of a factor that are multiplied together, so that sums stay in registers."""

COMPARED = BLOCK + 3
"""Number of samples that are compared with PyTorch: one block and a part of one."""

_ROLLOUT, _SEARCH = (Path(__file__).with_name(name) for name in ("rollout.cpp", "search.cpp"))


class Kernel:
    """
    What a rollout is compiled into: whole iterations, and the bare rollout, on the CPU.

    Raises UnsupportedError if the model or a cost cannot be translated or no compiler works.

    Args:
        rollout: what is compiled.
        samples: number of samples that PyTorch can roll out at once, for the comparison.
    """

    def __init__(self, rollout: Rollout, samples: int = COMPARED):
        members, particles = rollout.dynamics.members, rollout.particles
        traced = traceable(rollout)
        self.watch = watched(traced, "cpu")
        shared = {"NU": len(traced.dynamics.action_names), "INSTANT": INSTANT}
        shared |= {"BLOCK": BLOCK, "TILE": TILE}
        with ThreadPoolExecutor(1, "compiler") as pool, interruptible():
            # While Python is tracing.
            search = pool.submit(load, HEADER + fill(_SEARCH, shared | CHOICES, {}), check_layout)
            sizes, parts, self._numbers = step_code(traced)
            model = load(HEADER + fill(_ROLLOUT, shared | sizes, parts), check_layout)
            search = search.result()
        self.shape = sizes["NX"], sizes["NU"]
        self.search, self._rollout = search.search, search.rollout
        for function in (self.search, self._rollout):
            function.argtypes = [ctypes.POINTER(Arguments)]
        self.search.restype, self._rollout.restype = ctypes.c_long, None
        self.refresh = rollout.dynamics.refresh if members > 1 else lambda: None
        rows = [self._numbers]
        if members > 1:
            rows = [rollout.dynamics.variant(p, self._numbers) for p in range(members)]
        pointers = [number.data_ptr() for row in rows for number in row]
        self._pointers = (ctypes.c_void_p * max(1, len(pointers)))(*pointers)
        self._always = {
            "roll_out": ctypes.cast(model.roll_out, ctypes.c_void_p).value,
            "members": members,
            "count": len(self._numbers),
            **particles.as_arguments(members),
        }
        self.watch.add(self._numbers)
        compare(rollout, self.rollout, torch.device("cpu"), samples)
        self.watch.check()

    def rollout(
        self,
        state: torch.Tensor,
        sequence: torch.Tensor,
        previous_action: torch.Tensor,
        durations: torch.Tensor,
        actuators: Actuators | None = None,
        threads: int = 1,
    ) -> torch.Tensor:
        """Return what `Rollout.__call__` returns; float32 on the CPU."""
        horizon, nu, samples = sequence.shape
        stride = padded(samples)
        candidates = torch.zeros(horizon, nu, stride)
        candidates[..., :samples] = sequence
        costs = torch.empty(stride)
        arguments = self.arguments(
            horizon=horizon,
            knots=horizon,
            stride=stride,
            threads=threads,
            state=state,
            before=previous_action,
            durations=durations,
            first=torch.arange(horizon),
            candidates=candidates,
            costs=costs,
            **({} if actuators is None else actuators._asdict()),
        )
        self.roll_out(arguments)
        return costs[:samples]

    def roll_out(self, arguments: Arguments) -> None:
        """Write costs and states of the candidates that arguments hold."""
        self.refresh()
        self._rollout(arguments)

    def arguments(self, **values: int | float | torch.Tensor) -> Arguments:
        """Return arguments of the library, with those of `values` set; the rest is zero."""
        result = Arguments(numbers=ctypes.addressof(self._pointers), **self._always)
        result.set(**values)
        return result


class Trajectory:
    """
    The states that action sequences lead through, as `Rollout.predict`; BLOCK of them at most.

    What it reads and writes is allocated once, so that predicting takes little time.
    """

    def __init__(self, kernel: Kernel, horizon: int):
        self._kernel = kernel
        nx, nu = kernel.shape
        state, before, durations = torch.zeros(nx), torch.zeros(nu), torch.zeros(horizon)
        candidates, states = (
            torch.zeros(*shape, BLOCK) for shape in ((horizon, nu), (horizon + 1, nx))
        )
        self._arguments = kernel.arguments(
            horizon=horizon,
            knots=horizon,
            stride=BLOCK,
            threads=1,
            state=state,
            before=before,
            durations=durations,
            first=torch.arange(horizon),
            candidates=candidates,
            costs=torch.zeros(BLOCK),
            states=states,
        )
        # The same memory.
        self._state, self._durations, self._states = (
            tensor.numpy() for tensor in (state, durations, states)
        )
        self._actions = candidates.numpy()

    def __call__(self, state: np.ndarray, actions: np.ndarray, durations: np.ndarray) -> np.ndarray:
        """
        Return the states (H + 1, nx) for state (nx,), actions (H, nu) and durations (H,), s.

        For actions (H, nu, n) they are (H + 1, nx, n).
        """
        used = slice(actions.shape[2]) if actions.ndim == 3 else 0
        self._state[:], self._actions[..., used], self._durations[:] = state, actions, durations
        self._kernel.roll_out(self._arguments)
        return self._states[..., used].astype(np.float64)


def padded(samples: int) -> int:
    """Return the length of a row of candidates, a whole number of blocks."""
    return -(-samples // BLOCK) * BLOCK


def tiled(factor: torch.Tensor) -> torch.Tensor:
    """Return factors (nu, P, P) of noise as the library reads them: (nu, tiles of P, P, TILE)."""
    actions, knots, _ = factor.shape
    tiles = -(-knots // TILE)
    rows = torch.zeros(actions, tiles * TILE, knots)
    rows[:, :knots] = factor
    return rows.view(actions, tiles, TILE, knots).transpose(2, 3).contiguous()


def compare(
    rollout: Rollout,
    other: Callable[..., torch.Tensor],
    device: torch.device,
    samples: int = COMPARED,
) -> None:
    """
    Raise UnsupportedError if `other` does not compute the same as `rollout` in PyTorch.

    If a plugin reads a number in Python, or the number of samples, the trace keeps the value; the
    comparison with other values shows it. A model from a file may be limited to `samples`.
    """
    numbers = [
        number for plugin in (rollout.dynamics, *rollout.costs) for number in plugin.number_tensors
    ]
    before = [number.clone() for number in numbers]
    nx, nu = len(rollout.dynamics.state_names), len(rollout.dynamics.action_names)
    generator = torch.Generator().manual_seed(0)
    for scale, count in ((1.0, min(COMPARED, samples)), (1.25, min(7, samples))):
        state = torch.randn(nx, generator=generator)
        sequence = torch.randn(3, nu, count, generator=generator)
        durations = torch.full((3,), rollout.dt) * torch.tensor([0.7, 1.0, 1.0])
        lag = 0.1 * torch.arange(nu)  # None, and some.
        given = (state, sequence, sequence[0, :, 0].contiguous(), durations)
        given = tuple(tensor.to(device) for tensor in given)
        given += (Actuators(lag.to(device), given[2]),)
        try:
            for number in numbers:
                number.mul_(scale).add_(scale - 1.0)  # Zero has to change too.
            with torch.no_grad():
                expected = rollout(*given)
                got = other(*given)
        finally:
            for number, value in zip(numbers, before, strict=True):
                number.copy_(value)
        same = torch.isclose(got, expected, rtol=1e-2, atol=1e-3)
        same |= ~torch.isfinite(got) & ~torch.isfinite(expected)
        if not same.all():
            raise UnsupportedError(
                "the kernel and PyTorch disagree: does a plugin read a number or a size in "
                "Python (item, float, int, shape), or keep a state of its own? Or is dt so long "
                "that rounding grows?"
            )
