# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The input of the robot's outline, such as the footprint that a costmap of Nav2 publishes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from geometry_msgs.msg import PolygonStamped

from cem_planner_ros.configuration import Configuration
from cem_planner_ros.navigation.footprint import Footprint
from cem_planner_ros.navigation.poses import Pose, turn_of_rows
from cem_planner_ros.readers import MessageError, frame_name, stamp_of
from cem_planner_ros.ros.frames import Frames

SAME = 0.01
"""Largest distance of a corner from where it was, m, at which the footprint is still the same."""


class FootprintInput:
    """
    Makes footprints from polygons, in the frame of the robot's body or in any other frame.

    A polygon in another frame is where the robot is at its stamp. The footprint that is used first
    is that of the parameters.

    Args:
        frames: transforms of the messages' frames.
        configuration: its costs have the first footprint.
        clock: clock of the control loop, s.
        stamp_clock: clock with which messages are stamped, s.
        body: returns the frame of the robot's body, and its pose at a time on `clock`, s; None if
            the pose is not known.
        changed: called with each new footprint.
    """

    def __init__(
        self,
        frames: Frames,
        configuration: Configuration,
        clock: Callable[[], float],
        stamp_clock: Callable[[], float],
        body: Callable[[float], tuple[str, Pose | None]],
        changed: Callable[[Footprint], None],
    ):
        self._frames = frames
        self._clock = clock
        self._stamp_clock = stamp_clock
        self._body = body
        self._changed = changed
        self._used = configuration.footprint
        self._discs = len(self._used.centers)

    def take(self, message: PolygonStamped) -> None:
        """Use a footprint that differs from the last one. Raises MessageError if it is none."""
        corners = np.array([(p.x, p.y) for p in message.polygon.points], float).reshape(-1, 2)
        if len(corners) > 3 and (corners[0] == corners[-1]).all():
            corners = corners[:-1]
        corners = self._in_body(corners, message.header.frame_id, stamp_of(message))
        used = self._used.corners
        if corners.shape == used.shape and np.abs(corners - used).max() <= SAME:
            return
        try:
            self._used = Footprint.around(corners, self._discs)
        except ValueError as error:
            raise MessageError(f"its polygon is no footprint, expected {error}") from error
        self._changed(self._used)

    def _in_body(self, corners: np.ndarray, frame: str, stamp: float | None) -> np.ndarray:
        """Return corners (n, 2), m, of another frame in the frame of the robot's body."""
        age = 0.0 if stamp is None else self._stamp_clock() - stamp
        body, robot = self._body(self._clock() - age)
        if frame_name(frame) == body:
            return corners
        origin = self._frames.pose_of(frame, stamp)
        if robot is None:
            raise MessageError("where the robot was at its stamp is not known")
        return (corners @ turn_of_rows(origin.yaw) + origin[:2] - robot[:2]) @ turn_of_rows(
            -robot.yaw
        )
