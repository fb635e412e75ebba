# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Paths whose parts lie near each other, or that reverse, driven in lockstep."""

import numpy as np
import pytest

from cem_planner_ros.benchmarks import path_runs
from cem_planner_ros.configuration import configure, load_yaml
from cem_planner_ros.navigation.costmap import Costmap
from cem_planner_ros.navigation.poses import Pose
from cem_planner_ros.navigation.reference_path import ReferencePath
from cem_planner_ros.navigation.surroundings import Surroundings
from cem_planner_ros.paths import share
from cem_planner_ros.simulation.lockstep import Lockstep
from cem_planner_ros.simulation.plants import ModelPlant

pytestmark = pytest.mark.slow


BACKWARDS = path_runs.chain((path_runs.LINE, 2.0, False))


@pytest.fixture(scope="module")
def configuration():
    file = share("config") / "drive.yaml"
    return configure(load_yaml(file) | {"planner.device": "cpu", "planner.seed": 1}, str(file))


@pytest.fixture(scope="module")
def planner(configuration):
    return configuration.planner()


@pytest.mark.parametrize("name", ["hairpin", "cusp", "parking", "backwards"])
def test_every_point_of_a_path_is_passed_in_its_order(configuration, planner, name):
    poses = (path_runs.PATHS | {"backwards": BACKWARDS})[name]
    row = path_runs.drive(configuration, planner, poses, at_most=25.0)
    assert row["reached"]
    assert row["missed_m"] < 0.1


@pytest.mark.parametrize("heading", [0.0, np.pi / 2, np.pi])
def test_a_path_with_one_heading_is_driven_around_its_corner(configuration, planner, heading):
    """As from a planner of positions, which leaves zero or writes the goal's heading everywhere."""
    corner = path_runs.chain((path_runs.LINE, 2.0, True), (0.3, -np.pi / 2, True))
    poses = np.vstack((corner, path_runs.arc(corner[-1], path_runs.LINE, 1.5)))
    poses[:, 2] = heading
    row = path_runs.drive(configuration, planner, poses, at_most=20.0)
    assert row["reached"]
    assert row["missed_m"] < 0.15


def test_a_lowered_speed_limit_slows_the_robot_evenly(configuration, planner):
    planner.reset()
    plant = ModelPlant(configuration, np.zeros(5), max_step=0.01)
    lockstep = Lockstep(configuration, planner, plant.state, plant.step)
    path = ReferencePath.through(np.array([[0.0, 0.0], [20.0, 0.0]]))
    free, sent = np.zeros((40, 200), np.int8), []
    for period in range(100):
        if period == 40:
            lockstep.loop.change(configuration.slowed(0.2))
        costmap = Costmap(free, 0.1, Pose(-2.0, -2.0, 0.0), lockstep.time)
        lockstep.loop.commander.surroundings = Surroundings(Pose(20.0, 0.0, 0.0), path, costmap)
        sent.append(lockstep.period().action[0])
    assert sent[39] == pytest.approx(0.5, abs=0.02)
    assert min(np.diff(sent[39:])) >= -0.05 * configuration.values["drive.deceleration"] - 1e-6
    assert 0.08 < min(sent[60:]) <= max(sent[60:]) <= 0.1 + 1e-6
    assert plant.state()[3] == pytest.approx(0.1, abs=0.02)
    lockstep.loop.change(configuration)
    lockstep.period()
