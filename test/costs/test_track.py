# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""What a reference costs where, by values computed by hand."""

import math

import numpy as np
import pytest
import torch

from cem_planner_ros.costs.pose import PoseTracking
from cem_planner_ros.costs.track import Track
from cem_planner_ros.dynamics.base import Dynamics
from cem_planner_ros.dynamics.cartpole import CartPole
from cem_planner_ros.dynamics.diff_drive import DiffDrive
from cem_planner_ros.dynamics.quadrotor import Quadrotor
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.navigation.references import Reference
from cem_planner_ros.navigation.surroundings import NOTHING, Surroundings

EDGES = np.array([0.0, 0.07, 0.12, 0.17])
"""Of three steps; the first one is longer, as it may be in a plan."""


def costs_of(cost, state, times=EDGES[1:]):
    """What a state (nx,) costs at the end of each step."""
    column = torch.tensor(state, dtype=torch.float32)[:, None]
    none = torch.zeros(9, 1)
    return [
        cost.stage(column, none, none, torch.tensor(time, dtype=torch.float32)).item()
        for time in times
    ]


def prepared(cost, state, time=0.0, reference=None):
    cost.set_edges(EDGES)
    known = NOTHING if reference is None else Surroundings(references={"": reference})
    cost.prepare(np.array(state, float), time, known)
    return cost


def cart_track(**values):
    return Track(CartPole(), {"signals": ["x", "x_dot"], "topic": "reference"} | values)


def moving(cost, times, places, speed=0.0, is_trajectory=True):
    values = np.stack((places, np.full(len(places), speed)), 1)
    return Reference(cost.reference_source, np.array(times, float), values, is_trajectory)


def test_a_constant_reference_counts_with_its_weights_and_is_live():
    values = {"signals": ["x", "theta"], "target": {"x": 1.0, "theta": 3.0}, "weight.x": 2.0}
    cost = prepared(Track(CartPole(), values), [0.0] * 4)
    state = [3.0, 9.0, -3.0, 9.0]
    turn = 6.0 - 2 * math.pi
    assert costs_of(cost, state) == pytest.approx([2 * 4 + turn**2] * 3, rel=1e-5)
    cost.set("target.x", 2.0)
    prepared(cost, [0.0] * 4)
    assert costs_of(cost, state) == pytest.approx([2 * 1 + turn**2] * 3, rel=1e-5)


def test_each_step_is_judged_by_the_reference_at_its_own_time():
    cost = cart_track(**{"weight.x_dot": 0.0, "terminal_weight": 10.0})
    reference = moving(cost, [1000.0, 1001.0], [0.0, 10.0])
    prepared(cost, [0.0] * 4, 1000.0, reference)
    assert costs_of(cost, [0.0] * 4) == pytest.approx((10 * EDGES[1:]) ** 2, rel=1e-4)
    end = cost.terminal(torch.zeros(4, 1)).item()
    assert end == pytest.approx(10 * 1.7**2, rel=1e-4)


def test_all_steps_at_once_cost_what_they_cost_one_by_one():
    cost = cart_track()
    prepared(cost, [0.0] * 4, 5.0, moving(cost, [5.0, 5.1, 6.0], [0.0, 1.0, -1.0], 2.0))
    times = torch.tensor(EDGES[1:], dtype=torch.float32)
    at_once = cost.stage(torch.zeros(4, 3), torch.zeros(1, 3), torch.zeros(1, 3), times)
    assert at_once.tolist() == pytest.approx(costs_of(cost, [0.0] * 4))
    states = torch.zeros(3, 4, 1)
    mapped = torch.vmap(cost.stage)(states, states[:, :1], states[:, :1], times)
    assert mapped[:, 0].tolist() == pytest.approx(costs_of(cost, [0.0] * 4))


