import threading

import numpy as np
import pytest

from cem_planner_ros.configuration import configure
from cem_planner_ros.control import loop as control
from cem_planner_ros.control.loop import ControlLoop, StateSample
from cem_planner_ros.planning.plan import Plan

CONFIGURATION = configure(
    {
        "planner.device": "cpu",
        "control_rate": 10.0,
        "max_state_age": 0.15,
        "dynamics.plugin": "double_integrator",
        "state.type": "std_msgs/msg/Float64MultiArray",
        "costs": ["way"],
        "way.weight.x": 1.0,
        "action.safe.x_ddot": -0.5,
        "action.high.y_ddot": 0.25,
    }
)
SAFE = [-0.5, 0.0]


class Clock:
    """Stands still unless it is moved."""

    def __init__(self):
        self.time = 100.0

    def __call__(self):
        return self.time


class FakePlanner:
    """Takes `iteration_time` for each iteration and plans [2, 2], beyond the bounds."""

    def __init__(self, clock):
        self.clock = clock
        self.iteration_time = 0.01
        self.error = None
        self.value = 2.0
        self.cost = 1.0
        self.previous = None
        self.tuned = []

    def plan(self, state, time, previous_action, until):
        if self.error:
            raise self.error
        self.previous = previous_action
        done = 0
        while done == 0 or (done < 8 and self.clock.time < until):
            self.clock.time += self.iteration_time
            done += 1
        return Plan(np.array([time, time + 1.0]), np.full((1, 2), self.value), self.cost, done, 0.0)

    def reset(self):
        pass


class Bench:
    def __init__(self):
        self.clock = Clock()
        self.planner = FakePlanner(self.clock)
        self.state = StateSample(np.zeros(4), self.clock.time)
        self.sent = []
        self.loop = ControlLoop(
            self.planner,
            CONFIGURATION,
            lambda: self.state,
            lambda action: self.sent.append((self.clock.time, list(action))),
            clock=self.clock,
        )

    def tick(self):
        return self.loop.tick(self.clock.time)


@pytest.fixture
def bench():
    return Bench()


def test_a_fresh_plan_is_sent_within_bounds(bench):
    assert bench.tick().status == control.FRESH
    assert bench.sent[-1][1] == [1.0, 0.25]
    bench.tick()
    np.testing.assert_array_equal(bench.planner.previous, [1.0, 0.25])


def test_without_a_state_the_safe_action_is_sent(bench):
    bench.state = None
    assert bench.tick().status == control.NO_STATE
    assert bench.sent[-1][1] == SAFE


def test_an_old_state_is_not_planned_from_and_a_new_one_is_again(bench):
    bench.tick()
    bench.clock.time += 0.2
    tick = bench.tick()
    assert (tick.status, bench.sent[-1][1]) == (control.STALE_STATE, SAFE)
    assert "old" in tick.reason
    bench.state = StateSample(np.zeros(4), bench.clock.time)
    assert bench.tick().status == control.FRESH


def test_a_planner_that_raises_costs_one_command_not_the_loop(bench):
    bench.planner.error = RuntimeError("step went wrong")
    tick = bench.tick()
    assert (tick.status, bench.sent[-1][1]) == (control.PLAN_FAILED, SAFE)
    assert "RuntimeError: step went wrong" in tick.reason
    bench.planner.error = None
    assert bench.tick().status == control.FRESH


@pytest.mark.parametrize(("value", "cost"), [(float("nan"), 1.0), (0.1, float("inf"))])
def test_a_plan_that_is_not_finite_is_never_sent(bench, value, cost):
    bench.planner.value, bench.planner.cost = value, cost
    assert bench.tick().status == control.NO_VALID_PLAN
    assert bench.sent[-1][1] == SAFE


def test_iterations_that_would_not_fit_are_left_out(bench):
    bench.planner.iteration_time = 0.025
    bench.tick()  # measures an iteration
    bench.state = StateSample(np.zeros(4), bench.clock.time)
    tick = bench.tick()
    assert tick.plan.iterations == 3  # 0.075 s of 0.08; a fourth would end at 0.1
    assert not tick.late


def test_a_command_after_its_period_is_late(bench):
    bench.planner.iteration_time = 0.11
    assert bench.tick().late
    assert (bench.loop.late, bench.loop.commands) == (1, 1)


def test_live_values_count_from_the_next_tick(bench):
    bench.loop.change(CONFIGURATION.changed({"action.high.x_ddot": 0.5}))
    bench.planner.tune = lambda **values: bench.planner.tuned.append(values)
    bench.tick()
    assert bench.sent[-1][1][0] == 0.5
    assert bench.planner.tuned[0]["high"] == [0.5, 0.25]


def test_a_change_that_a_plugin_refuses_leaves_the_old_values(bench):
    def refuse(**values):
        raise RuntimeError("no")

    bench.loop.change(CONFIGURATION.changed({"action.high.x_ddot": 0.5}))
    bench.planner.tune = refuse
    bench.tick()
    assert bench.sent[-1][1] == [1.0, 0.25]
    assert "not taken over: RuntimeError: no" in bench.loop.problem


def test_telling_about_a_command_never_costs_the_next_one(bench):
    def broken(tick):
        raise RuntimeError("nobody listens")

    bench.loop._report = broken
    bench.tick()
    bench.tick()
    assert len(bench.sent) == 2
    assert "nobody listens" in bench.loop.problem


def test_late_ticks_are_dropped_and_counted_never_replayed(bench):
    class Stop(threading.Event):
        """A clock's sleep: moves the time instead, and stops before the eleventh tick."""

        def wait(self, timeout):
            bench.clock.time += timeout
            bench.state = StateSample(np.zeros(4), bench.clock.time)
            return bench.clock.time >= 100.95

    bench.planner.iteration_time = 0.01
    plan = bench.planner.plan

    def slow_once(*arguments, **options):
        if len(bench.sent) == 3:
            bench.clock.time += 0.35
        return plan(*arguments, **options)

    bench.planner.plan = slow_once
    bench.loop.run(Stop())
    times = [time for time, _ in bench.sent]
    assert bench.loop.missing == 2
    assert bench.loop.late == 1
    assert len(times) == 10 - 2
    # Back on the old schedule: every later command lies in its own period.
    periods = [int((time - 100.0) / 0.1 + 1e-6) for time in times[4:]]
    assert periods == sorted(set(periods))
