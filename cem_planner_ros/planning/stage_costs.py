"""The stage costs of all steps of a rollout at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from cem_planner_ros.costs.base import Cost


class StageCosts:
    """
    The stage costs of all steps of a rollout, evaluated at once where a cost allows it.

    A cost that does nothing with the time of a step is called once, with the steps as more samples.
    Another one is called through `torch.vmap`. A cost that `torch.vmap` cannot run, such as one
    with an `if` about numbers, is called for one step after the other.

    Args:
        cost: the cost.
    """

    def __init__(self, cost: Cost):
        self._cost = cost
        self._uses_time: bool | None = None

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
        if self._uses_time is None:
            self._uses_time = self._is_time_used(*(values[0] for values in steps))
        if not self._uses_time:
            flat = (
                times[0] if values is times else values.transpose(0, 1).flatten(1)
                for values in steps
            )
            return self._cost.stage(*flat).view(len(times), -1)
        try:
            return torch.vmap(self._cost.stage)(*steps)
        except Exception:  # A plugin may raise anything; what is really wrong is raised again.
            return torch.stack([self._cost.stage(*step) for step in zip(*steps, strict=True)])

    def _is_time_used(self, *step: torch.Tensor) -> bool:
        with _Uses(step[3]) as uses:
            self._cost.stage(*step)
        return uses.found


class _Uses(TorchFunctionMode):
    """Notes whether PyTorch is called with a tensor."""

    def __init__(self, tensor: torch.Tensor):
        super().__init__()
        self._tensor = tensor
        self.found = False

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        self.found |= any(leaf is self._tensor for leaf in tree_leaves((args, kwargs)))
        return func(*args, **kwargs)
