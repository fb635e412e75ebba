# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Types of the package nav2_msgs, which is part of Nav2, and conversions of their values."""

from __future__ import annotations

import importlib
import math

import numpy as np

from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.navigation.poses import Pose
from cem_planner_ros.navigation.reference_path import ReferencePath
from cem_planner_ros.readers import quaternion


def nav2_type(kind: str, name: str, parameter: str) -> type:
    """
    Return a type of the package nav2_msgs.

    Args:
        kind: "msg" or "action".
        name: of the type.
        parameter: the parameter that needs the type, for the error message.

    Raises ConfigurationError if the package is not installed, or has no such type.
    """
    try:
        return getattr(importlib.import_module(f"nav2_msgs.{kind}"), name)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(
            f"{parameter} needs nav2_msgs/{kind}/{name}, which is not installed: install the ROS "
            "package nav2_msgs (apt install ros-$ROS_DISTRO-nav2-msgs) and source ROS"
        ) from error


def fill_feedback(
    feedback, pose: Pose, speed: float, goal: Pose, path: ReferencePath | None, place: float
) -> None:
    """
    Fill in the feedback of FollowPath: its field `tracking_feedback`, or else its two numbers.

    Args:
        feedback: a FollowPath.Feedback of any distribution.
        pose: of the robot.
        speed: of the robot, m/s.
        goal: last pose of the path.
        path: None if all points of the path are equal.
        place: arc length of the robot on the path, m.
    """
    to_goal = math.dist(pose[:2], goal[:2])
    left = to_goal if path is None else float(path.lengths[-1]) - place
    if not hasattr(feedback, "tracking_feedback"):  # Up to Kilted.
        feedback.distance_to_goal, feedback.speed = left, speed
        return
    tracking = feedback.tracking_feedback
    there = tracking.robot_pose.pose
    there.position.x, there.position.y = pose.x, pose.y
    turn = there.orientation
    turn.x, turn.y, turn.z, turn.w = quaternion(0.0, 0.0, pose.yaw)
    tracking.distance_to_goal, tracking.speed = to_goal, speed
    tracking.remaining_path_length = left
    if path is None:
        return
    length = np.array(place)
    (x, y), (along_x, along_y) = path.at(length), path.along(length)
    # Positive to the left of the path, and turned to the right of it.
    aside = along_x * (pose.y - y) - along_y * (pose.x - x)
    tracking.position_tracking_error = float(aside)
    tracking.heading_tracking_error = math.remainder(
        float(path.heading(length)) - pose.yaw, math.tau
    )
    tracking.current_path_index = int(np.searchsorted(path.lengths, place, "right")) - 1
