# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""
The task of an arm: to bring its tip to one pose after the other around a column.

A run begins at the keyframe of models/arm.xml that `start` names. The goals are STATIONS around the
column; the tip points down.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from cem_planner_ros.configuration import Configuration
from cem_planner_ros.dynamics.mjcf import load
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.paths import find

COLUMN = (0.45, 0.0)
"""Where the column of models/arm.xml stands, m."""

RADIUS = 0.05
"""Of the column, m."""

DISTANCE = 0.2
"""From the axis of the column to the goals, m."""

STATIONS = np.radians((-120.0, -80.0, -40.0, 0.0, 40.0, 80.0, 120.0))
"""Directions of the goals from the column, rad, counted from the direction to the base."""

LOW, HIGH = 0.3, 0.42
"""Bounds of the heights of goals, m."""

EVERY, REACH = 2.0, 1.0
"""Time from one goal to the next, and from a goal to the first error that counts, s."""

MOST_ERROR = 0.02
"""Largest distance of the tip from a goal that counts in a successful run, m."""

STARTS = {"start": 3, "left": 1, "right": 5}
"""{keyframe at which runs begin: its station}, in turn."""


class ReachResult(NamedTuple):
    """
    How well the goals were reached.

    Attributes:
        errors: the largest distance from each goal that counts, m.
        problems: why the run was no success; empty if it was.
    """

    errors: list[float]
    problems: list[str]


class GoalsAroundColumn:
    """
    Goals around a column, EVERY s another one: to and fro, with heights at random.

    Args:
        seed: of start, direction and heights.
    """

    def __init__(self, seed: int):
        self._random = np.random.default_rng(seed)
        self._station = STARTS[start(seed)]
        self._direction = int(self._random.choice((-1, 1)))
        self._goals: list[np.ndarray] = []

    def goal(self, index: int) -> np.ndarray:
        """Return the pose (7,) of a goal: position, m, and quaternion (w, x, y, z)."""
        while len(self._goals) <= index:
            if not 0 <= self._station + self._direction < len(STATIONS):
                self._direction = -self._direction
            self._station += self._direction
            angle, height = STATIONS[self._station], self._random.uniform(LOW, HIGH)
            x = COLUMN[0] - DISTANCE * math.cos(angle)
            y = COLUMN[1] - DISTANCE * math.sin(angle)
            # Down, which is half a turn about y, after a turn towards the goal.
            half = 0.5 * math.atan2(y, x)
            self._goals.append(np.array((x, y, height, 0.0, -math.sin(half), math.cos(half), 0.0)))
        return self._goals[index]

    def index(self, time: float) -> int:
        """Return which goal holds at a time, s since the first one."""
        return max(int((time + 1e-9) // EVERY), 0)

    def distances(self, times: np.ndarray, tips: np.ndarray) -> np.ndarray:
        """Return how far tips (n, 3), m, are from the goals of their times (n,), s."""
        goals = [self.goal(self.index(time))[:3] for time in times]
        return np.linalg.norm(tips - np.reshape(goals, (-1, 3)), axis=1)


class Tip:
    """
    The tip of models/arm.xml, by MuJoCo's kinematics.

    Raises ConfigurationError if mujoco is not installed.
    """

    def __init__(self) -> None:
        try:
            import mujoco
        except ImportError as error:
            raise ConfigurationError(
                f"the tip of the arm needs the package mujoco (pip install mujoco): {error}"
            ) from error

        self._mujoco = mujoco
        self._model = load(find("arm.xml"))
        self._data = mujoco.MjData(self._model)

    def at(self, positions: np.ndarray) -> np.ndarray:
        """Return where it is (n, 3), m, for positions of the joints (n, 7), rad."""
        tips = np.empty((len(positions), 3))
        for tip, joints in zip(tips, positions, strict=True):
            self._data.qpos[:] = joints
            self._mujoco.mj_kinematics(self._model, self._data)
            tip[:] = self._data.site("tip").xpos
        return tips


def most_jump(configuration: Configuration) -> float:
    """Return how far a joint may be commanded to move in the first period, rad."""
    return max(configuration.action("high")) / configuration.values["control_rate"]


def start(seed: int) -> str:
    """Return the keyframe at which a run begins."""
    return list(STARTS)[seed % len(STARTS)]


def result(
    times: np.ndarray, distances: np.ndarray, has_touched: bool, jump: float, most_jump: float
) -> ReachResult:
    """
    Return how well the goals were reached.

    Args:
        times: (n,), s since the first goal.
        distances: (n,), of the tip from the goals, m.
        has_touched: whether the arm touched anything.
        jump: largest distance of the first command from the measured position of a joint, rad.
        most_jump: the largest one allowed.
    """
    errors, problems = [], []
    for index in range(int(np.max(times, initial=-1.0) // EVERY) + 1):
        counts = (times >= index * EVERY + REACH) & (times < (index + 1) * EVERY)
        if counts.any():
            errors.append(float(distances[counts].max()))
    if not errors:
        problems.append("no goal could be reached in the time")
    elif not max(errors) < MOST_ERROR:
        late = sum(error >= MOST_ERROR for error in errors)
        problems.append(
            f"{max(errors):.3f} m from a goal {REACH:g} s after it came, allowed: less than "
            f"{MOST_ERROR:g} m ({late} of {len(errors)} goals)"
        )
    if has_touched:
        problems.append("it touched something")
    if not jump <= most_jump:
        problems.append(
            f"the first command was {jump:.3f} rad from the measured position, allowed: "
            f"{most_jump:.3f} rad"
        )
    return ReachResult(errors, problems)
