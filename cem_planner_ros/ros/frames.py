# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Transforms of poses into the frame of the state."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable

import numpy as np
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.time import Time

from cem_planner_ros.navigation.poses import Pose
from cem_planner_ros.navigation.received_poses import check_position, planar_pose
from cem_planner_ros.readers import FrameError, MessageError, frame_name, unit_quaternion

LOOK_AGAIN = 0.2
"""Time between two looks at the transforms, s."""


class Frames:
    """
    The poses of other frames in the fixed frame, from tf2.

    Args:
        node: the node that listens to tf2, from `listen` or the first other frame on.
        fixed: the frame of the states.
    """

    def __init__(self, node: Node, fixed: str):
        self._node = node
        self._fixed = frame_name(fixed)
        self.moved: list[Callable[[], None]] = []
        """Called regularly once there are other frames, which may have moved."""
        self._buffer = None
        self._undo: list[Callable[[], object]] = []

    def listen(self) -> None:
        """
        Listen to tf2 already, if it is installed.

        What cannot wait for a transform then finds it at once.
        """
        with contextlib.suppress(ImportError):
            self._listen(importlib.import_module("tf2_ros"))

    def _listen(self, tf2_ros) -> None:
        if self._buffer is not None:
            return
        self._buffer = tf2_ros.Buffer()
        listener = tf2_ros.TransformListener(self._buffer, self._node)
        timer = self._node.create_timer(
            LOOK_AGAIN, self._look_again, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )
        self._undo = [listener.unregister, lambda: self._node.destroy_timer(timer)]

    def pose_of(self, frame: str, stamp: float | None = None) -> Pose:
        """
        Return the pose of a frame ("": the fixed one). Raises FrameError if unknown.

        It is the pose at a stamp, s of ROS time, if tf2 knows it; else, and without a stamp, the
        newest one.
        """
        found = self._transform(frame, stamp)
        if found is None:
            return Pose(0.0, 0.0, 0.0)
        try:
            return planar_pose(found.translation, found.rotation)
        except MessageError as error:
            raise _wrong(frame, error) from error

    def transform_of(self, frame: str) -> tuple[np.ndarray, np.ndarray] | None:
        """
        Return the translation (3,), m, and the unit quaternion (w, x, y, z) of a frame.

        None for the fixed frame, which is also that without a name. Raises FrameError if the frame
        is not known.
        """
        found = self._transform(frame)
        if found is None:
            return None
        move, q = found.translation, found.rotation
        translation = np.array((move.x, move.y, move.z))
        try:
            check_position(*translation)
            return translation, unit_quaternion(q.x, q.y, q.z, q.w)
        except MessageError as error:
            raise _wrong(frame, error) from error

    def _transform(self, frame: str, stamp: float | None = None):
        """Return the transform of a frame, None for the fixed one. Raises FrameError if unknown."""
        frame = frame_name(frame)
        if frame in ("", self._fixed):
            return None
        try:
            tf2_ros = importlib.import_module("tf2_ros")
        except ImportError as error:
            raise FrameError(
                f"frame '{frame}' is not '{self._fixed}' (frame_id), and tf2_ros, which would "
                "transform it, is not installed"
            ) from error
        self._listen(tf2_ros)
        try:
            found = self._lookup(tf2_ros, frame, stamp)
        except tf2_ros.TransformException as error:
            # The text contains times, so each would be another cause; use the class.
            kind = type(error).__name__
            raise FrameError(f"tf2 cannot transform frame '{frame}': {kind}") from error
        return found.transform

    def _lookup(self, tf2_ros, frame: str, stamp: float | None):
        if stamp is not None:
            try:
                time = Time(seconds=stamp)
                return self._buffer.lookup_transform(self._fixed, frame, time)
            except tf2_ros.TransformException:  # It is not known yet, or not any more.
                pass
        return self._buffer.lookup_transform(self._fixed, frame, Time())

    def _look_again(self) -> None:
        for look in self.moved:
            look()

    def destroy(self) -> None:
        """Stop listening to tf2."""
        for give_up in self._undo:
            give_up()
        self._undo = []
        self._buffer = None


def _wrong(frame: str, error: MessageError) -> FrameError:
    return FrameError(f"the transform of frame '{frame_name(frame)}' on '/tf': {error}")
