"""What the control loop needs of the node's parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from cem_planner_ros.control.limits import CommandLimits, SafeAction
from cem_planner_ros.navigation.goal_checker import GoalChecker
from cem_planner_ros.navigation.planar_robot import DriveSettings
from cem_planner_ros.navigation.stop_guard import StopGuard
from cem_planner_ros.planning.planner import Planner

RAMP_TO_SAFE = "ramp_to_safe"
KEEP_LAST = "keep_last"
POLICY = "policy"
FALLBACKS = (RAMP_TO_SAFE, KEEP_LAST, POLICY)
"""What is sent for `hold_time` when no usable plan is left."""


@dataclass(frozen=True, eq=False)
class ControlSettings:
    """
    The parameters of the node that the loop and the commander read.

    Attributes:
        control_rate: commands per second, Hz.
        budget_fraction: share of the control period that planning may use.
        command_phase: share of the control period before which no command goes out.
        actuation_delay: s from sending a command to its arrival at the actuators.
        max_state_age: s; an older state is not planned from.
        max_plan_age: s for which an earlier plan may be followed after planning it began.
        hold_time: s on `fallback` before `stopped`.
        recover_periods: good plans in a row that end `fallback` and `stopped`.
        fallback: one of FALLBACKS.
        limits: bounds, rate and low-pass of the commands.
        safe: what is commanded when it is `stopped`.
        lag: (nu,), time constants with which actuators follow commands, s; 0 for at once.
        policy: returns an action (nu,) for a state (nx,); None without a policy.
        drive: how a robot that drives is checked and braked; None for other plants.
    """

    control_rate: float
    budget_fraction: float
    command_phase: float
    actuation_delay: float
    max_state_age: float
    max_plan_age: float
    hold_time: float
    recover_periods: int
    fallback: str
    limits: CommandLimits
    safe: SafeAction
    lag: np.ndarray
    policy: Callable[[np.ndarray], np.ndarray] | None = None
    drive: DriveSettings | None = None

    @property
    def period(self) -> float:
        """The control period, s."""
        return 1.0 / self.control_rate


class ParameterSet(Protocol):
    """
    Values of all parameters, as the loop sees them: `configuration.Configuration` is one.

    The loop reads its settings, brings the planner to the values, and does not look further.
    """

    @property
    def control_settings(self) -> ControlSettings:
        """The settings of the loop."""

    def goal_checker(self) -> GoalChecker | None:
        """Return what says when a robot that drives should stand, None for other plants."""

    def stop_guard(self) -> StopGuard | None:
        """Return what checks commands against the costmap, None without a costmap."""

    def tune(self, planner: Planner) -> None:
        """Bring the numbers of a planner and of its plugins to these values; may raise anything."""

    def merged(
        self, wanted: ParameterSet, is_accepted: Callable[[ParameterSet], bool]
    ) -> ParameterSet:
        """Return these values with those of the wanted ones that are accepted one by one."""
