# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""What the launch files take, show and refuse, with the real launch system; no node starts."""

from pathlib import Path

import pytest

from cem_planner_ros.cli.scenarios import SCENARIOS

launch = pytest.importorskip("launch", reason="launch is not on PyPI: needs a ROS 2 installation")
pytest.importorskip("launch_ros", reason="launch_ros is not on PyPI: needs a ROS 2 installation")

ROOT = Path(__file__).parents[2]


def description(name):
    source = launch.launch_description_sources.PythonLaunchDescriptionSource(
        str(ROOT / "launch" / f"{name}.launch.py")
    )
    return source.get_launch_description(launch.LaunchContext())


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("planner", set()),
        ("simulation", {"use_sim_time"}),
        ("gazebo", {"use_sim_time", "namespace"}),
    ],
)
def test_arguments_that_mean_nothing_are_not_shown(name, missing):
    shown = {argument.name for argument in description(name).get_launch_arguments()}
    shared = {"namespace", "params_file", "use_sim_time", "autostart", "use_respawn", "log_level"}
    assert shared - shown == missing


def test_scenarios_are_the_files_there_are():
    files = {file.name for file in (ROOT / "config").iterdir()}
    (scenario,) = (
        a for a in description("simulation").get_launch_arguments() if a.name == "scenario"
    )
    ending = "_simulator.yaml"
    there = {f.removesuffix(ending) for f in files if f.endswith(ending)}
    assert set(scenario.choices) == there - {"drive"} | {"diff_drive", "cartpole_learned"}
    assert all(f"{name}.yaml" in files for name in there)
    assert set(SCENARIOS) <= set(scenario.choices)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"params_file": "/nowhere/mine.yaml"}, "params_file is '/nowhere/mine.yaml', expected"),
        ({"scenario": "cartpol"}, "did you mean 'cartpole'?"),
        ({"scenario": "drive"}, "did you mean 'diff_drive'?"),
    ],
)
def test_what_is_not_there_fails_with_its_name(arguments, text, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("ROS_LOG_DIR", str(tmp_path))
    # Launch writes to the stdout that it found first.
    launch.logging.get_logger("launch").addHandler(caplog.handler)
    name = "simulation" if "scenario" in arguments else "planner"
    service = launch.LaunchService(noninteractive=True)
    source = launch.launch_description_sources.PythonLaunchDescriptionSource(
        str(ROOT / "launch" / f"{name}.launch.py")
    )
    include = launch.actions.IncludeLaunchDescription(
        source, launch_arguments=list(arguments.items())
    )
    service.include_launch_description(launch.LaunchDescription([include]))
    assert service.run() == 1
    assert text in caplog.text
