# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""When a robot that drives should stand: without a goal, and at it."""

import math

import numpy as np
import pytest

from cem_planner_ros.configuration import configure
from cem_planner_ros.navigation.goal_checker import GOAL_REACHED, NO_GOAL
from cem_planner_ros.navigation.poses import Pose
from cem_planner_ros.navigation.reference_path import ReferencePath
from cem_planner_ros.navigation.surroundings import GoalTolerance, Surroundings
from cem_planner_ros.simulation.lockstep import Lockstep
from cem_planner_ros.simulation.plants import ModelPlant

VALUES = {
    "planner.device": "cpu",
    "control_rate": 20.0,
    "dynamics.plugin": "diff_drive_lag",
    "dynamics.lag": 0.1,
    "state.type": "std_msgs/msg/Float64MultiArray",
    "costs": ["running", "terminal"],
    "running.plugin": "path_follow",
    "terminal.plugin": "goal_pose",
}
REST = np.zeros(2)
GOAL = Pose(1.0, 0.0, 0.0)
WAY = ReferencePath.through(np.array([[0.0, 0.0], [1.0, 0.0]]))
HERE = np.zeros(5)
THERE = np.array([1.02, -0.03, 0.1, 0.05, 0.0])
AROUND = Surroundings(GOAL, WAY)
CONFIGURATION = configure(VALUES)


def cause(checker, state=HERE, around=AROUND, action=REST, now=10.0):
    return checker.check(around, state, action, now)[0]


@pytest.fixture
def checker():
    return CONFIGURATION.goal_checker()


def test_it_drives_to_a_goal_and_along_a_path_but_not_without_both(checker):
    for around in (AROUND, Surroundings(GOAL), Surroundings(path=WAY)):
        assert cause(checker, around=around) == ""
    assert cause(checker, around=Surroundings()) == NO_GOAL


@pytest.mark.parametrize(
    ("cost", "known", "text"),
    [("running", Surroundings(GOAL), "no path"), ("terminal", Surroundings(path=WAY), "no goal")],
)
def test_what_no_cost_looks_at_is_nothing_to_drive_to(cost, known, text):
    other = {"running": "terminal", "terminal": "running"}[cost]
    values = {name: v for name, v in VALUES.items() if not name.startswith(f"{other}.")}
    checker = configure(values | {"costs": [cost]}).goal_checker()
    assert checker.check(known, HERE, REST, 10.0) == (NO_GOAL, text)


def test_the_tolerance_of_a_goal_counts_before_that_of_the_parameters(checker):
    wide, narrow = GoalTolerance(0.5, 1.0, 1.0, 1.0), GoalTolerance(0.01, 1.0, 1.0, 1.0)
    away = np.array([0.7, 0.0, 0.5, 0.0, 0.0])
    assert cause(checker, away) == ""
    assert cause(checker, THERE, Surroundings(GOAL, WAY, tolerance=narrow)) == ""
    assert cause(checker, away, Surroundings(GOAL, WAY, tolerance=wide)) == GOAL_REACHED


def test_with_a_stateful_tolerance_the_distance_counts_until_it_was_small_once(checker):
    tolerance = GoalTolerance(0.1, 0.2, 0.1, 0.25, is_stateful=True)
    around = Surroundings(GOAL, WAY, tolerance=tolerance)
    turned, away = np.array([1.0, 0.0, 1.0, 0.0, 0.0]), np.array([1.2, 0.0, 0.0, 0.0, 0.0])
    assert cause(checker, away, around) == ""
    assert cause(checker, turned, around) == ""
    assert cause(checker, away, around) == GOAL_REACHED
    other = Surroundings(Pose(1.0, 0.0, 0.0), WAY, tolerance=tolerance)
    assert cause(checker, away, other) == ""


def test_a_goal_stays_reached_until_there_is_another_one(checker):
    assert cause(checker, THERE) == GOAL_REACHED
    assert cause(checker) == GOAL_REACHED
    assert checker.is_reached(GOAL)
    other = Pose(1.0, 1.0, 0.0)
    assert not checker.is_reached(other)
    assert cause(checker, around=Surroundings(other)) == ""


def test_a_goal_that_replaces_one_that_is_reached_is_reached_at_once_only_if_the_robot_is_there(
    checker,
):
    assert cause(checker, THERE) == GOAL_REACHED
    near, turned = Pose(1.05, 0.0, 0.0), Pose(1.05, 0.0, 1.0)
    assert cause(checker, THERE, Surroundings(turned)) == ""
    assert cause(checker, THERE, Surroundings(near)) == GOAL_REACHED


