# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Costmaps from messages, which are any objects with the fields of their type; without ROS."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from cem_planner_ros.navigation.poses import Pose
from cem_planner_ros.navigation.received_grid import ReceivedGrid, occupancy
from cem_planner_ros.readers import MessageError


def grid(cells, resolution=0.5):
    height, width = np.shape(cells)
    origin = SimpleNamespace(
        position=SimpleNamespace(x=1.0, y=2.0),
        orientation=SimpleNamespace(x=0.0, y=0.0, z=0.0, w=1.0),
    )
    info = SimpleNamespace(width=width, height=height, resolution=resolution, origin=origin)
    header = SimpleNamespace(frame_id="map")
    return SimpleNamespace(info=info, header=header, data=np.ravel(cells))


def test_values_of_a_raw_costmap_are_those_of_the_grid_that_nav2_publishes_beside_it():
    raw = [0, 1, 126, 252, 253, 254, 255]
    np.testing.assert_array_equal(occupancy(bytes(raw)), [0, 1, 49, 98, 99, 100, -1])


def test_a_grid_lies_where_its_frame_says_and_updates_change_a_part_of_it():
    received = ReceivedGrid()
    received.take(grid([[0, 0, 0], [0, 0, 100]]))
    frames = {"map": Pose(10.0, 0.0, math.pi / 2)}
    before = received.costmap(frames.__getitem__, 5.0, 100)
    assert before.origin == pytest.approx((8.0, 1.0, math.pi / 2))
    assert (before.time, before.resolution) == (5.0, 0.5)
    received.update(SimpleNamespace(x=1, y=0, width=2, height=1, data=[50, 60]))
    after = received.costmap(frames.__getitem__, 6.0, 100)
    assert after.cells.tolist() == [[0, 50, 60], [0, 0, 100]]
    assert before.cells.tolist() == [[0, 0, 0], [0, 0, 100]]


def test_what_does_not_fit_is_refused():
    received = ReceivedGrid()
    update = SimpleNamespace(x=1, y=0, width=2, height=1, data=[50, 60])
    with pytest.raises(MessageError, match="before the whole costmap"):
        received.update(update)
    for wrong in (grid([[]]), grid([[0]], math.nan)):
        with pytest.raises(MessageError, match="expected"):
            received.take(wrong)
    received.take(grid([[0, 0], [0, 0], [0, 0]]))
    # Of numbers below zero, map_msgs/OccupancyGridUpdate allows any.
    for x, y, width in ((1, 0, 2), (-2, 0, 1), (0, -2, 2), (-1, -1, 2)):
        update = SimpleNamespace(x=x, y=y, width=width, height=1, data=[100] * width)
        with pytest.raises(MessageError, match="does not fit"):
            received.update(update)
    costmap = received.costmap(lambda frame: Pose(0.0, 0.0, 0.0), 5.0, 100)
    assert not costmap.cells.any()
