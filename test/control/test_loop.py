# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
import dataclasses
import itertools
import math
import threading
import time
import types

import numpy as np
import pytest
import torch

from cem_planner_ros.configuration import configure
from cem_planner_ros.control import tick as control
from cem_planner_ros.control.ladder import FALLBACK, FRESH, PREVIOUS_PLAN, STOPPED
from cem_planner_ros.control.loop import ControlLoop
from cem_planner_ros.control.tick import Attempt, StateSample
from cem_planner_ros.costs.actions import Effort
from cem_planner_ros.dynamics.double_integrator import DoubleIntegrator
from cem_planner_ros.navigation.costmap import Costmap
from cem_planner_ros.navigation.poses import Pose
from cem_planner_ros.navigation.surroundings import Surroundings
from cem_planner_ros.planning.plan import Plan
from cem_planner_ros.planning.planner import Planner

CONFIGURATION = configure(
    {
        "planner.device": "cpu",
        "control_rate": 10.0,
        "max_state_age": 0.15,
        "max_plan_age": 0.2,
        "hold_time": 0.45,
        "recover_periods": 1,
        "dynamics.plugin": "double_integrator",
        "state.type": "std_msgs/msg/Float64MultiArray",
        "costs": ["running"],
        "running.weight.x": 1.0,
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
    """
    Takes `iteration_time` for each iteration and plans [2, 2], beyond the bounds.

    States move by the first action and no dynamics: x += x_ddot dt.
    """

    search = types.SimpleNamespace(dt=0.5)

    def __init__(self, clock):
        self.clock = clock
        self.iteration_time = 0.01
        self.error = None
        self.value = 2.0
        self.cost = 1.0
        self.previous = None
        self.state = self.time = None
        self.plans = self.resets = 0
        self.tuned = []

    def predict(self, plan, state):
        return np.array(
            [state, state + (np.diff(plan.edges) @ plan.actions)[0] * np.eye(len(state))[0]]
        )

    def tune(self, **values):
        self.tuned.append(values)

    def plan(self, state, time, previous_action, applied, surroundings, stamp, until):
        if self.error:
            raise self.error
        self.stamp = stamp
        self.previous, self.state, self.time = previous_action, state, time
        self.applied = applied
        self.plans += 1
        done = 0
        while done == 0 or (done < 8 and self.clock.time < until):
            self.clock.time += self.iteration_time
            done += 1
        return Plan(np.array([time, time + 1.0]), np.full((1, 2), self.value), self.cost, done, 0.0)

    def reset(self):
        self.resets += 1


class Bench:
    def __init__(self, configuration=CONFIGURATION, **changes):
        self.clock = Clock()
        self.planner = FakePlanner(self.clock)
        nx = len(configuration.dynamics.state_names)
        self.state = StateSample(np.zeros(nx), self.clock.time)
        self.sent = []
        self.ticks = []
        # What a test replaces to see what happens where one of them fails.
        self.read = lambda: self.state
        self.send = lambda action: self.sent.append((self.clock.time, list(action)))
        self.report = self.ticks.append
        self.loop = ControlLoop(
            self.planner,
            configuration.changed({name.replace("__", "."): v for name, v in changes.items()}),
            lambda: self.read(),
            lambda action: self.send(action),
            report=lambda tick: self.report(tick),
            clock=self.clock,
            steady=self.clock,
            sleep=self.sleep,
        )
        self.scheduled = itertools.count(100.0, 0.1)

    def sleep(self, stop, seconds):
        self.clock.time += seconds
        return stop.is_set()

    def tick(self):
        """A tick at the present time, or when the next period begins."""
        self.clock.time = max(self.clock.time, self.loop.commander.due)
        return self.loop.tick(self.clock.time)

    def watch(self):
        """What the watchdog does when the command of a period is not out near its end."""
        commander = self.loop.commander
        self.clock.time = max(self.clock.time, commander.deadline(commander.due))
        return commander.complete(commander.due, Attempt(control.OVER_BUDGET, is_failure=False))

    def period(self):
        """A tick on the schedule, with a state of that time."""
        after = max(self.clock.time - 0.099, self.loop.commander.due - 1e-6)
        scheduled = next(time for time in self.scheduled if time > after)
        self.clock.time = max(self.clock.time, scheduled)
        if self.state is not None:
            self.state = StateSample(self.state.state, self.clock.time)
        return self.loop.tick(scheduled)

    def fail(self, on=True):
        self.planner.error = RuntimeError("step went wrong") if on else None


@pytest.fixture
def bench():
    return Bench()


def test_a_fresh_plan_is_sent_within_bounds(bench):
    assert bench.tick().status == FRESH
    assert bench.sent[-1][1] == [1.0, 0.25]
    bench.tick()
    np.testing.assert_array_equal(bench.planner.previous, [1.0, 0.25])


def test_without_a_state_the_safe_action_is_sent(bench):
    bench.state = None
    tick = bench.tick()
    assert (tick.status, tick.cause) == (STOPPED, control.NO_STATE)
    assert bench.sent[-1][1] == SAFE


def test_it_steps_down_one_rung_at_a_time_and_up_again(bench):
    bench.period()
    bench.planner.value = 0.2
    bench.period()
    bench.fail()
    ticks = [bench.period() for _ in range(9)]
    assert [tick.status for tick in ticks] == [PREVIOUS_PLAN] * 2 + [FALLBACK] * 5 + [STOPPED] * 2
    assert {tick.cause for tick in ticks} == {control.PLAN_FAILED}
    assert "RuntimeError: step went wrong" in ticks[0].reason
    # Brake: from the last command evenly to the safe one, and no jump when that is reached.
    forces = [tick.action[0] for tick in ticks]
    assert forces[:2] == [0.2, 0.2]
    steps = np.diff(forces[1:])
    assert steps[0] == 0.0
    np.testing.assert_allclose(steps[1:5], -0.7 * 0.1 / 0.45)
    assert -0.1 < steps[5] < 0.0
    assert list(ticks[-1].action) == SAFE
    bench.fail(False)
    assert bench.period().status == FRESH
    assert bench.loop.commander.ladder.steps == {
        FRESH: 2,
        PREVIOUS_PLAN: 1,
        FALLBACK: 1,
        STOPPED: 1,
    }


def test_hold_repeats_the_last_command_until_it_stops():
    bench = Bench(fallback="keep_last")
    bench.period()
    bench.fail()
    ticks = [bench.period() for _ in range(8)]
    held = [list(tick.action) for tick in ticks if tick.status == FALLBACK]
    assert held == [[1.0, 0.25]] * 5
    assert list(ticks[-1].action) == SAFE


def test_an_earlier_plan_is_read_at_the_present_time(bench):
    rising = Plan(np.arange(100.0, 101.0, 0.1), np.arange(9)[:, None] * [0.1, 0.0], 1.0, 1, 0.0)
    bench.planner.plan = lambda *arguments, **options: rising
    assert bench.period().action[0] == pytest.approx(0.0)
    bench.fail()
    bench.planner.plan = FakePlanner.plan.__get__(bench.planner)
    assert bench.period().action[0] == pytest.approx(0.1)
    assert bench.period().action[0] == pytest.approx(0.2)


def test_one_good_plan_does_not_end_a_stop_but_several_in_a_row_do():
    bench = Bench(recover_periods=3)
    good = [bench.period() for _ in range(2)]
    assert [(tick.status, tick.cause) for tick in good] == [(STOPPED, control.RECOVERING)] * 2
    assert {tuple(action) for _, action in bench.sent} == {tuple(SAFE)}
    bench.fail()
    bench.period()
    bench.fail(False)
    assert [bench.period().status for _ in range(3)] == [STOPPED, STOPPED, FRESH]


def test_an_old_state_is_not_planned_from_and_a_new_one_is_again(bench):
    bench.tick()
    plans = bench.planner.plans
    bench.clock.time += 0.1
    tick = bench.tick()
    assert (tick.status, tick.cause) == (PREVIOUS_PLAN, control.STALE_STATE)
    assert bench.planner.plans == plans
    assert "old" in tick.reason
    bench.state = StateSample(np.zeros(4), bench.clock.time)
    assert bench.tick().status == FRESH


@pytest.mark.parametrize("ahead", [0.02, 500.0])
def test_a_state_of_a_time_to_come_is_not_planned_from(bench, ahead):
    """As after the clock was set back, before that is known."""
    bench.state = StateSample(np.zeros(4), bench.clock.time + ahead)
    tick = bench.tick()
    assert (tick.status, tick.cause) == (STOPPED, control.STALE_STATE)
    assert f"{ahead:.3f} s ahead of the clock" in tick.reason
    assert math.isnan(tick.state_age)  # An age below zero is not shown.
    bench.state = StateSample(np.zeros(4), bench.clock.time + 0.002)  # As clocks differ.
    assert bench.tick().status == FRESH


def test_of_several_parts_the_reason_has_the_age_of_the_one_that_is_too_old():
    ages = dataclasses.replace(
        CONFIGURATION.control_settings, max_state_age=np.array([0.1, 0.1, 0.5, 0.5])
    )
    state, now = np.zeros(4), 100.0
    for age, expected in ((0.15, 0.15), (-0.2, -0.2), (0.05, None)):
        times = now - np.array([age, 0.0, 0.3, 0.3])
        found = ages.wrong_age(StateSample(state, times.min(), times, state), now)
        assert found == (None if expected is None else pytest.approx(expected))
    assert ages.wrong_age(StateSample(state, now - 0.2), now) == pytest.approx(0.2)


@pytest.mark.parametrize(("value", "cost"), [(float("nan"), 1.0), (0.1, float("inf"))])
def test_a_plan_that_is_not_finite_is_never_sent(bench, value, cost):
    bench.planner.value, bench.planner.cost = value, cost
    tick = bench.tick()
    assert (tick.status, tick.cause) == (STOPPED, control.NO_VALID_PLAN)
    assert bench.sent[-1][1] == SAFE


class Picky(DoubleIntegrator):
    """Works until it is told not to."""

    is_broken = False

    def begin_plan(self, state, action, time):
        if self.is_broken:
            raise RuntimeError("no contact")


def test_the_reason_of_a_plugin_that_raises_names_file_and_line(bench):
    model = Picky()
    planner = Planner(
        model, [Effort(model, {"weight.x_ddot": 1.0})], samples=16, elites=4, backend="eager"
    )
    bench.period()
    bench.planner.plan, model.is_broken = planner.plan, True
    line = Picky.begin_plan.__code__.co_firstlineno + 2
    assert bench.period().reason == f"RuntimeError: no contact, in {__file__}:{line}"


def test_a_plugin_that_wants_to_end_the_process_only_fails(bench):
    bench.period()
    bench.planner.error = SystemExit("no licence")
    tick = bench.period()
    assert (tick.status, tick.cause) == (PREVIOUS_PLAN, control.PLAN_FAILED)
    assert tick.reason.startswith("SystemExit: no licence")


def test_a_state_that_cannot_be_predicted_is_not_planned_from(bench):
    bench.planner.predict = lambda *given: np.full((2, 4), np.nan)
    plans = bench.planner.plans
    tick = bench.tick()
    assert (tick.status, tick.cause) == (STOPPED, control.NO_VALID_PLAN)
    assert tick.reason == "the predicted state is not finite"
    assert bench.planner.plans == plans


def test_a_lost_device_is_told_from_a_model_that_raises(bench):
    error = torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 TiB")
    bench.planner.error = error
    assert bench.tick().cause == control.DEVICE_FAILED
    assert bench.loop.needs_another_device
    bench.planner.error = RuntimeError("")
    assert bench.tick().cause == control.PLAN_FAILED
    assert not bench.loop.needs_another_device


def test_another_device_is_needed_until_one_takes_over(bench):
    bench.planner.error = RuntimeError("CUDA error: an illegal memory access was encountered")
    bench.period()
    assert bench.loop.needs_another_device
    refused, other = FakePlanner(bench.clock), FakePlanner(bench.clock)
    refused.tune = lambda **values: 1 / 0
    bench.loop.change(CONFIGURATION, refused)
    assert not bench.loop.needs_another_device
    bench.period()
    assert bench.loop.planner is not refused
    assert bench.loop.needs_another_device
    bench.loop.change(CONFIGURATION, other)
    bench.period()
    assert bench.loop.planner is other
    assert not bench.loop.needs_another_device


@pytest.mark.parametrize("halted", [control.PAUSED, control.EMERGENCY_STOP])
def test_while_halted_the_safe_action_goes_out_and_planning_goes_on(bench, halted):
    bench.period()
    bench.loop.commander.halted = halted
    tick = bench.period()
    assert (tick.status, tick.cause, list(tick.action)) == (STOPPED, halted, SAFE)
    assert bench.planner.plans == 2
    bench.loop.commander.halted = ""
    assert bench.period().status == FRESH


def test_a_planner_that_ends_at_its_deadline_uses_the_whole_budget(bench):
    took = []

    def plan(state, time, previous_action, applied, surroundings, stamp, until):
        began = bench.clock.time
        bench.clock.time = max(until, began) + 0.002  # An iteration of any length is cut.
        took.append(bench.clock.time - began)
        return Plan(np.array([time, time + 1.0]), np.ones((1, 2)), 1.0, 1, 0.0, simulated_share=0.5)

    bench.planner.plan = plan
    for _ in range(5):
        bench.period()
    np.testing.assert_allclose(took[1:], 0.08)


def test_the_state_is_predicted_to_when_the_command_takes_effect():
    bench = Bench(actuation_delay=0.04)
    bench.planner.value = 0.5
    for _ in range(5):
        tick = bench.period()
    # Seven iterations of 10 ms fit into the budget of 80 ms.
    bench.state = StateSample(np.zeros(4), bench.clock.time)
    bench.clock.time += 0.1
    bench.loop.tick(bench.clock.time)
    ahead = bench.planner.time - bench.state.time
    assert ahead == pytest.approx(0.1 + 0.07 + 0.04)
    assert bench.planner.state[0] == pytest.approx(0.5 * ahead)
    assert tick.latency >= tick.state_age


def test_a_state_that_comes_while_it_is_read_is_not_younger_than_now():
    bench = Bench()

    def read():
        bench.clock.time += 0.001
        return StateSample(np.zeros(4), bench.clock.time)

    bench.read = read
    assert bench.period().state_age == pytest.approx(0.0)  # It was -1 ms.


def test_forgetting_resets_the_planner_and_needs_a_new_plan(bench):
    bench.period()
    bench.loop.forget()
    bench.fail()
    assert bench.period().status == STOPPED
    assert bench.planner.resets == 1
    bench.fail(False)
    assert bench.period().status == FRESH


def test_commands_change_no_faster_than_the_rate_whatever_was_planned():
    bench = Bench(action__rate__x_ddot=2.0)
    bench.period()
    bench.planner.value = -3.0
    for _ in range(3):
        bench.period()
    forces = [action[0] for _, action in bench.sent]
    steps = np.diff([SAFE[0], *forces])
    assert (np.abs(steps) <= 0.2 + 1e-9).all()
    assert (np.abs(steps) > 0.15).all()


def test_iterations_that_would_not_fit_are_left_out(bench):
    bench.planner.iteration_time = 0.025
    bench.tick()  # measures an iteration
    bench.state = StateSample(np.zeros(4), bench.clock.time)
    tick = bench.tick()
    assert tick.plan.iterations == 3  # 0.075 s of 0.08; a fourth would end at 0.1
    assert not tick.late


def test_a_period_without_a_plan_reads_the_earlier_one_before_it_ends(bench):
    bench.period()
    scheduled = bench.loop.commander.due
    tick = bench.watch()
    assert (tick.status, tick.cause, tick.late) == (PREVIOUS_PLAN, control.OVER_BUDGET, False)
    assert tick.published == pytest.approx(scheduled + 0.09)
    # The plan comes after all: that period has its command already.
    bench.state = StateSample(np.zeros(4), bench.clock.time)
    assert bench.loop.tick(scheduled) is None
    assert len(bench.sent) == 2
    assert bench.loop.commander.overdue == 1
    assert bench.watch().status == PREVIOUS_PLAN


def test_a_shifted_command_tells_of_the_state_that_its_plan_began_with(bench):
    bench.period()
    began = bench.state.time
    bench.state = StateSample(np.zeros(4), bench.clock.time)
    tick = bench.watch()
    assert tick.latency == pytest.approx(tick.published - began)


def test_a_plan_that_never_comes_ends_in_the_safe_command(bench):
    bench.period()
    statuses = [bench.watch().status for _ in range(9)]
    assert statuses == [PREVIOUS_PLAN] + [FALLBACK] * 5 + [STOPPED] * 3
    assert bench.sent[-1][1] == SAFE


def test_after_it_is_closed_no_command_goes_out(bench):
    bench.period()
    bench.loop.commander.close()
    assert bench.period() is None
    assert bench.watch() is None
    assert len(bench.sent) == 1


def test_one_slow_iteration_does_not_shorten_the_plans_after_it(bench):
    for _ in range(50):
        bench.period()
    bench.planner.iteration_time = 0.5
    bench.period()
    bench.planner.iteration_time = 0.01
    for _ in range(6):
        tick = bench.period()
    assert tick.plan.iterations >= 7


def test_a_command_after_its_period_is_late(bench):
    """As only where the machine keeps both threads from running."""
    bench.planner.iteration_time = 0.11
    assert bench.tick().late
    assert (bench.loop.commander.late, bench.loop.commander.commands) == (1, 1)


def test_live_values_count_from_the_next_tick(bench):
    bench.loop.change(CONFIGURATION.changed({"action.high.x_ddot": 0.5}))
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


class Refusing:
    """A `tune` that refuses a highest x_ddot of 0.5, and lets a change come meanwhile."""

    def __init__(self, bench):
        self._bench = bench
        self._tune = bench.planner.tune
        self.meanwhile = None

    def __call__(self, **values):
        if values["high"][0] == 0.5:
            if self.meanwhile:
                self._bench.loop.change(self.meanwhile)
                self.meanwhile = None
            raise RuntimeError("not 0.5")
        self._tune(**values)


BAD, GOOD = {"action.high.x_ddot": 0.5}, {"action.high.y_ddot": 0.1}


def test_a_good_value_that_comes_together_with_one_that_is_refused_is_not_lost(bench):
    """Two changes within one period come as one."""
    bench.planner.tune = Refusing(bench)
    bench.loop.change(CONFIGURATION.changed(BAD))
    bench.loop.change(CONFIGURATION.changed(BAD | GOOD))
    bench.period()
    assert bench.sent[-1][1] == [1.0, 0.1]
    assert "not taken over: RuntimeError: not 0.5" in bench.loop.problem


@pytest.mark.parametrize("good", [GOOD, BAD | GOOD], ids=["alone", "with what is refused"])
def test_a_good_change_that_comes_while_another_is_refused_is_not_lost(bench, good):
    """The node's configurations are whole: the next one still holds what was refused."""
    bench.planner.tune = refusing = Refusing(bench)
    refusing.meanwhile = CONFIGURATION.changed(good)
    bench.loop.change(CONFIGURATION.changed(BAD))
    bench.period()
    bench.period()
    assert bench.sent[-1][1] == [1.0, 0.1]
    assert bench.planner.tuned[-1]["high"] == [1.0, 0.1]


def test_changes_after_one_that_is_refused_count_until_it_is_mended(bench):
    bench.planner.tune = Refusing(bench)
    bench.loop.change(CONFIGURATION.changed(BAD))
    bench.period()
    assert bench.sent[-1][1] == [1.0, 0.25]
    bench.loop.change(CONFIGURATION.changed(BAD | GOOD))
    bench.period()
    assert bench.sent[-1][1] == [1.0, 0.1]
    assert "not taken over: RuntimeError: not 0.5" in bench.loop.problem
    bench.loop.change(CONFIGURATION.changed({"action.high.x_ddot": 0.75} | GOOD))
    bench.period()
    assert bench.sent[-1][1] == [0.75, 0.1]
    assert bench.loop.problem == ""


def test_a_change_of_values_that_comes_while_a_planner_is_refused_counts_for_the_one_before(bench):
    other = FakePlanner(bench.clock)

    def refuse(**values):
        bench.loop.change(CONFIGURATION.changed(GOOD))
        raise RuntimeError("no device")

    other.tune = refuse
    bench.loop.change(CONFIGURATION, other)
    bench.period()
    bench.period()
    assert bench.loop.planner is bench.planner
    assert bench.sent[-1][1] == [1.0, 0.1]


def test_telling_about_a_command_never_costs_the_next_one(bench):
    def broken(tick):
        raise RuntimeError("nobody listens")

    bench.report = broken
    bench.tick()
    bench.tick()
    assert len(bench.sent) == 2
    assert "nobody listens" in bench.loop.commander.failure


def test_a_command_that_cannot_be_sent_does_not_end_the_loop(bench):
    send, bench.send = bench.send, None
    bench.tick()
    assert "sending failed" in bench.loop.commander.failure
    np.testing.assert_array_equal(bench.loop.commander.last_action, SAFE)
    bench.send = send
    bench.tick()
    assert len(bench.sent) == 1


def test_another_planner_goes_on_with_the_plan_of_the_one_before(bench):
    bench.period()
    other = FakePlanner(bench.clock)
    adopted = []
    other.adopt = adopted.append
    bench.loop.change(CONFIGURATION, other, 0.02)
    assert bench.period().status == FRESH
    assert adopted[0].edges[0] < bench.clock.time
    assert (bench.planner.plans, other.plans) == (1, 1)


def test_a_planner_that_cannot_go_on_leaves_the_one_before(bench):
    other = FakePlanner(bench.clock)
    other.tune = None
    bench.loop.change(CONFIGURATION, other)
    assert bench.period().status == FRESH
    assert bench.planner.plans == 1
    assert "not taken over" in bench.loop.problem


def test_the_planner_is_told_what_slow_actuators_apply(bench):
    bench = Bench(action__lag__x_ddot=0.3)
    bench.planner.value = 0.5
    for _ in range(4):
        bench.period()
    # From the safe -0.5 to 0.5, for 0.3 s and as long as a plan takes before it takes effect.
    applied, other = bench.planner.applied
    assert 0.5 - math.exp(-0.3 / 0.3) - 0.1 < applied < 0.35
    assert other == 0.25


def test_after_a_plan_too_long_to_be_followed_it_takes_several_good_ones_again():
    bench = Bench(recover_periods=3)
    for _ in range(3):
        bench.period()
    assert bench.ticks[-1].status == FRESH
    for _ in range(8):
        bench.watch()
    assert bench.ticks[-1].status == STOPPED
    assert [bench.period().status for _ in range(3)] == [STOPPED, STOPPED, FRESH]


def test_plans_that_are_old_when_they_come_do_not_let_the_plant_go_and_brake_in_turns():
    bench = Bench(recover_periods=1)
    bench.period()
    bench.planner.iteration_time = 0.15  # of the 0.2 s that it may be read
    seen = []
    for _ in range(8):
        scheduled = bench.loop.commander.due
        bench.clock.time = max(bench.clock.time, scheduled)
        bench.state = StateSample(np.zeros(4), bench.clock.time)
        bench.planner.plan = lambda *a, **o: (
            bench.watch(),  # while it plans
            FakePlanner.plan(bench.planner, *a, **o),
        )[1]
        bench.loop.tick(scheduled)
    seen = [tick.status for tick in bench.ticks]
    first = seen.index(FALLBACK)
    assert set(seen[first:]) <= {FALLBACK, STOPPED}


def test_a_plan_that_woke_up_too_late_is_not_sent_as_fresh(bench):
    bench.period()
    bench.planner.iteration_time = 0.5  # as if the process had been stopped meanwhile
    assert bench.period().status != FRESH


def test_limits_count_at_once_also_while_there_is_planning(bench):
    bench.period()
    limited = CONFIGURATION.changed({"action.high.x_ddot": 0.3, "max_plan_age": 1.0})
    bench.planner.plan = lambda *a, **o: (bench.loop.change(limited), bench.watch())[1]
    bench.loop.tick(bench.loop.commander.due)
    assert bench.ticks[-1].status == PREVIOUS_PLAN
    assert bench.sent[-1][1][0] == 0.3


def test_limits_of_a_change_that_a_plugin_refuses_are_taken_back(bench):
    def refuse(**values):
        raise RuntimeError("no")

    bench.planner.tune = refuse
    bench.loop.change(CONFIGURATION.changed({"action.high.x_ddot": 0.3}))
    bench.tick()
    assert bench.sent[-1][1][0] == 1.0


def test_what_was_begun_before_the_clock_jumped_counts_no_more(bench):
    bench.period()

    def plan(*arguments, **options):
        bench.clock.time -= 50.0
        bench.loop.forget(is_jump=True)
        return FakePlanner.plan(bench.planner, *arguments, **options)

    bench.planner.plan = plan
    assert bench.loop.tick(bench.loop.commander.due) is None
    # The schedule goes on at once, on the new time.
    assert bench.loop.commander.due == pytest.approx(bench.clock.time, abs=0.2)
    assert bench.watch().status == STOPPED
    del bench.planner.plan
    tick = bench.period() or bench.tick()
    assert math.isnan(tick.latency) or 0.0 <= tick.latency < 1.0


def test_a_plan_that_begins_while_the_clock_jumps_counts_no_more(bench):
    """A change of parameters is being taken over; its tick has seen nothing of the jump."""
    bench.period()
    resets = bench.planner.resets

    def tune(**values):
        bench.clock.time -= 50.0
        bench.state = bench.state._replace(time=bench.clock.time)
        bench.loop.forget(is_jump=True)

    bench.planner.tune = tune
    bench.loop.change(CONFIGURATION.changed({"action.high.x_ddot": 0.5}))
    assert bench.tick() is None
    assert bench.planner.resets == resets
    del bench.planner.tune
    assert bench.tick().latency < 1.0
    assert bench.planner.resets == resets + 1
    assert bench.planner.time == pytest.approx(bench.clock.time, abs=0.2)


def test_forgetting_forgets_what_was_sent(bench):
    for _ in range(3):
        bench.period()
    bench.loop.forget()
    before, _ = bench.loop.commander.sent(bench.clock.time - 0.25, bench.clock.time, 1.0)
    np.testing.assert_allclose(before.actions[0], bench.loop.commander.last_action)


def test_a_late_command_does_not_catch_up_with_a_jump():
    bench = Bench(action__rate__x_ddot=1.0, max_plan_age=5.0)
    bench.period()
    before = bench.sent[-1][1][0]
    bench.clock.time += 1.0
    bench.state = StateSample(np.zeros(4), bench.clock.time)
    bench.tick()
    assert bench.sent[-1][1][0] - before == pytest.approx(0.1)


def test_another_lag_counts_from_then_on(bench):
    bench.planner.value = 0.5
    bench.period()
    bench.loop.change(CONFIGURATION.changed({"action.lag.x_ddot": 1.0}))
    applied = []
    for _ in range(4):
        bench.period()
        applied.append(bench.planner.applied[0])
    # On its slow way from the safe command, where it would have been at once.
    assert (np.diff(applied) > 0.05).all()
    assert applied[-1] < 0.4


def test_with_a_phase_plans_are_made_for_the_time_they_are_sent():
    bench = Bench(command_phase=0.6)
    bench.planner.iteration_time = 0.001
    for _ in range(3):
        tick = bench.period()
    assert tick.published - tick.scheduled == pytest.approx(0.06)
    assert bench.planner.time - tick.scheduled == pytest.approx(0.06, abs=1e-3)
    bench.fail()
    tick = bench.period()
    assert tick.published - tick.scheduled == pytest.approx(0.06)


def test_periods_that_a_clock_set_forward_skips_are_not_missing():
    clock = Clock()
    loop = ControlLoop(
        FakePlanner(clock),
        CONFIGURATION,
        lambda: None,
        lambda action: None,
        clock=clock,
        steady=lambda: 0.0,
    )
    loop.commander.begin(clock.time)
    loop.tick(clock.time)
    clock.time += 0.55
    loop.tick(loop.commander.due)
    assert loop.commander.missing == 3
    due = loop.commander.due
    clock.time += 500.0
    loop.tick(due)
    assert loop.commander.missing == 3
    assert loop.commander.due > clock.time - 0.1


class ThreadClock:
    """
    A clock of the loop's two threads, which moves on when both wait.

    However busy the machine is, nothing comes too late that the threads do not let come too late.
    """

    def __init__(self):
        self.time = 100.0
        self._until = {}
        self._changed = threading.Condition()

    def __call__(self):
        return self.time

    def sleep(self, stop, seconds):
        me = threading.get_ident()
        with self._changed:
            until = self._until[me] = self.time + seconds
            if len(self._until) == 2:
                self.time = max(self.time, min(self._until.values()))
                self._changed.notify_all()
            while self.time < until and not stop.is_set():
                self._changed.wait(0.01)
            del self._until[me]
        return stop.is_set()


class Threads:
    """The loop with its threads at 20 Hz; a plan takes `takes(number)` s of their clock."""

    def __init__(self, takes, **changes):
        self.takes = takes
        self.clock = ThreadClock()
        self.stop = threading.Event()
        self.sent = []
        self.times = []
        self.ticks = []
        self.plans = 0
        planner = FakePlanner(self.clock)
        planner.plan = self.plan
        values = dict(CONFIGURATION.values) | {"control_rate": 20.0, "max_state_age": 1.0}
        self.loop = ControlLoop(
            planner,
            dataclasses.replace(CONFIGURATION, values=values | changes),
            lambda: StateSample(np.zeros(4), self.clock.time),
            self.send,
            lambda tick: self.report(tick),
            clock=self.clock,
            steady=self.clock,
            sleep=self.clock.sleep,
        )

    def plan(self, state, time_, previous_action, applied, surroundings, stamp, until):
        self.plans += 1
        self.clock.sleep(self.stop, self.takes(self.plans))
        return Plan(np.array([time_, time_ + 1.0]), np.full((1, 2), 0.2), 1.0, 1, 0.0)

    def send(self, action):
        self.sent.append(list(action))
        self.times.append(self.clock.time)

    def report(self, tick):
        self.ticks.append(tick)
        if len(self.ticks) == self.count:
            self.stop.set()

    def run(self, count):
        """Run until `count` commands are out; return their statuses."""
        self.count = count
        self.loop.run(self.stop)
        return [tick.status for tick in self.ticks[:count]]

    def assert_one_command_a_period(self):
        """The schedule holds, and nothing is made up for."""
        commander = self.loop.commander
        assert (commander.late, commander.missing) == (0, 0)
        scheduled = [tick.scheduled for tick in self.ticks]
        np.testing.assert_allclose(np.diff(scheduled), 0.05, atol=1e-9)


def test_a_planner_that_takes_ten_periods_costs_no_command():
    bench = Threads(lambda number: 0.5 if number == 5 else 0.005, max_plan_age=0.2, hold_time=0.2)
    statuses = bench.run(40)
    bench.assert_one_command_a_period()
    assert bench.loop.commander.overdue == 1
    assert [s for s, _ in itertools.groupby(statuses)][-4:] == [
        PREVIOUS_PLAN,
        FALLBACK,
        STOPPED,
        FRESH,
    ]


def test_a_planner_that_hangs_ends_in_the_safe_command():
    bench = Threads(
        lambda number: math.inf if number == 5 else 0.005, max_plan_age=0.2, hold_time=0.2
    )
    statuses = bench.run(40)
    bench.assert_one_command_a_period()  # and they go on
    assert [s for s, _ in itertools.groupby(statuses)][-3:] == [PREVIOUS_PLAN, FALLBACK, STOPPED]
    assert bench.sent[-1] == SAFE


def test_plans_that_always_take_longer_than_a_period_control_shifted():
    bench = Threads(lambda number: 0.12, max_plan_age=1.0, recover_periods=2)
    assert bench.run(45)[-30:] == [PREVIOUS_PLAN] * 30
    bench.assert_one_command_a_period()
    assert bench.sent[-1] == [0.2, 0.2]


def test_commands_can_wait_for_a_phase_of_the_period():
    bench = Threads(lambda number: 0.005, command_phase=0.5)
    assert bench.run(20)[-15:] == [FRESH] * 15
    bench.assert_one_command_a_period()
    for tick in bench.ticks[1:]:
        assert tick.published - tick.scheduled == pytest.approx(0.025)
        assert tick.interval == pytest.approx(0.05)


class FastClock:
    """A simulation's clock that runs ten times as fast."""

    def __init__(self):
        self.began = time.monotonic()

    def __call__(self):
        return 10.0 * (time.monotonic() - self.began)


@pytest.mark.alone
def test_under_a_fast_clock_iterations_fit_into_its_periods(wait_until):
    clock = FastClock()
    iterations, ticks = [], []

    class Planner(FakePlanner):
        def plan(self, state, time_, previous_action, applied, surroundings, stamp, until):
            done = 0
            while done == 0 or (done < 1000 and time.monotonic() < until):
                time.sleep(0.002)
                done += 1
            iterations.append(done)
            return Plan(np.array([time_, time_ + 1.0]), np.full((1, 2), 0.2), 1.0, done, 0.0)

    values = dict(CONFIGURATION.values) | {"control_rate": 2.0, "max_state_age": 5.0}
    loop = ControlLoop(
        Planner(clock),
        dataclasses.replace(CONFIGURATION, values=values),
        lambda: StateSample(np.zeros(4), clock()),
        lambda action: None,
        ticks.append,
        clock=clock,
    )
    stop = threading.Event()
    thread = threading.Thread(target=loop.run, args=(stop,))
    thread.start()

    def keeps_up():
        return len(ticks) > 40 and [tick.status for tick in ticks[-10:]].count(FRESH) >= 8

    wait_until(keeps_up)
    stop.set()
    thread.join()
    # 40 ms of the 50 steady ms that such a period lasts; by its own count it would be 400.
    assert np.median(iterations[-20:]) < 25


class SimulatedTime:
    """Threads under a simulation's clock, which stands still unless it is moved."""

    def __init__(self):
        self.time = 7.0
        self.ticks = []
        self.loop = ControlLoop(
            FakePlanner(time.monotonic),
            CONFIGURATION,
            lambda: StateSample(np.zeros(4), self.time),
            lambda action: None,
            self.ticks.append,
            clock=lambda: self.time,
        )
        self.loop.planner.plan = self.plan
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.loop.run, args=(self.stop,))

    def plan(self, state, time_, previous_action, applied, surroundings, stamp, until):
        self.planned = time.monotonic()
        while time.monotonic() < self.planned + 0.003:
            pass
        return Plan(np.array([time_, time_ + 1.0]), np.full((1, 2), 0.2), 1.0, 1, 0.0)


@pytest.fixture
def simulated():
    made = SimulatedTime()
    made.thread.start()
    yield made
    made.stop.set()
    made.thread.join()


def test_the_schedule_begins_at_the_first_reading_after_activation(simulated, wait_until):
    """The clock went on by 5 s while the node was made: these are no missing periods."""
    commander = simulated.loop.commander
    assert not simulated.loop.has_begun
    simulated.time = 12.0
    wait_until(lambda: simulated.loop.has_begun)
    for count in range(1, 6):
        wait_until(lambda count=count: commander.commands == count)
        simulated.time = round(12.0 + 0.1 * count, 1)
    assert (commander.late, commander.missing) == (0, 0)
    assert simulated.ticks[0].scheduled == 12.0


def test_a_loop_whose_clock_never_moves_can_be_stopped(simulated):
    simulated.stop.set()
    simulated.thread.join(20.0)
    assert not simulated.thread.is_alive()
    assert not simulated.ticks


def test_plan_times_are_real_times_however_coarse_the_clock_is(simulated, wait_until):
    simulated.time = 12.0
    wait_until(lambda: simulated.ticks)
    assert simulated.ticks[0].plan_time >= 0.003  # The clock stood still meanwhile.


def test_a_halt_is_sent_at_once_and_after_a_command_that_is_being_sent(bench):
    bench.period()
    bench.loop.commander.halt(control.EMERGENCY_STOP)
    assert bench.sent[-1][1] == SAFE
    tick = bench.period()
    assert (tick.cause, list(tick.action)) == (control.EMERGENCY_STOP, SAFE)
    sent = len(bench.sent)
    bench.loop.commander.halt("")
    assert len(bench.sent) == sent
    assert bench.period().status == FRESH
    bench.loop.commander.close()
    bench.loop.commander.halt(control.EMERGENCY_STOP)
    assert len(bench.sent) == sent + 1


def test_after_a_halt_within_a_period_the_way_up_is_that_after_any_stop():
    bench = Bench(recover_periods=3, action__rate__x_ddot=1.0)
    while bench.period().action[0] < 1.0:
        pass
    bench.clock.time += 0.05
    bench.loop.commander.halt(control.PAUSED)
    bench.loop.commander.halt("")
    ticks = [bench.period() for _ in range(4)]
    assert [tick.status for tick in ticks] == [STOPPED, STOPPED, FRESH, FRESH]
    np.testing.assert_allclose([tick.action[0] for tick in ticks], [-0.5, -0.5, -0.4, -0.3])


def test_the_rate_counts_from_the_command_of_a_halt():
    bench = Bench(action__rate__x_ddot=1.0)
    bench.period()
    bench.clock.time += 0.06
    bench.loop.commander.halt(control.PAUSED)
    bench.loop.commander.halt("")
    halted = bench.sent[-1]
    assert bench.period().status == FRESH
    elapsed = bench.sent[-1][0] - halted[0]
    assert bench.sent[-1][1][0] == pytest.approx(halted[1][0] + elapsed)


def test_a_halt_waits_for_the_command_that_is_being_sent(bench, wait_until):
    begun, go_on = threading.Event(), threading.Event()

    class Slowly(list):
        def append(self, sent):
            if sent[1] != SAFE:
                begun.set()
                assert go_on.wait(20.0)
            super().append(sent)

    bench.sent = Slowly()
    period = threading.Thread(target=bench.period)
    halt = threading.Thread(target=bench.loop.commander.halt, args=(control.EMERGENCY_STOP,))
    period.start()
    assert begun.wait(20.0)
    halt.start()
    wait_until(lambda: bench.loop.commander.halted)
    assert not bench.sent
    go_on.set()
    halt.join()
    assert bench.sent[-1][1] == SAFE
    assert len(bench.sent) > 1
    period.join()
    assert bench.sent[-1][1] == SAFE


def test_a_reader_that_raises_costs_commands_not_the_loop(bench):
    bench.tick()
    bench.read = lambda: 1 / 0
    for _ in range(3):
        assert "ZeroDivisionError" in bench.tick().reason
        bench.clock.time += 0.1
    assert len(bench.sent) == 4


def test_a_halt_that_comes_while_sending_has_the_last_word(bench):
    send = bench.send

    def halted_meanwhile(action):
        send(action)
        bench.loop.commander.halted = "emergency_stop"

    for _ in range(5):
        bench.state = StateSample(np.zeros(4), bench.clock.time)
        bench.tick()
        bench.clock.time += 0.1
    bench.state = StateSample(np.zeros(4), bench.clock.time)
    bench.send = halted_meanwhile
    tick = bench.tick()
    assert bench.sent[-2][1] != SAFE
    assert (bench.sent[-1][1], tick.cause) == (SAFE, "emergency_stop")


def test_a_failure_to_send_is_told_until_it_is_over(bench):
    send, bench.send = bench.send, lambda action: 1 / 0
    bench.tick()
    assert "sending failed" in bench.loop.commander.failure
    bench.send = send
    bench.clock.time += 0.1
    bench.tick()
    assert bench.loop.commander.failure == ""


DRIVEN = configure(
    {name: value for name, value in CONFIGURATION.values.items() if "." not in name}
    | {
        "planner.device": "cpu",
        "costs": ["path", "goal", "obstacles"],
        "dynamics.plugin": "diff_drive_lag",
        "state.type": "std_msgs/msg/Float64MultiArray",
        "path.plugin": "path_follow",
        "goal.plugin": "goal_pose",
        "obstacles.plugin": "obstacles",
        "obstacles.radius": 0.2,
    }
)


class Drive(Bench):
    """A robot that stands at the origin, with a wall so many m ahead."""

    def __init__(self, configuration=DRIVEN, wall=1.5, **changes):
        super().__init__(configuration, **changes)
        self.planner.value = 0.4
        self.commander = self.loop.commander
        self.goal = Pose(1.0, 0.0, 0.0)
        self.look(wall)

    def look(self, wall, time=None):
        """What is known from now on."""
        cells = np.zeros((80, 80), np.int8)
        cells[:, round((wall + 2.0) / 0.05) :] = 100
        time = self.clock.time if time is None else time
        costmap = Costmap(cells, 0.05, Pose(-2.0, -2.0, 0.0), time)
        self.commander.surroundings = Surroundings(self.goal, None, costmap)

    def period(self, wall=1.5):
        self.clock.time = max(self.clock.time, self.loop.commander.due)
        self.look(wall)
        return super().period()

    def moves(self, v):
        """The robot has that speed from now on."""
        self.state = StateSample(np.array([0.0, 0.0, 0.0, v, 0.0]), self.clock.time)


def test_with_room_ahead_a_robot_drives_as_planned():
    drive = Drive()
    tick = drive.period()
    assert (tick.status, tick.cause, list(tick.action)) == (FRESH, "", [0.4, 0.4])


def test_before_a_wall_a_robot_is_slowed_then_stopped_and_drives_again_when_it_is_gone():
    drive = Drive()
    ticks = []
    for wall in (1.5, 0.4, 0.3):
        drive.moves(0.3)
        ticks.append(drive.period(wall))
    assert [tick.cause for tick in ticks] == ["", control.SLOWED, control.COLLISION_IMMINENT]
    assert [tick.status for tick in ticks] == [FRESH, FRESH, STOPPED]
    assert 0.0 < ticks[1].action[0] < ticks[0].action[0] == 0.4
    assert list(ticks[2].action) == [0.0, 0.0]
    assert drive.commander.is_collision_imminent
    assert drive.period().status == FRESH
    assert not drive.commander.is_collision_imminent


def test_where_nothing_drives_no_collision_is_imminent():
    drive = Drive()
    drive.period()
    drive.moves(0.3)
    assert drive.period(0.3).cause == control.COLLISION_IMMINENT
    drive.goal = None
    assert drive.period(0.3).cause == control.NO_GOAL
    assert not drive.commander.is_collision_imminent


def test_a_robot_whose_plan_is_late_is_stopped_before_a_wall_all_the_same():
    drive = Drive()
    drive.moves(0.4)
    drive.period()
    drive.look(0.25)
    tick = drive.watch()
    assert (tick.status, tick.cause) == (STOPPED, control.COLLISION_IMMINENT)


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda drive: drive.look(1.5, time=99.0), control.STALE_COSTMAP),
        (lambda drive: setattr(drive.commander, "surroundings", Surroundings()), control.NO_GOAL),
        (
            lambda drive: setattr(
                drive, "state", StateSample(np.array([5.0, 0, 0, 0, 0]), drive.clock.time)
            ),
            control.OUTSIDE_COSTMAP,
        ),
    ],
)
def test_a_robot_that_must_not_drive_brakes_evenly_and_stands(change, cause):
    drive = Drive()
    drive.period()
    plans = drive.planner.plans
    ticks = []
    for _ in range(7):
        drive.clock.time = max(drive.clock.time, drive.loop.commander.due)
        drive.look(1.5)
        drive.state = StateSample(np.zeros(5), drive.clock.time)
        change(drive)
        ticks.append(drive.loop.tick(drive.clock.time))
    assert {tick.cause for tick in ticks} == {cause}
    assert [tick.status for tick in ticks] == [FALLBACK] * 5 + [STOPPED] * 2
    speeds = [tick.action[0] for tick in ticks]
    assert speeds == sorted(speeds, reverse=True)
    assert speeds[-1] == 0.0
    assert drive.planner.plans == plans


