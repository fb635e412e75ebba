# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""What Nav2's messages mean here, with stand-ins for the package nav2_msgs."""

import math
import types

import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped
from std_msgs.msg import Header

from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.navigation.poses import Pose
from cem_planner_ros.navigation.reference_path import ReferencePath
from cem_planner_ros.ros.nav2_messages import fill_feedback, nav2_type

PATH = ReferencePath.through(np.array([(0.0, 0.0), (1.0, 0.0), (3.0, 0.0)]))


def test_feedback_up_to_kilted_is_the_length_that_is_left_and_the_speed():
    feedback = types.SimpleNamespace(distance_to_goal=0.0, speed=0.0)
    fill_feedback(feedback, Pose(0.5, 1.0, 0.0), 0.3, Pose(3.0, 0.0, 0.0), PATH, 0.5)
    assert vars(feedback) == {"distance_to_goal": pytest.approx(2.5), "speed": 0.3}
    fill_feedback(feedback, Pose(0.0, 4.0, 0.0), 0.3, Pose(3.0, 0.0, 0.0), None, 0.0)
    assert feedback.distance_to_goal == pytest.approx(5.0)


def test_feedback_from_lyrical_on_says_on_which_side_of_the_path_the_robot_is():
    tracking = types.SimpleNamespace(header=Header(), robot_pose=PoseStamped())
    feedback = types.SimpleNamespace(tracking_feedback=tracking)
    fill_feedback(feedback, Pose(1.5, 0.2, -0.1), 0.3, Pose(3.0, 0.0, 0.0), PATH, 1.5)
    assert tracking.position_tracking_error == pytest.approx(0.2)  # Left of it.
    assert tracking.heading_tracking_error == pytest.approx(0.1)  # Turned to the right of it.
    assert tracking.current_path_index == 1
    assert tracking.remaining_path_length == pytest.approx(1.5)
    assert tracking.distance_to_goal == pytest.approx(math.hypot(1.5, 0.2))
    assert tracking.speed == 0.3
    assert tracking.robot_pose.pose.position.x == 1.5


def test_without_nav2_msgs_it_is_said_what_to_install():
    with pytest.raises(ConfigurationError, match=r"drive.follow_path needs .*nav2-msgs"):
        nav2_type("action", "NoSuchAction", "drive.follow_path")
