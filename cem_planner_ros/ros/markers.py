# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""
Markers of plans and candidates, as visualization_msgs/MarkerArray.

Python needs more time to make and serialise a message with thousands of points than a plan takes.
The message is therefore serialised once, and then only its numbers are overwritten in place.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point
from rclpy.serialization import serialize_message
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from cem_planner_ros.navigation.moving_obstacles import MovingObstacles

LIFETIME = 1
"""Time after which a marker that is not drawn again disappears, s."""

BRAKING_POINTS = 20

PREDICTED = 1.0
"""Time ahead for which the way of a moving obstacle is drawn, s."""

BEST, BRAKING, OUTLINE = (0.1, 0.4, 1.0, 1.0), (1.0, 0.5, 0.0, 1.0), (0.2, 0.2, 0.2, 1.0)
MOVING = (0.8, 0.1, 0.6, 1.0)
"""Red, green, blue, alpha."""


class Line(NamedTuple):
    """A line that is drawn as one marker."""

    namespace: str
    width: float  # m
    color: Sequence[float]  # (4,)
    points: np.ndarray  # (k, 3), m


class Drawing:
    """
    Lines as a serialised message; it is serialised again only if their number or lengths change.

    Args:
        frame: frame of the points; without a stamp, so that the newest transform is used.
    """

    def __init__(self, frame: str):
        self._frame = frame
        self._layout: list[tuple[str, float, int]] = []

    def draw(self, lines: Sequence[Line]) -> bytes:
        """Return the message."""
        layout = [(line.namespace, line.width, len(line.points)) for line in lines]
        if layout != self._layout:
            self._lay_out(layout)
        for line, color, points in zip(lines, self._colors, self._points, strict=True):
            color[:], points[:] = line.color, line.points
        return bytes(self._data)

    def _lay_out(self, layout: list[tuple[str, float, int]]) -> None:
        message = MarkerArray()
        for number, (namespace, width, count) in enumerate(layout):
            # Numbers that occur nowhere else in the message, to find the places of the points.
            marker = Marker(
                ns=namespace,
                id=number,
                type=Marker.LINE_STRIP,
                color=ColorRGBA(r=2.0**23 + number),
                lifetime=Duration(sec=LIFETIME),
                points=[Point(x=2.0**52 + number), *(Point() for _ in range(count - 1))],
            )
            marker.header.frame_id = self._frame
            marker.scale.x = width
            marker.pose.orientation.w = 1.0
            message.markers.append(marker)
        self._layout, self._data = layout, bytearray(serialize_message(message))
        self._colors, self._points = [], []
        place = 0
        for number, (_, _, count) in enumerate(layout):
            place = self._data.index(struct.pack("=f", 2.0**23 + number), place)
            self._colors.append(np.frombuffer(self._data, "=f4", 4, place))
            place = self._data.index(struct.pack("=d", 2.0**52 + number), place)
            self._points.append(np.frombuffer(self._data, "=f8", 3 * count, place).reshape(-1, 3))


def fan(candidates: np.ndarray, costs: np.ndarray, elites: int) -> list[Line]:
    """
    Return the lines of candidates (n, k, 3), m, the first `elites` of which are thicker.

    By the costs (n,), the cheapest candidate is green, the most expensive red, others between.
    """
    share = np.argsort(np.argsort(costs)) / max(1, len(costs) - 1)
    colors = np.column_stack((share, 1.0 - share, np.zeros_like(share), np.full_like(share, 0.6)))
    return [
        Line("elites" if i < elites else "samples", 0.008 if i < elites else 0.004, color, points)
        for i, (color, points) in enumerate(zip(colors, candidates, strict=True))
    ]


def braking(poses: np.ndarray, outlines: Sequence[np.ndarray]) -> list[Line]:
    """Return the lines of poses (n, 3) until the stop, and of footprints (m, 2), m."""
    chosen = np.linspace(0, len(poses) - 1, BRAKING_POINTS).astype(int)
    return [
        Line("braking", 0.03, BRAKING, in_space(poses[chosen, :2], "xy")),
        *(Line("footprint", 0.01, OUTLINE, in_space(outline, "xy")) for outline in outlines),
    ]


def moving(obstacles: MovingObstacles) -> list[Line]:
    """Return a line for each moving obstacle: its circle, and its way in the next PREDICTED s."""
    ways = np.stack((obstacles.positions, obstacles.after(PREDICTED).positions), 1)
    points = np.concatenate((obstacles.outlines(), ways), 1)
    return [Line("moving_obstacles", 0.02, MOVING, in_space(each, "xy")) for each in points]


def in_space(states: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Return the points (k, 3) of states (k, nx) of a model with x, y and maybe z, in m."""
    points = np.zeros((len(states), 3, *states.shape[2:]))
    for axis, name in enumerate("xyz"):
        if name in names:
            points[:, axis] = states[:, names.index(name)]
    return points
