# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Goal, path, costmap, moving obstacles and references of a bag."""

import math
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("rosbags")

from bag_messages import message, raw, stamp

from cem_planner_ros.configuration import configure, load_yaml
from cem_planner_ros.learning import recorded_run, task
from cem_planner_ros.learning.recording import BagWriter
from cem_planner_ros.paths import share

FILE = share("config") / "drive.yaml"
BEGIN = 1000.0
"""Stamp of the first state, s."""

PERIOD = 0.1
SMALL = {
    "planner.device": "cpu",
    "planner.backend": "eager",
    "planner.samples": 64,
    "obstacles.moving_obstacles": 2,
}
TYPES = {
    "goal_pose": "geometry_msgs/msg/PoseStamped",
    "plan": "nav_msgs/msg/Path",
    "costmap": "nav_msgs/msg/OccupancyGrid",
    "moving_obstacles": "sensor_msgs/msg/PointCloud2",
    "tf_static": "tf2_msgs/msg/TFMessage",
}


@pytest.fixture(scope="module")
def configuration():
    return configure(load_yaml(FILE) | SMALL, str(FILE))


def pose(x, y, frame):
    made = message(TYPES["goal_pose"], pose__position__x=x, pose__position__y=y)
    made.pose.orientation.w, made.header.frame_id = 1.0, frame
    return made


def path(points, frame):
    made = message(TYPES["plan"], poses=[pose(*point, frame) for point in points])
    made.header.frame_id = frame
    return made


def grid(cells, resolution, corner):
    info = {"resolution": resolution, "width": cells.shape[1], "height": cells.shape[0]}
    made = message(TYPES["costmap"], data=cells.astype(np.int8).ravel())
    for name, value in info.items():
        setattr(made.info, name, value)
    made.info.origin.position.x, made.info.origin.position.y = corner
    made.info.origin.orientation.w, made.header.frame_id = 1.0, "odom"
    return made


def cloud(x, y, vx, vy, radius):
    names = ("x", "y", "vx", "vy", "radius")
    fields = [
        message("sensor_msgs/msg/PointField", name=name, offset=4 * i, datatype=7, count=1)
        for i, name in enumerate(names)
    ]
    data = np.frombuffer(np.array((x, y, vx, vy, radius), "<f4").tobytes(), np.uint8)
    made = message(TYPES["moving_obstacles"], fields=fields, data=data, height=1, width=1)
    made.point_step = made.row_step = 20
    made.header.frame_id = "odom"
    return made


def transform(x, y, yaw):
    """Make the transform of the frame odom in map."""
    made = message("geometry_msgs/msg/TransformStamped", child_frame_id="odom")
    made.header.frame_id = "map"
    made.transform.translation.x, made.transform.translation.y = x, y
    turn = made.transform.rotation
    turn.z, turn.w = math.sin(0.5 * yaw), math.cos(0.5 * yaw)
    return message(TYPES["tf_static"], transforms=[made])


@pytest.fixture
def bag(tmp_path):
    """A function that writes a bag of a robot at poses (n, 3), with [(time, topic, message)]."""
    made = task.load(FILE)
    channels = replace(
        made,
        topics={
            **made.topics,
            **{topic: f"/robot1/{topic}" for topic in TYPES if "tf" not in topic},
        }
        | {"tf_static": "/tf_static"},
        types={**made.types, **TYPES},
    )

    def write(poses, others):
        others = sorted(others, key=lambda each: each[0])
        folder = tmp_path / "bag"
        with BagWriter(folder, channels) as writer:
            for index, (x, y, yaw) in enumerate(poses):
                time = BEGIN + index * PERIOD
                while others and others[0][0] <= index * PERIOD:
                    _, topic, other = others.pop(0)
                    writer.write(topic, time, raw(other))
                state = message("nav_msgs/msg/Odometry", header__stamp=stamp(time))
                state.header.frame_id = "odom"
                place = state.pose.pose
                place.position.x, place.position.y = x, y
                place.orientation.z, place.orientation.w = math.sin(0.5 * yaw), math.cos(0.5 * yaw)
                writer.write("state", time, raw(state))
                command = message("geometry_msgs/msg/TwistStamped", twist__linear__x=0.2)
                writer.write("command", time + 0.01, raw(command))
        return folder

    return write