def test_a_map_that_cannot_be_read_stops_the_robot():
    drive = Drive()
    drive.period()
    broken = Costmap(np.zeros((0, 0), np.int8), 0.05, Pose(-2.0, -2.0, 0.0), drive.clock.time)
    drive.commander.surroundings = Surroundings(drive.goal, None, broken)
    tick = drive.watch()
    assert (tick.status, tick.cause) == (STOPPED, control.COLLISION_IMMINENT)
    assert drive.sent[-1][1] == [0.0, 0.0]
    assert "Error" in tick.reason


def servo(**changes):
    """A bench whose action x_ddot stands for the set-point of what holds x."""
    values = dict(CONFIGURATION.values) | {"action.measured_by.x_ddot": "x"} | changes
    bench = Bench(configure(values))
    bench.at = lambda x: setattr(bench, "state", StateSample(np.eye(4)[0] * x, bench.clock.time))
    return bench


def test_a_safe_action_that_is_measured_holds_where_the_stop_began():
    bench = servo(**{"action.safe.x_ddot": "measured"})
    bench.state = None
    assert np.isnan(bench.period().action).all()
    assert bench.sent == []  # Nothing is known that would not move it.
    assert bench.loop.commander.stop_action() is None
    bench.at(0.6)
    bench.fail()
    assert list(bench.period().action) == [0.6, 0.0]
    bench.at(0.5)  # It sags under its load; the command does not follow.
    assert list(bench.period().action) == [0.6, 0.0]
    bench.fail(False)
    assert bench.period().status == FRESH
    bench.at(-0.3)
    bench.fail()
    ticks = [bench.period() for _ in range(9)]
    assert ticks[-1].status == STOPPED
    assert list(ticks[-1].action) == [-0.3, 0.0]
    bench.at(-7.0)  # Beyond the bounds, which hold all the same.
    bench.loop.forget()
    assert list(bench.period().action) == [-1.0, 0.0]


