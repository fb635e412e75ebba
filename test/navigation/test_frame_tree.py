# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Frames from recorded transforms."""

import math
from types import SimpleNamespace as Space

import numpy as np
import pytest

from cem_planner_ros.navigation.frame_tree import FrameTree
from cem_planner_ros.readers import FrameError


def message(parent, child, place, turn):
    """A tf2_msgs/TFMessage with one transform; `turn` is x, y, z, w."""
    move = Space(**dict(zip("xyz", place, strict=True)))
    rotation = Space(**dict(zip("xyzw", turn, strict=True)))
    transform = Space(translation=move, rotation=rotation)
    header = Space(frame_id=parent)
    return Space(transforms=[Space(header=header, child_frame_id=child, transform=transform)])


QUARTER = (0.0, 0.0, math.sin(math.pi / 4), math.cos(math.pi / 4))


def test_a_pose_is_found_over_a_common_parent():
    tree = FrameTree("odom")
    tree.take(message("world", "/odom", (1.0, 0.0, 0.0), QUARTER))
    tree.take(message("/world", "map", (1.0, 2.0, 0.0), (0.0, 0.0, 0.0, 1.0)))
    np.testing.assert_allclose(tree.pose_of("map"), (2.0, 0.0, -math.pi / 2), atol=1e-9)
    with pytest.raises(FrameError, match="no recorded transform leads from 'moon' to 'odom'"):
        tree.pose_of("moon")


@pytest.mark.parametrize(
    ("place", "turn"),
    [
        ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 0.0)),
        ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1e-8)),
        ((0.0, 0.0, 0.0), (0.0, math.nan, 0.0, 1.0)),
        ((math.inf, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0)),
    ],
)
def test_a_transform_that_is_none_leaves_the_one_before(place, turn):
    tree = FrameTree("odom")
    tree.take(message("odom", "map", (1.0, 2.0, 0.0), (0.0, 0.0, 0.0, 1.0)))
    tree.take(message("odom", "map", place, turn))
    assert tree.pose_of("map") == (1.0, 2.0, 0.0)