def test_velocities_of_an_old_set_point_count_as_zero_and_positions_hold():
    cost = cart_track(max_age=0.5)
    reference = moving(cost, [100.0], [3.0], 2.0, is_trajectory=False)
    prepared(cost, [0.0] * 4, 100.4, reference)
    assert costs_of(cost, [3.0, 2.0, 0.0, 0.0]) == pytest.approx([0.0] * 3)
    prepared(cost, [0.0] * 4, 100.6, reference)
    assert costs_of(cost, [3.0, 0.0, 0.0, 0.0]) == pytest.approx([0.0] * 3)
    cost.set("max_age", 0.0)
    prepared(cost, [0.0] * 4, 999.0, reference)
    assert costs_of(cost, [3.0, 2.0, 0.0, 0.0]) == pytest.approx([0.0] * 3)


def test_until_the_first_reference_what_was_measured_holds_and_again_after_a_pause():
    cost = cart_track()
    prepared(cost, [3.0, 7.0, 0.0, 0.0], 100.0)
    assert costs_of(cost, [3.0, 0.0, 0.0, 0.0]) == pytest.approx([0.0] * 3)
    prepared(cost, [4.0, 7.0, 0.0, 0.0], 100.02)
    assert costs_of(cost, [3.0, 0.0, 0.0, 0.0]) == pytest.approx([0.0] * 3)
    prepared(cost, [5.0, 7.0, 0.0, 0.0], 200.0)
    assert costs_of(cost, [5.0, 0.0, 0.0, 0.0]) == pytest.approx([0.0] * 3)


def test_after_a_reset_what_is_measured_then_holds_also_at_the_same_time():
    cost = cart_track()
    prepared(cost, [3.0, 0.0, 0.0, 0.0], 0.0)
    cost.reset()
    prepared(cost, [5.0, 0.0, 0.0, 0.0], 0.0)
    assert costs_of(cost, [5.0, 0.0, 0.0, 0.0]) == pytest.approx([0.0] * 3)


def test_a_trajectory_that_is_stopped_before_its_first_point_leaves_the_robot_where_it_is():
    cost = cart_track()
    prepared(cost, [3.0, 0.0, 0.0, 0.0], 100.0)
    reference = moving(cost, [105.0, 106.0], [8.0, 9.0]).after(None, 100.0, 100.0)
    prepared(cost, [3.1, 0.0, 0.0, 0.0], 100.02, reference)
    assert costs_of(cost, [3.0, 0.0, 0.0, 0.0]) == pytest.approx([0.0] * 3, abs=0.1)
    prepared(cost, [4.0, 1.0, 0.0, 0.0], 100.04, reference.stopped(100.04))
    assert costs_of(cost, [4.0, 0.0, 0.0, 0.0]) == pytest.approx([0.0] * 3)
    prepared(cost, [4.2, 1.0, 0.0, 0.0], 100.06)
    assert costs_of(cost, [4.0, 0.0, 0.0, 0.0]) == pytest.approx([0.0] * 3)


def test_a_trajectory_that_is_replaced_before_its_first_point_goes_on_from_where_the_robot_is():
    cost = cart_track(**{"weight.x_dot": 0.0})
    first = moving(cost, [105.0, 106.0], [8.0, 9.0]).after(None, 100.0, 100.0)
    prepared(cost, [3.0, 0.0, 0.0, 0.0], 100.0, first)
    second = moving(cost, [105.0, 106.0], [8.0, 9.0]).after(first, 103.0, 103.0)
    prepared(cost, [6.0, 0.0, 0.0, 0.0], 103.0, second)
    assert costs_of(cost, [6.0, 0.0, 0.0, 0.0]) == pytest.approx([0.0] * 3, abs=0.05)


def test_far_from_the_origin_it_costs_what_it_costs_near_it():
    cost = Track(DiffDrive(), {"signals": ["x", "y"], "target": {"x": 5e5, "y": 4e6}})
    cost.set_origin(np.array([5e5 - 1.0, 4e6, 0.0]))
    prepared(cost, [5e5 - 1.0, 4e6, 0.0])
    assert costs_of(cost, [1.01, 0.0, 0.0]) == pytest.approx([1e-4] * 3, rel=1e-3)


