# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The files for RViz, PlotJuggler, Foxglove and rosbag2 name topics and fields that there are."""

import importlib
import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import yaml

pytest.importorskip("rclpy")

from diagnostic_msgs.msg import DiagnosticArray

from cem_planner_ros.ros.diagnostics import STATISTICS

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "config"

OF_ROS = {
    "/tf_static": "tf2_msgs/msg/TFMessage",
    "/rosout": "rcl_interfaces/msg/Log",
    "/parameter_events": "rcl_interfaces/msg/ParameterEvent",
}
OF_OTHERS = {
    "/costmap_updates": "map_msgs/msg/OccupancyGridUpdate",
    "/moving_obstacles": "sensor_msgs/msg/PointCloud2",
}
"""What is there only with somebody else's costmap, or with something that tracks obstacles."""

DISPLAYS = {
    "Map": "nav_msgs/msg/OccupancyGrid",
    "LaserScan": "sensor_msgs/msg/LaserScan",
    "Odometry": "nav_msgs/msg/Odometry",
    "Path": "nav_msgs/msg/Path",
    "MarkerArray": "visualization_msgs/msg/MarkerArray",
    "SetGoal": "geometry_msgs/msg/PoseStamped",
}
"""What the displays and tools of rviz_default_plugins show or send."""


@pytest.fixture
def there(node, observer, wait_until):
    """Topics with their types, of the robots and of a planner that runs; keys of diagnostics."""
    topics = OF_ROS | OF_OTHERS
    for file in CONFIG.glob("gazebo_bridge_*.yaml"):
        for entry in yaml.safe_load(file.read_text()):
            topics["/" + entry["ros_topic_name"].lstrip("/")] = entry["ros_type_name"]
    planner = node(CONFIG / "gazebo_diff_drive.yaml")
    messages = observer.listen(DiagnosticArray, "/diagnostics")
    assert observer.transition("configure")
    assert observer.transition("activate")
    for names_and_types in (
        planner.get_publisher_names_and_types_by_node,
        planner.get_subscriber_names_and_types_by_node,
    ):
        for name, types in names_and_types("cem_planner", "/"):
            topics[name] = types[0]
    wait_until(lambda: messages and len(messages[-1][1].status[0].values) > 20)
    status = messages[-1][1].status[0]
    return topics, {f"{status.hardware_id}/{status.name}/{entry.key}" for entry in status.values}


def rviz_topics():
    """Return [(topic, class)] of displays and tools."""
    manager = yaml.safe_load((CONFIG / "cem_planner.rviz").read_text())["Visualization Manager"]
    return [
        (entry["Topic"]["Value"], entry["Class"].removeprefix("rviz_default_plugins/"))
        for entry in manager["Displays"] + manager["Tools"]
        if "Topic" in entry
    ]


def foxglove():
    return json.loads((CONFIG / "foxglove.json").read_text())


def foxglove_paths():
    """Return the message paths of all plots."""
    panels = foxglove()["configById"].values()
    return [path["value"] for panel in panels for path in panel.get("paths", [])]


def plotjuggler():
    """Return [(title, names of curves)] of all plots."""
    areas = ET.parse(CONFIG / "plotjuggler.xml").getroot().iter("DockArea")
    return [(a.get("name"), [curve.get("name") for curve in a.iter("curve")]) for a in areas]


def assert_field(type_name, path):
    """Fail if messages of the type have no such field: names, and indices of arrays."""
    package, _, name = type_name.split("/")
    kind = getattr(importlib.import_module(f"{package}.msg"), name)
    for part in path:
        part = re.sub(r"\[\d+\]$", "", part)
        fields = kind.get_fields_and_field_types()
        assert part in fields, f"{type_name} has no {'/'.join(path)}"
        if "/" in fields[part]:
            package, name = fields[part].split("/")
            kind = getattr(importlib.import_module(f"{package}.msg"), name)
    assert "/" not in fields[part], f"{'/'.join(path)} of {type_name} is no number"


