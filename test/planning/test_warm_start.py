# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
import math

import numpy as np
import pytest
import torch

from cem_planner_ros.planning.execution import Setup
from cem_planner_ros.planning.plan import Plan
from cem_planner_ros.planning.rollout import Rollout
from cem_planner_ros.planning.settings import Search
from cem_planner_ros.planning.warm_start import BeliefMover, WarmStart


def warm_start(model, costs, **settings):
    """A warm start of a fresh search with bounds of +-10, and what moves its belief."""
    search = Search(**{"samples": 90, "elites": 6, "dt": 0.1, "horizon": 5} | settings)
    setup = Setup.allocate(Rollout(model, costs, search.dt), search)
    high = np.full(1, 10.0, np.float32)
    setup.problem.limits.fill(search, -high, high, np.full(1, np.inf), 0.1)
    kept = WarmStart(search, setup.problem.limits, setup.belief, seed=0)
    kept.tune(search, np.zeros(1))
    kept.reset()
    return kept, BeliefMover(search, setup.problem, setup.belief)


def test_a_mode_that_found_nothing_or_what_a_better_one_found_begins_anew(cartpole):
    kept, _ = warm_start(*cartpole, modes=4)
    mean = kept.belief.mean
    mean[:] = torch.tensor([7.0, 7.1, -7.0, 3.0])
    kept.belief.best_cost[:] = torch.tensor([2.0, 1.0, 3.0, math.inf])
    kept.keep()
    assert (mean[..., 1] == 7.1).all()
    assert (mean[..., 2] == -7.0).all()
    for mode, before in ((0, 7.0), (3, 3.0)):
        assert (mean[..., mode] - before).abs().min() > 0.1
        assert mean[..., mode].unique().numel() == 1
        assert mean[..., mode].abs().max() <= 10.0


@pytest.mark.parametrize(("carry", "expected"), [(0.0, 5.0), (0.5, 3.0)])
def test_the_belief_moves_by_whole_cells_and_its_end_is_repeated(cartpole, carry, expected):
    kept, move = warm_start(*cartpole, std_initial=0.5, std_carry=carry)
    move(kept.advance(3.0, np.zeros(1)))
    mean, std, _, _ = kept.belief
    mean[:, 0, 0] = torch.arange(5.0)
    std.fill_(1.0)
    edges, moved = kept.edges(3.21), kept.advance(3.21, np.zeros(1))
    move(moved)
    assert moved.shift == 2
    np.testing.assert_allclose(edges, [3.21, 3.3, 3.4, 3.5, 3.6, 3.7])
    assert mean.flatten().tolist() == [2.0, 3.0, 4.0, 4.0, 4.0]
    np.testing.assert_allclose(std.flatten(), [expected] * 3 + [5.0] * 2)


def test_an_earlier_time_forgets_the_plan_but_not_how_many_there_were(cartpole):
    kept, move = warm_start(*cartpole)
    kept.adopt(Plan(0.1 * np.arange(6), np.full((5, 1), 4.0), 0.0, 1, 0.0))
    kept.keep()
    move(kept.advance(0.5, np.zeros(1)))
    assert (kept.belief.mean == 4.0).all()
    assert kept.uses()[0].any()
    assert kept.edges(-1.0)[0] == -1.0
    move(kept.advance(-1.0, np.zeros(1)))
    assert (kept.belief.mean == 0.0).all()
    assert not kept.uses()[0].any()
    assert kept.plans == 1


def test_bounds_that_are_narrowed_hold_for_what_was_found_before(cartpole):
    kept, _ = warm_start(*cartpole)
    kept.adopt(Plan(0.1 * np.arange(6), np.full((5, 1), 9.0), 0.0, 1, 0.0))
    search = Search(samples=90, elites=6, dt=0.1, horizon=5)
    low, high = np.full(1, -2.0, np.float32), np.full(1, 3.0, np.float32)
    kept.limits.fill(search, low, high, np.full(1, np.inf), 0.1)
    kept.tune(search, np.zeros(1))
    assert (kept.belief.mean == 3.0).all()
    assert (kept.belief.injected == 3.0).all()
