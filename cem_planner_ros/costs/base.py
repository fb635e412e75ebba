"""The interface of a cost plugin."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from typing import Any

import torch

from cem_planner_ros.dynamics.base import Dynamics
from cem_planner_ros.parameters import Parameter, Parameterised


class Cost(Parameterised, ABC):
    """
    One term of what a candidate pays; the terms of all cost plugins add up.

    A subclass declares `parameters`, or `parameters_for` where they depend on the model's names,
    and writes `stage`, `terminal` or both, in plain PyTorch. Samples are the last dimension and
    must not influence one another.

    Args:
        dynamics: the model whose states and actions are judged.
        values: parameter values by name; what is not given has its default.
        device: where the parameter tensors live.

    Raises ConfigurationError for an unknown name or a value that is not allowed.
    """

    def __init__(
        self,
        dynamics: Dynamics,
        values: Mapping[str, Any] | None = None,
        *,
        device: torch.device | str = "cpu",
    ):
        self.parameters = self.parameters_for(dynamics)
        super().__init__(values or {}, device)

    @classmethod
    def parameters_for(cls, dynamics: Dynamics) -> tuple[Parameter, ...]:
        """Return the parameters that this cost has for a model."""
        return cls.parameters

    def stage(
        self,
        state: torch.Tensor,
        action: torch.Tensor,
        previous_action: torch.Tensor,
        time: torch.Tensor,
    ) -> torch.Tensor:
        """
        Return the cost (N,) of one model step.

        The planner adds it up over the horizon, weighted with the step's length over dt.

        Args:
            state: (nx, N), at the end of the step.
            action: (nu, N), held during the step.
            previous_action: (nu, N), held during the step before.
            time: 0-d, s from the start of the plan to the end of the step.
        """
        return torch.zeros_like(state[0])

    def terminal(self, state: torch.Tensor) -> torch.Tensor:
        """Return the cost (N,) of the state (nx, N) at the end of the horizon."""
        return torch.zeros_like(state[0])
