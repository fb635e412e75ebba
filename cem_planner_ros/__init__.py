# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""
Receding-horizon Cross-Entropy-Method planning for ROS 2, in PyTorch.

Symbols, used with these meanings throughout the package:

| symbol | meaning                                      | unit |
|--------|----------------------------------------------|------|
| N      | candidates (samples) per iteration           |      |
| K      | elites                                       |      |
| I      | CEM iterations per control period            |      |
| H      | horizon in model steps                       |      |
| nx, nu | dimension of the state and of the action     |      |
| dt     | model time step                              | s    |
| T      | control period                               | s    |

Tensors put components first and samples last, so that every component of every candidate is one
contiguous row:

| name      | shape      | meaning                       |
|-----------|------------|-------------------------------|
| state     | (nx, N)    | one column for each candidate |
| action    | (nu, N)    | one column for each candidate |
| sequence  | (H, nu, N) | actions over the horizon      |
| mean, std | (H, nu)    | the sampling distribution     |
| durations | (H,)       | length of each step, s        |
| cost      | (N,)       | lower is better               |
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cem_planner_ros.configuration.build import load
    from cem_planner_ros.costs.base import Cost
    from cem_planner_ros.dynamics.base import DifferentialEquation, Dynamics
    from cem_planner_ros.planning.cross_entropy import minimize, rare_event
    from cem_planner_ros.planning.plan import Candidates, Plan
    from cem_planner_ros.planning.planner import Planner
    from cem_planner_ros.plugins.parameter import Parameter

__version__ = "0.2.0"

_MODULES = {
    "Candidates": "planning.plan",
    "Cost": "costs.base",
    "DifferentialEquation": "dynamics.base",
    "Dynamics": "dynamics.base",
    "Parameter": "plugins.parameter",
    "Plan": "planning.plan",
    "Planner": "planning.planner",
    "load": "configuration.build",
    "minimize": "planning.cross_entropy",
    "rare_event": "planning.cross_entropy",
}
"""Module of each public name. It is imported on first use, because PyTorch takes seconds."""

__all__ = [
    "Candidates",
    "Cost",
    "DifferentialEquation",
    "Dynamics",
    "Parameter",
    "Plan",
    "Planner",
    "load",
    "minimize",
    "rare_event",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
