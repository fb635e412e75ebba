import itertools
import threading
import types

import numpy as np
import pytest
import torch

from cem_planner_ros.configuration import configure
from cem_planner_ros.control import tick as control
from cem_planner_ros.control.ladder import FRESH, HOLD, SHIFTED, STOPPED
from cem_planner_ros.control.loop import ControlLoop
from cem_planner_ros.control.tick import StateSample
from cem_planner_ros.planning.plan import Plan

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
        return np.array([state, state + (np.diff(plan.edges) @ plan.actions)[0] * np.eye(4)[0]])

    def plan(self, state, time, previous_action, until):
        if self.error:
            raise self.error
        self.previous, self.state, self.time = previous_action, state, time
        self.plans += 1
        done = 0
        while done == 0 or (done < 8 and self.clock.time < until):
            self.clock.time += self.iteration_time
            done += 1
        return Plan(np.array([time, time + 1.0]), np.full((1, 2), self.value), self.cost, done, 0.0)

    def reset(self):
        self.resets += 1


class Bench:
    def __init__(self, **changes):
        self.clock = Clock()
        self.planner = FakePlanner(self.clock)
        self.state = StateSample(np.zeros(4), self.clock.time)
        self.sent = []
        self.loop = ControlLoop(
            self.planner,
            CONFIGURATION.changed({name.replace("__", "."): v for name, v in changes.items()}),
            lambda: self.state,
            lambda action: self.sent.append((self.clock.time, list(action))),
            clock=self.clock,
            steady=self.clock,
        )
        self.scheduled = itertools.count(100.0, 0.1)

    def tick(self):
        return self.loop.tick(self.clock.time)

    def period(self):
        """A tick on the schedule, with a state of that time."""
        scheduled = next(time for time in self.scheduled if time > self.clock.time - 0.099)
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
    assert [tick.status for tick in ticks] == [SHIFTED] * 2 + [HOLD] * 5 + [STOPPED] * 2
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
    assert bench.loop.ladder.steps == {FRESH: 2, SHIFTED: 1, HOLD: 1, STOPPED: 1}


def test_hold_repeats_the_last_command_until_it_stops():
    bench = Bench(hold="hold")
    bench.period()
    bench.fail()
    ticks = [bench.period() for _ in range(8)]
    held = [list(tick.action) for tick in ticks if tick.status == HOLD]
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
    bench.clock.time += 0.15
    tick = bench.tick()
    assert (tick.status, tick.cause) == (SHIFTED, control.STALE_STATE)
    assert bench.planner.plans == plans
    assert "old" in tick.reason
    bench.state = StateSample(np.zeros(4), bench.clock.time)
    assert bench.tick().status == FRESH


@pytest.mark.parametrize(("value", "cost"), [(float("nan"), 1.0), (0.1, float("inf"))])
def test_a_plan_that_is_not_finite_is_never_sent(bench, value, cost):
    bench.planner.value, bench.planner.cost = value, cost
    tick = bench.tick()
    assert (tick.status, tick.cause) == (STOPPED, control.NO_VALID_PLAN)
    assert bench.sent[-1][1] == SAFE


def test_a_lost_device_is_told_from_a_model_that_raises(bench):
    bench.planner.error = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 TiB")
    assert bench.tick().cause == control.DEVICE_FAILED
    bench.planner.error = RuntimeError("")
    assert bench.tick().cause == control.PLAN_FAILED


@pytest.mark.parametrize("halted", [control.PAUSED, control.EMERGENCY_STOP])
def test_while_halted_the_safe_action_goes_out_and_planning_goes_on(bench, halted):
    bench.period()
    bench.loop.halted = halted
    tick = bench.period()
    assert (tick.status, tick.cause, list(tick.action)) == (STOPPED, halted, SAFE)
    assert bench.planner.plans == 2
    bench.loop.halted = ""
    assert bench.period().status == FRESH


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


