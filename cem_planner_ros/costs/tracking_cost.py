# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""What costs have in common that judge each step by a reference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from cem_planner_ros.costs.attitude import rotation_vector
from cem_planner_ros.costs.reference_cost import ReferenceCost, span
from cem_planner_ros.dynamics.base import Dynamics, wrap
from cem_planner_ros.plugins.parameter import Parameter
from cem_planner_ros.plugins.plan_inputs import PlanInputs, StepInputs

TERMINAL_WEIGHT = Parameter(
    "terminal_weight",
    0.0,
    "Factor of the cost at the end of the horizon, which is added to the steps.",
    low=0.0,
)


class TrackingCost(ReferenceCost):
    """The weighted squared errors from a reference, each step judged by that at its end."""

    reads_outputs = True
    takes_times = True
    terminal_weight: torch.Tensor

    def __init__(
        self,
        dynamics: Dynamics,
        values: Mapping[str, Any] | None = None,
        *,
        device: torch.device | str = "cpu",
    ):
        self._device = device
        super().__init__(dynamics, values, device=device)
        turning = {place for quaternion in self._quaternions for place in quaternion}
        self._plain = [place for place in range(len(self.followed)) if place not in turning]
        self._is_angle = [self.followed[place] in dynamics.angle_names for place in self._plain]

    def _weights(self) -> torch.Tensor:
        """Return the weight of each signal (nr, 1), that of a quaternion's w unused."""
        raise NotImplementedError

    def set_edges(self, edges: np.ndarray) -> None:
        """Take over the edges (H + 1,) of the plan's steps; make room for H steps."""
        if len(edges) != len(self.edges):
            self._wanted = StepInputs(self._device, len(self.followed), len(edges) - 1)
            self._counts = PlanInputs(self._device, each=(len(self.followed), 1))
        super().set_edges(edges)

    def _write(self, values: np.ndarray, counts: np.ndarray, edges: np.ndarray) -> None:
        super()._write(values, counts, edges)
        self._wanted.write(values, edges)
        self._counts.host["each"][:, 0] = counts
        self._counts.send()

    def squared_error(self, state: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
        """
        Return the weighted squared errors (N,).

        Args:
            state: (nx + ny, N).
            reference: (nr, N) or (nr, 1).
        """
        signals, weights = state[span(self._rows)], self._weights() * self._counts.each
        cost = torch.zeros_like(state[0])
        if self._plain:
            plain = span(self._plain)
            error = wrap(signals[plain] - reference[plain], self._is_angle)
            cost = cost + (weights[plain] * error * error).sum(0)
        for quaternion in self._quaternions:
            turn = rotation_vector(signals[span(quaternion)], reference[span(quaternion)])
            cost = cost + (weights[span(quaternion[1:])] * turn * turn).sum(0)
        return cost

    def stage(
        self,
        state: torch.Tensor,
        action: torch.Tensor,
        previous_action: torch.Tensor,
        time: torch.Tensor,
    ) -> torch.Tensor:
        """Return the weighted squared errors at the end of one step, shape (N,)."""
        return self.squared_error(state, self._wanted.at(time))

    def terminal(self, state: torch.Tensor) -> torch.Tensor:
        """Return the weighted squared errors at the end of the horizon, shape (N,)."""
        return self.terminal_weight * self.squared_error(state, self._wanted.last)
