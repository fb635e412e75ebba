# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cem_planner_ros.navigation.costmap import Costmap
from cem_planner_ros.navigation.moving_obstacles import MovingObstacles
from cem_planner_ros.navigation.poses import Pose


def to_squares(chosen, resolution, place):
    """Distance, m, of a place in the frame of a map to the nearest chosen square of it."""
    rows, columns = np.nonzero(chosen)
    low = np.stack((columns, rows), -1) * resolution
    outside = np.maximum(np.maximum(low - place, place - low - resolution), 0.0)
    return np.linalg.norm(outside, axis=1).min(initial=math.inf)


def placed(costmap, place):
    """Return where a place in the frame of a map lies in that of the state."""
    cos, sin = math.cos(costmap.origin.yaw), math.sin(costmap.origin.yaw)
    return np.array(costmap.origin[:2]) + np.array([[cos, -sin], [sin, cos]]) @ place


maps = st.tuples(st.integers(1, 12), st.integers(1, 12), st.integers(0, 10**6)).map(
    lambda sizes: np.random.default_rng(sizes[2]).choice(
        np.array([-1, 0, 99, 100], np.int8), sizes[:2], p=[0.2, 0.4, 0.3, 0.1]
    )
)
shares = st.floats(0.0, 0.999)


@settings(max_examples=200)
@given(maps, shares, shares, st.floats(-4.0, 4.0), st.floats(0.02, 0.5))
@example(np.array([[99, -1, 99, 0, 99, 99, 99, 0, -1, 100, 100]], np.int8), 0.875, 0.0, 0.0, 0.5)
def test_clearance_is_that_to_the_obstacles_however_the_map_lies(cells, u, v, yaw, resolution):
    costmap = Costmap(cells, resolution, Pose(3.0, -2.0, yaw), 0.0)
    place = np.array([u * cells.shape[1], v * cells.shape[0]]) * resolution
    clearance = costmap.clearance(placed(costmap, place))
    occupied = cells == 100
    outside, inside = (to_squares(which, resolution, place) for which in (occupied, ~occupied))
    if not occupied.any():
        assert clearance == pytest.approx(resolution * max(cells.shape))
    elif occupied.all():
        assert clearance < 0.0
    else:
        assert abs(clearance - (outside - inside)) < 0.7 * resolution
    centers = (np.argwhere(cells == 100)[:, ::-1] + 0.5) * resolution
    within = [costmap.clearance(placed(costmap, center)) for center in centers]
    assert all(depth < 0.0 for depth in within)


def test_only_cells_from_lethal_on_are_obstacles():
    cells = np.array([[-1, 0, 50, 0]], np.int8)
    assert Costmap(cells, 0.1, Pose(0.0, 0.0, 0.0), 0.0).clearance(np.array([0.25, 0.05])) > 0.1
    lower = Costmap(cells, 0.1, Pose(0.0, 0.0, 0.0), 0.0, lethal=50)
    assert lower.clearance(np.array([0.25, 0.05])) < 0.0
    assert lower.clearance(np.array([0.05, 0.05])) > 0.1


@given(
    st.lists(st.tuples(*[st.floats(-3.0, 3.0)] * 4, st.floats(0.0, 0.6)), min_size=1, max_size=3),
    st.floats(-3.2, 3.2),
    st.floats(0.0, 0.3),
)
@settings(max_examples=40)
def test_cells_under_moving_obstacles_are_theirs_and_others_stay(rows, yaw, padding):
    cells = np.random.default_rng(0).choice([-1, 0, 60, 100], (30, 50)).astype(np.int8)
    known = Costmap(cells, 0.1, Pose(-1.5, -1.0, yaw), 10.2, lethal=80)
    rows = np.array(rows)
    moving = MovingObstacles(rows[:, :2], rows[:, 2:4], rows[:, 4], 10.0, 1000.0)
    found = known.without(moving, padding)
    row, column = np.mgrid[:30, :50]
    along, across = 0.1 * (column + 0.5), 0.1 * (row + 0.5)
    x = -1.5 + math.cos(yaw) * along - math.sin(yaw) * across
    y = -1.0 + math.sin(yaw) * along + math.cos(yaw) * across
    distance = np.full(cells.shape, np.inf)
    for left, low, vx, vy, radius in rows:
        off = np.hypot(x - (left + 0.2 * vx), y - (low + 0.2 * vy)) - radius
        distance = np.minimum(distance, off)
    clear = np.abs(distance - padding) > 1e-6
    expected = np.where((distance < padding) & (cells >= 80), 0, cells)
    np.testing.assert_array_equal(found.cells[clear], expected[clear])
    assert (found.time, found.lethal, found.origin) == (10.2, 80, known.origin)


def test_a_map_contains_what_lies_on_it_and_nothing_else():
    costmap = Costmap(np.zeros((2, 4), np.int8), 0.5, Pose(1.0, 1.0, math.pi / 2), 0.0)
    # It lies to the left of its corner: 2 m along y, 1 m against x.
    assert all(costmap.contains(point) for point in ((0.99, 1.01), (0.01, 2.99), (0.5, 2.0)))
    outside = ((1.01, 2.0), (-0.01, 2.0), (0.5, 0.99), (0.5, 3.01), (1.5, 1.2), (math.nan, 2.0))
    assert not any(costmap.contains(point) for point in outside)


def test_beyond_the_map_the_edge_goes_on():
    cells = np.zeros((10, 10), np.int8)
    cells[4, 9] = 100
    costmap = Costmap(cells, 0.1, Pose(0.0, 0.0, 0.0), 0.0)
    beyond, edge = costmap.clearance(np.array([[7.0, 0.45], [0.99, 0.45]]))
    assert beyond == edge < 0.0
    assert costmap.clearance(np.array([-9.0, -9.0])) == costmap.clearance(np.array([0.0, 0.0]))


@pytest.mark.parametrize("seed", range(8))
def test_the_distance_field_never_says_half_a_cell_too_much(seed):
    random = np.random.default_rng(seed)
    cells = np.zeros((30, 30), np.int8)
    cells[random.random(cells.shape) < random.choice([0.003, 0.02, 0.2])] = 100
    cells[10 : 10 + random.integers(1, 8), 5 : 5 + random.integers(1, 12)] = 100
    points = random.uniform(0.0, 30.0, (2000, 2))
    rows, columns = np.nonzero(cells)
    across, along = (
        np.maximum(np.abs(points[:, axis : axis + 1] - index - 0.5) - 0.5, 0.0)
        for axis, index in ((1, rows), (0, columns))
    )
    exact = np.hypot(across, along).min(1)
    error = (Costmap(cells, 1.0, Pose(0.0, 0.0, 0.0), 0.0).clearance(points) - exact)[exact > 0.0]
    assert error.max() <= 0.5
    assert error.min() >= -0.7
