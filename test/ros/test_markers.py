# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
import numpy as np
from rclpy.serialization import deserialize_message
from visualization_msgs.msg import Marker, MarkerArray

from cem_planner_ros.navigation.moving_obstacles import MovingObstacles
from cem_planner_ros.ros.markers import Drawing, Line, braking, fan, in_space, moving


def drawn(drawing, lines):
    return deserialize_message(drawing.draw(lines), MarkerArray).markers


def points(marker):
    return np.array([(point.x, point.y, point.z) for point in marker.points])


def test_lines_arrive_as_they_were_given_also_the_second_time():
    drawing, random = Drawing("odom"), np.random.default_rng(0)
    for lengths in ((3, 1, 57), (3, 1, 57), (2, 2)):
        lines = [Line("a", 0.5, random.random(4), random.random((n, 3))) for n in lengths]
        markers = drawn(drawing, lines)
        assert [marker.id for marker in markers] == list(range(len(lengths)))
        for marker, line in zip(markers, lines, strict=True):
            np.testing.assert_array_equal(points(marker), line.points)
            color = marker.color
            np.testing.assert_allclose((color.r, color.g, color.b, color.a), line.color, rtol=1e-6)
            assert marker.header.frame_id == "odom"
            assert (marker.type, marker.action) == (Marker.LINE_STRIP, Marker.ADD)
            assert (marker.scale.x, marker.pose.orientation.w) == (0.5, 1.0)


def test_candidates_are_coloured_by_cost_whatever_its_scale():
    costs = np.array([1.0, 1e9, 2.0, np.nan])
    lines = fan(np.zeros((4, 5, 3)), costs, elites=2)
    assert [line.namespace for line in lines] == ["elites", "elites", "samples", "samples"]
    red = [line.color[0] for line in lines]
    assert np.argsort(red).tolist() == [0, 2, 1, 3]
    assert (red[0], red[3]) == (0.0, 1.0)


def test_moving_obstacles_are_drawn_with_where_they_go():
    place = np.array([[1.0, 2.0], [-3.0, 0.0]])
    speed, radius = np.array([[0.5, 0.0], [0.0, -1.0]]), 0.3
    lines = moving(MovingObstacles(place, speed, np.full(2, radius), 0.0, 0.0))
    assert [line.namespace for line in lines] == ["moving_obstacles"] * 2
    for line, middle, velocity in zip(lines, place, speed, strict=True):
        circle, rest = line.points[:-2, :2], line.points[-2:, :2]
        np.testing.assert_allclose(np.linalg.norm(circle - middle, axis=1), radius)
        np.testing.assert_allclose(rest, [middle, middle + velocity])
    assert moving(MovingObstacles(np.zeros((0, 2)), np.zeros((0, 2)), np.zeros(0), 0.0, 0.0)) == []


def test_the_braking_way_keeps_its_ends():
    poses = np.column_stack((np.linspace(0.0, 0.5, 7), np.zeros(7), np.zeros(7)))
    way, outline = braking(poses, [np.ones((5, 2))])
    np.testing.assert_array_equal(way.points[[0, -1], 0], [0.0, 0.5])
    assert outline.points.shape == (5, 3)


def test_a_model_with_z_is_drawn_in_space():
    states = np.arange(8.0).reshape(2, 4)
    np.testing.assert_array_equal(
        in_space(states, ("z", "x", "v", "y")), [(1.0, 3.0, 0.0), (5.0, 7.0, 4.0)]
    )
