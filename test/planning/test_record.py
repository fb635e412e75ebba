# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Runs of robots that drive, or follow a reference, in a file."""

import numpy as np
import pytest

from cem_planner_ros.configuration import configure
from cem_planner_ros.navigation.costmap import Costmap
from cem_planner_ros.navigation.footprint import Footprint
from cem_planner_ros.navigation.moving_obstacles import MovingObstacles
from cem_planner_ros.navigation.poses import Pose
from cem_planner_ros.navigation.reference_path import ReferencePath
from cem_planner_ros.navigation.references import Reference
from cem_planner_ros.navigation.surroundings import Surroundings
from cem_planner_ros.planning.record import replay
from cem_planner_ros.planning.surroundings_columns import columns_of, surroundings_of

VALUES = {
    "planner.device": "cpu",
    "planner.backend": "eager",
    "planner.samples": 32,
    "planner.elites": 8,
    "planner.iterations": 2,
    "planner.horizon": 8,
    "planner.dt": 0.1,
    "dynamics.plugin": "diff_drive",
    "state.type": "std_msgs/msg/Float64MultiArray",
    "costs": ["path", "obstacles", "follow"],
    "path.plugin": "path_follow",
    "obstacles.plugin": "obstacles",
    "obstacles.moving_obstacles": 1,
    "follow.plugin": "track",
    "follow.signals": ["yaw"],
    "follow.topic": "wanted",
    "follow.type": "std_msgs/msg/Float64MultiArray",
}
STAMP = 1.7e9
"""Of the first plan, s."""


@pytest.fixture(scope="module")
def configuration():
    return configure(VALUES)


@pytest.fixture(scope="module")
def seen(configuration):
    """What is known plan by plan."""
    path = ReferencePath.through(
        np.array([(0.0, 0.0), (2.0, 0.0), (2.0, 2.0)]), headings=np.array([0.0, 0.0, 1.5])
    )
    cells = np.zeros((40, 30), np.int8)
    cells[20:, 20] = 100
    costmap = Costmap(cells, 0.1, Pose(-1.0, -2.0, 0.1), 3.0, 90)
    moving = MovingObstacles(np.ones((1, 2)), -np.ones((1, 2)), np.array([0.2]), 3.0, STAMP)
    source = configuration.reference_sources["follow"]
    reference = Reference(source, np.array([STAMP]), np.array([[0.3]]))
    corners = np.array([(0.3, 0.2), (-0.3, 0.2), (-0.3, -0.2), (0.3, -0.2)])
    return [
        Surroundings(),
        Surroundings(goal=Pose(2.0, 2.0, 1.5), path=path),
        Surroundings(path=path, costmap=costmap, moving_obstacles=moving),
        Surroundings(costmap=costmap, references={"follow": reference}),
        Surroundings(path=path, footprint=Footprint.around(corners, 4)),
    ]


def test_surroundings_come_back_from_a_file(seen, tmp_path):
    np.savez(tmp_path / "seen.npz", **columns_of(seen))
    with np.load(tmp_path / "seen.npz", allow_pickle=False) as file:
        found = surroundings_of(file)
    assert [each.goal for each in found] == [each.goal for each in seen]
    # What was one object is one again.
    assert found[1].path is found[2].path is found[4].path
    assert found[2].costmap is found[3].costmap
    assert (found[0].path, found[0].costmap, dict(found[0].references)) == (None, None, {})
    np.testing.assert_array_equal(found[1].path.headings, seen[1].path.headings)
    assert found[1].path.times is None
    costmap = found[2].costmap
    np.testing.assert_array_equal(costmap.cells, seen[2].costmap.cells)
    assert (costmap.origin, costmap.resolution, costmap.lethal) == (Pose(-1.0, -2.0, 0.1), 0.1, 90)
    assert found[2].moving_obstacles.stamp == STAMP
    assert found[3].references["follow"].source == seen[3].references["follow"].source
    np.testing.assert_array_equal(found[4].footprint.radii, seen[4].footprint.radii)


def test_a_run_with_surroundings_is_planned_again_bit_for_bit(configuration, seen, tmp_path):
    planner = configuration.planner()
    recording = planner.record()
    for index, known in enumerate(seen):
        time = 0.1 * index
        planner.plan(np.array([0.1, 0.0, 0.2]), time, surroundings=known, stamp=STAMP + time)
    recording.save(tmp_path / "run.npz")
    assert list(replay(planner, tmp_path / "run.npz")) == [0.0] * len(seen)
    with np.load(tmp_path / "run.npz") as file:
        without = {name: file[name] for name in file.files if not name.startswith("path")}
    np.savez(tmp_path / "without.npz", path=np.full(len(seen), -1), **without)
    assert replay(planner, tmp_path / "without.npz").max() > 0.0
