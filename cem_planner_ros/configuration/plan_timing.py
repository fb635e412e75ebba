# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""How long plans take, measured before anything is controlled."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import NamedTuple

from cem_planner_ros.planning.plan import Plan
from cem_planner_ros.planning.planner import Planner


class TimedPlan(NamedTuple):
    """A plan, and how long it takes with all iterations and all candidates, s."""

    plan: Plan
    seconds: float


def timed_plans(
    planner: Planner,
    count: int,
    patience: float,
    *,
    period: float = 0.0,
    warm_up: int = 1,
    clock: Callable[[], float] = time.monotonic,
) -> list[TimedPlan]:
    """
    Plan from rest, and return at least one plan with its time; the planner forgets its plans.

    A plan that would take longer than what is left of `patience` ends early: with fewer iterations,
    or with some candidates of a model that rolls out itself. Its time is then that of a whole plan,
    by the share that was done. The first plan, which warms up, is as small as possible.

    Args:
        planner: what plans.
        count: largest number of plans that are timed.
        patience: time after which no more are timed, s; plans that warm up have the same.
        period: time between the beginnings of two plans, s.
        warm_up: number of plans before, at least 1.
        clock: returns the time, s.
    """
    state, found, end = planner.dynamics.rest_state, [], math.inf
    for index in range(warm_up + count):
        began = clock()
        if index in (0, warm_up):
            end = began + patience
        if found and began >= end:
            break
        until = time.monotonic() + end - began if index else -math.inf
        plan = planner.plan(state, index * period, until=until)
        took = clock() - began
        if index >= warm_up:
            done = plan.iterations - 1 + plan.simulated_share
            found.append(TimedPlan(plan, took * planner.search.iterations / done))
    planner.reset()
    return found
