# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""How a robot should move: prefer_forward, velocity_tracking, twirling."""

import math

import pytest
import torch

from cem_planner_ros.costs.motion import PreferForward, Twirling, VelocityTracking
from cem_planner_ros.dynamics.cartpole import CartPole
from cem_planner_ros.dynamics.diff_drive import DiffDrive, DiffDriveLag
from cem_planner_ros.dynamics.omni_drive import OmniDrive
from cem_planner_ros.errors import ConfigurationError


def price(cost, state, action):
    state, action = (torch.tensor(values)[:, None] for values in (state, action))
    return cost.stage(state, action, action, torch.tensor(0.0)).item()


REST = [0.0, 0.0]


def test_only_driving_backwards_costs_and_faster_costs_more():
    cost = PreferForward(DiffDriveLag(), {"weight": 2.0})
    paid = [price(cost, [0.0, 0.0, 0.0, v, 0.0], REST) for v in (0.5, 0.0, -0.1, -0.2)]
    assert paid == pytest.approx([0.0, 0.0, 0.2, 0.4])


def test_the_speed_that_is_wanted_costs_nothing_and_both_others_do():
    cost = VelocityTracking(DiffDriveLag(), {"wanted": 0.3, "weight": 4.0})
    paid = [price(cost, [0.0, 0.0, 0.0, v, 0.0], REST) for v in (0.3, 0.2, 0.4, -0.2)]
    assert paid == pytest.approx([0.0, 0.04, 0.04, 1.0])
    cost.set("wanted", -0.2)
    assert price(cost, [0.0, 0.0, 0.0, -0.2, 0.0], REST) == 0.0


def test_turning_about_costs_both_ways_alike():
    cost = Twirling(DiffDriveLag(), {"weight": 0.5})
    paid = [price(cost, [0.0, 0.0, 0.0, 0.0, rate], REST) for rate in (0.0, 1.0, -1.0, 2.0)]
    assert paid == pytest.approx([0.0, 0.5, 0.5, 2.0])


@pytest.mark.parametrize(
    ("model", "state", "action"),
    [
        # Its speeds are states; what was commanded does not matter.
        (DiffDriveLag(), [9.0, 9.0, 9.0, -0.2, 0.5], [7.0, 7.0]),
        # It has no states of that name, so the commands are its speeds.
        (DiffDrive(), [9.0, 9.0, 9.0], [-0.2, 0.5]),
        (OmniDrive(), [9.0, 9.0, 9.0, -0.2, 9.0, 0.5], [7.0, 7.0, 7.0]),
    ],
)
def test_each_model_is_judged_by_its_own_speeds(model, state, action):
    assert price(PreferForward(model), state, action) == pytest.approx(0.2)
    assert price(VelocityTracking(model), state, action) == pytest.approx(0.49)
    assert price(Twirling(model), state, action) == pytest.approx(0.02 * 0.25)


def test_a_speed_that_is_not_finite_is_never_cheap():
    for cost in (PreferForward, VelocityTracking, Twirling):
        paid = price(cost(DiffDriveLag()), [0.0, 0.0, 0.0, math.nan, math.nan], REST)
        assert math.isnan(paid)


def test_a_model_without_such_a_speed_is_refused_with_what_it_has():
    with pytest.raises(
        ConfigurationError, match="needs a state or an action v or v_x, the model has: x, x_dot"
    ):
        PreferForward(CartPole())
    with pytest.raises(ConfigurationError, match="a state or an action yaw_rate"):
        Twirling(CartPole())
