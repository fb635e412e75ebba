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
from geometry_msgs.msg import Point, Pose, PoseStamped, Quaternion, Transform, Twist, Vector3
from lifecycle_msgs.srv import GetState
from nav_msgs.msg import Odometry
from rclpy.node import Node
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import MultiDOFJointTrajectory, MultiDOFJointTrajectoryPoint

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


@launch_pytest.fixture
def arm(include):
    return include("simulation.launch.py", scenario="arm")


@launch_pytest.fixture
def quadruped(include):
    return include("simulation.launch.py", scenario="quadruped")


@launch_pytest.fixture
def quadrotor(include):
    return include("simulation.launch.py", scenario="quadrotor")


@pytest.fixture
def node(domain_id):
    rclpy.init(args=[])
    made = Node("observer")
    yield made
    made.destroy_node()
    rclpy.try_shutdown()


def spin_until(node, condition, timeout=120.0):
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
    goal = PoseStamped(pose=Pose(position=Point(x=1.0)))
    goal.header.frame_id = "odom"
    repeat(node, "goal_pose", goal)
    spin_until(node, lambda: poses and math.hypot(poses[-1].x - 1.0, poses[-1].y) < 0.15)


def repeat(node, topic, message):
    """Publish a message ten times a second, as whoever commands a robot does."""
    publisher = node.create_publisher(type(message), topic, 1)
    node.create_timer(0.1, lambda: publisher.publish(message))


@pytest.mark.launch(fixture=arm)
def test_simulation_brings_the_tip_of_an_arm_to_a_pose(node):
    """The command of docs/robots/arm.md."""
    pytest.importorskip("mujoco")
    from cem_planner_ros.simulation.column_reach import Tip

    goal, tip, places = Point(x=0.3, y=0.13, z=0.35), Tip(), []
    node.create_subscription(
        JointState, "joint_states", lambda m: places.extend(tip.at([m.position])), 10
    )
    repeat(node, "tip_pose", PoseStamped(pose=Pose(position=goal, orientation=Quaternion(y=1.0))))
    spin_until(node, lambda: places and math.dist(places[-1], (goal.x, goal.y, goal.z)) < 0.02)
    assert math.dist(places[0], (goal.x, goal.y, goal.z)) > 0.05


@pytest.mark.launch(fixture=quadruped)
def test_simulation_walks_as_cmd_vel_says(node):
    pytest.importorskip("mujoco")
    poses = []
    node.create_subscription(Odometry, "odom", lambda m: poses.append(m.pose.pose.position), 10)
    repeat(node, "cmd_vel", Twist(linear=Vector3(x=0.3)))
    spin_until(node, lambda: poses and poses[-1].x > 0.4)
    assert poses[-1].z > 0.2


@pytest.mark.launch(fixture=quadrotor)
def test_simulation_flies_to_the_end_of_a_trajectory(node):
    pytest.importorskip("mujoco")
    end, places = (0.5, -0.5, 1.5), []

    def keep(message):
        place = message.pose.pose.position
        places.append((place.x, place.y, place.z))

    node.create_subscription(Odometry, "odom", keep, 10)
    there = Transform(translation=Vector3(**dict(zip("xyz", end, strict=True))))
    point = MultiDOFJointTrajectoryPoint(transforms=[there], velocities=[Twist()])
    repeat(node, "trajectory", MultiDOFJointTrajectory(joint_names=["base"], points=[point]))
    spin_until(node, lambda: places and math.dist(places[-1], end) < 0.1)
