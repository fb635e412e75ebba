# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Where frames are, from recorded transforms; a node asks tf2 instead."""

from __future__ import annotations

import contextlib

import numpy as np

from cem_planner_ros.navigation.poses import Pose
from cem_planner_ros.navigation.reference_messages import Transform
from cem_planner_ros.readers import (
    FrameError,
    MessageError,
    euler,
    frame_name,
    rotate,
    unit_quaternion,
)

STANDING = np.zeros(3), np.array([1.0, 0.0, 0.0, 0.0])
"""The transform of a frame to itself."""


class FrameTree:
    """
    The poses of frames in a fixed one, from the newest transform between each frame and its parent.

    Args:
        fixed: name of the fixed frame, that of the states.
    """

    def __init__(self, fixed: str):
        self._fixed = frame_name(fixed)
        self._parents: dict[str, tuple[str, Transform]] = {}
        self.is_needed = False
        """Whether another frame than the fixed one was looked up."""

    def take(self, message) -> None:
        """Take over the transforms of a tf2_msgs/TFMessage that are finite."""
        for each in message.transforms:
            move, q = each.transform.translation, each.transform.rotation
            translation = np.array((move.x, move.y, move.z))
            with contextlib.suppress(MessageError):  # It is no rotation.
                transform = translation, unit_quaternion(q.x, q.y, q.z, q.w)
                if np.isfinite(translation).all():
                    child = frame_name(each.child_frame_id)
                    self._parents[child] = frame_name(each.header.frame_id), transform

    def transform_of(self, frame: str) -> Transform | None:
        """
        Return the translation (3,), m, and the unit quaternion (w, x, y, z) of a frame.

        None for the fixed frame, which is also that without a name. Raises FrameError if the frame
        is not known.
        """
        frame = frame_name(frame)
        if frame in ("", self._fixed):
            return None
        self.is_needed = True
        root, (place, turn) = self._in_root(frame)
        other, (origin, fixed) = self._in_root(self._fixed)
        if root != other:
            raise FrameError(f"no recorded transform leads from '{frame}' to '{self._fixed}'")
        back = fixed * (1.0, -1.0, -1.0, -1.0)
        return rotate(back, place - origin), _product(back, turn)

    def pose_of(self, frame: str) -> Pose:
        """Return the pose of a frame ("": the fixed one). Raises FrameError if it is unknown."""
        found = self.transform_of(frame)
        if found is None:
            return Pose(0.0, 0.0, 0.0)
        (x, y, _), (qw, qx, qy, qz) = found
        return Pose(float(x), float(y), euler(qx, qy, qz, qw)[2])

    def _in_root(self, frame: str) -> tuple[str, Transform]:
        """Return the root of the tree that a frame is in, and the transform of the frame there."""
        place, turn = STANDING
        for _ in range(len(self._parents)):  # A circle of frames has no root.
            if frame not in self._parents:
                break
            frame, (move, q) = self._parents[frame]
            place, turn = move + rotate(q, place), _product(q, turn)
        return frame, (place, turn)


def _product(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the product of two unit quaternions (w, x, y, z)."""
    (w, u), (s, v) = (one[0], one[1:]), (other[0], other[1:])
    return np.array((w * s - u @ v, *(w * v + s * u + np.cross(u, v))))
