# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The stage costs of all steps of a rollout at once."""

from __future__ import annotations

from typing import Any

import torch

from cem_planner_ros.costs.base import Cost


class StageCosts:
    """
    The stage costs of all steps of a rollout, evaluated at once where a cost allows it.

    A cost that does nothing with the time of a step, or that takes a time for each sample, is
    called once, with the steps as more samples. Another one is called through `torch.vmap`. A cost
    that `torch.vmap` cannot run, such as one with an `if` about numbers, is called for one step
    after the other.

    Args:
        cost: the cost.
    """

    def __init__(self, cost: Cost):
        self._cost = cost
        self._no_time = torch.zeros(()).as_subclass(_Untouchable)
        self._needs_time = False

    def __call__(
        self,
        seen: torch.Tensor,
        sequence: torch.Tensor,
        previous: torch.Tensor,
        times: torch.Tensor,
        before: torch.Tensor,
    ) -> torch.Tensor:
        """
        Return the stage costs (H, N).

        Args:
            seen: (H, nx or nx + ny, N), what the cost sees of each step.
            sequence, previous: (H, nu, N), the actions, and those of the step before.
            times: (H,), s.
            before: (H, nx, N), the states at the beginning of the steps.
        """
        steps = self._cost.asked_for(seen, sequence, previous, times, before)
        if not self._needs_time:
            time: torch.Tensor = self._no_time
            if self._cost.takes_times:
                time = times.repeat_interleave(seen.shape[-1])
            flat = (
                time if values is times else values.transpose(0, 1).flatten(1) for values in steps
            )
            try:
                return self._cost.stage(*flat).view(len(times), -1)
            except Exception:  # It uses the time, or cannot take so many samples.
                self._needs_time = True
        try:
            return torch.vmap(self._cost.stage)(*steps)
        except Exception:  # A plugin may raise anything; what is really wrong is raised again.
            return torch.stack([self._cost.stage(*step) for step in zip(*steps, strict=True)])


class _Untouchable(torch.Tensor):
    """A tensor with which PyTorch does nothing: whatever uses it raises TypeError."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Raise TypeError."""
        raise TypeError("a time that is not known was used")

    def __deepcopy__(self, memo: dict[int, Any]) -> _Untouchable:
        """Return the tensor itself; a copy would be made by PyTorch."""
        return self
