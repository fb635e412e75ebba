# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cem_planner_ros.costs.obstacles import Obstacles
from cem_planner_ros.dynamics.cartpole import CartPole
from cem_planner_ros.dynamics.diff_drive import DiffDrive
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.navigation.costmap import Costmap
from cem_planner_ros.navigation.footprint import Footprint
from cem_planner_ros.navigation.poses import Pose, placed
from cem_planner_ros.navigation.surroundings import NOTHING, Surroundings

NOW = torch.tensor(0.0)
RESOLUTION = 0.05
RECTANGLE = "0.3 0.2  0.3 -0.2  -0.2 -0.2  -0.2 0.2"

ROBOT = Obstacles(DiffDrive(), {"footprint": RECTANGLE})


CORNER = Pose(-2.0, -2.0, 0.0)


def costmap(*cells, size=80, origin=CORNER):
    """A map whose cells (row, column) are obstacles."""
    grid = np.zeros((size, size), np.int8)
    for row, column in cells:
        grid[row, column] = 100
    return Costmap(grid, RESOLUTION, origin, 0.0)


WALL = costmap(*((row, 60) for row in range(80)))
"""A wall at x = 1 m."""


def obstacles(known=WALL, here=(0.0, 0.0, 0.0), **values):
    cost = Obstacles(DiffDrive(), {"radius": 0.25} | values)
    cost.prepare(np.array(here), 0.0, Surroundings(costmap=known))
    return cost


def price(cost, *states):
    states = torch.tensor(np.array(states), dtype=torch.float32).T
    actions = torch.zeros(2, states.shape[1])
    return cost.stage(states, actions, actions, NOW).numpy()


def test_far_from_obstacles_nothing_costs_and_nearer_costs_more():
    x = np.arange(-1.0, 0.7, 0.05)
    paid = price(obstacles(), *((value, 0.0, 0.0) for value in x))
    # The robot's edge is 0.25 m ahead of it, and from 0.25 m on it is near; 0.7 of a cell.
    assert not paid[x < 0.5 - 0.035].any()
    assert (np.diff(paid) >= 0.0).all()
    assert 0.2 < paid[-1] < 0.5


def test_touching_costs_more_than_whatever_else_a_plan_may_cost():
    free, touching = price(obstacles(), (0.7, 0.0, 0.0), (0.8, 0.0, 0.0))
    assert touching > 1e4 > 1e3 * free


def test_a_plan_that_touches_for_longer_is_worse():
    cost = obstacles()
    longer, shorter, free = (
        price(cost, *((x, 0.0, 0.0) for x in way)).sum()
        for way in ((0.8, 0.85, 0.9), (0.74, 0.74, 0.9), (0.7, 0.7, 0.7))
    )
    assert longer > shorter + 1e3 > free + 1e4 - 1e3


def test_a_margin_counts_as_touching():
    states = [(0.6, 0.0, 0.0)]
    assert price(obstacles(), *states) < 1.0
    assert price(obstacles(margin=0.2), *states) > 1e4


def test_what_a_corner_touches_the_robot_touches():
    # Turned by 45 degrees the corner at (0.3, 0.2) is 0.35 m ahead.
    cost = obstacles(footprint=RECTANGLE)
    yaw = -math.atan2(0.2, 0.3)
    assert price(cost, (0.65, 0.0, 0.0)) < 1e3
    assert price(cost, (0.68, 0.0, yaw)) > 1e4
    # Its back is shorter.
    assert price(cost, (0.75, 0.0, 0.0)) > 1e4
    assert price(cost, (0.75, 0.0, math.pi)) < 1e3


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(st.floats(-5.0, 5.0), st.floats(-5.0, 5.0), st.floats(-9.0, 9.0)),
        min_size=1,
        max_size=5,
    ),
    st.floats(-3.0, 3.0),
    st.integers(0, 1000),
)
def test_it_sees_the_clearance_of_the_map(states, yaw, seed):
    cells = np.random.default_rng(seed).integers(0, 40, (6, 2))
    known = costmap(*cells, size=40, origin=Pose(0.5, -1.0, yaw))
    ROBOT.prepare(np.zeros(3), 0.0, Surroundings(costmap=known))
    states = np.array(states)
    seen = ROBOT.clearance(torch.tensor(states.T, dtype=torch.float32)).numpy()
    discs = placed(ROBOT.robot_footprint.centers, states)
    expected = (known.clearance(discs) - ROBOT.robot_footprint.radii).min(1)
    # A place on the edge of a finer cell may be taken for its neighbour in float32.
    np.testing.assert_allclose(seen, expected, atol=0.036)


