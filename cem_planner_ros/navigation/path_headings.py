# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Whether the headings of a path's poses say how the robot should be turned on its way."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from cem_planner_ros.navigation.reference_path import ReferencePath

SAME = 0.01
"""Largest difference of headings that are all the same, rad."""

STRAIGHT = 0.2
"""Largest angle between a straight path and its parts, and the headings of its poses, rad."""

FOLLOWING = math.pi / 4
"""Largest angle between a path and headings that follow it, rad."""

MOST = 0.9
"""Share of the length of a path that has to be so."""


def path_through(
    poses: np.ndarray, moves_sideways: bool, times: np.ndarray | None = None
) -> ReferencePath:
    """
    Return a path through poses, with their headings if these say how the robot should be turned.

    A planner that plans positions only leaves all headings at zero, or writes the heading of the
    goal into all poses. With such headings the robot would drive crosswise. Headings are therefore
    used in two cases. In the first, they differ from each other, and most of the path leads along
    or opposite to them. In the second, they are equal, the path is straight, and it leads along or
    opposite to them: a straight path may be driven backwards. The angle to the path does not matter
    for a robot that moves sideways. The first and the last pose may differ from the others: they
    are those of the robot and of the goal.

    Args:
        poses: (n, 3), m and rad.
        moves_sideways: whether the robot can move sideways.
        times: (n,), s, as in `ReferencePath`.

    Raises ValueError, with the reason, if the poses make no path.
    """
    poses = np.asarray(poses, float)
    path = ReferencePath.through(poses[:, :2], times, poses[:, 2])
    if path.headings is None or _say_something(path.points, path.headings, moves_sideways):
        return path
    return replace(path, headings=None)


def _say_something(points: np.ndarray, headings: np.ndarray, moves_sideways: bool) -> bool:
    steps = np.diff(points, axis=0)
    spans = np.linalg.norm(steps, axis=1)
    length = spans.sum()
    inner = headings[1:-1] if len(headings) > 4 else headings[:-1]
    if (np.abs(np.angle(np.exp(1j * (inner - inner[0])))) > SAME).any():
        facing = np.stack((np.cos(headings), np.sin(headings)), -1)
        along = ((facing[1:] + facing[:-1]) * steps).sum(1)
        is_along = np.abs(along) >= 2.0 * math.cos(FOLLOWING) * spans
        return moves_sideways or bool(spans[is_along].sum() >= MOST * length)
    # Doubled angles, so that a path that leads back on its line is straight.
    axis = 0.5 * np.angle((spans * np.exp(2j * np.arctan2(steps[:, 1], steps[:, 0]))).sum())
    off_axis = np.abs(steps @ (-math.sin(axis), math.cos(axis)))
    is_straight = spans[off_axis <= math.sin(STRAIGHT) * spans].sum() >= MOST * length
    is_same_at_end = math.cos(headings[-1] - inner[0]) >= math.cos(STRAIGHT)
    is_along = abs(math.sin(inner[0] - axis)) <= math.sin(STRAIGHT)
    return bool(is_straight and is_same_at_end and (moves_sideways or is_along))
