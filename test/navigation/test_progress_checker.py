# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""When a robot that follows a path is stuck."""

import math

from cem_planner_ros.navigation.poses import Pose
from cem_planner_ros.navigation.progress_checker import ProgressChecker


def test_a_robot_is_stuck_that_stays_within_the_radius_for_too_long():
    checker = ProgressChecker(0.5, None, 10.0)
    assert not checker.is_stuck(Pose(0.0, 0.0, 0.0), 100.0)
    assert not checker.is_stuck(Pose(0.4, 0.0, 3.0), 109.0)
    assert checker.is_stuck(Pose(0.4, 0.0, 0.0), 110.5)


def test_whoever_comes_away_in_time_has_time_again():
    checker = ProgressChecker(0.5, None, 10.0)
    for time in range(0, 60, 6):
        assert not checker.is_stuck(Pose(0.1 * time, 0.0, 0.0), float(time))


def test_turning_is_progress_where_it_shall_be():
    turning, moving = ProgressChecker(0.5, 0.5, 10.0), ProgressChecker(0.5, None, 10.0)
    for checker in (turning, moving):
        checker.is_stuck(Pose(0.0, 0.0, math.pi - 0.1), 0.0)
        checker.is_stuck(Pose(0.0, 0.0, -math.pi + 0.5), 9.0)
    assert not turning.is_stuck(Pose(0.0, 0.0, -math.pi + 0.5), 12.0)
    assert moving.is_stuck(Pose(0.0, 0.0, -math.pi + 0.5), 12.0)


def test_the_time_of_a_pause_does_not_count():
    checker = ProgressChecker(0.5, None, 10.0)
    checker.wait(0.0)
    checker.is_stuck(Pose(0.0, 0.0, 0.0), 5.0)
    for time in (6.0, 500.0):
        checker.wait(time)
    assert not checker.is_stuck(Pose(0.0, 0.0, 0.0), 509.0)
    assert checker.is_stuck(Pose(0.0, 0.0, 0.0), 511.0)


def test_the_time_begins_again_where_the_clock_was_set_back():
    checker = ProgressChecker(0.5, None, 10.0)
    checker.is_stuck(Pose(0.0, 0.0, 0.0), 500.0)
    assert not checker.is_stuck(Pose(0.0, 0.0, 0.0), 5.0)
    assert checker.is_stuck(Pose(0.0, 0.0, 0.0), 16.0)