def test_of_a_large_map_what_is_around_the_robot_counts():
    known = costmap((100, 160), (100, 190), size=400, origin=Pose(0.0, 0.0, 0.0))
    for x in (5.0, 6.0, 7.0, 8.0, 8.5, 9.0, 9.5):
        cost = obstacles(known, (x, 5.0, 0.0), cells=40)
        ahead = np.arange(x - 0.6, x + 0.6, 0.01)
        states = np.stack((ahead, np.full_like(ahead, 5.0), 0.0 * ahead))
        seen = cost.clearance(torch.tensor(states, dtype=torch.float32)).numpy()
        expected = known.clearance(states[:2].T) - cost.robot_footprint.reach
        np.testing.assert_allclose(seen, expected, atol=0.026)


def test_the_same_large_map_is_followed_as_the_robot_drives():
    known = costmap((100, 160), size=400, origin=Pose(0.0, 0.0, 0.0))
    cost = obstacles(known, (2.0, 5.0, 0.0), cells=40)
    for x in np.arange(2.0, 8.0, 0.2):
        cost.prepare(np.array([x, 5.0, 0.0]), 0.0, Surroundings(costmap=known))
    assert price(cost, (8.0, 5.0, 0.0)) > 1e4


def test_a_smaller_map_after_a_large_one_leaves_nothing_of_it():
    cost = obstacles(costmap(*((row, 60) for row in range(80)), size=80))
    small = costmap(size=20, origin=Pose(-0.5, -0.5, 0.0))
    cost.prepare(np.zeros(3), 0.0, Surroundings(costmap=small))
    assert not price(cost, (1.0, 0.0, 0.0), (0.0, 0.0, 0.0)).any()


def test_without_a_map_nothing_costs_also_when_there_was_one():
    cost = obstacles()
    assert price(cost, (1.0, 0.0, 0.0)) > 1e4
    cost.prepare(np.zeros(3), 0.0, NOTHING)
    assert not price(cost, (1.0, 0.0, 0.0)).any()
    fresh = Obstacles(DiffDrive())
    assert not price(fresh, (1.0, 0.0, 0.0)).any()


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("row", [0, 1, 2])
def test_a_state_that_is_not_finite_is_not_cheap(broken, row):
    state = [0.0, 0.0, 0.0]
    state[row] = broken
    assert not np.isfinite(price(obstacles(), state, (0.0, 0.0, 0.0))[0])
    assert np.isfinite(price(obstacles(), state, (0.0, 0.0, 0.0))[1])


def test_values_changed_while_it_drives_count():
    cost = obstacles()
    before = price(cost, (0.6, 0.0, 0.0))
    cost.set("inflation", 1.0)
    cost.set("weight", 2.0)
    assert price(cost, (0.6, 0.0, 0.0)) > 4 * before
    cost.set("margin", 0.3)
    assert price(cost, (0.6, 0.0, 0.0)) > 1e4


def test_a_model_without_a_place_is_refused_with_what_is_missing():
    with pytest.raises(ConfigurationError, match="needs the state 'y', the model has: x, x_dot"):
        Obstacles(CartPole())
    with pytest.raises(ConfigurationError, match="no parameter 'radios', it has: weight"):
        Obstacles(DiffDrive(), {"radios": 1.0})


LONG = np.array([[0.6, 0.25], [0.6, -0.25], [-0.3, -0.25], [-0.3, 0.25]])
OCTAGON = 0.4 * np.array([[np.cos(a), np.sin(a)] for a in np.arange(8) * np.pi / 4])
ALONG = [(x, 0.05, 0.2) for x in np.arange(-0.5, 1.2, 0.05)]


@pytest.mark.parametrize("discs", [24, 5])
@pytest.mark.parametrize("corners", [LONG, OCTAGON])
def test_another_footprint_costs_what_it_costs_as_a_parameter(corners, discs):
    cost = obstacles(footprint=RECTANGLE, discs=discs)
    before = price(cost, *ALONG)
    count = len(cost.robot_footprint.centers)
    around = Surroundings(costmap=WALL, footprint=Footprint.around(corners, count))
    cost.prepare(np.zeros(3), 0.0, around)
    text = " ".join(f"{x:.12f} {y:.12f}" for x, y in corners)
    expected = price(obstacles(footprint=text, discs=count), *ALONG)
    assert np.abs(expected - before).max() > 1e3
    np.testing.assert_allclose(price(cost, *ALONG), expected, rtol=1e-4)
    cost.prepare(np.zeros(3), 0.0, Surroundings(costmap=WALL))
    np.testing.assert_array_equal(price(cost, *ALONG), before)


def test_a_circle_that_becomes_a_polygon_costs_as_a_circle_around_it():
    cost = obstacles(radius=0.2)
    cost.prepare(np.zeros(3), 0.0, Surroundings(costmap=WALL, footprint=Footprint.around(LONG, 24)))
    assert price(cost, (0.45, 0.0, 0.0)) > 1e4
    assert price(cost, (0.2, 0.0, 0.0)) < 1e4
