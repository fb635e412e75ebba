# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Who else speaks on the topics of a demo or of a plant."""

import pytest

pytest.importorskip("rclpy")
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from std_msgs.msg import Float64MultiArray

from cem_planner_ros import cli
from cem_planner_ros.cli import demo_command
from cem_planner_ros.paths import lock_folder
from cem_planner_ros.ros.simulator import SimulatorNode


def test_a_demo_is_refused_where_others_go_on_publishing(elsewhere, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(demo_command, "DISCOVERY", 60.0)
    monkeypatch.setattr(demo_command, "OTHERS_END", 2.0)
    elsewhere.create_publisher(Float64MultiArray, "effort", 1)
    assert cli.main(["demo", "--report", str(tmp_path)]) == 1
    said = capsys.readouterr()
    assert "waiting for others to end, who publish: /elsewhere on '/effort'" in said.out
    assert "another planner or plant already publishes: /elsewhere on '/effort'" in said.err
    assert "ROS_DOMAIN_ID" in said.err


def test_a_demo_leaves_the_folder_of_another_one_alone(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(demo_command, "OTHERS_END", 0.5)
    log = tmp_path / "planner.log"
    log.write_text("of the other one")
    with lock_folder(tmp_path):
        assert cli.main(["demo", "--report", str(tmp_path)]) == 1
    said = capsys.readouterr()
    assert f"waiting for another demo, whose folder is {tmp_path}, to end" in said.out
    assert f"--report {tmp_path} is the folder of another demo" in said.err
    assert log.read_text() == "of the other one"


def test_a_plant_says_that_it_is_not_alone(
    observer, elsewhere, write_yaml, drive, capfd, wait_until
):
    for topic in ("state", "command"):
        observer.node.create_publisher(Float64MultiArray, topic, 1)
    elsewhere.create_publisher(Float64MultiArray, "command", 1)
    values = {"plant": "model", "planner_file": str(write_yaml(drive))}
    values |= {"state_topic": "state", "command_topic": "command"}
    plant = SimulatorNode(
        parameter_overrides=[Parameter(name, value=value) for name, value in values.items()]
    )
    executor = SingleThreadedExecutor()
    executor.add_node(plant)
    said = []

    def has_said():
        executor.spin_once(timeout_sec=0.1)
        said.append(capfd.readouterr().err)
        text = "".join(said)
        return (
            "other nodes publish states on '/state': /observer" in text
            and "several nodes publish commands on '/command': /elsewhere, /observer" in text
        )

    wait_until(has_said)
    plant.destroy_node()
