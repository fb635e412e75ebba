# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Control loop and plant on one simulated clock."""

import numpy as np
import pytest

from cem_planner_ros.configuration import configure
from cem_planner_ros.simulation.lockstep import Lockstep

VALUES = {
    "dynamics.plugin": "double_integrator",
    "costs": ["goal"],
    "goal.plugin": "quadratic",
    "goal.target.x": 1.0,
    "goal.weight.x": 1.0,
    "planner.samples": 64,
    "planner.elites": 8,
    "planner.backend": "eager",
    "planner.device": "cpu",
    "control_rate": 20.0,
    "recover_periods": 1,
}


@pytest.fixture(scope="module")
def configuration():
    return configure(VALUES)


@pytest.mark.parametrize("planning_time", [0.0, 0.02])
def test_the_plant_moves_on_while_it_is_planned(configuration, planning_time):
    steps = []
    run = Lockstep(
        configuration,
        configuration.planner(),
        lambda: np.zeros(4),
        lambda action, duration: steps.append((action.copy(), duration)),
        planning_time,
    )
    for _ in range(5):
        run.period()
    assert run.time == pytest.approx(0.25)
    assert sum(duration for _, duration in steps) == pytest.approx(0.25)
    if not planning_time:
        assert [duration for _, duration in steps] == [0.05] * 5
        return
    np.testing.assert_allclose([d for _, d in steps[::2]], planning_time)
    # While it is planned, the command of the period before is in force.
    for before, during in zip(steps[1::2], steps[2::2], strict=False):
        np.testing.assert_array_equal(during[0], before[0])
    assert not np.array_equal(steps[0][0], steps[1][0])
