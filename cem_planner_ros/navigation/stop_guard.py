# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The stop guard: checks that the robot can still stop before it touches an obstacle."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import numpy as np

from cem_planner_ros.navigation.braking_ways import STEP, BrakingWays
from cem_planner_ros.navigation.contact import Contact
from cem_planner_ros.navigation.costmap import Costmap
from cem_planner_ros.navigation.costmap_check import CostmapCheck
from cem_planner_ros.navigation.footprint import Footprint
from cem_planner_ros.navigation.moving_obstacles import MovingObstacleCheck, MovingObstacles
from cem_planner_ros.navigation.planar_robot import DriveSettings, PlanarRobot

STALE_COSTMAP = "stale_costmap"
OUTSIDE_COSTMAP = "outside_costmap"
STALE_MOVING_OBSTACLES = "stale_moving_obstacles"

SHARES = (1.0, 0.75, 0.5, 0.25)
"""Shares of a command that are tried in turn until the robot can stop after one."""

Reached = tuple[np.ndarray, list[np.ndarray]]
"""A command (nu,), and the ways, each (n, 3), on which the robot may brake after it."""


class StopGuard:
    """
    Refuses commands after which the robot could not brake before it touches an obstacle.

    It predicts the ways on which the robot may brake after a command (`BrakingWays`). On each of
    them the robot must keep clear of the occupied cells of the costmap (`CostmapCheck`), and of
    moving obstacles where they are predicted to be until it stands (`MovingObstacleCheck`). If it
    touches something already, it may drive away or along, but come no nearer than it was when
    contact began. The stop guard uses no PyTorch.

    Args:
        robot: where pose and speeds stand in states and actions.
        footprint: the outline of the robot, until `use` says otherwise.
        settings: accelerations, delays, and the clearance to keep.
        needs_moving: whether the robot stands while no moving obstacles are known.
    """

    def __init__(
        self,
        robot: PlanarRobot,
        footprint: Footprint,
        settings: DriveSettings,
        needs_moving: bool = False,
    ):
        self.footprint = self._first_footprint = footprint
        self.settings = settings
        """Any thread may replace them as a whole."""
        self.is_imminent = False
        """Whether the last command was refused because the robot could not have stopped."""
        self.stopping: np.ndarray | None = None
        """Predicted poses (n, 3) until the robot stands if it brakes after the last command."""
        self.moving: MovingObstacles | None = None
        """The moving obstacles of the last command, at the time of the first of these poses."""
        self._needs_moving = needs_moving
        self._robot = robot
        self._ways = BrakingWays(robot)
        self._contact = Contact()

    def use(self, footprint: Footprint | None) -> None:
        """Use another outline of the robot from now on; None for that of the parameters."""
        footprint = footprint or self._first_footprint
        if footprint is not self.footprint:
            self.footprint = footprint
            self._contact = Contact()  # What the robot touches now, it touches from now on.

    def check(
        self,
        costmap: Costmap | None,
        state: np.ndarray,
        now: float,
        moving: MovingObstacles | None = None,
    ) -> tuple[str, str]:
        """
        Return why what is known of obstacles cannot be used, and a reason.

        The cause is STALE_COSTMAP, OUTSIDE_COSTMAP or STALE_MOVING_OBSTACLES. Both texts are "" if
        everything can be used.

        Args:
            costmap: the newest one.
            state: (nx,), the newest one.
            now: present time on the clock of costmap and moving obstacles, s.
            moving: the newest moving obstacles.
        """
        if costmap is None:
            return STALE_COSTMAP, "no costmap yet"
        age = now - costmap.time
        # This also refuses a costmap from the future, as after a clock was set back, or without a
        # time.
        if not abs(age) <= self.settings.max_costmap_age:
            return STALE_COSTMAP, f"the costmap is {age:.2f} s old"
        x, y, _ = self._robot.pose(state)
        if not costmap.contains((x, y)):
            return OUTSIDE_COSTMAP, f"({x:.2f}, {y:.2f}) m is not on the costmap"
        if self._needs_moving:
            if moving is None:
                return STALE_MOVING_OBSTACLES, "no moving obstacles yet"
            age = now - moving.time
            if not abs(age) <= self.settings.max_moving_obstacles_age:
                return STALE_MOVING_OBSTACLES, f"the moving obstacles are {age:.2f} s old"
        return "", ""

    def bounded(
        self,
        costmap: Costmap | None,
        state: np.ndarray,
        age: float,
        before: np.ndarray,
        action: np.ndarray,
        safe: np.ndarray,
        moving: MovingObstacles | None = None,
    ) -> np.ndarray | None:
        """
        Return the first command, between `action` and `safe`, after which the robot can stop.

        It can stop if it brakes before it touches anything. The result is None if it cannot after
        any of the commands tried. Without a costmap only moving obstacles count.

        Args:
            costmap: the newest one.
            state: (nx,), the newest one.
            age: age of the state, s.
            before: (k, nu), the commands that may act between the state and the next command, the
                newest last; (nu,) for one.
            action: (nu,), the next command.
            safe: (nu,), the safe command.
            moving: moving obstacles, as predicted for the time of the state.
        """
        tried = [safe + share * (action - safe) for share in SHARES]
        # Mostly the robot can stop after the first one. What the others need alike is shared.
        for commands in (tried[:1], tried[1:]):
            chosen = self._first_of(commands, costmap, state, age, before, safe, moving)
            if chosen is not None:
                self.is_imminent = False
                return chosen
        self.is_imminent = True
        return None

    def _first_of(
        self,
        actions: Sequence[np.ndarray],
        costmap: Costmap | None,
        state: np.ndarray,
        age: float,
        before: np.ndarray,
        safe: np.ndarray,
        moving: MovingObstacles | None,
    ) -> np.ndarray | None:
        """Return the first of several actions after which the robot can stop, None if none is."""
        self.moving = moving
        if costmap is None and moving is None:
            return actions[0]

        def ways_after(actions: Sequence[np.ndarray | None]) -> list[list[np.ndarray]]:
            return self._ways.after(self.settings, state, age, before, actions, safe)

        @functools.cache
        def braking() -> list[np.ndarray]:
            """Return the ways on which the robot brakes at once; seldom needed."""
            return ways_after([None])[0]

        reached = list(zip(actions, ways_after(actions), strict=True))
        self.stopping = reached[-1][1][0]
        if moving is not None:
            reached = self._evading(moving, reached, braking)
        check = None
        if costmap is not None and reached:
            poses = np.concatenate([way for _, ways in reached for way in ways])
            check = CostmapCheck(
                self.footprint,
                costmap,
                self._contact,
                self.settings.margin,
                poses,
                brake=lambda: np.concatenate(braking()),
            )
        for action, ways in reached:
            self.stopping = ways[0]
            if check is None or check.allows(np.concatenate(ways)):
                return action
        return None

    def _evading(
        self,
        moving: MovingObstacles,
        reached: Sequence[Reached],
        braking: Callable[[], list[np.ndarray]],
    ) -> list[Reached]:
        """Return the commands on whose ways the robot keeps clear of moving obstacles."""
        checks = [
            MovingObstacleCheck(
                self.footprint,
                moving,
                self.settings.margin,
                STEP,
                brake=lambda index=index: braking()[index],
            )
            for index in range(len(reached[0][1]))
        ]
        return [
            (action, ways)
            for action, ways in reached
            if all(check.allows(way) for check, way in zip(checks, ways, strict=True))
        ]

    def way(
        self, state: np.ndarray, age: float, action: np.ndarray, safe: np.ndarray
    ) -> np.ndarray:
        """Return the poses (n, 3) to a standstill after one more of a command; see `bounded`."""
        return self._ways.after(self.settings, state, age, action, [action], safe)[0][0]
