# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Start the planner node: ros2 launch cem_planner_ros planner.launch.py params_file:=<yaml>."""

from pathlib import Path

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterFile, ParameterValue
from launch_ros.substitutions import FindPackageShare


def check_file(context, file):
    """Raise RuntimeError if there is no such file; launch would start the node without it."""
    path = Path(file.perform(context))
    if not path.is_file():
        raise RuntimeError(f"params_file is '{path}', expected an existing YAML file")


def generate_launch_description():
    """Return the planner node with the usual arguments."""
    default_file = PathJoinSubstitution(
        [FindPackageShare("cem_planner_ros"), "config", "planner.yaml"]
    )
    arguments = {
        "namespace": ("", "Namespace of the node."),
        "params_file": (default_file, "YAML file with the node's parameters."),
        "use_sim_time": ("false", "Take the time from /clock."),
        "autostart": ("true", "Configure and activate at the start."),
        "use_respawn": ("false", "Start the node again when it ends unexpectedly."),
        "log_level": ("info", "Level of the log: debug, info, warn or error."),
        "view": ("false", "Serve a page in a browser, at http://127.0.0.1:8080/."),
    }
    value = {name: LaunchConfiguration(name) for name in arguments}
    return LaunchDescription(
        [
            *(
                DeclareLaunchArgument(name, default_value=default, description=text)
                for name, (default, text) in arguments.items()
            ),
            OpaqueFunction(function=check_file, args=[value["params_file"]]),
            Node(
                package="cem_planner_ros",
                executable="planner_node",
                name="cem_planner",
                namespace=value["namespace"],
                parameters=[
                    ParameterFile(value["params_file"]),
                    {
                        name: ParameterValue(value[name], value_type=bool)
                        for name in ("use_sim_time", "autostart")
                    },
                ],
                arguments=["--ros-args", "--log-level", value["log_level"]],
                respawn=value["use_respawn"],
                respawn_delay=2.0,
                output="screen",
            ),
            Node(
                package="cem_planner_ros",
                executable="view_node",
                namespace=value["namespace"],
                parameters=[
                    {"node": ParameterValue([value["namespace"], "/cem_planner"], value_type=str)}
                ],
                output="screen",
                condition=IfCondition(value["view"]),
            ),
        ]
    )
