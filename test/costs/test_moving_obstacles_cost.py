# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""What the cost `obstacles` says of obstacles that move, in PyTorch, C++ and CUDA."""

import math

import numpy as np
import pytest
import torch
from emulated_gpu import EmulatedGpu

from cem_planner_ros.compile.cpu import Kernel
from cem_planner_ros.compile.cuda import CudaRollout
from cem_planner_ros.costs.obstacles import Obstacles
from cem_planner_ros.dynamics.diff_drive import DiffDrive
from cem_planner_ros.navigation.costmap import Costmap
from cem_planner_ros.navigation.moving_obstacles import MovingObstacles
from cem_planner_ros.navigation.poses import Pose
from cem_planner_ros.navigation.surroundings import NOTHING, Surroundings
from cem_planner_ros.planning.rollout import Rollout

FAR_AWAY = np.array([3.2e5, 5.8e6, 0.0])
"""UTM coordinates, which float32 resolves to half a metre."""

NOW = 1.7e9
"""s of ROS time, which float32 resolves to two minutes."""

BOX = "0.3 0.2  0.3 -0.2  -0.1 -0.2  -0.1 0.2"
OCTAGON = "0.3 0.1  0.1 0.3  -0.1 0.3  -0.3 0.1  -0.3 -0.1  -0.1 -0.3  0.1 -0.3  0.3 -0.1"
OUTLINES = {
    "a circle": ({"radius": 0.3}, lambda x, y: np.hypot(x, y) - 0.3),
    "a box": ({"footprint": BOX}, lambda x, y: to_box(x - 0.1, y, 0.2, 0.2)),
    "an octagon": ({"footprint": OCTAGON}, lambda x, y: np.hypot(x, y) - math.hypot(0.3, 0.1)),
}
"""Parameters, and the distance of points in the robot's frame from it, m."""


def to_box(x, y, half_x, half_y):
    """The distance of points from a box around the origin, below zero within, m."""
    x, y = np.abs(x) - half_x, np.abs(y) - half_y
    return np.where(
        (x < 0) & (y < 0), np.maximum(x, y), np.hypot(np.maximum(x, 0), np.maximum(y, 0))
    )


def objects(*rows, age=0.0):
    """Obstacles x, y, vx, vy, radius, that were there `age` s before NOW."""
    rows = np.array(rows, float).reshape(-1, 5)
    return MovingObstacles(rows[:, :2], rows[:, 2:4], rows[:, 4], 50.0 - age, NOW - age)


def cost_of(known, here=(0.0, 0.0, 0.0), **values):
    cost = Obstacles(DiffDrive(), {"moving_obstacles": 4, "radius": 0.3} | values)
    cost.prepare(np.array(here), NOW, Surroundings(moving_obstacles=known))
    return cost


def price(cost, *states, after=0.0):
    states = torch.tensor(np.array(states), dtype=torch.float32).T
    actions = torch.zeros(2, states.shape[1])
    return cost.stage(states, actions, actions, torch.tensor(after)).numpy()


def expected(states, times, rows, age, distance, inflation=0.5, weight=2.0, margin=0.1):
    """The costs of states (steps, 3), at times (steps,), s after the begin of the plan."""
    total = np.zeros(len(times))
    for index, ((x, y, yaw), time) in enumerate(zip(states, times, strict=True)):
        clearance = math.inf
        for left, low, vx, vy, radius in rows:
            dx, dy = left + (age + time) * vx - x, low + (age + time) * vy - y
            ahead = math.cos(yaw) * dx + math.sin(yaw) * dy
            aside = math.cos(yaw) * dy - math.sin(yaw) * dx
            clearance = min(clearance, float(distance(ahead, aside)) - radius)
        total[index] = weight * max(0.0, 1.0 - clearance / inflation) ** 2
        total[index] += 1e4 if clearance < margin else 0.0
    return total


