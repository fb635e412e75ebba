# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The settings of the control loop, taken from the node's parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from cem_planner_ros.control.latency import MAX_AHEAD
from cem_planner_ros.control.limits import CommandLimits, SafeAction
from cem_planner_ros.control.tick import StateSample
from cem_planner_ros.navigation.goal_checker import GoalChecker
from cem_planner_ros.navigation.planar_robot import DriveSettings
from cem_planner_ros.navigation.stop_guard import StopGuard
from cem_planner_ros.planning.planner import Planner

RAMP_TO_SAFE = "ramp_to_safe"
KEEP_LAST = "keep_last"
POLICY = "policy"
FALLBACKS = (RAMP_TO_SAFE, KEEP_LAST, POLICY)
"""The commands for `hold_time` when no usable plan is left."""


@dataclass(frozen=True, eq=False)
class ControlSettings:
    """
    The parameters of the node that the loop and the commander read.

    Attributes:
        control_rate: commands per second, Hz.
        command_rate: commands per second that are read from the plan between two periods too, Hz;
            at most `control_rate` for none.
        budget_fraction: share of the control period that planning may use.
        command_phase: share of the control period before which no command is sent.
        actuation_delay: time from sending a command until it acts on the robot, s.
        max_state_age: s; the loop does not plan from an older state. (nx,) if the parts of the
            state may have different ages.
        max_plan_age: s after the begin of its planning for which a plan may be followed.
        hold_time: s in `fallback` before `stopped`.
        recover_periods: number of good plans in a row that end `fallback` and `stopped`.
        fallback: one of FALLBACKS.
        limits: bounds, rate and low-pass of the commands.
        safe: the action in status `stopped`.
        lag: (nu,), time constants with which actuators follow commands, s; 0 for no lag.
        policy: returns an action (nu,) for a state (nx,); None without a policy.
        drive: settings of goal checker and stop guard; None for plants that are no mobile robot.
    """

    control_rate: float
    budget_fraction: float
    command_phase: float
    actuation_delay: float
    max_state_age: float | np.ndarray
    max_plan_age: float
    hold_time: float
    recover_periods: int
    fallback: str
    limits: CommandLimits
    safe: SafeAction
    lag: np.ndarray
    policy: Callable[[np.ndarray], np.ndarray] | None = None
    command_rate: float = 0.0
    drive: DriveSettings | None = None

    @property
    def period(self) -> float:
        """The control period, s."""
        return 1.0 / self.control_rate

    @property
    def is_read_between(self) -> bool:
        """Whether commands are sent between those of two periods."""
        return self.command_rate > self.control_rate

    def is_recent(self, sample: StateSample, now: float) -> bool:
        """Return whether a state is recent at a time, s: no part is too old, or of the future."""
        return self.wrong_age(sample, now) is None

    def wrong_age(self, sample: StateSample, now: float) -> float | None:
        """Return the age, s, of the part that is the farthest beyond its limit; None if none is."""
        ages = np.atleast_1d(now - (sample.time if sample.times is None else sample.times))
        excess = np.maximum(ages - self.max_state_age, -MAX_AHEAD - ages)
        worst = int(excess.argmax())
        return float(np.broadcast_to(ages, excess.shape)[worst]) if excess[worst] > 0.0 else None


class ParameterSet(Protocol):
    """
    The values of all parameters, as the loop sees them, such as `configuration.Configuration`.

    The loop reads its settings and sets the values in the planner. It uses nothing else.
    """

    @property
    def control_settings(self) -> ControlSettings:
        """The settings of the loop."""

    def goal_checker(self) -> GoalChecker | None:
        """Return the goal checker of a mobile robot; None for other plants."""

    def stop_guard(self) -> StopGuard | None:
        """Return the stop guard of a mobile robot; None without a costmap."""

    def tune(self, planner: Planner) -> None:
        """Set these values in a planner and its plugins. May raise any error."""

    def merged(
        self, wanted: ParameterSet, is_accepted: Callable[[ParameterSet], bool]
    ) -> ParameterSet:
        """Return these values, replaced by each wanted value that is accepted on its own."""
