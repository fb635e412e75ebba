# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Start Gazebo with a robot and its planner: gazebo.launch.py scenario:=cartpole."""

from launch import LaunchDescription
from launch.actions import (
    AppendEnvironmentVariable,
    DeclareLaunchArgument,
    GroupAction,
    IncludeLaunchDescription,
    LogInfo,
)
from launch.conditions import IfCondition
from launch.substitutions import (
    EqualsSubstitution,
    IfElseSubstitution,
    LaunchConfiguration,
    OrSubstitution,
    PathJoinSubstitution,
)
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

LIDAR_HEIGHT = "0.20"
"""m above base_link, as in models/diff_drive/model.sdf."""


def generate_launch_description():
    """Return Gazebo, robot and world, bridge, planner.launch.py, a costmap of the lidar, RViz."""
    share = FindPackageShare("cem_planner_ros")
    scenario = LaunchConfiguration("scenario")
    config = PathJoinSubstitution([share, "config"])
    arguments = {
        "headless": ("false", "Leave Gazebo's window away; its lidar needs no display then."),
        "use_rviz": ("false", "Show RViz with config/cem_planner.rviz."),
        "rviz": ("false", "The former name of use_rviz; it goes with the next release."),
        "params_file": (
            [config, "/gazebo_", scenario, ".yaml"],
            "YAML file with the planner's parameters.",
        ),
        "autostart": ("true", "Configure and activate the planner at the start."),
        "use_respawn": ("false", "Start the planner again when it ends unexpectedly."),
        "log_level": ("info", "Level of the planner's log: debug, info, warn or error."),
        "view": ("false", "Serve a page in a browser, at http://127.0.0.1:8080/."),
    }
    value = {name: LaunchConfiguration(name) for name in arguments}
    shared = ("params_file", "autostart", "use_respawn", "log_level", "view")
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                "scenario",
                default_value="cartpole",
                description="World, robot, bridge and planner of this name.",
                choices=["cartpole", "diff_drive", "ackermann"],
            ),
            *(
                DeclareLaunchArgument(name, default_value=default, description=text)
                for name, (default, text) in arguments.items()
            ),
            # Where the world finds its robot.
            AppendEnvironmentVariable(
                "GZ_SIM_RESOURCE_PATH", PathJoinSubstitution([share, "models"]), prepend=True
            ),
            IncludeLaunchDescription(
                PathJoinSubstitution(
                    [FindPackageShare("ros_gz_sim"), "launch", "gz_sim.launch.py"]
                ),
                launch_arguments=[
                    (
                        "gz_args",
                        [
                            "-r ",
                            IfElseSubstitution(value["headless"], "-s --headless-rendering "),
                            PathJoinSubstitution([share, "worlds", scenario]),
                            ".sdf",
                        ],
                    ),
                    ("on_exit_shutdown", "true"),
                ],
            ),
            Node(
                package="ros_gz_bridge",
                executable="parameter_bridge",
                parameters=[{"config_file": [config, "/gazebo_bridge_", scenario, ".yaml"]}],
                output="screen",
            ),
            Node(
                package="tf2_ros",
                executable="static_transform_publisher",
                arguments=[
                    *("--z", LIDAR_HEIGHT),
                    *("--frame-id", "base_link", "--child-frame-id", "lidar"),
                ],
                condition=IfCondition(EqualsSubstitution(scenario, "diff_drive")),
            ),
            Node(
                package="cem_planner_ros",
                executable="costmap_node",
                parameters=[[config, "/drive_mapper.yaml"], {"use_sim_time": True}],
                output="screen",
                condition=IfCondition(EqualsSubstitution(scenario, "diff_drive")),
            ),
            # A group that forwards nothing hides use_sim_time, which Gazebo needs to be true, and
            # namespace, which the bridge does not have.
            GroupAction(
                [
                    IncludeLaunchDescription(
                        PathJoinSubstitution([share, "launch", "planner.launch.py"]),
                        launch_arguments=[
                            ("use_sim_time", "true"),
                            *((name, value[name]) for name in shared),
                        ],
                    )
                ],
                forwarding=False,
                launch_configurations={name: value[name] for name in shared},
            ),
            LogInfo(
                msg="the argument 'rviz' is called 'use_rviz' now, and goes with the next release",
                condition=IfCondition(value["rviz"]),
            ),
            Node(
                package="rviz2",
                executable="rviz2",
                arguments=["-d", [config, "/cem_planner.rviz"]],
                parameters=[{"use_sim_time": True}],
                condition=IfCondition(OrSubstitution(value["use_rviz"], value["rviz"])),
            ),
        ]
    )
