"""Paths whose parts lie near each other, or that reverse, driven in lockstep."""

import pytest

from cem_planner_ros.benchmarks import path_runs
from cem_planner_ros.configuration import configure, load_yaml
from cem_planner_ros.paths import share

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def configuration():
    file = share("config") / "drive.yaml"
    return configure(load_yaml(file) | {"planner.device": "cpu", "planner.seed": 1}, str(file))


@pytest.fixture(scope="module")
def planner(configuration):
    return configuration.planner()


@pytest.mark.parametrize("name", ["hairpin", "cusp", "parking"])
def test_every_point_of_a_path_is_passed_in_its_order(configuration, planner, name):
    row = path_runs.drive(configuration, planner, path_runs.PATHS[name], at_most=25.0)
    assert row["reached"]
    assert row["missed_m"] < 0.1
