# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Records of a control period: its state, the attempt to plan, and the result."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cem_planner_ros.navigation.goal_checker import GOAL_REACHED, NO_GOAL
from cem_planner_ros.navigation.stop_guard import (
    OUTSIDE_COSTMAP,
    STALE_COSTMAP,
    STALE_MOVING_OBSTACLES,
)
from cem_planner_ros.planning.plan import Plan

NO_STATE = "no_state"
STALE_STATE = "stale_state"
OVER_BUDGET = "over_budget"
NO_VALID_PLAN = "no_valid_plan"
PLAN_FAILED = "plan_failed"
DEVICE_FAILED = "device_failed"
RECOVERING = "recovering"
PAUSED = "paused"
EMERGENCY_STOP = "emergency_stop"
SLOWED = "slowed"
COLLISION_IMMINENT = "collision_imminent"
CAUSES = (
    "",
    NO_STATE,
    STALE_STATE,
    OVER_BUDGET,
    NO_VALID_PLAN,
    PLAN_FAILED,
    DEVICE_FAILED,
    RECOVERING,
    PAUSED,
    EMERGENCY_STOP,
    NO_GOAL,
    GOAL_REACHED,
    STALE_COSTMAP,
    OUTSIDE_COSTMAP,
    SLOWED,
    COLLISION_IMMINENT,
    STALE_MOVING_OBSTACLES,
)
"""Why a command does not come from a fresh plan; "" if it does."""


RESTING = (NO_GOAL, GOAL_REACHED)
"""Causes for which it is right that the robot stands still."""


class StateSample(NamedTuple):
    """
    A state (nx,), and the time at which it was measured (s, on the loop's clock).

    Its parts may have been measured at different times.

    Attributes:
        state: the newest value of each state.
        time: the time of the oldest of them.
        times: (nx,), the time of each; None if all are `time`.
        start: (nx,), the state at `time`, with the later parts as they were then; None if it is
            `state`.
    """

    state: np.ndarray
    time: float
    times: np.ndarray | None = None
    start: np.ndarray | None = None


class Attempt(NamedTuple):
    """
    The result of planning in a period.

    Attributes:
        cause: one of CAUSES; `reason` says more.
        is_failure: whether planning failed, or could not be tried.
        began: when the state was read, s.
        state_time: time of the state from which was planned, s.
        plan_time: computing time of prediction and plan, s.
        plan: None if there is no usable plan.
        is_over: whether the earlier plan must not be followed any more.
        epoch: the commander's epoch when the work began; None if it does not matter.
    """

    cause: str
    reason: str = ""
    is_failure: bool = True
    began: float = math.nan
    state_time: float = math.nan
    plan_time: float = math.nan
    plan: Plan | None = None
    is_over: bool = False
    epoch: int | None = None


@dataclass(frozen=True)
class Tick:
    """
    What happened in one period. Times are s on the loop's clock, NaN if there is none.

    Attributes:
        status: one of `ladder.STATUSES`.
        cause: one of CAUSES; `reason` says more.
        interval: time since the last publication.
        state_age: age of the newest state when it was read.
        latency: from the time of the state on which the command is based to the publication.
        plan_time: computing time of prediction and plan.
        late: whether the command was sent after the end of its period.
        action: (nu,), the command; NaN if none was sent because the safe action needs a state.
        plan: the plan of this period, also if it is not followed yet.
        problem: why the command could not be sent; "" if it was sent.
    """

    status: str
    cause: str
    reason: str
    scheduled: float
    published: float
    interval: float
    state_age: float
    latency: float
    plan_time: float
    late: bool
    action: np.ndarray
    plan: Plan | None
    problem: str
