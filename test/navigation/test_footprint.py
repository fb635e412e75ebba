# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.navigation.footprint import Footprint

RECTANGLE = "0.3 0.2  0.3 -0.2  -0.2 -0.2  -0.2 0.2"
ROBOT = Footprint.of(RECTANGLE, 1.0, 12)


def text(corners):
    return " ".join(f"{x:.9f} {y:.9f}" for x, y in corners)


@st.composite
def outlines(draw):
    """Corners around the origin, near or far, in either sense."""
    count = draw(st.integers(3, 8))
    gaps = np.array(draw(st.lists(st.floats(0.2, 1.0), min_size=count, max_size=count)))
    angles = np.cumsum(2.0 * math.pi * gaps / gaps.sum())
    far = np.array(draw(st.lists(st.floats(0.05, 1.0), min_size=count, max_size=count)))
    corners = far[:, None] * np.stack((np.cos(angles), np.sin(angles)), -1)
    return corners[:: draw(st.sampled_from((1, -1)))]


def along(corners, count):
    """Return `count` points on each side of a polygon."""
    share = np.linspace(0.0, 1.0, count)[:, None, None]
    return ((1.0 - share) * corners + share * np.roll(corners, -1, axis=0)).reshape(-1, 2)


@settings(max_examples=25)
@given(outlines(), st.integers(3, 40))
def test_every_point_of_the_outline_lies_in_a_disc_and_no_disc_beyond_the_overhang(corners, discs):
    angles = np.unwrap(np.arctan2(corners[:, 1], corners[:, 0]))
    if abs(angles[-1] - angles[0]) <= math.pi + 1e-6:
        return  # It is not around the origin.
    footprint = Footprint.of(text(corners), 1.0, discs)
    outline = along(corners, 777)
    distance = np.linalg.norm(outline[:, None] - footprint.centers, axis=2)
    assert len(footprint.centers) <= discs
    assert (distance - footprint.radii).min(1).max() <= 1e-9
    assert (footprint.radii + footprint.distance(*footprint.centers.T)).max() <= (
        footprint.overhang + 1e-9
    )


def test_many_discs_hardly_stick_out():
    few, many = (Footprint.of(RECTANGLE, 1.0, discs).overhang for discs in (6, 24))
    assert many < 0.007 < 0.02 < few


def test_a_circle_is_one_disc():
    circle = Footprint.of("  ", 0.35, 24)
    np.testing.assert_array_equal(circle.centers, [[0.0, 0.0]])
    assert (*circle.radii, circle.overhang) == (0.35, 0.0)
    outline = circle.at(1.0, 2.0, 0.5)
    np.testing.assert_allclose(np.hypot(*(outline - [1.0, 2.0]).T), 0.35)


@pytest.mark.parametrize(
    "corners",
    [
        "0.3, 0.2, 0.3, -0.2, -0.2, -0.2, -0.2, 0.2",
        "[[0.3, 0.2], [0.3, -0.2], [-0.2, -0.2], [-0.2, 0.2]]",
        "3e-1 .2; 3e-1 -.2; -.2 -.2; -.2 .2",
    ],
)
def test_corners_may_be_written_as_elsewhere(corners):
    np.testing.assert_allclose(
        Footprint.of(corners, 1.0, 8).corners, Footprint.of(RECTANGLE, 1.0, 8).corners
    )


@pytest.mark.parametrize(
    ("corners", "message"),
    [
        ("a square", "x and y of three corners or more"),
        ("0.2 0.2 0.2 -0.2", "x and y of three corners or more"),
        ("0.2 0.2 0.2 -0.2 -0.2 -0.2 -0.2", "x and y of three corners or more"),
        ("0.2 0.2 e 0.2 -0.2 -0.2 -0.2", "x and y of three corners or more"),
        ("0.2 0.2 0.2 -0.2 nan -0.2", "x and y of three corners or more"),
        ("1e999 0.2 0.2 -0.2 -0.2 -0.2 -0.2 0.2", "x and y of three corners or more"),
        ("1 1 2 1 2 2 1 2", "corners in order around the robot's origin"),
        ("0.2 0.2 -0.2 -0.2 0.2 -0.2 -0.2 0.2", "corners in order around the robot's origin"),
        ("0 0 0.2 -0.2 -0.2 -0.2 -0.2 0.2", "corners in order around the robot's origin"),
        ("0.2 0.2 0.2 -0.2 -0.2 -0.2 -0.2 0.2 0.2 0.2", "corners in order"),
    ],
)
def test_what_is_no_footprint_is_refused_and_says_what_is(corners, message):
    with pytest.raises(ConfigurationError, match=message):
        Footprint.of(corners, 1.0, 24)


@settings(max_examples=25)
@given(st.floats(-9.0, 9.0), st.floats(-9.0, 9.0), st.floats(-9.0, 9.0))
def test_the_outline_moves_with_the_robot(x, y, yaw):
    outline = ROBOT.at(x, y, yaw)
    np.testing.assert_array_equal(outline[0], outline[-1])
    # As complex numbers: turned, then moved.
    expected = (ROBOT.corners @ [1.0, 1j]) * np.exp(1j * yaw) + complex(x, y)
    np.testing.assert_allclose(outline[:-1] @ [1.0, 1j], expected, atol=1e-9)
