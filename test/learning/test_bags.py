# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Bags of a robot whose state comes on two topics."""

import struct

import numpy as np
import pytest
from rosbags.typesys import Stores, get_typestore

from cem_planner_ros.learning import bags, recording
from cem_planner_ros.learning import task as tasks

STORE = get_typestore(Stores.ROS2_JAZZY)

TWO = """
/**:
  ros__parameters:
    planner: {device: cpu, dt: 0.05, samples: 64, elites: 8}
    dynamics: {plugin: pendulum}
    costs: [near]
    near: {plugin: quadratic}
    state:
      sources: [place, rate]
      place: {topic: joint_states, fields: {theta: "position[hinge]"}}
      rate:
        topic: imu
        type: sensor_msgs/msg/Imu
        fields: {theta_dot: angular.y}
        delay: 0.1
"""


def header(time):
    stamp = STORE.types["builtin_interfaces/msg/Time"](sec=int(time), nanosec=int(time % 1.0 * 1e9))
    return STORE.types["std_msgs/msg/Header"](stamp=stamp, frame_id="")


def raw(message):
    return bytes(STORE.serialize_cdr(message, message.__msgtype__))


def place(time, angle):
    kind = STORE.types["sensor_msgs/msg/JointState"]
    empty = np.zeros(0)
    return raw(
        kind(
            header=header(time),
            name=["hinge"],
            position=np.array([angle]),
            velocity=empty,
            effort=empty,
        )
    )


def rate(time, value):
    vector, turn = (STORE.types[f"geometry_msgs/msg/{name}"] for name in ("Vector3", "Quaternion"))
    none = vector(x=0.0, y=0.0, z=0.0)
    return raw(
        STORE.types["sensor_msgs/msg/Imu"](
            header=header(time),
            orientation=turn(x=0.0, y=0.0, z=0.0, w=1.0),
            orientation_covariance=np.zeros(9),
            angular_velocity=vector(x=0.0, y=value, z=0.0),
            angular_velocity_covariance=np.zeros(9),
            linear_acceleration=none,
            linear_acceleration_covariance=np.zeros(9),
        )
    )


@pytest.fixture
def task(tmp_path):
    file = tmp_path / "two.yaml"
    file.write_text(TWO)
    return tasks.load(file)


def written(folder, task, gap=False):
    """A bag of theta = sin t; the rate has the stamp of 0.1 s after its measurement."""
    times = 100.0 + np.arange(0.0, 10.0, 0.01)
    with recording.BagWriter(folder, task) as writer:
        for index, time in enumerate(times):
            writer.write("state.place", time, place(time, np.sin(time)))
            if index % 2 == 0 and not (gap and 500 < index < 600):
                writer.write("state.rate", time, rate(time, np.cos(time - 0.1)))
            writer.command(time, np.zeros(1))
    return bags.read(folder, task)


def test_two_sources_are_read_as_one_state_at_the_times_of_the_denser_one(tmp_path, task):
    found = written(tmp_path / "bag", task)
    times, values = found.states
    assert len(times) > 900
    np.testing.assert_allclose(values[:, 0], np.sin(times), atol=1e-6)
    np.testing.assert_allclose(values[:, 1], np.cos(times), atol=1e-3)
    assert any("at the times of 'joint_states'" in note for note in found.notes)


def test_where_one_source_is_silent_there_is_no_state(tmp_path, task):
    times, values = written(tmp_path / "bag", task, gap=True).states
    silent = (times > 105.0) & (times < 105.8)
    assert np.isnan(values[silent]).any(1).all()
    assert np.isfinite(values[times < 104.8]).all()
    np.testing.assert_allclose(values[times > 106.0, 1], np.cos(times[times > 106.0]), atol=1e-3)


def test_the_commands_of_a_car_are_written_and_read(tmp_path):
    """rosbags does not know their type."""
    file, kind = tmp_path / "car.yaml", "ackermann_msgs/msg/AckermannDriveStamped"
    file.write_text(TWO + f"    command: {{type: {kind}, fields: {{torque: speed}}}}\n")
    car = tasks.load(file)
    # CDR: the stamp, an empty string with its end, and what is padded; angle, its rate, speed, ...
    drive = b"\0\1\0\0" + struct.pack("<iII4x5f", 100, 0, 1, 0.1, 0.2, 3.0, 0.4, 0.5)
    with recording.BagWriter(tmp_path / "bag", car) as writer:
        for time in (100.0, 100.1, 100.2):
            writer.write("state.place", time, place(time, 0.0))
            writer.write("state.rate", time, rate(time, 0.0))
            writer.write("command", time, drive)
    np.testing.assert_allclose(bags.read(tmp_path / "bag", car).commands.values, [[3.0]] * 3)
