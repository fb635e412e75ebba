# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""A car with the settings for Gazebo comes to goals all around it, in lockstep with its model."""

import math

import numpy as np
import pytest

from cem_planner_ros.configuration import configure, load_yaml
from cem_planner_ros.navigation.poses import Pose
from cem_planner_ros.navigation.surroundings import Surroundings
from cem_planner_ros.paths import share
from cem_planner_ros.simulation.lockstep import Lockstep
from cem_planner_ros.simulation.plants import ModelPlant

pytestmark = pytest.mark.slow

AT_MOST = 12.0
"""s for a goal at a distance of 2.5 m."""

HEADINGS = (0.0, math.pi / 2, 0.8, -math.pi / 2)


@pytest.fixture(scope="module")
def configuration():
    file = share("config") / "gazebo_ackermann.yaml"
    return configure(load_yaml(file) | {"planner.device": "cpu", "planner.seed": 1}, str(file))


@pytest.fixture(scope="module")
def planner(configuration):
    return configuration.planner()


@pytest.mark.parametrize("index", range(8))
def test_a_car_comes_to_a_goal_in_every_direction_without_dithering(configuration, planner, index):
    direction = index * math.pi / 4
    goal = Pose(2.5 * math.cos(direction), 2.5 * math.sin(direction), HEADINGS[index % 4])
    planner.reset()
    plant = ModelPlant(configuration, np.zeros(5), max_step=0.02)
    lockstep = Lockstep(configuration, planner, plant.state, plant.step)
    commander = lockstep.loop.commander
    commander.surroundings = Surroundings(goal=goal)
    stood = 0.0
    while lockstep.time < AT_MOST and not commander.is_goal_reached:
        lockstep.period()
        stood = max(stood, commander.goal_checker.standing)
    assert commander.is_goal_reached
    assert stood < 1.0
    x, y, yaw = plant.state()[:3]
    assert math.dist((x, y), goal[:2]) < configuration.values["drive.xy_tolerance"]
    assert (
        abs(math.remainder(yaw - goal.yaw, math.tau)) < configuration.values["drive.yaw_tolerance"]
    )
