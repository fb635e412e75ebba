# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""What the mean velocity over the horizon costs, by values computed by hand."""

import math

import numpy as np
import pytest
import torch

from cem_planner_ros.costs.mean_velocity import MeanVelocity
from cem_planner_ros.dynamics.base import Dynamics
from cem_planner_ros.dynamics.cartpole import CartPole
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.navigation.references import Reference
from cem_planner_ros.navigation.surroundings import NOTHING, Surroundings

EDGES = np.array([0.0, 0.2, 0.5])


class FreeBody(Dynamics):
    """A body that floats, with the states of a free joint `trunk`."""

    quaternion_names = (("trunk_qw", "trunk_qx", "trunk_qy", "trunk_qz"),)
    state_names = (
        *("trunk_x", "trunk_y", "trunk_z", *quaternion_names[0]),
        *("trunk_x_dot", "trunk_y_dot", "trunk_z_dot", "trunk_wx", "trunk_wy", "trunk_wz"),
    )
    action_names = ("push",)
    action_low, action_high, action_units = (-1.0,), (1.0,), ("N",)

    def step(self, state, action, dt):
        return state


def at(x=0.0, y=0.0, heading=0.0, scale=1.0):
    attitude = scale * np.array([math.cos(heading / 2), 0.0, 0.0, math.sin(heading / 2)])
    return np.array([x, y, 0.3, *attitude, *[0.0] * 6])


def cost_of(values, begin, end, velocity=None):
    cost = MeanVelocity(FreeBody(), values)
    cost.set_edges(EDGES)
    known = NOTHING
    if velocity is not None:
        reference = Reference(cost.reference_source, np.array([0.0]), np.array([velocity]))
        known = Surroundings(references={"": reference})
    cost.prepare(begin, 0.0, known)
    column = torch.tensor(end, dtype=torch.float32)[:, None]
    assert cost.stage(column, column[:1], column[:1], torch.tensor(0.2)).item() == 0.0
    return cost.terminal(column).item()


def test_the_mean_velocity_is_the_way_over_the_horizon_in_the_axes_of_the_body():
    """It looks along y and goes 0.3 m forward and 0.1 m to its left within 0.5 s."""
    left = math.pi / 2
    target = {"target": {"forward": 0.5, "sideways": 0.2}}
    weight = {"weight": {"forward": 10.0, "sideways": 100.0}}
    begin, end = at(5.0, 7.0, left), at(4.9, 7.3, left)
    assert cost_of(target | weight, begin, end) == pytest.approx(10 * 0.1**2, rel=1e-3)
    end = at(4.8, 7.25, left)
    assert cost_of(target | weight, begin, end) == pytest.approx(100 * 0.2**2, rel=1e-3)


def test_a_body_that_turns_goes_in_the_direction_of_its_mean_heading():
    """Half a circle of radius 1 m ends 2 m to the left; heading and its quaternion may wrap."""
    turning = math.pi / EDGES[-1]
    values = {"target": {"forward": 2.0 / EDGES[-1], "turning": turning}}
    assert cost_of(values, at(), at(0.0, 2.0, -math.pi + 1e-4, -1.0)) < 1e-4
    values = {"target.turning": turning / 2, "weight.turning": 3.0}
    expected = 3.0 * (turning / 2 - 0.2 / EDGES[-1]) ** 2
    assert cost_of(values, at(heading=3.0), at(heading=3.2)) == pytest.approx(expected, rel=1e-4)


def test_it_follows_a_velocity_command_and_stands_without_one():
    values = {"topic": "cmd_vel"}
    assert cost_of(values, at(), at(0.1, 0.05)) == pytest.approx(0.2**2 + 0.1**2, rel=1e-4)
    assert cost_of(values, at(), at(0.1, 0.05), [0.2, 0.1, 0.0]) == pytest.approx(0.0, abs=1e-6)


def test_far_from_the_origin_it_costs_the_same():
    place = np.array([5e5, 4e6])
    cost = MeanVelocity(FreeBody(), {"target.forward": 0.4})
    begin = at(*place)
    origin = np.zeros(len(begin))
    origin[:2] = place
    cost.set_origin(origin)
    cost.set_edges(EDGES)
    cost.prepare(begin, 0.0, NOTHING)
    end = torch.tensor(at(0.1, 0.0), dtype=torch.float32)[:, None]
    assert cost.terminal(end).item() == pytest.approx(0.2**2, rel=1e-3)


def test_a_body_that_the_model_has_not_is_refused():
    with pytest.raises(ConfigurationError, match=r"'joint' is 'body', allowed: .*trunk"):
        MeanVelocity(FreeBody(), {"joint": "body"})
    with pytest.raises(ConfigurationError, match="which has none"):
        MeanVelocity(CartPole())
