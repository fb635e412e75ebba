# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The goal checker: whether a robot has a goal, and whether it has reached the goal."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import numpy as np

from cem_planner_ros.navigation.path_progress import PathProgress
from cem_planner_ros.navigation.planar_robot import DriveSettings, PlanarRobot, Twist
from cem_planner_ros.navigation.poses import Pose, compose
from cem_planner_ros.navigation.surroundings import GoalTolerance, Surroundings

NO_GOAL = "no_goal"
GOAL_REACHED = "goal_reached"

PATH_LEFT = 0.7
"""Length of the path, m, that may be left where the goal is reached: it may lie beside the end."""


class GoalChecker:
    """
    Says when a robot should stand: without a goal, and at the goal.

    A goal is reached if position, heading and all speeds (measured and commanded) are within
    tolerance, and if the pose at which the robot will stand after braking is within tolerance too.
    If there is a path, the robot must also be near its end along the path: a path may pass the goal
    before. A goal stays reached until another goal comes. A tolerance in the surroundings replaces
    that of the settings.

    Args:
        robot: where pose and speeds stand in states and actions.
        targets: "goal", "path" or both: the inputs of the costs. One of them must be known.
        settings: the tolerances.
    """

    def __init__(self, robot: PlanarRobot, targets: Collection[str], settings: DriveSettings):
        self.settings = settings
        """Any thread may replace them as a whole."""
        self.reached: Pose | None = None
        """The goal that was reached last."""
        self.standing = 0.0
        """How long the robot has stood although it should drive, s."""
        self._robot = robot
        self._targets = sorted(targets)
        self._moved = math.inf
        self._near: Pose | None = None  # The last goal whose distance was within tolerance.
        self._progress = PathProgress()

    def is_reached(self, goal: Pose | None) -> bool:
        """Return whether a goal is the goal that was reached last."""
        return goal is not None and goal is self.reached

    def check(
        self, surroundings: Surroundings, state: np.ndarray, action: np.ndarray, now: float
    ) -> tuple[str, str]:
        """
        Return the cause for standing, NO_GOAL or GOAL_REACHED, and a reason; "" if it may drive.

        Args:
            surroundings: goal and path.
            state: (nx,), the newest state.
            action: (nu,), the command in force.
            now: the present time, s.
        """
        measured = self._robot.measured(state, action)
        self._progress.update(surroundings.path, np.array(self._robot.pose(state)[:2]), now)
        cause, reason = self._check(surroundings, state, measured, action)
        stands = math.hypot(*measured[:2]) < self.settings.speed_tolerance
        self._moved = min(self._moved, now) if stands and not cause else now
        self.standing = now - self._moved
        return cause, reason

    def _check(
        self, surroundings: Surroundings, state: np.ndarray, measured: Twist, action: np.ndarray
    ) -> tuple[str, str]:
        if not self._targets:
            return "", ""
        # If no cost uses a goal or path, all candidates cost the same.
        if all(getattr(surroundings, name) is None for name in self._targets):
            return NO_GOAL, f"no {' and no '.join(self._targets)}"
        goal = surroundings.goal
        if goal is None:
            return "", ""
        tolerance = surroundings.tolerance or self.settings.goal_tolerance
        twists = measured, self._robot.commanded(action)
        if goal is not self.reached and self._reaches(
            goal, tolerance, self._robot.pose(state), twists
        ):
            self.reached = goal
        return (GOAL_REACHED, "") if goal is self.reached else ("", "")

    def _reaches(
        self, goal: Pose, tolerance: GoalTolerance, pose: Pose, twists: Sequence[Twist]
    ) -> bool:
        """Return whether a robot in a pose, with measured and commanded twists, is at a goal."""
        if not (self._progress.is_last_leg and self._progress.left < PATH_LEFT):
            return False
        if _is_near(pose, goal, tolerance):
            self._near = goal
        if not all(_is_slow(twist, tolerance) for twist in twists):
            return False
        poses = (pose, *(self._at_rest(pose, twist) for twist in twists))
        is_turned = all(_is_turned(each, goal, tolerance) for each in poses)
        if tolerance.is_stateful and self._near is goal:
            return is_turned
        return is_turned and all(_is_near(each, goal, tolerance) for each in poses)

    def _at_rest(self, pose: Pose, twist: Twist) -> Pose:
        """Return the pose at which the robot stands after the fallback has braked evenly."""
        settings = self.settings
        time = settings.actuation_delay + settings.reaction + 0.5 * settings.hold_time
        return compose(pose, Pose(*(time * speed for speed in twist)))


def _is_slow(twist: Twist, tolerance: GoalTolerance) -> bool:
    speed = math.hypot(twist.forward, twist.sideways)
    return speed < tolerance.speed and abs(twist.turning) < tolerance.yaw_rate


def _is_near(pose: Pose, goal: Pose, tolerance: GoalTolerance) -> bool:
    return math.hypot(pose.x - goal.x, pose.y - goal.y) < tolerance.xy


def _is_turned(pose: Pose, goal: Pose, tolerance: GoalTolerance) -> bool:
    return abs(math.remainder(pose.yaw - goal.yaw, math.tau)) < tolerance.yaw
