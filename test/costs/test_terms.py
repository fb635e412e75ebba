# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The small costs: effort, action_rate, barrier, goal."""

import math

import pytest
import torch

from cem_planner_ros.compile.cpu import Kernel
from cem_planner_ros.costs.actions import ActionRate, Effort
from cem_planner_ros.costs.barrier import Barrier
from cem_planner_ros.costs.goal import Goal
from cem_planner_ros.dynamics.diff_drive import DiffDrive
from cem_planner_ros.planning.rollout import Rollout
from cem_planner_ros.plugins.checking import try_out

ZERO = torch.zeros(2, 1)
NOW = torch.tensor(0.0)


def column(*values):
    return torch.tensor(values)[:, None]


def test_effort_counts_from_where_the_action_rests():
    cost = Effort(DiffDrive(), {"weight": {"v": 2.0, "yaw_rate": 3.0}, "rest": {"v": 1.0}})
    state = column(9.0, 9.0, 9.0)
    assert cost.stage(state, column(1.0, 0.0), ZERO, NOW).item() == 0.0
    assert cost.stage(state, column(3.0, 1.0), ZERO, NOW).item() == 2 * 4 + 3


def test_action_rate_counts_the_change_alone():
    cost = ActionRate(DiffDrive(), {"weight": {"v": 2.0}})
    state = column(9.0, 9.0, 9.0)
    assert cost.stage(state, column(5.0, 1.0), column(5.0, 0.0), NOW).item() == 0.0
    assert cost.stage(state, column(5.0, 1.0), column(3.0, 0.0), NOW).item() == 8.0


def test_a_barrier_costs_nothing_within_and_the_square_beyond():
    cost = Barrier(DiffDrive(), {"weight": {"x": 2.0, "y": 1.0}, "low.x": -1.0, "high.x": 1.0})
    for x, expected in ((-1.0, 0.0), (0.3, 0.0), (1.0, 0.0), (3.0, 8.0), (-1.5, 0.5)):
        # y has a weight and no limits.
        state = column(x, 1e6, 0.0)
        assert cost.stage(state, ZERO, ZERO, NOW).item() == pytest.approx(expected)


def test_a_goal_is_squared_near_linear_far_away_and_ignores_what_does_not_matter():
    cost = Goal(
        DiffDrive(),
        {"target": {"x": 1.0, "yaw": math.pi}, "tolerance": {"x": 0.1, "yaw": 0.2}},
    )
    near, nearer = (
        cost.stage(column(1.0 + d, 5.0, -math.pi), ZERO, ZERO, NOW).item() for d in (0.02, 0.01)
    )
    far, farther = (
        cost.stage(column(1.0 + d, 5.0, math.pi), ZERO, ZERO, NOW).item() for d in (100.0, 200.0)
    )
    assert near == pytest.approx(4 * nearer, rel=0.02)
    assert farther == pytest.approx(2 * far, rel=0.02)
    assert cost.stage(column(1.0, 5.0, math.pi), ZERO, ZERO, NOW).item() == pytest.approx(0.0)
    assert cost.terminal(column(9.0, 5.0, 0.0)).item() == 0.0
    end = Goal(DiffDrive(), {"weight": 0.0, "terminal_weight": 2.0, "tolerance.x": 0.5})
    assert end.terminal(column(0.5, 0.0, 0.0)).item() == pytest.approx(2 * (math.sqrt(2) - 1))


@pytest.mark.slow
def test_all_of_them_agree_with_their_kernel():
    model = DiffDrive()
    costs = [
        Effort(model, {"weight.v": 1.0, "rest.v": 0.3}),
        ActionRate(model, {"weight.yaw_rate": 1.0}),
        Barrier(model, {"weight": {"x": 3.0, "y": 1.0}, "low.x": -0.1, "high.x": 0.1}),
        Goal(model, {"terminal_weight": 2.0, "tolerance": {"x": 0.1, "yaw": 0.2}}),
    ]
    rollout = Rollout(model, costs, 0.1)
    assert try_out(model, costs, 0.1, torch.device("cpu")) == ()
    generator = torch.Generator().manual_seed(0)
    sequence = torch.randn(20, 2, 70, generator=generator)
    arguments = (torch.zeros(3), sequence, torch.zeros(2), torch.full((20,), 0.1))
    torch.testing.assert_close(Kernel(rollout).rollout(*arguments), rollout(*arguments))
