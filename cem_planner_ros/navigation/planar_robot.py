# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Pose and speeds of a mobile robot, for the goal checker and the stop guard."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cem_planner_ros.navigation.poses import Pose
from cem_planner_ros.navigation.surroundings import GoalTolerance


class Twist(NamedTuple):
    """Speeds in the robot's frame: forward, to the left (m/s), and turning left (rad/s)."""

    forward: float
    sideways: float
    turning: float


@dataclass(frozen=True)
class PlanarRobot:
    """
    Where pose and speeds stand in the states and actions of a model.

    Attributes:
        state_names, action_names: names of the model; x, y and yaw are states.
        forward, sideways, turning: names of each speed; the model has at most one of each.
        steering: names of the steering angle; at most one of the actions.
    """

    state_names: tuple[str, ...]
    action_names: tuple[str, ...]
    forward: tuple[str, ...]
    sideways: tuple[str, ...]
    turning: tuple[str, ...]
    steering: tuple[str, ...] = ()

    @functools.cached_property
    def _rows(self) -> tuple[list[int], list[int | None], list[int | None]]:
        """The rows of the pose, of speeds among the states, and of speeds among the actions."""
        kinds = self.forward, self.sideways, self.turning

        def rows(names: tuple[str, ...]) -> list[int | None]:
            return [next((names.index(n) for n in kind if n in names), None) for kind in kinds]

        pose = [self.state_names.index(name) for name in ("x", "y", "yaw")]
        return pose, rows(self.state_names), rows(self.action_names)

    @property
    def moves_sideways(self) -> bool:
        """Whether an action is the speed to the left."""
        return not set(self.sideways).isdisjoint(self.action_names)

    def pose(self, state: np.ndarray) -> Pose:
        """Return the pose in a state (nx,)."""
        return Pose(*(float(state[row]) for row in self._rows[0]))

    def measured(self, state: np.ndarray, action: np.ndarray) -> Twist:
        """Return the speeds in a state (nx,); from the action (nu,) if a speed is no state."""
        return Twist(
            *(
                commanded if row is None else float(state[row])
                for row, commanded in zip(self._rows[1], self.commanded(action), strict=True)
            )
        )

    def commanded(self, action: np.ndarray) -> Twist:
        """Return the speeds that an action (nu,) commands; 0 for a speed that is no action."""
        return Twist(*(0.0 if row is None else float(action[row]) for row in self._rows[2]))

    def steering_angle(self, action: np.ndarray) -> float:
        """Return the steering angle, rad, that an action (nu,) commands; 0 if none does."""
        names = (name for name in self.steering if name in self.action_names)
        return next((float(action[self.action_names.index(name)]) for name in names), 0.0)


@dataclass(frozen=True)
class DriveSettings:
    """
    The parameters `drive.*` of the node that the goal checker and the stop guard use.

    Attributes:
        xy_tolerance: distance from the goal below which it can count as reached, m.
        yaw_tolerance: error of the heading below which the goal can count as reached, rad.
        speed_tolerance: speed below which the robot counts as standing, m/s.
        yaw_rate_tolerance: yaw rate below which the robot counts as standing, rad/s.
        max_costmap_age: age of the costmap above which the robot stops, s.
        max_moving_obstacles_age: age of the moving obstacles above which the robot stops, s.
        reaction: time from sending a command to its effect, in addition to `actuation_delay`, s.
        margin: clearance that the robot keeps after braking, m.
        acceleration, yaw_acceleration: largest accelerations of the robot, m/s^2 and rad/s^2.
        deceleration, yaw_deceleration: guaranteed decelerations, m/s^2 and rad/s^2.
        actuation_delay: time from sending a command until it acts on the robot, s.
        hold_time: time in which the fallback brakes evenly to a standstill, s.
        period: control period, s.
        turning_radius: the smallest one of a car, m; 0 for a robot that turns on the spot.
        wheel_base: distance between the axles of a car with a steering angle, m; 0 for others.
    """

    xy_tolerance: float
    yaw_tolerance: float
    speed_tolerance: float
    yaw_rate_tolerance: float
    max_costmap_age: float
    max_moving_obstacles_age: float
    reaction: float
    margin: float
    acceleration: float
    deceleration: float
    yaw_acceleration: float
    yaw_deceleration: float
    actuation_delay: float
    hold_time: float
    period: float
    turning_radius: float = 0.0
    wheel_base: float = 0.0

    @property
    def goal_tolerance(self) -> GoalTolerance:
        """The tolerance of a goal without a tolerance of its own."""
        return GoalTolerance(
            self.xy_tolerance, self.yaw_tolerance, self.speed_tolerance, self.yaw_rate_tolerance
        )
