# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""How long plans take: plans that take minutes are not waited for."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from cem_planner_ros.configuration.plan_timing import timed_plans
from cem_planner_ros.planning.plan import Plan

ITERATIONS = 4


class SlowPlanner:
    """A planner whose plans take `seconds` by its clock, and do a part of their work."""

    def __init__(self, seconds, iterations=ITERATIONS, simulated_share=1.0):
        self.now, self.deadlines, self.is_reset = 0.0, [], False
        self.search = SimpleNamespace(iterations=ITERATIONS)
        self.dynamics = SimpleNamespace(rest_state=np.zeros(2))
        self._seconds, self._did = seconds, (iterations, simulated_share)

    def clock(self):
        return self.now

    def plan(self, state, time, *, until):
        self.deadlines.append(until)
        self.now += self._seconds
        iterations, share = self._did
        return Plan(np.zeros(2), np.zeros((1, 1)), 1.0, iterations, 0.0, simulated_share=share)

    def reset(self):
        self.is_reset = True


def test_fast_plans_are_timed_as_often_as_asked():
    planner = SlowPlanner(0.01)
    timed = timed_plans(planner, 5, 1.0, clock=planner.clock)
    assert [seconds for _, seconds in timed] == pytest.approx([0.01] * 5)
    assert len(planner.deadlines) == 6
    assert planner.is_reset


def test_the_first_plan_is_as_small_as_possible_and_the_others_have_a_deadline():
    planner = SlowPlanner(0.6)
    timed = timed_plans(planner, 50, 1.0, clock=planner.clock)
    assert len(timed) == 2  # The time was over after them.
    first, *others = planner.deadlines
    assert first == -math.inf
    assert all(map(math.isfinite, others))


@pytest.mark.parametrize(("iterations", "share", "whole"), [(1, 0.25, 32.0), (3, 0.5, 3.2)])
def test_a_plan_that_ended_early_counts_as_a_whole_one(iterations, share, whole):
    planner = SlowPlanner(2.0, iterations, share)
    ((plan, seconds),) = timed_plans(planner, 50, 1.0, clock=planner.clock)
    assert seconds == pytest.approx(whole)
    assert plan.iterations == iterations