@pytest.mark.parametrize("outline", OUTLINES)
@pytest.mark.parametrize("age", [0.0, 0.3])
def test_each_step_costs_by_where_the_obstacles_are_then(outline, age):
    values, distance = OUTLINES[outline]
    random = np.random.default_rng(3)
    rows = np.column_stack(
        (random.uniform(-1.5, 1.5, (4, 2)), random.normal(0, 0.8, (4, 2)), [0.0, 0.1, 0.3, 0.4])
    )
    values = {"inflation": 0.5, "weight": 2.0, "margin": 0.1, **values}
    cost = cost_of(objects(*rows, age=age), **values)
    states = np.column_stack((random.uniform(-1.5, 1.5, (200, 2)), random.uniform(-4, 4, 200)))
    times = np.repeat((0.05, 0.7, 2.8, 1.4), 50)
    paid = np.array([price(cost, s, after=float(t))[0] for s, t in zip(states, times, strict=True)])
    wanted = expected(states, times, rows, age, distance)
    assert 20 < (wanted > 1e4).sum() < 180
    np.testing.assert_allclose(paid, wanted, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("kind", ["C++", "CUDA"])
def test_compiled_it_costs_what_the_formula_says(kind):
    rows = [(1.0, 1.0, 0.0, -1.0, 0.3), (2.0, -0.5, -0.5, 0.3, 0.2), (-0.6, 0.2, 0.4, 0.0, 0.1)]
    model = DiffDrive()
    values, distance = OUTLINES["a box"]
    values = {"inflation": 0.5, "weight": 2.0, "margin": 0.1, "moving_obstacles": 5, **values}
    cost = Obstacles(model, values)
    rollout = Rollout(model, [cost], 0.1)
    run = Kernel(rollout).rollout if kind == "C++" else CudaRollout(rollout, EmulatedGpu())
    steps, samples = 12, 33
    actions = np.random.default_rng(0).uniform((-0.4, -1.5), (0.6, 1.5), (steps, samples, 2))
    durations = np.full(steps, 0.1)
    durations[0] = 0.04
    for age, there in ((0.0, np.zeros(3)), (0.5, FAR_AWAY)):
        moved = np.array(rows) + (*there[:2], 0.0, 0.0, 0.0)
        known = Surroundings(moving_obstacles=objects(*moved, age=age))
        edges = np.concatenate(([0.0], np.cumsum(durations)))
        origin = rollout.prepare(there, np.zeros(2), 50.0, NOW, known, edges)
        sequence = torch.tensor(np.moveaxis(actions, 1, 2), dtype=torch.float32)
        start = torch.tensor(there - origin, dtype=torch.float32)
        lasting = torch.tensor(durations, dtype=torch.float32)
        got = run(start, sequence, torch.zeros(2), lasting).numpy()
        wanted = [
            expected(
                rollout.predict(np.zeros(3), actions[:, i], durations)[1:],
                np.cumsum(durations),
                rows,
                age,
                distance,
            )
            @ (durations / 0.1)
            for i in range(samples)
        ]
        assert np.ptp(wanted) > 1e4
        # A clearance at the margin may be below it in float32.
        assert np.isclose(got, wanted, rtol=1e-3, atol=1e-2).mean() > 0.95


def test_the_nearest_ones_count():
    rows = [(x, 0.0, 0.0, 0.0, 0.2) for x in (8.0, 3.0, 5.0, 2.0, -1.5, 7.0)]
    cost = cost_of(objects(*rows), moving_obstacles=3)
    paid = price(cost, *((row[0], 0.0, 0.0) for row in rows))
    np.testing.assert_array_equal(paid > 1e4, [False, True, False, True, True, False])
    # What counts is which are nearest now, not when they were seen.
    rows = [(5.0, 0.0, -4.0, 0.0, 0.2), (3.0, 0.0, 0.0, 0.0, 0.2)]
    cost = cost_of(objects(*rows, age=1.0), moving_obstacles=1)
    assert price(cost, (1.0, 0.0, 0.0)) > 1e4
    assert not price(cost, (3.0, 0.0, 0.0)).any()


def test_whoever_walks_away_costs_nothing_later_and_whoever_comes_costs_then():
    cost = cost_of(objects((1.0, 0.0, 0.0, 1.0, 0.3), (1.0, 3.0, 0.0, -1.0, 0.3)))
    ahead = (1.0, 0.0, 0.0)
    assert price(cost, ahead, after=0.0) > 1e4
    assert not price(cost, ahead, after=1.5).any()
    assert price(cost, ahead, after=3.0) > 1e4


def test_the_costmap_counts_as_well():
    cells = np.zeros((80, 80), np.int8)
    cells[:, 60] = 100
    wall = Costmap(cells, 0.05, Pose(-2.0, -2.0, 0.0), 0.0)
    cost = Obstacles(DiffDrive(), {"moving_obstacles": 2})
    known = objects((-1.0, 0.0, 0.0, 0.0, 0.2))
    cost.prepare(np.zeros(3), NOW, Surroundings(costmap=wall, moving_obstacles=known))
    paid = price(cost, (1.0, 0.0, 0.0), (-1.0, 0.0, 0.0), (0.0, 0.0, 0.0))
    assert (paid[:2] > 1e4).all()
    assert paid[2] == 0.0


def test_nobody_there_costs_nothing_also_when_somebody_was():
    cost = cost_of(objects((0.0, 0.0, 0.0, 0.0, 0.2)))
    assert price(cost, (0.0, 0.0, 0.0)) > 1e4
    cost.prepare(np.zeros(3), NOW, Surroundings(moving_obstacles=objects()))
    assert not price(cost, (0.0, 0.0, 0.0)).any()
    cost.prepare(np.zeros(3), NOW, NOTHING)
    assert not price(cost, (0.0, 0.0, 0.0)).any()


def test_without_a_number_of_them_they_are_no_input_and_cost_nothing():
    cost = cost_of(objects((0.0, 0.0, 0.0, 0.0, 0.2)), moving_obstacles=0)
    assert set(cost.inputs) == {"costmap"}
    assert not price(cost, (0.0, 0.0, 0.0)).any()
    assert set(cost_of(objects()).inputs) == {"costmap", "moving_obstacles"}


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("row", [0, 1, 2])
def test_a_state_that_is_not_finite_is_not_cheap(broken, row):
    state = [0.0, 0.0, 0.0]
    state[row] = broken
    paid = price(cost_of(objects((9.0, 0.0, 0.0, 0.0, 0.2))), state, (0.0, 0.0, 0.0))
    assert not np.isfinite(paid[0])
    assert np.isfinite(paid[1])