def test_a_period_without_time_for_an_iteration_reads_the_earlier_plan():
    bench = Bench(max_plan_age=1.0)
    for _ in range(3):
        bench.period()
    plans = bench.planner.plans
    scheduled = next(bench.scheduled)
    bench.clock.time = scheduled + 0.095
    bench.state = StateSample(np.zeros(4), bench.clock.time)
    tick = bench.loop.tick(scheduled)
    assert (tick.status, tick.cause) == (SHIFTED, control.OVER_BUDGET)
    assert bench.planner.plans == plans
    assert not tick.late


def test_iterations_longer_than_a_period_control_by_earlier_plans(bench):
    bench.planner.iteration_time = 0.12
    for _ in range(60):
        bench.period()
    statuses = [tick.status for tick in bench.loop.ticks]
    assert set(statuses[1:]) == {FRESH, SHIFTED}
    assert statuses.count(FRESH) > 10
    bench.planner.iteration_time = 0.01
    for _ in range(20):
        tick = bench.period()
    assert (tick.status, tick.late) == (FRESH, False)


def test_it_recovers_also_while_iterations_are_longer_than_a_period():
    bench = Bench(recover_periods=3)
    bench.planner.iteration_time = 0.12
    for _ in range(60):
        tick = bench.period()
    assert tick.status in (FRESH, SHIFTED)


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
    assert "nobody listens" in bench.loop.failure


def test_a_command_that_cannot_be_sent_does_not_end_the_loop(bench):
    send = bench.loop._send
    bench.loop._send = None
    bench.tick()
    assert "sending failed" in bench.loop.failure
    np.testing.assert_array_equal(bench.loop._last_action, SAFE)
    bench.loop._send = send
    bench.tick()
    assert len(bench.sent) == 1


def test_another_planner_goes_on_with_the_plan_of_the_one_before(bench):
    bench.period()
    other = FakePlanner(bench.clock)
    adopted = []
    other.adopt = adopted.append
    other.tune = lambda **values: None
    bench.loop.change(CONFIGURATION, other, 0.02)
    assert bench.period().status == FRESH
    assert adopted[0].edges[0] < bench.clock.time
    assert (bench.planner.plans, other.plans) == (1, 1)


def test_a_planner_that_cannot_go_on_leaves_the_one_before(bench):
    other = FakePlanner(bench.clock)  # without tune
    bench.loop.change(CONFIGURATION, other)
    assert bench.period().status == FRESH
    assert bench.planner.plans == 1
    assert "not taken over" in bench.loop.problem


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


def test_a_reader_that_raises_costs_commands_not_the_loop(bench):
    bench.tick()
    state, bench.loop._latest_state = bench.loop._latest_state, lambda: 1 / 0
    for _ in range(3):
        assert "ZeroDivisionError" in bench.tick().reason
        bench.clock.time += 0.1
    assert len(bench.sent) == 4
    bench.loop._latest_state = state


def test_a_halt_that_comes_while_sending_has_the_last_word(bench):
    send = bench.loop._send

    def halted_meanwhile(action):
        send(action)
        bench.loop.halted = "emergency_stop"

    for _ in range(5):
        bench.state = StateSample(np.zeros(4), bench.clock.time)
        bench.tick()
        bench.clock.time += 0.1
    bench.state = StateSample(np.zeros(4), bench.clock.time)
    bench.loop._send = halted_meanwhile
    tick = bench.tick()
    assert bench.sent[-2][1] != SAFE
    assert (bench.sent[-1][1], tick.cause) == (SAFE, "emergency_stop")


def test_a_failure_to_send_is_told_until_it_is_over(bench):
    send = bench.loop._send
    bench.loop._send = lambda action: 1 / 0
    bench.tick()
    assert "sending failed" in bench.loop.failure
    bench.loop._send = send
    bench.clock.time += 0.1
    bench.tick()
    assert bench.loop.failure == ""
