"""What comes into a period and what is known of it afterwards."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cem_planner_ros.navigation.goal_checker import GOAL_REACHED, NO_GOAL
from cem_planner_ros.navigation.stop_guard import OUTSIDE_COSTMAP, STALE_COSTMAP
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
)
"""Why a command does not rest on a fresh plan; "" if it does."""


RESTING = (NO_GOAL, GOAL_REACHED)
"""Causes for which a robot that stands still does what it should."""


class StateSample(NamedTuple):
    """A state (nx,) and the time (s, on the loop's clock) at which it was true."""

    state: np.ndarray
    time: float


class Attempt(NamedTuple):
    """
    What came of planning for a period.

    Attributes:
        cause: one of CAUSES; `reason` says more.
        is_failure: whether planning was tried in vain, or could not be tried.
        began: when the period's work began, s.
        state_time: of the state that was planned from, s.
        plan_time: for prediction and plan, s.
        plan: None if there is none that may be used.
        is_over: whether the earlier plan must not be followed either.
        epoch: that of the commander when the work began; None if it does not matter.
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
    What happened in one period; times in s on the loop's clock, NaN where there was none.

    Attributes:
        status: one of `ladder.STATUSES`.
        cause: one of CAUSES; `reason` says more.
        interval: since the last publication.
        state_age: of the newest state when the period's work began.
        latency: from the time of the state that the command rests on to the publication.
        plan_time: for prediction and plan.
        late: whether the command went out after the end of its period.
        action: (nu,), that was sent; NaN if none was, since a state has to say what is safe.
        plan: what was planned in this period, good or not sent yet.
        problem: why the command could not be sent, "" if it was.
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
