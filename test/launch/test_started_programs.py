# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""What the launch files start: each program is one that writes its arguments down."""

import json
import os
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import yaml

from cem_planner_ros.cli.scenarios import SCENARIOS as DEMOS

launch = pytest.importorskip("launch", reason="launch is not on PyPI: needs a ROS 2 installation")
pytest.importorskip("launch_ros", reason="launch_ros is not on PyPI: needs a ROS 2 installation")

ROOT = Path(__file__).parents[2]
SCENARIOS = ("cartpole", "diff_drive", "ackermann")

RECORDER = """\
#!{python}
import json, os, pathlib, sys
arguments = sys.argv[1:]
files = [f for name, f in zip(arguments, arguments[1:]) if name == "--params-file"]
record = {{"arguments": arguments, "files": [pathlib.Path(f).read_text() for f in files]}}
record["resources"] = os.environ.get("GZ_SIM_RESOURCE_PATH", "")
pathlib.Path("{folder}", pathlib.Path(sys.argv[0]).name).write_text(json.dumps(record))
"""

GAZEBO = """\
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, ExecuteProcess
from launch.substitutions import LaunchConfiguration


def generate_launch_description():
    values = [LaunchConfiguration(name) for name in ("gz_args", "on_exit_shutdown")]
    return LaunchDescription(
        [
            DeclareLaunchArgument("gz_args", default_value=""),
            DeclareLaunchArgument("on_exit_shutdown", default_value="false"),
            ExecuteProcess(cmd=["{gz}", *values]),
        ]
    )
"""


@pytest.fixture
def start(tmp_path, monkeypatch):
    """
    A function that runs a launch file; it returns {program: (arguments, parameters)}.

    The "parameters" of Gazebo are where it looks for models.
    """
    seen = tmp_path / "seen"
    seen.mkdir()

    def program(package, name):
        file = tmp_path / "lib" / package / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(RECORDER.format(python=sys.executable, folder=seen))
        file.chmod(0o755)
        index = tmp_path / "share" / "ament_index" / "resource_index" / "packages" / package
        index.parent.mkdir(parents=True, exist_ok=True)
        index.touch()
        (tmp_path / "share" / package).mkdir(exist_ok=True)
        return file

    for name in ("planner_node", "costmap_node", "simulator_node", "view_node"):
        program("cem_planner_ros", name)
    for folder in ("config", "launch", "models", "worlds"):
        (tmp_path / "share" / "cem_planner_ros" / folder).symlink_to(ROOT / folder)
    program("ros_gz_bridge", "parameter_bridge")
    program("tf2_ros", "static_transform_publisher")
    program("rviz2", "rviz2")
    gazebo = tmp_path / "share" / "ros_gz_sim" / "launch" / "gz_sim.launch.py"
    gazebo.parent.mkdir(parents=True)
    gazebo.write_text(GAZEBO.format(gz=program("ros_gz_sim", "gz")))
    prefixes = [str(tmp_path), os.environ.get("AMENT_PREFIX_PATH", "")]
    monkeypatch.setenv("AMENT_PREFIX_PATH", os.pathsep.join(filter(None, prefixes)))
    monkeypatch.setenv("ROS_LOG_DIR", str(tmp_path / "log"))

    def run(name="gazebo", **arguments):
        service = launch.LaunchService(noninteractive=True)
        source = launch.launch_description_sources.PythonLaunchDescriptionSource(
            str(ROOT / "launch" / f"{name}.launch.py")
        )
        service.include_launch_description(
            launch.LaunchDescription(
                [
                    launch.actions.IncludeLaunchDescription(
                        source, launch_arguments=list(arguments.items())
                    )
                ]
            )
        )
        result = service.run()
        started = {}
        for file in seen.iterdir():
            record = json.loads(file.read_text())
            parameters = {}
            for text in record["files"]:
                for section in yaml.safe_load(text).values():
                    parameters.update(section["ros__parameters"])
            started[file.name] = (record["arguments"], parameters)
            if file.name == "gz":
                started[file.name] = (record["arguments"], record["resources"].split(os.pathsep))
        return started if result == 0 else result

    return run


