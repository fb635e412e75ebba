# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cem_planner_ros.navigation.reference_path import ReferencePath

CORNER = ReferencePath.through(np.array([[0.0, 0.0], [2.0, 0.0], [2.0, 1.0]]))
EIGHT = ReferencePath.through(
    np.array([[0.0, 0.0], [2.0, 2.0], [4.0, 0.0], [4.0, 2.0], [2.0, 0.5], [0.0, 2.0]])
)

places = st.floats(-3.0, 3.0)
points = st.tuples(places, places).map(np.array)


def test_a_path_is_read_by_arc_length_and_goes_no_further_than_its_ends():
    np.testing.assert_allclose(CORNER.lengths, [0.0, 2.0, 3.0])
    at = CORNER.at(np.array([-1.0, 0.5, 2.5, 9.0]))
    np.testing.assert_allclose(at, [[0.0, 0.0], [0.5, 0.0], [2.0, 0.5], [2.0, 1.0]])


def test_the_heading_of_a_path_turns_at_its_corners():
    heading = CORNER.heading(np.array([-1.0, 0.0, 1.9, 2.0, 3.0, 9.0]))
    np.testing.assert_allclose(heading, np.array([0.0, 0.0, 0.0, 90.0, 90.0, 90.0]) * np.pi / 180)


def test_repeated_points_are_left_out_with_their_times():
    path = ReferencePath.through(
        np.array([[0.0, 0.0], [0.0, 0.0], [1.0, 0.0], [1.0, 0.0]]), [1.0, 2.0, 3.0, 4.0]
    )
    np.testing.assert_array_equal(path.points, [[0.0, 0.0], [1.0, 0.0]])
    np.testing.assert_array_equal(path.times, [1.0, 3.0])


@pytest.mark.parametrize("times", [[2.0, 1.0], [1.0, 1.0], [0.0, math.nan]])
def test_times_that_do_not_ascend_are_no_times(times):
    assert ReferencePath.through(np.eye(2), times).times is None


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([], "0 different points, expected at least 2"),
        ([[1.0, 2.0]] * 3, "1 different points, expected at least 2"),
        ([[0.0, 0.0], [math.nan, 1.0]], "not finite"),
        ([[0.0, 0.0], [math.inf, 1.0]], "not finite"),
    ],
)
def test_what_is_no_path_is_refused_with_the_reason(points, message):
    with pytest.raises(ValueError, match=message):
        ReferencePath.through(points)


@settings(max_examples=100)
@given(points, st.floats(0.0, 9.0), st.floats(0.1, 9.0))
def test_no_allowed_place_of_a_path_is_nearer_than_the_nearest(point, after, length):
    for before in (after + length, math.inf):
        found = EIGHT.nearest(point, after, before)
        assert after - 1e-6 <= found <= min(before, EIGHT.lengths[-1]) + 1e-6
        others = EIGHT.at(np.linspace(after, min(before, EIGHT.lengths[-1]), 500))
        least = np.linalg.norm(others - point, axis=1).min()
        assert np.linalg.norm(EIGHT.at(found) - point) <= least + 1e-6


@pytest.mark.parametrize(
    ("points", "headings", "legs"),
    [
        ([[0, 0], [1, 0], [2, 0.5]], None, [0.0, 1.0 + math.hypot(1.0, 0.5)]),
        ([[0, 0], [2, 0], [1, 0]], None, [0.0, 2.0, 3.0]),
        ([[0, 0], [2, 0], [1, 0]], [0.0, 0.0, 0.0], [0.0, 2.0, 3.0]),
        # Turned round on the spot: the way goes on, but backwards.
        ([[0, 0], [1, 0], [2, 0], [3, 0]], [0.0, 0.0, math.pi, math.pi], [0.0, 2.0, 3.0]),
        # Noise of the points is no reversal, wherever it is.
        ([[0, 0], [2, 0], [1.99, 0], [4, 0]], None, [0.0, 4.02]),
        ([[0, 0], [-0.01, 0], [2, 0], [1.99, 0]], None, [0.0, 2.03]),
        # A robot that moves sideways reverses nothing.
        ([[0, 0], [1, 0.1], [2, -0.1], [3, 0]], [1.57] * 4, None),
    ],
)
def test_the_legs_of_a_path_end_where_it_reverses(points, headings, legs):
    path = ReferencePath.through(np.array(points, float), headings=headings)
    expected = [0.0, path.lengths[-1]] if legs is None else legs
    np.testing.assert_allclose(path.legs, expected, atol=1e-9)


def test_the_wanted_heading_is_that_of_the_poses_or_else_the_direction():
    points = np.array([[0.0, 0.0], [-1.0, 0.0], [-2.0, 0.0]])
    backwards = ReferencePath.through(points, headings=[0.1, -0.1, 0.1])
    np.testing.assert_allclose(backwards.heading(np.array([0.0, 0.5, 2.0])), [0.1, 0.0, 0.1])
    assert abs(ReferencePath.through(points).heading(np.array(0.5))) == pytest.approx(math.pi)
    assert ReferencePath.through(points, headings=[0.0, math.nan, 0.0]).headings is None
