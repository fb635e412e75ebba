# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""What Gazebo's files, the bridge's and the planner's say of topics and types must agree."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import yaml

from cem_planner_ros.configuration import configure, load_yaml

ROOT = Path(__file__).parents[2]
SCENARIOS = ("cartpole", "diff_drive", "ackermann")

CONVERTED = {
    "rosgraph_msgs/msg/Clock": "gz.msgs.Clock",
    "sensor_msgs/msg/JointState": "gz.msgs.Model",
    "sensor_msgs/msg/LaserScan": "gz.msgs.LaserScan",
    "nav_msgs/msg/Odometry": "gz.msgs.Odometry",
    "tf2_msgs/msg/TFMessage": "gz.msgs.Pose_V",
    "geometry_msgs/msg/TwistStamped": "gz.msgs.Twist",
    "std_msgs/msg/Float64": "gz.msgs.Double",
}
"""Pairs of types that ros_gz_bridge converts (its mappings.py), as far as they are needed here."""


def model(scenario):
    return ET.parse(ROOT / "models" / scenario / "model.sdf").find("model")


def world(scenario):
    return ET.parse(ROOT / "worlds" / f"{scenario}.sdf").find("world")


def bridge(scenario):
    return yaml.safe_load((ROOT / "config" / f"gazebo_bridge_{scenario}.yaml").read_text())


def planner(scenario):
    file = ROOT / "config" / f"gazebo_{scenario}.yaml"
    return configure(load_yaml(file) | {"planner.device": "cpu"}, str(file))


def systems(element):
    """Return {name of the system: its element} of a model or a world."""
    return {
        plugin.get("name").removeprefix("gz::sim::systems::"): plugin
        for plugin in element.findall("plugin")
    }


def gazebo_topics(scenario):
    """Return {topic: (type, direction)} of what the robot's systems and sensors do with topics."""
    robot = model(scenario)
    topics = {"/clock": ("gz.msgs.Clock", "GZ_TO_ROS")}
    for name, system in systems(robot).items():
        if name == "ApplyJointForce":
            topic = f"/model/{robot.get('name')}/joint/{system.findtext('joint_name')}/cmd_force"
            topics[topic] = ("gz.msgs.Double", "ROS_TO_GZ")
        elif name == "JointStatePublisher":
            topics[system.findtext("topic")] = ("gz.msgs.Model", "GZ_TO_ROS")
        elif name in ("DiffDrive", "AckermannSteering"):
            topics[system.findtext("topic")] = ("gz.msgs.Twist", "ROS_TO_GZ")
            topics[system.findtext("odom_topic")] = ("gz.msgs.Odometry", "GZ_TO_ROS")
            topics[system.findtext("tf_topic")] = ("gz.msgs.Pose_V", "GZ_TO_ROS")
        else:
            raise AssertionError(f"which topics does {name} have?")
    for sensor in robot.iter("sensor"):
        assert sensor.get("type") == "gpu_lidar"
        topics[sensor.findtext("topic")] = ("gz.msgs.LaserScan", "GZ_TO_ROS")
    return topics


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_bridge_carries_each_topic_of_the_robot_in_its_direction(scenario):
    carried = {e["gz_topic_name"]: (e["gz_type_name"], e["direction"]) for e in bridge(scenario)}
    assert carried == gazebo_topics(scenario)
    for entry in bridge(scenario):
        assert CONVERTED[entry["ros_type_name"]] == entry["gz_type_name"], entry


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_planner_reads_and_writes_topics_of_the_bridge(scenario):
    values = planner(scenario).values
    entries = {e["ros_topic_name"]: (e["ros_type_name"], e["direction"]) for e in bridge(scenario)}
    assert entries[values["state.topic"]] == (values["state.type"], "GZ_TO_ROS")
    assert entries[values["command.topic"]] == (values["command.type"], "ROS_TO_GZ")
    assert entries["/clock"] == ("rosgraph_msgs/msg/Clock", "GZ_TO_ROS")


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_planner_finds_its_joints_and_its_frame(scenario):
    robot = model(scenario)
    joints = {joint.get("name") for joint in robot.iter("joint")}
    fields = planner(scenario).fields("state").values()
    assert {m[1] for m in (re.search(r"\[(.*)\]", f) for f in fields) if m} <= joints
    for system in systems(robot).values():
        frame = system.findtext("frame_id")
        assert frame in (None, planner(scenario).values["frame_id"])
        child = system.findtext("child_frame_id")
        assert child is None or robot.find(f"link[@name='{child}']") is not None


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_systems_are_named_as_harmonic_and_later_name_them(scenario):
    for element in (model(scenario), world(scenario)):
        for plugin in element.iter("plugin"):
            name = plugin.get("name").removeprefix("gz::sim::systems::")
            dashed = re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()
            assert plugin.get("name") == f"gz::sim::systems::{name}"
            assert plugin.get("filename") == f"gz-sim-{dashed}-system"


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_world_has_the_systems_that_its_robot_needs(scenario):
    """UserCommands is what the window's buttons need; the robot is found by its name."""
    needed = {"Physics", "UserCommands", "SceneBroadcaster"}
    if model(scenario).find(".//sensor") is not None:
        needed.add("Sensors")
    assert set(systems(world(scenario))) == needed
    assert world(scenario).get("name") == model(scenario).get("name") == scenario


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_robot_stands_in_its_world(scenario):
    """Reset of newer servers removes a robot that was spawned."""
    (robot,) = world(scenario).findall("include")
    assert robot.findtext("uri") == f"model://{scenario}"
    assert robot.find("pose") is None


def test_joint_states_come_with_a_whole_number_of_time_steps_between_them():
    step = float(world("cartpole").findtext("physics/max_step_size"))
    rate = float(systems(model("cartpole"))["JointStatePublisher"].findtext("update_rate"))
    assert 1.0 / rate / step == pytest.approx(round(1.0 / rate / step))
