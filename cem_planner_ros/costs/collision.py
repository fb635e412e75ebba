# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""A cost of contacts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from cem_planner_ros.costs.base import Cost
from cem_planner_ros.dynamics.base import Dynamics
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.plugins.parameter import Parameter, named


class Collision(Cost):
    """
    A constant cost of each step in which an output is above its threshold.

    It forbids contacts: between two bodies or geoms, of a robot with itself, or of a touch sensor,
    each of which is an output of the model `mujoco`.

    Raises ConfigurationError if the model has no outputs.
    """

    places = ()
    reads_outputs = True
    weight: torch.Tensor
    threshold: torch.Tensor

    def __init__(
        self,
        dynamics: Dynamics,
        values: Mapping[str, Any] | None = None,
        *,
        device: torch.device | str = "cpu",
    ):
        if not dynamics.output_names:
            raise ConfigurationError(
                "needs an output that is above 0 during a contact; the model has no outputs "
                "(dynamics.outputs of mujoco, such as 'bump: contact body hand body table')"
            )
        super().__init__(dynamics, values, device=device)

    @classmethod
    def parameters_for(cls, dynamics: Dynamics) -> tuple[Parameter, ...]:
        """Return a weight and a threshold for each output."""
        names = dynamics.output_names
        return named(
            "weight", names, 0.0, "Cost of a step in which {name} is above its threshold.", low=0.0
        ) + named("threshold", names, 0.0, "Value of {name} above which a step costs.")

    def stage(
        self,
        state: torch.Tensor,
        action: torch.Tensor,
        previous_action: torch.Tensor,
        time: torch.Tensor,
    ) -> torch.Tensor:
        """Return sum_i weight_i [output_i > threshold_i], shape (N,)."""
        outputs = state[-len(self.weight) :]
        cost = torch.where(outputs > self.threshold, self.weight, 0.0)
        # An output that is NaN makes the candidate invalid.
        return (cost + 0.0 * outputs).sum(0)