def option(arguments, name):
    return arguments[arguments.index(name) + 1]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_scenario_starts_its_world_robot_bridge_and_planner(start, scenario):
    started = start(scenario=scenario)
    (gz_args, ends_all), resources = started.pop("gz")
    run, world = gz_args.split()
    assert (run, ends_all) == ("-r", "true")
    world = ET.parse(world).find("world")
    assert world.get("name") == scenario
    # Gazebo takes the first folder that has the model.
    name = world.findtext("include/uri").removeprefix("model://")
    robot = next(Path(f, name) for f in resources if f and Path(f, name).is_dir()) / "model.sdf"
    assert robot.samefile(ROOT / "models" / scenario / "model.sdf")
    _, bridge = started.pop("parameter_bridge")
    assert Path(bridge["config_file"]).samefile(ROOT / "config" / f"gazebo_bridge_{scenario}.yaml")
    _, planner = started.pop("planner_node")
    assert planner["use_sim_time"] is True
    assert planner["autostart"] is True
    file = yaml.safe_load((ROOT / "config" / f"gazebo_{scenario}.yaml").read_text())
    assert planner["command"] == file["/**"]["ros__parameters"]["command"]
    of_lidar = {"static_transform_publisher", "costmap_node"}
    assert set(started) == (of_lidar if scenario == "diff_drive" else set())
    if scenario == "diff_drive":
        _, mapper = started["costmap_node"]
        assert mapper["use_sim_time"] is True
        assert mapper["size"] > 0


@pytest.mark.parametrize("name", DEMOS)
def test_a_scenario_has_the_nodes_and_files_of_its_demo(start, name):
    nodes = {"simulator": "simulator_node", "mapper": "costmap_node", "planner": "planner_node"}
    started, files = start("simulation", scenario=name), DEMOS[name].files
    assert set(started) == {nodes[node] for node in files}
    for node, file in files.items():
        (section,) = yaml.safe_load((ROOT / "config" / file).read_text()).values()
        _, parameters = started[nodes[node]]
        assert section["ros__parameters"].items() <= parameters.items()
    planner_file = started["simulator_node"][1]["planner_file"]
    assert Path(planner_file).samefile(ROOT / "config" / files["planner"])


def test_the_lidar_s_frame_is_where_the_lidar_is(start):
    arguments, _ = start(scenario="diff_drive")["static_transform_publisher"]
    robot = ET.parse(ROOT / "models" / "diff_drive" / "model.sdf").find("model")
    sensor = robot.find("link[@name='base_link']/sensor")
    assert option(arguments, "--frame-id") == "base_link"
    assert option(arguments, "--child-frame-id") == sensor.findtext("gz_frame_id")
    x, y, z, *angles = (float(number) for number in sensor.findtext("pose").split())
    assert [x, y, *angles] == [0.0] * 5
    assert float(option(arguments, "--z")) == z


def test_without_a_display_and_with_pictures(start, tmp_path):
    file = tmp_path / "own.yaml"
    file.write_text("/**:\n  ros__parameters: {control_rate: 33.0}\n")
    started = start(
        scenario="diff_drive",
        headless="true",
        use_rviz="true",
        params_file=str(file),
        autostart="false",
        log_level="debug",
    )
    assert started["gz"][0][0].split()[:-1] == ["-r", "-s", "--headless-rendering"]
    arguments, rviz = started["rviz2"]
    assert Path(option(arguments, "-d")).samefile(ROOT / "config" / "cem_planner.rviz")
    assert rviz["use_sim_time"] is True
    arguments, planner = started["planner_node"]
    assert (planner["control_rate"], planner["autostart"]) == (33.0, False)
    assert option(arguments, "--log-level") == "debug"


@pytest.mark.parametrize(
    ("name", "arguments", "planner"),
    [
        ("gazebo", {}, "/cem_planner"),
        ("simulation", {}, "/cem_planner"),
        ("simulation", {"namespace": "robot"}, "robot/cem_planner"),
        ("planner", {}, "/cem_planner"),
        ("planner", {"namespace": "robot"}, "robot/cem_planner"),
    ],
)
def test_a_page_shows_the_planner_that_was_launched(start, name, arguments, planner):
    _, view = start(name, view="true", **arguments)["view_node"]
    assert view == {"node": planner}


def test_the_former_name_of_use_rviz_works_with_a_notice(start, caplog):
    launch.logging.get_logger("launch.user").addHandler(caplog.handler)
    assert "rviz2" in start(rviz="true")
    assert "'rviz' is called 'use_rviz' now" in caplog.text


def test_another_scenario_is_refused(start):
    assert start(scenario="quadrotor") == 1
