# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Start a simulated plant and its planner: simulation.launch.py scenario:=cartpole."""

from launch import LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    GroupAction,
    IncludeLaunchDescription,
    OpaqueFunction,
)
from launch.conditions import IfCondition
from launch.substitutions import (
    EqualsSubstitution,
    IfElseSubstitution,
    LaunchConfiguration,
    PathJoinSubstitution,
)
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from cem_planner_ros.errors import did_you_mean

SCENARIOS = (
    "ackermann",
    "arm",
    "cartpole",
    "cartpole_learned",
    "diff_drive",
    "diff_drive_lag",
    "diff_drive_pose",
    "double_integrator",
    "half_cheetah",
    "pendulum",
    "planar_arm",
    "quadrotor",
    "quadrotor_hover",
    "quadruped",
    "single_track",
)
"""Each, but for two, has NAME.yaml and NAME_simulator.yaml in config/. `demo` has some of them."""


def check_scenario(context):
    """Raise RuntimeError if there is no such scenario; launch does not say which one is near."""
    name = context.launch_configurations.get("scenario", "cartpole")
    if name not in SCENARIOS:
        raise RuntimeError(
            f"scenario is '{name}', allowed: {', '.join(SCENARIOS)}{did_you_mean(name, SCENARIOS)}"
        )


def generate_launch_description():
    """Return the simulator node, planner.launch.py, and for a lidar what makes its costmap."""
    share = FindPackageShare("cem_planner_ros")
    scenario = LaunchConfiguration("scenario")
    # drive.yaml is for any robot that drives, and a learned model drives the same cart-pole.
    has_lidar = EqualsSubstitution(scenario, "diff_drive")
    planner = IfElseSubstitution(has_lidar, "drive", scenario)
    plant = IfElseSubstitution(
        EqualsSubstitution(scenario, "cartpole_learned"), "cartpole", planner
    )
    # Jazzy's PathJoinSubstitution takes no list within the list.
    default_file = [PathJoinSubstitution([share, "config", planner]), ".yaml"]
    simulator_file = [PathJoinSubstitution([share, "config", plant]), "_simulator.yaml"]
    arguments = {
        "namespace": ("", "Namespace of both nodes."),
        "params_file": (default_file, "YAML file with the planner's parameters."),
        "autostart": ("true", "Configure and activate the planner at the start."),
        "use_respawn": ("false", "Start the planner again when it ends unexpectedly."),
        "log_level": ("info", "Level of the log: debug, info, warn or error."),
        "view": ("false", "Serve a page in a browser, at http://127.0.0.1:8080/."),
        "seed": ("0", "Seed of the plant's noise."),
    }
    value = {name: LaunchConfiguration(name) for name in arguments}
    shared = ("namespace", "params_file", "autostart", "use_respawn", "log_level", "view")
    return LaunchDescription(
        [
            OpaqueFunction(function=check_scenario),
            DeclareLaunchArgument(
                "scenario",
                default_value="cartpole",
                description="What is simulated.",
                choices=SCENARIOS,
            ),
            *(
                DeclareLaunchArgument(name, default_value=default, description=text)
                for name, (default, text) in arguments.items()
            ),
            Node(
                package="cem_planner_ros",
                executable="simulator_node",
                name="simulator",
                namespace=value["namespace"],
                parameters=[
                    simulator_file,
                    {
                        "planner_file": ParameterValue(value["params_file"], value_type=str),
                        "seed": ParameterValue(value["seed"], value_type=int),
                    },
                ],
                arguments=["--ros-args", "--log-level", value["log_level"]],
                output="screen",
            ),
            Node(
                package="cem_planner_ros",
                executable="costmap_node",
                namespace=value["namespace"],
                parameters=[[PathJoinSubstitution([share, "config"]), "/drive_mapper.yaml"]],
                output="screen",
                condition=IfCondition(has_lidar),
            ),
            # A group that forwards nothing hides use_sim_time: the plant has no clock of its own.
            GroupAction(
                [
                    IncludeLaunchDescription(
                        PathJoinSubstitution([share, "launch", "planner.launch.py"]),
                        launch_arguments=[(name, value[name]) for name in shared],
                    )
                ],
                forwarding=False,
                launch_configurations={name: value[name] for name in shared},
            ),
        ]
    )
