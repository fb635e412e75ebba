# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Tensors that the host fills before each plan."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch

_KEPT: list[torch.Tensor] = []


def pinned(tensor: torch.Tensor) -> torch.Tensor:
    """
    Return a copy of a CPU tensor in pinned memory, which a GPU can read and write directly.

    The memory is kept until the process ends, a few kB for each planner. Freeing it after the GPU
    was lost would end the process.
    """
    _KEPT.append(tensor.pin_memory())
    return _KEPT[-1]


class PlanInputs:
    """
    Tensors that are written on the host and copied to a GPU in one piece.

    A separate copy of each number, from memory that is not pinned, would take longer than the rest
    of a plan. On the CPU, host and device are the same memory.

    Args:
        device: the device of the tensors.
        **shapes: shape of each tensor by name. The float32 tensor is an attribute of that name.
            Write to the array `host[name]`.
    """

    def __init__(self, device: torch.device | str, **shapes: tuple[int, ...]):
        sizes = [math.prod(shape) for shape in shapes.values()]
        self.here = torch.zeros(sum(sizes))
        self.there = self.here.to(device)
        """All of them in one row on the device, and `here` on the host."""
        if self.there.is_cuda:
            self.here = pinned(self.here)
        self.others_write = False
        """Whether the tensors may be written otherwise than by `send`."""
        self._sent = b""
        self.host: dict[str, np.ndarray] = {}
        for (name, shape), here, there in zip(
            shapes.items(), self.here.split(sizes), self.there.split(sizes), strict=True
        ):
            if hasattr(self, name):
                raise ValueError(f"no tensor of PlanInputs can be called '{name}'")
            self.host[name] = here.view(shape).numpy()
            setattr(self, name, there.view(shape))

    if TYPE_CHECKING:  # The tensors have the names that were given.

        def __getattr__(self, name: str) -> torch.Tensor: ...

    def send(self) -> None:
        """
        Copy the content of `host` to the device.

        `host` may be written again after waiting for the stream, as each plan does for its results.
        """
        if self.there is self.here:
            return
        written = self.here.numpy().tobytes()
        if self.others_write or written != self._sent:  # A copy takes longer than the comparison.
            self.there.copy_(self.here, non_blocking=True)
            self._sent = written


class StepInputs:
    """
    A vector for each step of a plan, written on the host before each plan, read in `stage`.

    Args:
        device: the device of the tensors.
        rows: n, the length of the vector.
        horizon: H, the number of steps.
    """

    def __init__(self, device: torch.device | str, rows: int, horizon: int):
        self.horizon = horizon
        self._inputs = PlanInputs(
            device, table=(rows * horizon,), last=(rows, 1), begin=(), rate=(), latest=()
        )
        # Where the row of each number begins in the table.
        self._rows = horizon * torch.arange(rows, device=device)[:, None]

    def write(self, values: np.ndarray, edges: np.ndarray) -> None:
        """Write the vectors (n, H) of a plan; `edges` (H + 1,), s, is that of `set_edges`."""
        host, steps = self._inputs.host, len(edges) - 1
        host["table"].reshape(-1, steps)[:] = values
        host["last"][:] = values[:, -1:]
        host["begin"][...] = edges[1]
        # All steps after the first one have the same length.
        host["rate"][...] = (steps - 1) / (edges[-1] - edges[1]) if steps > 1 else 0.0
        host["latest"][...] = steps - 1
        self._inputs.send()

    def at(self, time: torch.Tensor) -> torch.Tensor:
        """
        Return the vector (n, 1) of the step that ends at `time`, which `stage` receives.

        For times (m,) the result is (n, m).
        """
        inputs = self._inputs
        step = torch.floor((time - inputs.begin) * inputs.rate + 0.5)
        step = torch.minimum(torch.relu(step), inputs.latest).long()
        return inputs.table[self._rows + step.reshape(-1)]

    @property
    def last(self) -> torch.Tensor:
        """The vector (n, 1) of the last step, for `terminal`."""
        return self._inputs.last
