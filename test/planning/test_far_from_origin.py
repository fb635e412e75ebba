# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""A drive far from the origin, as at UTM coordinates, is the drive at the origin."""

import math

import numpy as np
import pytest

from cem_planner_ros.costs.actions import ActionRate
from cem_planner_ros.costs.barrier import Barrier
from cem_planner_ros.costs.goal import Goal
from cem_planner_ros.costs.goal_pose import GoalPose
from cem_planner_ros.costs.motion import PreferForward
from cem_planner_ros.costs.obstacles import Obstacles
from cem_planner_ros.costs.path_follow import PathFollow
from cem_planner_ros.costs.quadratic import Quadratic, Terminal
from cem_planner_ros.dynamics.ackermann import Ackermann, AckermannDrive
from cem_planner_ros.dynamics.diff_drive import DiffDrive, DiffDriveLag
from cem_planner_ros.dynamics.double_integrator import DoubleIntegrator
from cem_planner_ros.dynamics.omni_drive import OmniDrive
from cem_planner_ros.dynamics.quadrotor import Quadrotor
from cem_planner_ros.dynamics.randomised import Randomised
from cem_planner_ros.dynamics.single_track import SingleTrack
from cem_planner_ros.navigation.costmap import Costmap
from cem_planner_ros.navigation.poses import Pose
from cem_planner_ros.navigation.reference_path import ReferencePath
from cem_planner_ros.navigation.surroundings import Surroundings
from cem_planner_ros.planning.planner import Planner

FAR = np.array([5e5, 4e6])
SEARCH = {"samples": 64, "elites": 8, "iterations": 2, "horizon": 15, "dt": 0.1}


def around(x, y):
    """A goal, a path that bends and a box beside it, moved by (x, y)."""
    cells = np.zeros((100, 100), np.int8)
    cells[55:60, 62:66] = 100
    points = np.array([[0.0, 0.0], [1.0, 0.0], [1.5, 0.5]]) + [x, y]
    return Surroundings(
        Pose(x + 1.5, y + 0.5, 0.8),
        ReferencePath.through(points),
        Costmap(cells, 0.05, Pose(x - 2.0, y - 2.3, 0.1), 0.0),
    )


def plans(dynamics, costs, state, places, *, turns=0, surroundings=around):
    """Actions and predicted states of three plans, moved back, from a state moved to a place."""
    made = []
    for x, y in places:
        moved = np.array(state, float)
        moved[:2] += x, y
        if "yaw" in dynamics.state_names:
            moved[2] += turns * math.tau * (x != 0.0)
        terms = [make(dynamics, x, y) for make in costs]
        planner = Planner(dynamics, terms, backend="eager", **SEARCH)
        actions, states = [], []
        for period in range(3):
            plan = planner.plan(moved, 0.1 * period, surroundings=surroundings(x, y))
            actions.append(plan.actions)
            predicted = planner.predict(plan, moved)
            shown = planner.candidates(4).states
            assert abs(shown[0, 0] - moved[0]).max() < 1e-6
            moved = predicted[1]
            states.append(predicted - [x, y, *[0.0] * (len(state) - 2)])
            planner.breakdown(plan, moved)
        made.append((np.array(actions), np.array(states)))
    return made


def assert_same(made, dynamics):
    (actions, states), *others = made
    for actions_, states_ in others:
        np.testing.assert_allclose(actions_, actions, atol=1e-3)
        off = states_ - states
        if "yaw" in dynamics.state_names:
            off[..., 2] = np.remainder(off[..., 2] + np.pi, math.tau) - np.pi
        np.testing.assert_allclose(off, 0.0, atol=1e-3)


@pytest.mark.parametrize("model", [DiffDrive, DiffDriveLag, OmniDrive, AckermannDrive])
@pytest.mark.parametrize("turns", [0, 1000])
def test_a_robot_that_follows_a_path_plans_there_what_it_plans_here(model, turns):
    dynamics = model()
    costs = [
        lambda dynamics, x, y: GoalPose(dynamics),
        lambda dynamics, x, y: PathFollow(dynamics),
        lambda dynamics, x, y: Obstacles(dynamics, {"radius": 0.2}),
        lambda dynamics, x, y: PreferForward(dynamics),
        lambda dynamics, x, y: ActionRate(dynamics),
    ]
    state = [0.013, -0.147, 0.3] + [0.1] * (len(dynamics.state_names) - 3)
    made = plans(dynamics, costs, state, [(0.0, 0.0), FAR, -FAR], turns=turns)
    assert_same(made, dynamics)


@pytest.mark.parametrize(
    "dynamics",
    [
        Ackermann(),
        SingleTrack(),
        DoubleIntegrator(),
        Quadrotor(),
        Randomised(DiffDriveLag(), {"lag": 0.3}, 3),
    ],
    ids=lambda dynamics: type(dynamics).__name__,
)
def test_places_among_parameters_are_moved_too(dynamics):
    state = np.full(len(dynamics.state_names), 0.1)
    costs = [
        lambda model, x, y: Quadratic(
            model, {"target.x": x + 1.1, "target.y": y - 0.3, "weight.x": 1.0, "weight.y": 2.0}
        ),
        lambda model, x, y: Goal(
            model, {"target.x": x + 1.1, "target.y": y, "tolerance.x": 0.1, "tolerance.y": 0.2}
        ),
        lambda model, x, y: Terminal(model, {"target.y": y + 0.7, "weight.y": 1.0}),
        lambda model, x, y: Barrier(model, {"high.x": x + 0.6, "weight.x": 100.0}),
    ]
    made = plans(dynamics, costs, state, [(0.0, 0.0), FAR], surroundings=lambda x, y: around(0, 0))
    assert_same(made, dynamics)


def test_a_target_that_is_changed_far_away_counts():
    cost = Quadratic(DiffDrive(), {"target.x": FAR[0], "weight.x": 1.0})
    planner = Planner(DiffDrive(), [cost], backend="eager", **SEARCH)
    state = np.array([FAR[0], FAR[1], 0.0])
    assert abs(planner.plan(state, 0.0).cost) < 5.0
    cost.set("target.x", FAR[0] + 2.0)
    plan = planner.plan(state, 0.1)
    assert planner.predict(plan, state)[-1, 0] > FAR[0] + 0.3


class Wall(Quadratic):
    """A cost of one's own that knows a place and does not say so."""

    places = None

    def stage(self, state, action, previous_action, time):
        """Return the distance to x = 3."""
        return (state[0] - 3.0).abs()


def test_with_a_cost_that_needs_states_as_they_are_nothing_is_subtracted():
    dynamics = DiffDrive()
    planner = Planner(dynamics, [Wall(dynamics), Quadratic(dynamics)], backend="eager", **SEARCH)
    plan = planner.plan(np.array([2.0, 0.0, 0.0]), 0.0)
    assert planner.predict(plan, np.array([2.0, 0.0, 0.0]))[-1, 0] > 2.2
