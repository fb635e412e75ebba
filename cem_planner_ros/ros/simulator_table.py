# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The parameters of the simulator node."""

from __future__ import annotations

from cem_planner_ros.plugins.parameter import READ_ONLY, Parameter

TABLE = (
    Parameter(
        "plant",
        "mujoco",
        "The simulated plant: a MuJoCo model, the planner's own model, or a robot with a lidar in "
        "a world.",
        choices=("mujoco", "model", "robot"),
        when=READ_ONLY,
    ),
    Parameter(
        "model_file",
        "cartpole.xml",
        "MJCF file of the plant 'mujoco': a path, a name in the package's models, or MODULE:PATH "
        "of an installed Python package.",
        when=READ_ONLY,
    ),
    Parameter(
        "planner_file",
        "",
        "YAML file of the planner. It gives the topics, the model of the plant 'model', and "
        "dynamics.allow_missing_meshes to the plant 'mujoco'.",
        when=READ_ONLY,
    ),
    Parameter(
        "start",
        "",
        "First state. For the plant 'model': numbers separated by blanks, all zero if empty. For "
        "the plant 'mujoco': the name of a keyframe; if empty, the keyframe start, or else the "
        "pose of the file.",
        when=READ_ONLY,
    ),
    Parameter(
        "mocap_topics",
        [],
        "Topics that move mocap bodies of the plant 'mujoco', as dynamics.mocap_topics of the "
        "planner; if empty, those of planner_file if it has the same model file.",
        when=READ_ONLY,
    ),
    Parameter(
        "world",
        "rooms",
        "World of the plant 'robot': a name in the package's worlds, or a MuJoCo file.",
        when=READ_ONLY,
    ),
    Parameter(
        "range_noise",
        0.01,
        "Standard deviation of the noise of each range of the lidar.",
        unit="m",
        low=0.0,
        when=READ_ONLY,
    ),
    Parameter(
        "state_topic",
        "",
        "Topic of the states. If empty, the topic in planner_file is used, or else joint_states "
        "for a MuJoCo model and odom for a robot.",
        when=READ_ONLY,
    ),
    Parameter(
        "command_topic",
        "",
        "Topic of the commands. If empty, the topic in planner_file is used, or else effort for a "
        "MuJoCo model and cmd_vel for a robot.",
        when=READ_ONLY,
    ),
    Parameter(
        "rate",
        200.0,
        "Number of states published per second.",
        unit="Hz",
        low=1.0,
        high=2000.0,
        when=READ_ONLY,
    ),
    Parameter(
        "command_timeout",
        0.25,
        "Time without a command after which the action is zero, or that of the keyframe at which "
        "a MuJoCo model started.",
        unit="s",
        low=0.001,
    ),
    Parameter(
        "real_time_factor",
        1.0,
        "Simulated seconds per second of real time.",
        low=0.01,
        high=100.0,
        when=READ_ONLY,
    ),
    Parameter(
        "process_noise",
        0.0,
        "Standard deviation of the noise on each action, as a share of half its range. The noise "
        "is drawn again for each state.",
        low=0.0,
        high=1.0,
    ),
    Parameter(
        "latency",
        0.0,
        "Delay of each state and scan between measurement and publication.",
        unit="s",
        low=0.0,
        high=10.0,
    ),
    Parameter(
        "seed", 0, "Seed of the noise, and of the obstacles of a world.", low=0, when=READ_ONLY
    ),
)
"""The parameters of the simulator node."""

USED_BY = {
    "model_file": ("mujoco",),
    "mocap_topics": ("mujoco",),
    "start": ("model", "mujoco"),
    "world": ("robot",),
    "range_noise": ("robot",),
}
"""The plants that use a parameter, if not all of them do."""
