# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""A planner that drives: all the costs that look at the surroundings, in the kernel."""

import math

import numpy as np
import pytest
import torch

from cem_planner_ros.compile.cpp_execution import CppExecution
from cem_planner_ros.configuration import configure
from cem_planner_ros.navigation.costmap import Costmap
from cem_planner_ros.navigation.moving_obstacles import MovingObstacles
from cem_planner_ros.navigation.poses import Pose, placed
from cem_planner_ros.navigation.reference_path import ReferencePath
from cem_planner_ros.navigation.surroundings import NOTHING, Surroundings
from cem_planner_ros.ros.ready_planner import make_planner

pytestmark = pytest.mark.slow

VALUES = {
    "planner.device": "cpu",
    "planner.samples": 256,
    "planner.elites": 16,
    "planner.iterations": 3,
    "planner.horizon": 20,
    "planner.dt": 0.1,
    "dynamics.plugin": "diff_drive_lag",
    "state.type": "std_msgs/msg/Float64MultiArray",
    "costs": ["running", "terminal", "obstacles", "forward", "speed", "turning"],
    "running.plugin": "path_follow",
    "running.time_weight": 0.3,
    "terminal.plugin": "goal_pose",
    "obstacles.plugin": "obstacles",
    "obstacles.footprint": "0.22 0.20  0.22 -0.20  -0.22 -0.20  -0.22 0.20",
    "obstacles.discs": 6,
    "obstacles.moving_obstacles": 3,
    "forward.plugin": "prefer_forward",
    "speed.plugin": "velocity_tracking",
    "turning.plugin": "twirling",
}
STATE = np.array([0.1, -0.1, 0.3, 0.2, 0.0])


def costmap(*origin):
    """A map with a box to the left of the way."""
    cells = np.zeros((100, 100), np.int8)
    cells[50:60, 65:70] = 100
    return Costmap(cells, 0.05, Pose(*origin), 0.0)


KNOWN = {
    "nothing": NOTHING,
    "goal": Surroundings(goal=Pose(0.8, 0.2, 1.0)),
    "all": Surroundings(
        Pose(0.8, 0.2, 1.0),
        ReferencePath.through(np.array([[0.0, 0.0], [0.5, 0.0], [1.0, 0.5]]), [0.0, 1.0, 2.5]),
        costmap(-2.5, -2.5, 0.0),
    ),
    "moving obstacles": Surroundings(
        goal=Pose(0.8, 0.2, 1.0),
        moving_obstacles=MovingObstacles(
            np.array([[0.9, 0.9], [-0.8, -0.2]]),
            np.array([[-0.1, -0.7], [0.5, 0.0]]),
            np.array([0.2, 0.3]),
            0.0,
            0.0,
        ),
    ),
    "a turned map": Surroundings(costmap=costmap(2.0, -3.0, 1.2)),
}


@pytest.fixture(scope="module")
def configuration():
    return configure(VALUES)


@pytest.fixture(scope="module")
def planner(configuration):
    """One planner for all: what changes between the tests compiles nothing."""
    made = configuration.planner()
    assert isinstance(made.execution, CppExecution), made.execution.reason
    return made


def costs(planner, known):
    """What the kernel and PyTorch say that the same candidates cost."""
    planner.reset()
    plan = planner.plan(STATE, 0.0, np.zeros(2), surroundings=known, iterations=1)
    found = planner.candidates()
    state, sequence, durations = (
        torch.as_tensor(values, dtype=torch.float32)
        for values in (
            STATE - planner.dynamics.origin(STATE),
            found.actions,
            np.diff(plan.edges),
        )
    )
    expected = planner.rollout(state, sequence, torch.zeros(2), durations)
    return torch.from_numpy(found.costs), expected


@pytest.mark.parametrize("name", KNOWN)
def test_the_kernel_sees_the_surroundings_that_pytorch_does(planner, name):
    got, expected = costs(planner, KNOWN[name])
    assert expected.std() > 0.0
    if name == "all":
        assert (expected > 1e4).any()
        assert (expected < 1e4).any()
    # A state at the edge of a cell may be taken for its neighbour.
    close = torch.isclose(got, expected, rtol=1e-3, atol=1e-3)
    assert close.float().mean() > 0.98


def test_values_changed_while_it_drives_count_without_compiling_again(planner, configuration):
    before, _ = costs(planner, KNOWN["all"])
    changes = {"running.lateral_weight": 1.0, "obstacles.inflation": 0.5, "turning.weight": 1.0}
    configuration.changed(changes).tune(planner)
    try:
        got, expected = costs(planner, KNOWN["all"])
        assert torch.isclose(got, expected, rtol=1e-3, atol=1e-3).float().mean() > 0.98
        assert not torch.isclose(got, before, rtol=1e-3).all()
    finally:
        configuration.tune(planner)


def test_a_planner_made_beside_it_does_not_tell_its_costs_otherwise():
    """With `allow_rebuild` one is made, and warmed up, while another drives."""
    values = VALUES | {"planner.backend": "eager"}
    state = torch.tensor(STATE, dtype=torch.float32)[:, None]
    for kind in ({}, {"planner.backend": "auto"}):
        made = make_planner(values | kind)
        for cost in made.planner.costs:
            cost.prepare(STATE, 0.0, KNOWN["all"])
        others = state, torch.zeros(2, 1), torch.zeros(2, 1), torch.tensor(0.0)
        before = [cost.stage(*others) for cost in made.planner.costs]
        make_planner(values | kind | {"planner.samples": 128}, before=made)
        assert [cost.stage(*others) for cost in made.planner.costs] == before


def drive(planner, known, seconds):
    """The states of the model under its plans, one each 0.1 s."""
    planner.reset()
    states, before = [np.zeros(5)], np.zeros(2)
    for index in range(round(10 * seconds)):
        plan = planner.plan(states[-1], 0.1 * index, before, surroundings=known)
        before = plan.actions[0]
        states.append(planner.predict(plan, states[-1])[1])
    return np.array(states)


def test_it_drives_around_an_obstacle_on_the_path_and_stops_at_the_goal_as_it_should(planner):
    cells = np.zeros((100, 100), np.int8)
    cells[48:54, 74:78] = 100  # x from 1.2 to 1.4 m, y from -0.1 to 0.2
    costmap = Costmap(cells, 0.05, Pose(-2.5, -2.5, 0.0), 0.0)
    goal = Pose(2.0, 0.0, 0.0)
    path = ReferencePath.through(np.array([[0.0, 0.0], [2.0, 0.0]]))
    states = drive(planner, Surroundings(goal, path, costmap), 12.0)
    footprint = next(cost.robot_footprint for cost in planner.costs if "costmap" in cost.inputs)
    discs = placed(footprint.centers, states[:, :3])
    assert (costmap.clearance(discs) > footprint.radii).all()
    assert np.abs(states[:, 1]).max() > 0.25
    off = states[-1] - [2.0, 0.0, 0.0, 0.0, 0.0]
    assert math.hypot(*off[:2]) < 0.1
    assert abs(off[2]) < 0.2
    assert abs(off[3]) < 0.1


def test_along_a_path_without_a_goal_it_stops_at_the_end(planner, configuration):
    path = ReferencePath.through(np.array([[0.0, 0.0], [1.0, 0.0]]))
    configuration.changed({"speed.weight": 0.0}).tune(planner)
    try:
        states = drive(planner, Surroundings(path=path), 8.0)
    finally:
        configuration.tune(planner)
    assert states[-1, 0] == pytest.approx(1.0, abs=0.15)
