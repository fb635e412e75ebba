# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
import math

import pytest
import torch

from cem_planner_ros.costs.quadratic import Quadratic, Terminal
from cem_planner_ros.dynamics.diff_drive import DiffDrive
from cem_planner_ros.errors import ConfigurationError

ZERO = torch.zeros(2, 1)
NOW = torch.tensor(0.0)


def state(*values):
    return torch.tensor(values)[:, None]


def test_every_term_counts_with_its_weight():
    cost = Quadratic(
        DiffDrive(),
        {
            "weight": {"x": 2.0, "yaw": 3.0},
            "target": {"x": 1.0, "yaw": 0.5},
            "action_weight": {"v": 5.0},
            "rate_weight": {"yaw_rate": 7.0},
        },
    )
    total = cost.stage(state(3.0, 9.0, 1.0), state(0.5, 2.0), state(0.0, 1.0), NOW)
    assert total.item() == pytest.approx(2 * 4 + 3 * 0.25 + 5 * 0.25 + 7 * 1.0)


@pytest.mark.parametrize("turns", [-2, 0, 3])
def test_angles_take_the_short_way_round_and_positions_do_not(turns):
    cost = Quadratic(DiffDrive(), {"weight": {"yaw": 1.0}, "target": {"yaw": math.pi - 0.1}})
    yaw = -math.pi + 0.1 + 2 * math.pi * turns
    assert cost.stage(state(0.0, 0.0, yaw), ZERO, ZERO, NOW).item() == pytest.approx(0.04, rel=1e-3)
    far = Quadratic(DiffDrive(), {"weight": {"x": 1.0}})
    assert far.stage(state(10.0, 0.0, 0.0), ZERO, ZERO, NOW).item() == 100.0


def test_terminal_counts_at_the_end_only():
    cost = Terminal(DiffDrive(), {"weight": {"y": 2.0}})
    assert cost.stage(state(1.0, 3.0, 0.0), ZERO, ZERO, NOW).item() == 0.0
    assert cost.terminal(state(1.0, 3.0, 0.0)).item() == 18.0


def test_a_negative_weight_is_refused():
    with pytest.raises(ConfigurationError, match=r"'weight.x' is -1.0, allowed: .*at least 0"):
        Quadratic(DiffDrive(), {"weight.x": -1.0})
