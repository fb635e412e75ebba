# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""What the cost `Progress` of the guide is made from, and what it costs."""

import pytest
import torch

from cem_planner_ros.costs.base import Cost
from cem_planner_ros.dynamics.double_integrator import DoubleIntegrator

__all__ = ["Cost"]


def then(names):
    state, before = torch.tensor([[0.05, 0.02]]), torch.zeros(1, 2)
    costs = names["Progress"](DoubleIntegrator({})).stage(state, None, None, None, before)
    assert costs.tolist() == pytest.approx([0.0, 0.03])
