# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Speeds that follow commands: exact over any step, however short the lag is."""

import numpy as np
import pytest
import torch

from cem_planner_ros.dynamics.ackermann import AckermannDrive
from cem_planner_ros.dynamics.diff_drive import DiffDriveLag
from cem_planner_ros.dynamics.omni_drive import OmniDrive
from cem_planner_ros.dynamics.speed_loops import followed


def test_speed_and_distance_are_those_of_the_differential_equation():
    random = np.random.default_rng(0)
    command, speed = random.uniform(-2.0, 2.0, (2, 1000))
    lag = 10.0 ** random.uniform(-3.0, 0.0, 1000)
    most = random.uniform(0.2, 5.0, 1000)

    def slope(v):
        return np.clip((command - v) / lag, -most, most)

    for dt in (0.01, 0.05, 0.3):
        step, v, way = dt / 3000, speed, 0.0
        for _ in range(3000):
            middle = v + 0.5 * step * slope(v)
            v, way = v + step * slope(middle), way + step * middle
        given = (
            torch.tensor(values, dtype=torch.float32) for values in (command, speed, lag, most, dt)
        )
        end, distance = followed(*given)
        np.testing.assert_allclose(end, v, atol=2e-4)
        np.testing.assert_allclose(distance, way, atol=2e-5)


def test_what_is_not_finite_stays_so():
    for command, speed in ((np.nan, 0.0), (0.0, np.nan)):
        given = (torch.tensor(value) for value in ([command], [speed], 0.1, 1.0, 0.05))
        assert not any(torch.isfinite(value).any() for value in followed(*given))


@pytest.mark.parametrize(
    ("model", "action"),
    [(DiffDriveLag, (0.5, 1.2)), (OmniDrive, (0.3, -0.4, 1.0)), (AckermannDrive, (0.6, 0.5))],
)
@pytest.mark.parametrize("integrator", ["midpoint", "rk4"])
def test_with_a_lag_much_shorter_than_the_step_a_robot_goes_where_it_should(
    model, action, integrator
):
    """The lag of Gazebo's robot is 0.02 s, that of a good servo less, the model step 0.1 s."""
    values = {"lag": 0.004, "acceleration": 5.0, "yaw_acceleration": 20.0}
    robot, fine = (model(values | {"integrator": name}) for name in (integrator, "euler"))
    command = torch.tensor(action)[:, None]
    coarse = exact = torch.zeros(len(robot.state_names), 1)
    for _ in range(3):
        coarse = robot.step(coarse, command, torch.tensor(0.1))
        for _ in range(200):
            exact = fine.step(exact, command, torch.tensor(0.0005))
        torch.testing.assert_close(coarse[3:], exact[3:], atol=2e-3, rtol=0.0)
        torch.testing.assert_close(coarse[:3], exact[:3], atol=5e-3, rtol=0.0)
    torch.testing.assert_close(coarse[3:], command, atol=1e-4, rtol=0.0)
