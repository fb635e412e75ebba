"""Tensors on a device that are filled from the host before each plan."""

from __future__ import annotations

import math

import numpy as np
import torch

_KEPT: list[torch.Tensor] = []


def pinned(tensor: torch.Tensor) -> torch.Tensor:
    """
    Return a copy of a tensor on the CPU in memory that a GPU reads and writes by itself.

    It is kept for as long as the process lives, a few kB for each planner: to free it once its GPU
    is lost would end the process.
    """
    _KEPT.append(tensor.pin_memory())
    return _KEPT[-1]


class PlanInputs:
    """
    Tensors that are written on the host and brought to a GPU in one piece.

    A copy for each number, from memory that the GPU cannot read by itself, would take longer than
    the rest of a plan. On the CPU both are the same memory.

    Args:
        device: where the tensors live.
        **shapes: of each, by name. The tensor, float32, is an attribute of that name, and
            `host[name]` the array to write to.
    """

    def __init__(self, device: torch.device | str, **shapes: tuple[int, ...]):
        sizes = [math.prod(shape) for shape in shapes.values()]
        self._here = torch.zeros(sum(sizes))
        self._there = self._here.to(device)
        if self._there.is_cuda:
            self._here = pinned(self._here)
        self.host: dict[str, np.ndarray] = {}
        for (name, shape), here, there in zip(
            shapes.items(), self._here.split(sizes), self._there.split(sizes), strict=True
        ):
            if hasattr(self, name):
                raise ValueError(f"no tensor of PlanInputs can be called '{name}'")
            self.host[name] = here.view(shape).numpy()
            setattr(self, name, there.view(shape))

    def send(self) -> None:
        """
        Bring over what was written to `host`.

        It may be written again once the stream was waited for, as each plan does for its results.
        """
        if self._there is not self._here:
            self._there.copy_(self._here, non_blocking=True)
