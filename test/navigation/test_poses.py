# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Poses in the plane."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cem_planner_ros.navigation.poses import Pose, compose, interpolate, placed

POSES = [(1.0, (0.0, 0.0, 0.0)), (1.2, (0.4, -0.2, 3.0)), (1.3, (0.5, -0.2, -3.0))]


@pytest.mark.parametrize(
    ("time", "pose"),
    [
        (1.0, (0.0, 0.0, 0.0)),
        (1.05, (0.1, -0.05, 0.75)),
        (1.2, (0.4, -0.2, 3.0)),
        (1.25, (0.45, -0.2, math.pi)),  # the short way round
        (1.3, (0.5, -0.2, -3.0)),
    ],
)
def test_between_two_poses_it_is_on_the_line_between_them(time, pose):
    x, y, yaw = interpolate(POSES, time, 0.5)
    assert (x, y) == pytest.approx(pose[:2])
    assert math.remainder(yaw - pose[2], math.tau) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("time", [0.999, 1.301])
def test_there_is_no_pose_before_the_first_or_after_the_last(time):
    assert interpolate(POSES, time, 0.5) is None
    assert interpolate([], time, 0.5) is None


def test_there_is_no_pose_in_a_gap():
    assert interpolate(POSES, 1.1, 0.19) is None
    assert interpolate(POSES, 1.2, 0.0) is not None


number = st.floats(-5.0, 5.0)


@given(x=number, y=number, yaw=number, forward=number, left=number, turn=number)
def test_what_is_on_a_body_moves_with_it(x, y, yaw, forward, left, turn):
    px, py, pyaw = compose((x, y, yaw), (forward, left, turn))
    point = complex(x, y) + complex(forward, left) * complex(math.cos(yaw), math.sin(yaw))
    assert complex(px, py) == pytest.approx(point)
    assert pyaw == yaw + turn


def test_points_of_a_body_are_where_its_poses_compose_them():
    random = np.random.default_rng(0)
    points, poses = random.normal(size=(5, 2)), random.normal(size=(3, 4, 3))
    found = placed(points, poses)
    assert found.shape == (3, 4, 5, 2)
    for index in np.ndindex(3, 4, 5):
        expected = compose(Pose(*poses[index[:2]]), Pose(*points[index[2]], 0.0))
        np.testing.assert_allclose(found[index], expected[:2], atol=1e-12)