def test_what_is_shown_and_recorded_is_there(there):
    topics, diagnostics = there
    for topic, display in rviz_topics():
        assert topics[topic] == DISPLAYS[display], topic
    for path in foxglove_paths():
        topic, *fields = path.split(".")
        assert_field(topics[topic], fields)
    joints = {
        joint.get("name")
        for joint in ET.parse(ROOT / "models" / "cartpole" / "model.sdf").iter("joint")
    }
    for _, curves in plotjuggler():
        for curve in curves:
            topic = max((t for t in topics if curve.startswith(t + "/")), key=len)
            path = curve.removeprefix(topic + "/")
            if topics[topic] == "sensor_msgs/msg/JointState":
                joint, kind = path.split("/")
                assert joint in joints
                assert kind in ("position", "velocity", "effort")
            elif topics[topic] == "diagnostic_msgs/msg/DiagnosticArray":
                assert path in diagnostics
            elif not path.endswith("/orientation/yaw"):  # Made by PlotJuggler.
                assert_field(topics[topic], path.split("/"))
    for panel in foxglove()["configById"].values():
        for topic in (
            *panel.get("topics", {}),
            *filter(None, [panel.get("topicToRender"), panel.get("publish", {}).get("poseTopic")]),
        ):
            assert topic in topics
    recorded = yaml.safe_load((CONFIG / "record.yaml").read_text())["/**"]["ros__parameters"]
    assert set(recorded["record"]["topics"]) <= set(topics)


def test_numbers_of_statistics_are_the_ones_that_the_labels_say():
    seen = set()
    for panel in foxglove()["configById"].values():
        for path in panel.get("paths", []):
            match = re.fullmatch(r"/cem_planner/statistics\.data\[(\d+)\]", path["value"])
            if match:
                assert path["label"] == STATISTICS[int(match[1])]
                seen.add(path["label"])
    assert {"status", "plan_ms", "margin_ms"} <= seen
    seen = set()
    for title, curves in plotjuggler():
        matches = [re.fullmatch(r"/cem_planner/statistics/data\[(\d+)\]", c) for c in curves]
        if any(matches):
            names = [STATISTICS[int(match[1])] for match in matches]
            assert title.partition(" (")[0].split(", ") == names
            seen |= set(names)
    assert {"status", "plan_ms", "margin_ms"} <= seen


def test_rviz_shows_the_frame_of_the_planner():
    manager = yaml.safe_load((CONFIG / "cem_planner.rviz").read_text())["Visualization Manager"]
    assert manager["Global Options"]["Fixed Frame"] == "odom"
    names = {display["Name"] for display in manager["Displays"]}
    assert {"Map", "Scan", "Odometry", "Reference", "Plan", "Candidates"} <= names


def test_every_panel_of_foxglove_is_placed_once():
    layout = foxglove()

    def placed(tree):
        if isinstance(tree, str):
            tabs = layout["configById"][tree].get("tabs", [])
            return [tree, *(name for tab in tabs for name in placed(tab["layout"]))]
        assert tree["direction"] in ("row", "column")
        return placed(tree["first"]) + placed(tree["second"])

    assert sorted(placed(layout["layout"])) == sorted(layout["configById"])


def test_plotjuggler_s_splitters_count_their_plots():
    root = ET.parse(CONFIG / "plotjuggler.xml").getroot()
    assert root.tag == "root"
    assert root.find("tabbed_widget").get("name") == "Main Window"
    for splitter in root.iter("DockSplitter"):
        assert int(splitter.get("count")) == len(splitter)
        assert len(splitter.get("sizes").split(";")) == len(splitter)


def test_everything_that_the_planner_reads_and_writes_is_recorded():
    """So that `train` can learn from what was recorded."""
    recorded = yaml.safe_load((CONFIG / "record.yaml").read_text())["/**"]["ros__parameters"]
    for scenario in ("cartpole", "diff_drive", "ackermann"):
        file = yaml.safe_load((CONFIG / f"gazebo_{scenario}.yaml").read_text())
        for side in ("state", "command"):
            topic = file["/**"]["ros__parameters"][side]["topic"]
            assert f"/{topic}" in recorded["record"]["topics"]
