# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The launch files, started by the real launch system where it is installed."""

# ruff: noqa: E402

import math
import time

import pytest

launch = pytest.importorskip("launch", reason="launch is not on PyPI: needs a ROS 2 installation")
launch_pytest = pytest.importorskip(
    "launch_pytest", reason="launch_pytest is not on PyPI: needs a ROS 2 installation"
)
pytest.importorskip("launch_ros", reason="launch_ros is not on PyPI: needs a ROS 2 installation")

import rclpy
from lifecycle_msgs.srv import GetState
from nav_msgs.msg import Odometry
from rclpy.node import Node
from sensor_msgs.msg import JointState

from cem_planner_ros.paths import share


@pytest.fixture
def include(domain_id):
    """A function that makes the description of a launch file of the package."""

    def make(file, **arguments):
        source = launch.launch_description_sources.PythonLaunchDescriptionSource(
            str(share("launch") / file)
        )
        return launch.LaunchDescription(
            [
                launch.actions.IncludeLaunchDescription(
                    source, launch_arguments=list(arguments.items())
                ),
                launch_pytest.actions.ReadyToTest(),
            ]
        )

    return make


@launch_pytest.fixture
def planner(include):
    return include("planner.launch.py", namespace="robot", autostart="false")


@launch_pytest.fixture
def cartpole(include):
    return include("simulation.launch.py", scenario="cartpole")


@launch_pytest.fixture
def diff_drive(include):
    return include("simulation.launch.py", scenario="diff_drive")


@pytest.fixture
def node(domain_id):
    rclpy.init(args=[])
    made = Node("observer")
    yield made
    made.destroy_node()
    rclpy.try_shutdown()


def spin_until(node, condition, timeout=60.0):
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "timed out"
        rclpy.spin_once(node, timeout_sec=0.1)


@pytest.mark.launch(fixture=planner)
def test_planner_takes_namespace_and_autostart(node):
    client = node.create_client(GetState, "/robot/cem_planner/get_state")
    assert client.wait_for_service(60.0)
    future = client.call_async(GetState.Request())
    spin_until(node, future.done)
    assert future.result().current_state.label == "unconfigured"


@pytest.mark.launch(fixture=cartpole)
def test_simulation_swings_the_cartpole_up(node):
    pytest.importorskip("mujoco")
    angles = []
    node.create_subscription(
        JointState,
        "joint_states",
        lambda m: angles.append(math.remainder(m.position[m.name.index("hinge")], 2 * math.pi)),
        10,
    )
    spin_until(node, lambda: len(angles) > 100 and max(map(abs, angles[-100:])) < 0.2)


@pytest.mark.launch(fixture=diff_drive)
def test_simulation_drives_the_robot_to_its_pose(node):
    poses = []
    node.create_subscription(Odometry, "odom", lambda m: poses.append(m.pose.pose.position), 10)
    spin_until(node, lambda: poses and math.hypot(poses[-1].x - 2.0, poses[-1].y - 1.0) < 0.1)