def test_the_first_commands_keep_their_rate_from_what_is_measured():
    rate = {"action.rate.x_ddot": 1.0}
    for safe in (-0.5, "measured"):
        bench = servo(**rate, **{"action.safe.x_ddot": safe})
        bench.at(0.6)
        tick = bench.period()
        assert tick.status == FRESH
        assert tick.action[0] == pytest.approx(0.7)  # The plan is 1, and a period 0.1 s.
        assert bench.planner.previous[0] == pytest.approx(0.6)
    bench = servo(**rate)
    bench.at(0.6)
    bench.fail()
    sent = [bench.period().action[0] for _ in range(13)]
    np.testing.assert_allclose(np.diff([0.6, *sent[:11]]), -0.1)
    assert sent[-1] == -0.5
    # Whatever stops the node on the way stops it there.
    bench = servo(**rate)
    bench.at(0.6)
    bench.fail()
    bench.period()
    np.testing.assert_allclose(bench.loop.commander.stop_action(), [0.5, 0.0])
    bench.loop.commander.halt(control.EMERGENCY_STOP)
    np.testing.assert_allclose(bench.sent[-1][1], [0.5, 0.0])
    narrower = CONFIGURATION.values | rate | {"action.high.x_ddot": 0.25}
    bench.loop.change(configure(narrower | {"action.measured_by.x_ddot": "x"}))
    bench.loop.commander.halt(control.EMERGENCY_STOP)
    np.testing.assert_allclose(bench.sent[-1][1], [0.25, 0.0])