@pytest.mark.parametrize(
    ("state", "action"),
    [
        ([1.11, 0.0, 0.0, 0.0, 0.0], [0.0, 0.0]),
        ([1.0, 0.0, 0.3, 0.0, 0.0], [0.0, 0.0]),
        ([1.0, 0.0, 0.0, -0.2, 0.0], [0.0, 0.0]),
        ([1.0, 0.0, 0.0, 0.0, 0.5], [0.0, 0.0]),
        ([1.0, 0.0, 0.0, 0.0, 0.0], [0.2, 0.0]),
        ([1.0, 0.0, 0.0, 0.0, 0.0], [0.0, -0.5]),
        # Slow enough, but it would roll, or turn, out of the tolerance while it brakes.
        ([1.09, 0.0, 0.0, 0.09, 0.0], [0.0, 0.0]),
        ([1.0, 0.0, -0.19, 0.0, -0.2], [0.0, 0.0]),
        ([1.0, 0.0, 0.19, 0.0, 0.0], [0.0, 0.2]),
    ],
)
def test_beside_the_goal_turned_off_or_moving_on_it_is_not_reached(checker, state, action):
    assert cause(checker, np.array(state), action=np.array(action)) == ""


@pytest.mark.parametrize("turns", [-1000, -1, 1, 1000])
def test_a_heading_is_the_same_after_full_turns(checker, turns):
    state = THERE + [0.0, 0.0, turns * math.tau, 0.0, 0.0]
    assert cause(checker, state) == GOAL_REACHED


def test_a_robot_that_drives_sideways_is_not_at_its_goal():
    fields = {f"state.fields.{name}": f"data[{i}]" for i, name in enumerate(("x", "y", "yaw"))}
    checker = configure(VALUES | fields | {"dynamics.plugin": "omni_drive"}).goal_checker()
    state, rest = np.array([1.0, 0.0, 0.0, 0.0, 0.2, 0.0]), np.zeros(3)
    assert cause(checker, state, action=rest) == ""
    assert cause(checker, state * [1, 1, 1, 1, 0, 1], action=np.array([0.0, 0.2, 0.0])) == ""
    assert cause(checker, state * [1, 1, 1, 1, 0, 1], action=rest) == GOAL_REACHED


def test_the_speed_of_a_robot_that_does_not_measure_it_is_the_command():
    values = {name: v for name, v in VALUES.items() if name != "dynamics.lag"}
    checker = configure(values | {"dynamics.plugin": "diff_drive"}).goal_checker()
    there = THERE[:3]
    assert cause(checker, there, action=np.array([0.2, 0.0])) == ""
    assert cause(checker, there, action=np.array([0.0, 0.5])) == ""
    assert cause(checker, there) == GOAL_REACHED


def test_it_knows_how_long_the_robot_stands_where_it_should_drive(checker):
    moving = np.array([0.0, 0.0, 0.0, 0.3, 0.0])
    assert cause(checker, moving, now=10.0) == ""
    assert checker.standing == 0.0
    cause(checker, now=10.5)
    cause(checker, now=16.0)
    assert checker.standing == 6.0
    cause(checker, now=17.0, around=Surroundings())
    assert checker.standing == 0.0


@pytest.mark.slow
def test_once_a_goal_is_reached_the_robot_stands_within_tolerance():
    """From headings that are wrong, in closed loop; braking after "reached" is part of it."""
    values = {"planner.samples": 256, "planner.elites": 32, "planner.iterations": 2}
    values |= {"planner.horizon": 30, "planner.dt": 0.05, "hold_time": 0.5, "dynamics.lag": 0.15}
    configuration = configure(VALUES | values)
    planner = configuration.planner()
    for turned in (-2.0, 1.0, 3.0):
        planner.reset()
        plant = ModelPlant(configuration, np.array([1.0, 0.0, turned, 0.0, 0.0]))
        lockstep = Lockstep(configuration, planner, plant.state, plant.step)
        commander = lockstep.loop.commander
        commander.surroundings = Surroundings(goal=GOAL)
        for _ in range(600):
            lockstep.period()
            if commander.is_goal_reached:
                break
        assert commander.is_goal_reached
        for _ in range(40):
            lockstep.period()
        x, y, yaw, *speeds = plant.state()
        assert math.hypot(x - GOAL.x, y - GOAL.y) < 0.1
        assert abs(math.remainder(yaw - GOAL.yaw, math.tau)) < 0.2
        assert np.abs(speeds).max() < 0.01


def test_a_round_trip_is_not_over_where_it_begins(checker):
    corners = np.array([[0.0, 0.0], [2.0, 0.0], [2.0, 2.0], [0.0, 2.0], [0.0, 0.0]])
    around = Surroundings(Pose(0.0, 0.0, 0.0), ReferencePath.through(corners))
    assert cause(checker, around=around) == ""
    for length in np.arange(0.0, 8.0, 0.05):
        x, y = around.path.at(length)
        assert cause(checker, np.array([x, y, 0.0, 0.5, 0.0]), around) == ""
    assert cause(checker, around=around) == GOAL_REACHED
