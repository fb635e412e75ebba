# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cem_planner_ros.control.ladder import FALLBACK, FRESH, PREVIOUS_PLAN, STATUSES, STOPPED, Ladder
from cem_planner_ros.planning.plan import Plan

PLAN = Plan(np.array([0.0, 1.0]), np.zeros((1, 1)), 1.0, 1, 0.0)
SETTINGS = {"max_plan_age": 0.2, "hold_time": 0.3, "recover_periods": 2}


def step(ladder, time, is_good, **changes):
    """A period with a good plan made for it, or with a vain attempt."""
    ladder.offer(PLAN, time, True) if is_good else ladder.fail()
    return ladder.step(time, is_good, **SETTINGS | changes)


@given(st.lists(st.booleans(), max_size=60), st.floats(0.01, 0.5))
def test_whatever_happens_rungs_are_kept(good, period):
    ladder = Ladder()
    planned = -1.0
    seen = [STOPPED]
    for time, is_good in zip(itertools.count(0.0, period), good, strict=False):
        status = step(ladder, time, is_good)
        planned = time if is_good else planned
        before, down = STATUSES.index(seen[-1]), STATUSES.index(status)
        assert down <= before + (2 if seen[-1] == FRESH else 1)  # a plan may be too old at once
        assert down >= before or status == FRESH
        if status in (FRESH, PREVIOUS_PLAN):
            assert time - planned <= SETTINGS["max_plan_age"]
        if is_good:
            assert status in (FRESH, FALLBACK, STOPPED)
        else:
            assert status != FRESH
        seen.append(status)
    changes = sum(a != b for a, b in itertools.pairwise(seen))
    assert sum(ladder.steps.values()) == changes


@given(st.lists(st.sampled_from(["late", "none", "failed", "old"]), max_size=60))
def test_plans_that_come_late_are_read_as_long_as_they_are_young(periods):
    ladder = Ladder()
    planned = -1.0
    row = 0
    before = STOPPED
    for index, what in enumerate(periods):
        time = 0.1 * index
        if what in ("late", "old"):
            planned = time - 0.05
            row = row + 1 if what == "late" else 0
            ladder.offer(PLAN, planned, what == "late")
        elif what == "failed":
            row = 0
            ladder.fail()
        status = ladder.step(time, False, **SETTINGS)
        may_move = before == PREVIOUS_PLAN or row >= SETTINGS["recover_periods"]
        is_young = planned >= 0.0 and time - planned <= SETTINGS["max_plan_age"]
        assert (status == PREVIOUS_PLAN) == (may_move and is_young)
        if before == PREVIOUS_PLAN and status != PREVIOUS_PLAN:
            row = 0  # Whoever stepped down has to show again that plans come.
        before = status


def test_no_hold_time_stops_after_one_period():
    ladder = Ladder()
    settings = {"hold_time": 0.0, "recover_periods": 1, "max_plan_age": 0.0}
    steps = [
        step(ladder, float(t), good, **settings) for t, good in enumerate((True, False, False))
    ]
    assert steps == [FRESH, FALLBACK, STOPPED]


def test_stop_is_at_once():
    ladder = Ladder()
    step(ladder, 0.0, True, recover_periods=1)
    assert ladder.stop() == STOPPED
    assert step(ladder, 0.1, False) == STOPPED
    assert ladder.status == STOPPED


@pytest.mark.parametrize("count", [1, 2, 5])
def test_it_recovers_after_so_many_good_plans(count):
    ladder = Ladder()
    statuses = [step(ladder, float(t), True, recover_periods=count) for t in range(count)]
    assert statuses == [STOPPED] * (count - 1) + [FRESH]