def test_costs_are_told_the_time_that_states_are_stamped_with():
    bench = Bench()
    bench.loop = ControlLoop(
        bench.planner,
        CONFIGURATION,
        lambda: bench.state,
        lambda action: None,
        clock=bench.clock,
        stamp_clock=lambda: 1.7e9 + bench.clock.time,
        steady=bench.clock,
    )
    bench.period()
    assert bench.planner.stamp - 1.7e9 == pytest.approx(bench.planner.time, abs=1e-6)


def often(configuration):
    """A configuration with 50 commands a second."""
    return configure(dict(configuration.values) | {"command.rate": 50.0})


class Between(Threads):
    """A loop at 20 Hz that sends 100 commands a second; the plan is the time since 100 s."""

    def __init__(self, takes=lambda number: 0.005, **changes):
        super().__init__(takes, **{"command.rate": 100.0, "max_plan_age": 0.2, **changes})

    def plan(self, state, time_, *arguments, **options):
        plan = super().plan(state, time_, *arguments, **options)
        edges = time_ + 0.01 * np.arange(101)
        return dataclasses.replace(plan, edges=edges, actions=np.tile(edges[:-1] - 100.0, (2, 1)).T)


def test_between_two_periods_the_plan_is_read_again():
    bench = Between()
    assert set(bench.run(10)) == {FRESH}
    bench.assert_one_command_a_period()
    gaps = np.diff(bench.times)
    assert gaps.max() < 0.0101
    assert len(bench.times) > 45
    planned = np.array(bench.times) - 100.0
    sent = np.array(bench.sent)[:, 0]
    np.testing.assert_allclose(sent[5:], planned[5:], atol=0.0101)
    # The bound of the second action holds for them too.
    assert np.array(bench.sent)[:, 1].max() <= 0.25