ATTITUDE = ["qw", "qx", "qy", "qz"]


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_an_attitude_costs_its_squared_angle_whatever_its_sign(sign):
    values = {"signals": ATTITUDE, "weight": {"qx": 1.0, "qy": 2.0, "qz": 3.0}}
    half = 0.5 * 1.2
    values["target"] = {"qw": math.cos(0.2), "qz": math.sin(0.2)}
    cost = prepared(Track(Quadrotor(), values), [0.0] * 10)
    turned = [math.cos(half + 0.2), 0.0, 0.0, math.sin(half + 0.2)]
    state = [0.0] * 6 + [sign * part for part in turned]
    assert costs_of(cost, state) == pytest.approx([3 * 1.2**2] * 3, rel=1e-4)


def test_without_a_target_an_attitude_is_upright():
    cost = prepared(Track(Quadrotor(), {"signals": ATTITUDE}), [0.0] * 10)
    assert costs_of(cost, [0.0] * 6 + [1.0, 0.0, 0.0, 0.0]) == pytest.approx([0.0] * 3, abs=1e-6)


class Reacher(Dynamics):
    """Two joints whose hand is an output."""

    state_names, action_names = ("a", "b"), ("u",)
    action_low, action_high, action_units = (-1.0,), (1.0,), ("",)
    output_names = ("hand_x", "hand_y", "hand_z", "hand_qw", "hand_qx", "hand_qy", "hand_qz")
    quaternion_names = (("hand_qw", "hand_qx", "hand_qy", "hand_qz"),)

    def step(self, state, action, dt):
        return state + dt * action

    def output(self, state):
        a, b = state
        nothing = torch.zeros_like(a)
        half = 0.5 * (a + b)
        return torch.stack(
            (a, b, nothing, torch.cos(half), nothing, nothing, torch.sin(half)),
        )


def test_the_pose_of_an_output_costs_distance_and_angle():
    values = {"position": "hand", "weight": 2.0, "orientation_weight": 5.0}
    values["target"] = {"x": 1.0, "z": 0.5, "yaw": 0.7}
    cost = prepared(PoseTracking(Reacher(), values), [0.0, 0.0])
    hand = [0.0, 0.2, 0.0, math.cos(0.1), 0.0, 0.0, math.sin(0.1)]
    expected = 2 * (1 + 0.04 + 0.25) + 5 * 0.5**2
    assert costs_of(cost, [0.0, 0.0, *hand]) == pytest.approx([expected] * 3, rel=1e-4)


def test_outputs_cost_nothing_until_the_first_reference():
    cost = Track(Reacher(), {"signals": ["a", "hand_x"], "topic": "reference"})
    prepared(cost, [2.0, 0.0], 10.0)
    state = [2.0, 0.0, 9.0, *[0.0] * 6]
    assert costs_of(cost, state) == pytest.approx([0.0] * 3)
    reference = Reference(cost.reference_source, np.array([10.0]), np.array([[2.0, 4.0]]))
    prepared(cost, [2.0, 0.0], 10.1, reference)
    assert costs_of(cost, state) == pytest.approx([25.0] * 3)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"signals": ["hinge"]}, "'signals' has 'hinge', allowed: .*x, x_dot, theta"),
        ({"signals": ["thetadot"]}, "did you mean 'theta_dot'"),
        ({"signals": ["x", "x"]}, "'x' twice"),
        (
            {"topic": "t", "type": "geometry_msgs/msg/Twist", "signals": ["x_dot"]},
            "'fields.x_dot' is missing, allowed for geometry_msgs/msg/Twist: linear.x",
        ),
        (
            {"topic": "t", "fields.x": "positon[slider]"},
            r"'fields.x' is 'positon\[slider\]', allowed for .*did you mean",
        ),
    ],
)
def test_what_cannot_be_followed_is_refused(values, reason):
    with pytest.raises(ConfigurationError, match=reason):
        Track(CartPole(), values)


def test_a_part_of_a_quaternion_is_refused():
    with pytest.raises(ConfigurationError, match=r"'qx' is a part of a quaternion, .* qw, qy, qz"):
        Track(Quadrotor(), {"signals": ["x", "qx"]})


def test_a_pose_needs_a_model_with_one():
    with pytest.raises(ConfigurationError, match="'position' is '', but the model has no y, z"):
        PoseTracking(CartPole())
