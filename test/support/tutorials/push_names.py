# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Whether the model `Pushed` of the guide stands still where the model that it extends is moved."""

import numpy as np
import torch

from cem_planner_ros.costs.quadratic import Quadratic
from cem_planner_ros.dynamics.double_integrator import DoubleIntegrator
from cem_planner_ros.planning.planner import Planner

WEIGHTS = {"weight.x": 1.0, "weight.y": 1.0, "weight.x_dot": 0.1, "weight.y_dot": 0.1}
PUSH = np.array([0.3, -0.2])


def error(model):
    """Return the mean distance from the origin, m, of a pushed mass after 5 s of 10 s."""
    search = {"samples": 128, "horizon": 20, "dt": 0.1, "backend": "eager", "device": "cpu"}
    planner = Planner(model, [Quadratic(model, WEIGHTS)], **search)
    plant = DoubleIntegrator({})
    state, action, distances = np.zeros(4), np.zeros(2), []
    for period in range(100):
        action = planner.plan(state, 0.1 * period, action).actions[0]
        columns = (torch.from_numpy(values)[:, None] for values in (state, action + PUSH))
        state = plant.step(*columns, torch.tensor(0.1))[:, 0].numpy()
        distances.append(np.hypot(*state[:2]))
    return np.mean(distances[50:])


def then(names):
    assert error(names["Pushed"]({})) < 0.3 * error(DoubleIntegrator({}))
