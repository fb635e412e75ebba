# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Which headings of a path's poses say how the robot should be turned."""

import math

import numpy as np
import pytest

from cem_planner_ros.navigation.path_headings import path_through

LINE = np.column_stack((np.linspace(0.0, 3.0, 31), np.zeros(31)))
CORNER = np.vstack((LINE, np.column_stack((np.full(20, 3.0), np.linspace(0.1, 2.0, 20)))))
ANGLES = np.linspace(0.0, 1.5, 40)
CURVE = np.column_stack((2.0 * np.sin(ANGLES), 2.0 - 2.0 * np.cos(ANGLES)))
CUSP = np.vstack((LINE, LINE[20:30][::-1]))


def turned(points, angle):
    cos, sin = math.cos(angle), math.sin(angle)
    return points @ np.array([[cos, sin], [-sin, cos]])


def with_headings(points, headings, first=None, last=None):
    headings = np.broadcast_to(np.asarray(headings, float), len(points)).copy()
    headings[0] = headings[0] if first is None else first
    headings[-1] = headings[-1] if last is None else last
    return np.column_stack((points, headings))


def says_something(poses, moves_sideways=False):
    path = path_through(poses, moves_sideways)
    assert path.points[-1] == pytest.approx(poses[-1, :2])
    return path.headings is not None


@pytest.mark.parametrize("angle", np.arange(-3.0, 3.1, 0.5))
@pytest.mark.parametrize("heading", [0.0, 0.3, 1.57, 3.1, -2.0])
@pytest.mark.parametrize("moves_sideways", [False, True])
def test_one_heading_says_nothing_around_a_corner_or_a_curve(angle, heading, moves_sideways):
    for points in (CORNER, CURVE, CORNER[::10]):
        poses = with_headings(turned(points, angle), heading)
        assert not says_something(poses, moves_sideways)


def test_the_poses_of_robot_and_goal_may_differ_from_all_others():
    for ends in ({"last": 1.57}, {"first": 0.2, "last": 1.57}, {"first": -2.0}):
        assert not says_something(with_headings(CORNER, 0.0, **ends))


@pytest.mark.parametrize("angle", np.arange(-3.0, 3.1, 0.5))
def test_a_straight_path_may_be_driven_backwards_or_sideways(angle):
    line, cusp = turned(LINE, angle), turned(CUSP, angle)
    assert says_something(with_headings(line, angle))
    assert says_something(with_headings(line, angle + math.pi))
    assert says_something(with_headings(line[[0, -1]], angle + math.pi))
    assert says_something(with_headings(cusp, angle))
    crosswise = with_headings(line, angle + math.pi / 2)
    assert not says_something(crosswise)
    assert says_something(crosswise, moves_sideways=True)


def test_a_straight_path_whose_last_pose_alone_is_turned_is_driven_forwards():
    assert not says_something(with_headings(-LINE, 0.0, last=math.pi))


def test_headings_along_a_curve_say_which_way_round():
    for back in (0.0, math.pi):
        assert says_something(with_headings(CURVE, ANGLES + back))
        assert says_something(with_headings(CURVE, ANGLES + back, last=-1.0))
        assert says_something(with_headings(CURVE[::15], ANGLES[::15] + back))


def test_headings_that_change_without_the_way_are_for_a_robot_that_moves_sideways():
    poses = with_headings(LINE, np.linspace(0.0, 3.0, len(LINE)))
    assert not says_something(poses)
    assert says_something(poses, moves_sideways=True)


def test_one_pose_is_no_path():
    with pytest.raises(ValueError, match="1 different points"):
        path_through(np.zeros((1, 3)), False)
