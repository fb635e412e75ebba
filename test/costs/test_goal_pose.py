# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
import math

import numpy as np
import pytest
import torch

from cem_planner_ros.costs.goal_pose import GoalPose
from cem_planner_ros.dynamics.diff_drive import DiffDrive
from cem_planner_ros.dynamics.pendulum import Pendulum
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.navigation.poses import Pose
from cem_planner_ros.navigation.reference_path import ReferencePath
from cem_planner_ros.navigation.surroundings import NOTHING, Surroundings

GOAL = Pose(2.0, 1.0, 0.5)
PATH = ReferencePath.through(np.array([[0.0, 0.0], [2.0, 1.0]]))


def goal_pose(here=(0.0, 0.0, 0.0), path=None, **values):
    cost = GoalPose(DiffDrive(), values)
    cost.prepare(np.array(here), 0.0, Surroundings(GOAL, path))
    return cost


def price(cost, *states):
    states = torch.tensor(np.array(states), dtype=torch.float32).T
    actions = torch.zeros(2, states.shape[1])
    return cost.stage(states, actions, actions, torch.tensor(0.0)).numpy()


def end_price(cost, *states):
    return cost.terminal(torch.tensor(np.array(states), dtype=torch.float32).T).numpy()


def test_at_the_goal_turned_as_it_should_be_nothing_costs():
    there = ((2.0, 1.0, 0.5), (2.0, 1.0, 0.5 - 2.0 * math.pi))
    np.testing.assert_allclose(price(goal_pose(), *there), 0.0, atol=1e-5)
    np.testing.assert_allclose(end_price(goal_pose(), *there), 0.0, atol=1e-5)


def test_from_every_side_nearer_costs_less_and_far_away_evenly_so():
    angle = np.linspace(-3.0, 3.0, 7)[:, None]
    away = np.array([0.1, 0.5, 1.0, 5.0, 10.0, 20.0])
    states = np.stack(
        (2.0 + away * np.cos(angle), 1.0 + away * np.sin(angle), 0.5 + 0.0 * away * angle), -1
    ).reshape(-1, 3)
    for paid in (price(goal_pose(), *states), end_price(goal_pose(), *states)):
        paid = paid.reshape(7, 6)
        assert (np.diff(paid, axis=1) > 0.0).all()
        np.testing.assert_allclose(paid, paid[[0]] * np.ones((7, 1)), rtol=1e-3)
        assert paid[0, 5] == pytest.approx(2.0 * paid[0, 4], rel=0.05)


def test_the_heading_matters_near_the_goal_and_hardly_far_from_it():
    def turning(x):
        right, wrong = price(goal_pose(), (x, 1.0, 0.5), (x, 1.0, 0.5 + math.pi))
        return wrong - right

    assert turning(2.0) > turning(2.3) > turning(3.0) > turning(6.0) > 0.0
    assert turning(2.3) == pytest.approx(0.5 * turning(2.0), rel=1e-3)
    assert turning(6.0) < 0.01 * turning(2.0)


def test_while_there_is_a_path_a_goal_far_away_is_left_to_it():
    state = (1.0, 1.0, 0.5)
    assert price(goal_pose(), state) > 0.0
    far = goal_pose(path=PATH)
    assert price(far, state) == end_price(far, state) == 0.0
    near = goal_pose((1.5, 1.0, 0.0), path=PATH)
    np.testing.assert_array_equal(price(near, state), price(goal_pose(), state))


def test_a_goal_nearby_whose_path_leads_around_is_left_to_the_path():
    around = np.array([[2.0, 0.7], [2.5, 0.7], [2.5, 1.0], [2.0, 1.0]])
    path, state = ReferencePath.through(around), (2.0, 0.8, 0.5)
    for within in (1.0, 5.0):
        cost = goal_pose((2.0, 0.7, 0.0), path=path, within=within)
        assert price(cost, state) == end_price(cost, state) == 0.0
    last = goal_pose((2.4, 1.0, 0.0), path=path)
    assert price(last, state) > 0.0


def test_a_new_goal_takes_the_place_of_the_old_one_and_none_costs_nothing():
    cost = goal_pose()
    cost.prepare(np.zeros(3), 0.0, Surroundings(Pose(-1.0, 0.0, 0.0)))
    there, before = price(cost, (-1.0, 0.0, 0.0), (2.0, 1.0, 0.5))
    assert there == 0.0 < before
    cost.prepare(np.zeros(3), 0.0, NOTHING)
    assert not price(cost, (5.0, 5.0, 0.0)).any()
    assert not end_price(cost, (5.0, 5.0, 0.0)).any()


def test_values_changed_while_it_drives_count():
    cost = goal_pose()
    before = price(cost, (1.0, 1.0, 0.5))
    cost.set("weight", 3.0)
    np.testing.assert_allclose(price(cost, (1.0, 1.0, 0.5)), 3.0 * before)


def test_a_state_that_is_not_finite_is_invalid_and_harms_no_other():
    broken, good = price(goal_pose(), (math.nan, 0.0, 0.0), (1.0, 1.0, 0.0))
    assert math.isnan(broken)
    assert math.isfinite(good)


def test_what_does_not_go_together_is_refused_with_the_reason():
    with pytest.raises(ConfigurationError, match="needs the state 'x', the model has: theta"):
        GoalPose(Pendulum())
    with pytest.raises(ConfigurationError, match=r"'tolerance' is 0\.0"):
        GoalPose(DiffDrive(), {"tolerance": 0.0})
