# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The goal and the path that were asked for last, and how they go together."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from cem_planner_ros.navigation.path_headings import path_through
from cem_planner_ros.navigation.poses import Pose, compose
from cem_planner_ros.navigation.received_poses import (
    ReceivedPoses,
    is_same,
    is_same_path,
    path_of,
    pose_of,
)
from cem_planner_ros.navigation.reference_path import ReferencePath
from cem_planner_ros.readers import MessageError

SAME_GOAL = 0.5
"""Largest distance between a goal and the end of a path that leads to it, m."""


class GoalAndPath:
    """
    Goal and path in the frame of the states, from messages in any frame.

    The last pose of a path is the goal, unless a given goal is near it. A goal that is not near
    ends the path. An empty path ends both. What the messages ask for is taken over by `settle`.

    Args:
        moves_sideways: whether the robot can move sideways.
    """

    def __init__(self, moves_sideways: bool):
        self._moves_sideways = moves_sideways
        self.goal: Pose | None = None
        """The goal, as of the last call of `settle`; the same object while it stays where it is."""
        self.path: ReferencePath | None = None
        """The path, in the same way."""
        self._goal: ReceivedPoses | None = None
        self._path: ReceivedPoses | None = None
        self._is_path_newer = False

    def forget(self) -> None:
        """Forget goal and path."""
        self._goal = self._path = self.goal = self.path = None

    def forget_times(self) -> None:
        """Forget the times of the path, because the clock was set."""
        if self._path is not None:
            self._path = self._path._replace(times=None)

    def take_goal(self, message) -> None:
        """Take over a geometry_msgs/PoseStamped. Raises MessageError if it is wrong."""
        self._goal = ReceivedPoses(message.header.frame_id, [pose_of(message)])
        self._is_path_newer = False

    def take_path(self, message) -> None:
        """Take over a nav_msgs/Path. Raises MessageError if it is wrong."""
        self._is_path_newer = True
        self._path = path_of(message)
        if self._path is None:
            self._goal = None

    def follow(self, message) -> None:
        """
        Replace goal and path by a nav_msgs/Path.

        Raises MessageError if the message is not a path. Goal and path then stay as they were.
        """
        received = path_of(message)
        if received is None:
            raise MessageError("it has no poses")
        self._goal, self._path, self._is_path_newer = None, received, True

    def settle(self, pose_of_frame: Callable[[str], Pose]) -> None:
        """
        Transform goal and path to the present poses of their frames, and combine them.

        Args:
            pose_of_frame: returns where a frame is; raises FrameError if that is not known.

        Raises MessageError if what was asked for last cannot be used; there is no goal then.
        """
        self.goal, before = None, (self.goal, self.path)
        self.path = None
        goal = path = end = None
        try:
            if self._path:
                path, end = self._path_now(self._path, pose_of_frame)
        except MessageError:
            if self._is_path_newer or self._goal is None:
                raise
            self._path = None
        try:
            if self._goal:
                goal = _poses_now(self._goal, pose_of_frame)[-1]
        except MessageError:
            if end is None or not self._is_path_newer:
                raise
            self._goal = None
        if goal is not None and end is not None and math.dist(goal[:2], end[:2]) > SAME_GOAL:
            if self._is_path_newer:
                goal = self._goal = None
            else:
                path = end = self._path = None
        goal = end if goal is None else goal
        # Unchanged objects stay the same, so a reached goal is not started again.
        if goal is not None and before[0] is not None and is_same(goal, before[0]):
            goal = before[0]
        if path is not None and before[1] is not None and is_same_path(path, before[1]):
            path = before[1]
        self.goal, self.path = goal, path

    def _path_now(
        self, received: ReceivedPoses, pose_of_frame: Callable[[str], Pose]
    ) -> tuple[ReferencePath | None, Pose]:
        """Return a path, None if all its points are equal, and its last pose."""
        poses = _poses_now(received, pose_of_frame)
        try:
            path = path_through(np.array(poses), self._moves_sideways, received.times)
        except ValueError:
            path = None
        return path, poses[-1]


def _poses_now(received: ReceivedPoses, pose_of_frame: Callable[[str], Pose]) -> list[Pose]:
    frame = pose_of_frame(received.frame)
    return [compose(frame, pose) for pose in received.poses]
