# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Checks of the model, the costs and the parameters of a robot that drives."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from cem_planner_ros.costs.base import INPUTS, Cost
from cem_planner_ros.dynamics.base import Dynamics
from cem_planner_ros.fields import TOPIC
from cem_planner_ros.navigation.footprint import Footprint


def driving_problems(dynamics: Dynamics, costs: Mapping[str, Cost]) -> list[str]:
    """Return why a model cannot be a mobile robot, or what a cost does not declare."""
    problems = []
    lacks = [name for name in ("x", "y", "yaw") if name not in dynamics.state_names]
    speeds = (*dynamics.forward_names, *dynamics.sideways_names, *dynamics.turning_names)
    steering = dynamics.steering_names if dynamics.wheel_base_parameter else ()
    strange = set(dynamics.action_names) - {*speeds, *steering}
    if lacks or strange:
        problems.append(
            "costs that use the surroundings need a model with states x, y and yaw, and with "
            f"actions named {', '.join(speeds[:-1])} or {speeds[-1]}, such as diff_drive_lag, "
            "omni_drive and ackermann_drive, or with a steering angle and a wheel base, such as "
            f"ackermann; the model has states "
            f"{', '.join(dynamics.state_names)} and actions {', '.join(dynamics.action_names)}"
        )
    for name, cost in costs.items():
        where = f"parameter '{name}.plugin': {type(cost).__name__}"
        # A misspelt input would have no effect, so the robot would not be protected.
        if not set(cost.inputs) <= set(INPUTS):
            problems.append(
                f"{where}.inputs is {cost.inputs!r}, allowed: some of {', '.join(INPUTS)}"
            )
        if "costmap" in cost.inputs and not isinstance(cost.robot_footprint, Footprint):
            problems.append(
                f"{where} has no robot_footprint, expected the Footprint of the robot, as its "
                "inputs name the costmap"
            )
    with_map = [name for name, cost in costs.items() if "costmap" in cost.inputs]
    if with_map and not _has_scipy():
        problems.append(
            f"cost '{with_map[0]}' needs SciPy for the distance field of a costmap, and it cannot "
            "be imported: pip install scipy"
        )
    footprints = [costs[name].robot_footprint for name in with_map]
    outlines = {(f.corners.tobytes(), f.reach) for f in footprints if isinstance(f, Footprint)}
    if len(outlines) > 1:
        problems.append(
            f"the footprints of {', '.join(with_map)} differ, allowed: one robot, the same for all"
        )
    return problems


def driving_topic_problems(value: Mapping[str, Any], inputs: Collection[str]) -> list[str]:
    """Return the mistakes of the topics that a mobile robot subscribes to, for some of INPUTS."""
    unused = {"goal", "path"} if value["drive.follow_path"] else set()
    names = [f"drive.{name}_topic" for name in INPUTS if name in {*inputs} - unused]
    if value["drive.footprint_topic"]:
        names.append("drive.footprint_topic")
    return [
        f"parameter '{name}' is {value[name]!r}, allowed: a ROS topic name, such as costmap, "
        "/robot/costmap or ~/costmap"
        for name in names
        if not re.fullmatch(TOPIC, value[name])
    ]


def follow_path_problems(value: Mapping[str, Any], costs: Mapping[str, Cost]) -> list[str]:
    """Return what is wrong with the parameters of the action follow_path."""
    problems = []
    if not any({"goal", "path"} & set(cost.inputs) for cost in costs.values()):
        problems.append(
            "parameter 'drive.follow_path' is true, allowed with a cost that looks at a path or a "
            "goal, such as path_follow"
        )
    checkers = [*value["goal_checker_plugins"], *value["progress_checker_plugins"]]
    taken = {name.partition(".")[0] for name in value}
    for group in ("goal_checker_plugins", "progress_checker_plugins"):
        names = value[group]
        if any(not n or "." in n or n in taken or checkers.count(n) > 1 for n in names):
            problems.append(
                f"parameter '{group}' is {names!r}, allowed: different names without a dot, none "
                "of another section"
            )
    for group in ("controller_plugins", "goal_checker_plugins"):
        if not value[group]:
            problems.append(f"parameter '{group}' is [], allowed: at least one name")
    if not re.fullmatch(TOPIC, value["speed_limit_topic"]):
        problems.append(
            f"parameter 'speed_limit_topic' is {value['speed_limit_topic']!r}, allowed: a ROS "
            "topic name, such as speed_limit"
        )
    return problems


def _has_scipy() -> bool:
    try:
        import scipy.ndimage  # noqa: F401
    except ImportError:
        return False
    return True
