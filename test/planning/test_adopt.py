# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""A planner goes on with the plan of another one."""

import numpy as np
import pytest

from cem_planner_ros.costs.quadratic import Quadratic
from cem_planner_ros.dynamics.double_integrator import DoubleIntegrator
from cem_planner_ros.planning.planner import Planner

STATE = np.array([0.5, -0.3, 0.0, 0.0])


def make(**settings):
    model = DoubleIntegrator()
    cost = Quadratic(model, {"weight.x": 1.0, "weight.y": 1.0, "weight.x_dot": 0.3})
    defaults = {"samples": 64, "elites": 8, "horizon": 20, "dt": 0.1, "backend": "eager"}
    return Planner(model, [cost], **defaults | settings)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"dt": 0.05, "horizon": 40},
        {"dt": 0.2, "horizon": 10, "samples": 32},
        {"knot_spacing": 4, "order": 1},
        {"knot_spacing": 3, "order": 3},
        {"modes": 2, "samples": 128},
    ],
)
def test_the_first_plan_afterwards_is_about_the_one_adopted(settings):
    old = make(iterations=8)
    for step in range(5):
        plan = old.plan(STATE, 10.0 + 0.02 * step)
    new = make(**settings)
    cold = make(**settings).plan(STATE, 10.12, iterations=1)
    new.adopt(plan)
    warm = new.plan(STATE, 10.12, iterations=1)
    assert warm.cost < cold.cost
    ends = warm.edges[:-1]
    early = ends < ends[0] + 1.0
    difference = [np.abs(warm.action_at(t) - plan.action_at(t)).max() for t in ends[early]]
    assert np.median(difference) < 0.5  # of a range of 2


def test_what_is_adopted_keeps_the_bounds():
    old = make()
    plan = old.plan(STATE, 0.0)
    new = make(low=[-0.1, -0.1], high=[0.1, 0.1])
    new.adopt(plan)
    assert np.abs(new.plan(STATE, 0.02).actions).max() <= 0.1 + 1e-6


def test_the_spread_narrows_as_the_search_converges():
    planner = make(iterations=1)
    planner.plan(STATE, 0.0)
    wide = planner.spread()
    planner = make(iterations=8)
    planner.plan(STATE, 0.0)
    narrow = planner.spread()
    assert narrow[0] < wide[0]
    assert narrow[1] < wide[1]
