# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The stop guard: checks that the robot can still stop before it touches an obstacle."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np

from cem_planner_ros.navigation.braking_ways import STEP, BrakingWays
from cem_planner_ros.navigation.contact import Contact
from cem_planner_ros.navigation.costmap import Costmap
from cem_planner_ros.navigation.footprint import Footprint
from cem_planner_ros.navigation.moving_obstacles import (
    ROUNDING,
    MovingObstacleCheck,
    MovingObstacles,
)
from cem_planner_ros.navigation.planar_robot import DriveSettings, PlanarRobot
from cem_planner_ros.navigation.poses import placed

STALE_COSTMAP = "stale_costmap"
OUTSIDE_COSTMAP = "outside_costmap"
STALE_MOVING_OBSTACLES = "stale_moving_obstacles"

SHARES = (1.0, 0.75, 0.5, 0.25)
"""Shares of a command that are tried in turn until the robot can stop after one."""

HALF_DIAGONAL = math.sqrt(0.5)
"""Half the diagonal of a cell of side 1: a disc of this radius covers the cell."""

OVERLAP_ROUNDING = 0.02
"""Tolerance of the overlap, as a share of the footprint, because points represent the footprint."""


class StopGuard:
    """
    Refuses commands after which the robot could not brake before it touches an obstacle.

    The distance from the footprint, including its inside, to the disc around each occupied cell is
    exact. If the robot touches something already (`Contact`), it may drive away or along, but come
    no nearer than it was when contact began. From moving obstacles the robot keeps clear where they
    are predicted to be until it stands (`MovingObstacleCheck`). The stop guard uses no PyTorch.

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

        The result is None if the robot cannot stop after any of the commands tried. `safe` is
        (nu,); the other arguments are those of `can_stop`.
        """
        self._ways.take_safe(safe)
        tried = [safe + share * (action - safe) for share in SHARES]
        # Mostly the robot can stop after the first one. What the others need alike is shared.
        for commands in (tried[:1], tried[1:]):
            chosen = self._first_of(commands, costmap, state, age, before, moving)
            if chosen is not None:
                self.is_imminent = False
                return chosen
        self.is_imminent = True
        return None

    def can_stop(
        self,
        costmap: Costmap | None,
        state: np.ndarray,
        age: float,
        before: np.ndarray,
        action: np.ndarray,
        moving: MovingObstacles | None = None,
    ) -> bool:
        """
        Return whether the robot can brake before it touches anything after one more command.

        Without a costmap only moving obstacles count. If the robot touches something already, the
        limits of `Contact` apply. If it has come nearer than when contact began, because it was
        pushed or slid, commands are allowed that come nowhere nearer than braking at once.

        Args:
            costmap: the newest one.
            state: (nx,), the newest one.
            age: age of the state, s.
            before: (k, nu), the commands that may act between the state and the next command, the
                newest last; (nu,) for one.
            action: (nu,), the next command.
            moving: moving obstacles, as predicted for the time of the state.
        """
        return self._first_of([action], costmap, state, age, before, moving) is not None

    def _first_of(
        self,
        actions: Sequence[np.ndarray],
        costmap: Costmap | None,
        state: np.ndarray,
        age: float,
        before: np.ndarray,
        moving: MovingObstacles | None,
    ) -> np.ndarray | None:
        """Return the first of several actions after which `can_stop` holds, None if none is."""
        self.moving = moving
        if costmap is None and moving is None:
            return actions[0]
        now = state, age, before
        turns = (False, True) if self._ways.is_turned_back(state, before) else (False,)

        def ways_of(action: np.ndarray | None = None) -> list[np.ndarray]:
            """Return the way after a command, and that on which the robot turns back earlier."""
            return [self.way(*now, action, turn) for turn in turns]

        reached = [ways_of(action) for action in actions]
        self.stopping = reached[-1][0]
        if moving is not None:
            brakes = [functools.partial(self.way, *now, turns_back=turn) for turn in turns]
            allowed = self._evading(moving, reached, brakes)
            actions, reached = (
                list(itertools.compress(each, allowed)) for each in (actions, reached)
            )
        if costmap is None or not reached:
            self.stopping = reached[0][0] if reached else self.stopping
            return actions[0] if reached else None
        side, margin = costmap.resolution, self.settings.margin
        points = self._cells(costmap, np.concatenate([*itertools.chain(*reached)]))
        here = reached[0][0][:1]
        clearance = self._clearance(here, points, side)[0]
        is_touching = bool((clearance < margin).any())
        overlap = self._overlap(costmap, here)[0] if is_touching else 0.0
        self._contact.update(points, clearance, overlap, margin, side)
        least, most = np.full(len(points), margin), math.inf
        if is_touching:
            least, most = self._contact.least(points, margin, side), self._contact.overlap
        is_relaxed = False
        for action, ways in zip(actions, reached, strict=True):
            self.stopping, way = ways[0], np.concatenate(ways)
            nearest = self._clearance(way, points, side).min(0, initial=math.inf)
            overlap = 0.0
            if is_touching:
                overlap = self._overlap(costmap, way).max() - OVERLAP_ROUNDING
            if (nearest >= least - ROUNDING).all() and overlap <= most:
                return action
            if not is_touching:
                continue
            if not is_relaxed:
                braking = np.concatenate(ways_of())
                unavoidable = self._clearance(braking, points, side).min(0)
                least = np.where(clearance < margin, np.minimum(least, unavoidable), least)
                most = max(most, self._overlap(costmap, braking).max())
                is_relaxed = True
            if (nearest >= least - ROUNDING).all() and overlap <= most:
                return action
        return None

    def _evading(
        self,
        moving: MovingObstacles,
        reached: Sequence[Sequence[np.ndarray]],
        brakes: Sequence[Callable[[], np.ndarray]],
    ) -> list[bool]:
        """Return of each command whether moving obstacles allow its ways, given how to brake."""
        margin = self.settings.margin
        checks = [
            MovingObstacleCheck(self.footprint, moving, margin, STEP, brake) for brake in brakes
        ]
        return [all(map(MovingObstacleCheck.allows, checks, ways)) for ways in reached]

    def _reach(self, side: float) -> float:
        """
        Return the distance from the robot's origin, m, within which a cell can matter.

        A cell farther away keeps the margin for any heading of the robot.
        """
        return self.footprint.reach + self.settings.margin + HALF_DIAGONAL * side

    def _cells(self, costmap: Costmap, way: np.ndarray) -> np.ndarray:
        """Return the centres (m, 2) of the occupied cells around poses (n, 3)."""
        low, high = way[:, :2].min(0), way[:, :2].max(0)
        radius = self._reach(costmap.resolution) + 0.5 * math.hypot(*(high - low))
        return costmap.outlines(0.5 * (low + high), radius)

    def _clearance(self, way: np.ndarray, points: np.ndarray, side: float) -> np.ndarray:
        """
        Return the distance (n, m), m, of cells (m, 2) to the footprint in poses (n, 3).

        It is inf for a cell that is too far away to matter.
        """
        dx = points[:, 0] - way[:, :1]
        dy = points[:, 1] - way[:, 1:2]
        clearance = np.full(dx.shape, math.inf)
        near = np.nonzero(dx * dx + dy * dy < self._reach(side) ** 2)
        if near[0].size:
            dx, dy = dx[near], dy[near]
            cos, sin = np.cos(way[:, 2])[near[0]], np.sin(way[:, 2])[near[0]]
            distance = self.footprint.distance(cos * dx + sin * dy, cos * dy - sin * dx)
            clearance[near] = distance - HALF_DIAGONAL * side
        return clearance

    def _overlap(self, costmap: Costmap, way: np.ndarray) -> np.ndarray:
        """Return the share (n,) of the footprint in poses (n, 3) that is on occupied cells."""
        return costmap.is_occupied(placed(self.footprint.interior, way)).mean(1)

    def way(
        self,
        state: np.ndarray,
        age: float,
        before: np.ndarray,
        action: np.ndarray | None = None,
        turns_back: bool = False,
    ) -> np.ndarray:
        """Return what `BrakingWays.way` does."""
        return self._ways.way(self.settings, state, age, before, action, turns_back)
