"""Paths whose parts lie near each other, or that reverse, driven in lockstep."""

import numpy as np
import pytest

from cem_planner_ros.benchmarks import path_runs
from cem_planner_ros.configuration import configure, load_yaml
from cem_planner_ros.paths import share

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