def test_each_period_knows_what_had_come_by_then(bag, configuration):
    wall = np.zeros((40, 40))
    wall[:, 30] = 100
    poses = np.column_stack((0.02 * np.arange(12), np.zeros((12, 2))))
    folder = bag(
        poses,
        [
            (0.0, "tf_static", transform(5.0, 1.0, math.pi / 2)),
            (0.3, "plan", path([(5.0, 1.0), (5.0, 5.0)], "map")),
            (0.5, "costmap", grid(wall, 0.1, (-1.0, -2.0))),
            (0.7, "moving_obstacles", cloud(1.0, 0.0, -0.5, 0.0, 0.3)),
            (0.9, "goal_pose", pose(2.0, 3.0, "odom")),
        ],
    )
    run = recorded_run.from_bag(folder, FILE, configuration)
    known = {round(time, 1): each for time, each in zip(run.times, run.surroundings, strict=True)}
    # The first period is that of the second command, 0.1 s after the first one.
    assert known[0.0].path is None
    assert known[0.2].path.points == pytest.approx(np.array([(0.0, 0.0), (4.0, 0.0)]), abs=1e-9)
    assert known[0.2].goal[:2] == pytest.approx((4.0, 0.0), abs=1e-9)
    assert known[0.3].costmap is None
    assert known[0.4].costmap.is_occupied(np.array([[2.05, 0.0], [1.0, 0.0]])).tolist() == [1, 0]
    moving = known[0.7].moving_obstacles
    assert moving.positions == pytest.approx(np.array([(1.0, 0.0)]))
    assert moving.stamp == pytest.approx(BEGIN + 0.7)
    # A goal that is not at the end of the path ends it.
    assert (known[0.8].goal[:2], known[0.8].path) == ((2.0, 3.0), None)
    assert not any("left out" in note or "no costmap" in note for note in run.notes)


def test_what_is_missing_or_wrong_is_said(bag, configuration):
    poses = np.zeros((4, 3))
    wrong = pose(math.nan, 0.0, "odom")
    elsewhere = path([(0.0, 0.0), (1.0, 0.0)], "moon")
    folder = bag(poses, [(0.0, "goal_pose", wrong), (0.0, "plan", elsewhere)])
    run = recorded_run.from_bag(folder, FILE, configuration)
    notes = "\n".join(run.notes)
    assert "the bag has no costmap (costmap), no moving_obstacles (moving_obstacles)" in notes
    assert "1 of 1 messages of the goal left out: its position is not finite" in notes
    assert "1 of 1 messages of the path left out: no recorded transform leads from 'moon'" in notes
    assert all(known.goal is None and known.path is None for known in run.surroundings)


REFERENCE = """
/**:
  ros__parameters:
    planner: {dt: 0.1, horizon: 10, samples: 64, backend: eager, device: cpu}
    dynamics: {plugin: pendulum}
    costs: [follow]
    follow:
      plugin: track
      signals: [theta, theta_dot]
      topic: wanted
      type: trajectory_msgs/msg/JointTrajectory
      fields: {theta: "position[hinge]", theta_dot: "velocity[hinge]"}
    state:
      topic: joint_states
      fields: {theta: "position[hinge]", theta_dot: "velocity[hinge]"}
    command: {topic: effort, fields: {torque: "data[0]"}}
"""


def test_a_reference_is_followed_from_its_message_on(tmp_path):
    file = tmp_path / "follow.yaml"
    file.write_text(REFERENCE)
    made, kind = task.load(file), "trajectory_msgs/msg/JointTrajectory"
    channels = replace(
        made, topics={**made.topics, "wanted": "wanted"}, types={**made.types, "wanted": kind}
    )
    points = [
        message(
            "trajectory_msgs/msg/JointTrajectoryPoint",
            positions=np.array([each]),
            velocities=np.zeros(1),
            time_from_start__sec=seconds,
        )
        for seconds, each in ((1, 0.5), (3, 1.5))
    ]
    wanted = message(kind, joint_names=["hinge"], points=points, header__stamp=stamp(BEGIN))
    with BagWriter(tmp_path / "bag", channels) as writer:
        for index in range(6):
            time = BEGIN + index * PERIOD
            if index == 3:
                writer.write("wanted", time, raw(wanted))
            writer.state(time, np.zeros(2))
            writer.command(time + 0.01, np.zeros(1))
    run = recorded_run.from_bag(tmp_path / "bag", file, configure(load_yaml(file), str(file)))
    assert not run.surroundings[1].references
    reference = run.surroundings[2].references["follow"]
    # Its times are on the clock of the stamps.
    assert reference.at(np.array([run.begin + run.times[2] + 1.69]))[0] == pytest.approx(1.0)