@pytest.mark.parametrize("rate", [0.0, 10.0, 20.0])
def test_a_rate_of_commands_up_to_the_control_rate_sends_one_in_each_period(rate):
    bench = Between(**{"command.rate": rate})
    bench.run(10)
    assert len(bench.sent) == 10


def test_commands_between_two_periods_keep_the_rate_limit():
    bench = Between(**{"action.rate.x_ddot": 0.5})
    bench.run(10)
    sent, times = np.array(bench.sent)[:, 0], np.array(bench.times)
    assert (np.diff(sent) <= 0.5 * np.diff(times) + 1e-9).all()
    assert sent[-1] > sent[5]


def test_when_the_planner_hangs_the_plan_is_followed_between_periods_then_the_ramp():
    bench = Between(lambda number: math.inf if number == 5 else 0.005, hold_time=0.2)
    statuses = bench.run(20)
    bench.assert_one_command_a_period()
    assert [s for s, _ in itertools.groupby(statuses)] == [FRESH, PREVIOUS_PLAN, FALLBACK, STOPPED]
    sent, times = np.array(bench.sent), np.array(bench.times)
    begin, end = (
        next(tick.published for tick in bench.ticks if tick.status == status)
        for status in (FALLBACK, STOPPED)
    )
    during = (times > begin) & (times < end)
    assert during.sum() > 10
    steps = np.diff(sent[during][:, 0])
    assert (steps < 0.0).all()  # An even ramp to the safe action, in steps of 10 ms.
    assert (sent[times > end] == SAFE).all()
    assert np.diff(times).max() < 0.06


