# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cem_planner_ros.planning.plan import SKIP, Plan, TimeGrid

times = st.floats(0.0, 1e5)
steps = st.floats(1e-3, 1.0)


@given(origin=times, dt=steps, elapsed=times)
def test_first_step_is_never_short_and_the_others_are_dt(origin, dt, elapsed):
    edges = TimeGrid(origin, dt).edges(origin + elapsed, 5)
    durations = np.diff(edges)
    assert (SKIP - 1e-3) * dt <= durations[0] <= (1 + SKIP + 1e-3) * dt
    np.testing.assert_allclose(durations[1:], dt, atol=1e-9)


@given(origin=times, dt=steps, a=st.floats(0.0, 10.0), b=st.floats(0.0, 10.0))
def test_edges_after_the_first_lie_on_one_grid_whenever_the_plan_was_made(origin, dt, a, b):
    grid = TimeGrid(origin, dt)
    early, late = (grid.edges(origin + t, 4)[1:] for t in sorted((a, b)))
    cells = (late - early) / dt
    np.testing.assert_allclose(cells, np.round(cells), atol=1e-5)


def test_action_at_holds_each_action_over_its_step():
    plan = Plan(np.array([1.0, 1.5, 2.5]), np.array([[10.0], [20.0]]), 0.0, 1, 0.0)
    at = {0.0: 10.0, 1.0: 10.0, 1.49: 10.0, 1.5: 20.0, 2.49: 20.0, 2.5: 20.0, 99.0: 20.0}
    assert {time: plan.action_at(time)[0] for time in at} == at


def test_a_plan_of_a_spline_is_interpolated_between_the_middles_of_its_steps():
    edges = np.array([0.05, 0.1, 0.2, 0.3])  # It begins in the middle of a cell.
    actions = np.array([[0.0], [1.0], [3.0]])
    held = Plan(edges, actions, cost=0.0, iterations=1, invalid_share=0.0)
    spline = dataclasses.replace(held, is_spline=True)
    for time, value in ((0.0, 0.0), (0.05, 0.0), (0.1, 0.5), (0.15, 1.0), (0.2, 2.0), (0.4, 3.0)):
        assert spline.between_at(time) == pytest.approx(value)
        assert held.between_at(time) == held.action_at(time)
