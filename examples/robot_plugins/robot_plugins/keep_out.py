# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""A disc that a robot should not enter."""

import torch

from cem_planner_ros.costs.base import Cost, rows_of
from cem_planner_ros.plugins.parameter import Parameter


class KeepOut(Cost):
    """The weighted squared depth inside a disc, for models with the states x and y."""

    api_version = 1
    parameters = (
        Parameter("x", 0.0, "x of the centre of the disc.", unit="m"),
        Parameter("y", 0.0, "y of the centre of the disc.", unit="m"),
        Parameter("radius", 0.5, "Radius of the disc plus that of the robot.", unit="m", low=0.0),
        Parameter("weight", 100.0, "Weight of the squared depth.", unit="1/m^2", low=0.0),
    )

    x: torch.Tensor
    y: torch.Tensor
    radius: torch.Tensor
    weight: torch.Tensor

    def __init__(self, dynamics, values=None, *, device="cpu"):
        super().__init__(dynamics, values, device=device)
        self._rows = rows_of(dynamics, "x", "y")

    def stage(
        self,
        state: torch.Tensor,
        action: torch.Tensor,
        previous_action: torch.Tensor,
        time: torch.Tensor,
    ) -> torch.Tensor:
        """Return the cost (N,) of the states (nx, N) after one step."""
        x, y = (state[row] for row in self._rows)
        depth = torch.relu(self.radius - torch.hypot(x - self.x, y - self.y))
        return self.weight * depth * depth