def test_after_an_emergency_stop_nothing_else_is_sent_between_periods():
    bench = Between()
    halted = []

    def report(tick):
        if len(bench.ticks) == 5 and not halted:
            # From the thread of the executor, while both threads of the loop run.
            halted.append(threading.Thread(target=lambda: stop()))
            halted[0].start()
        bench.ticks.append(tick)
        if counted and len(bench.sent) > counted[0] + 5:
            bench.stop.set()

    counted = []

    def stop():
        bench.loop.commander.halt(control.EMERGENCY_STOP)
        counted.append(len(bench.sent))

    bench.report = report
    bench.loop.run(bench.stop)
    halted[0].join()
    assert all(action == SAFE for action in bench.sent[counted[0] - 1 :])


def test_a_command_between_two_periods_is_braked_before_an_obstacle():
    drive = Drive(often(DRIVEN))
    assert drive.period().status == FRESH
    drive.moves(0.4)
    drive.clock.time += 0.02
    drive.look(0.35)
    drive.commander.take(drive.state)
    drive.commander.between()
    assert drive.sent[-1][0] == drive.clock.time
    assert drive.sent[-1][1] == [0.0, 0.0]
    assert drive.commander.is_collision_imminent
    assert drive.commander.ladder.status == STOPPED


def test_nothing_is_sent_between_periods_before_it_is_due_or_after_the_end():
    bench = Bench(often(CONFIGURATION))
    bench.loop.commander.between()
    assert bench.sent == []
    bench.period()
    bench.loop.commander.between()
    assert len(bench.sent) == 1
    bench.clock.time += 0.02
    bench.loop.commander.between()
    assert len(bench.sent) == 2
    bench.clock.time += 0.02
    bench.loop.commander.close()
    bench.loop.commander.between()
    assert len(bench.sent) == 2


def test_the_state_is_predicted_with_the_commands_between_periods():
    """The fake planner moves x by the command: the sum of what was sent."""
    bench = Bench(often(CONFIGURATION))
    bench.period()
    before = bench.state
    for _ in range(3):
        bench.clock.time += 0.02
        bench.planner.value = 0.2
        bench.loop.commander.between()
    plan, _ = bench.loop.commander.sent(before.time, bench.clock.time, 0.02)
    assert len(plan.actions) >= 3
