# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The control loop: one command in each period, on time; and the watchdog."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from cem_planner_ros.control.changes import Changes
from cem_planner_ros.control.commander import Commander
from cem_planner_ros.control.control_settings import ControlSettings, ParameterSet
from cem_planner_ros.control.realtime import outrank
from cem_planner_ros.control.tick import (
    DEVICE_FAILED,
    NO_STATE,
    NO_VALID_PLAN,
    OVER_BUDGET,
    PLAN_FAILED,
    STALE_STATE,
    Attempt,
    StateSample,
    Tick,
)
from cem_planner_ros.control.timing import HIGH, Quantile, Speed
from cem_planner_ros.errors import describe
from cem_planner_ros.planning.plan import Plan
from cem_planner_ros.planning.planner import Planner

AT_ONCE = 0.001
"""Difference of the times of two parts of a state over which nothing is predicted, s."""

CLOCK_LOOK = 0.002
"""Time between two readings of a clock that is not the steady one, s."""

LOST_PLANNERS: list[Planner] = []
"""
Planners whose device was lost; they are kept until the process ends.

PyTorch cannot free their memory on the device. If it tries, it ends the process.
"""


class ControlLoop:
    """
    In each period: reads the newest state, predicts it, plans, and sends a command.

    The planner thread does this on an absolute schedule. It begins an iteration only if this is
    expected to end within the budget; the expectation is a high quantile of the measured times. A
    planner that ends an iteration at a deadline gets an earlier one, by a high quantile of how much
    later than their deadlines such plans ended.

    A second thread, the watchdog, waits until shortly before the end of the period. If the command
    has not been sent by then, the watchdog sends what the ladder says. So a slow plan never delays
    a command. A late plan is used, read at the present time, as soon as it is there. A period
    without a command counts as `missing`; its command is not sent later.

    Args:
        planner: the planner; from now on only the loop's thread uses it.
        parameters: rates, limits and the safe action; the numbers of the planner.
        latest_state: returns the newest state, or None before the first.
        send: publishes an action (nu,).
        report: called with each tick after its command was sent, by either thread.
        report_plan: called by the planner thread after the command was sent, with the plan, and
            with the state (nx,) and what actuators apply (nu,) when the plan begins.
        clock: clock of the schedule and of the states, s.
        stamp_clock: clock of the stamps of states and paths, and of `Cost.prepare`, s; `clock` if
            None.
        steady: clock of computing times and deadlines, s; the planner uses `time.monotonic`.
        sleep: waits for some s of `steady` unless an event is set; returns whether it is set.
        iteration_time: first guess of the time of an iteration, s.
        warn: called with a line for each setting that the system refuses.
    """

    def __init__(
        self,
        planner: Planner,
        parameters: ParameterSet,
        latest_state: Callable[[], StateSample | None],
        send: Callable[[np.ndarray], None],
        report: Callable[[Tick], None] = lambda tick: None,
        report_plan: Callable[[Plan, np.ndarray, np.ndarray], None] = lambda *shown: None,
        clock: Callable[[], float] = time.monotonic,
        stamp_clock: Callable[[], float] | None = None,
        steady: Callable[[], float] = time.monotonic,
        sleep: Callable[[threading.Event, float], bool] = threading.Event.wait,
        iteration_time: float = 0.0,
        warn: Callable[[str], None] = lambda text: None,
    ):
        self.planner = planner
        self.commander = Commander(
            parameters.control_settings,
            send,
            report,
            clock,
            steady,
            parameters.goal_checker(),
            parameters.stop_guard(),
        )
        self._latest_state = latest_state
        self._report_plan = report_plan
        self._warn = warn
        self._clock = clock
        self._stamp_clock = clock if stamp_clock is None else stamp_clock
        self._steady = steady
        self._is_steady = clock is steady
        self._sleep = sleep
        self._changes = Changes(parameters, planner, iteration_time, self.commander.use)
        self._forget = False
        self.has_begun = False
        """Whether the schedule has begun; under a simulated clock, not before the clock moves."""
        self.problem = ""
        """Why the last change was refused, or the loop ended; for diagnostics."""
        self._failed: Planner | None = None
        """The planner whose device failed last."""
        self._iteration_time = _iteration_times(iteration_time)
        self._overrun: Quantile | None = None  # Of the planner; None until it cuts an iteration.
        self._plan_time = Quantile(0.5)
        self._speed = Speed()
        self._effect = -math.inf
        self._stop = threading.Event()

    def change(
        self,
        parameters: ParameterSet,
        planner: Planner | None = None,
        iteration_time: float = 0.0,
    ) -> None:
        """
        Use other values, and another planner, which continues with the plan in use.

        Limits of commands apply at once, other values from the next tick on. If a plugin refuses a
        value, the values in use stay; other changes that come at the same time or later are taken
        over. Any thread may call it.
        """
        self._changes.request(parameters, planner, iteration_time)

    @property
    def needs_another_device(self) -> bool:
        """Whether the planner's device failed in the last period and no other planner waits."""
        tick = self.commander.tick
        has_failed = tick is not None and tick.cause == DEVICE_FAILED
        return has_failed and self._failed is self.planner and not self._changes.is_waiting

    def forget(self, *, is_jump: bool = False) -> None:
        """
        Forget the warm start, the plan and the sent commands; after a clock jump, the schedule too.

        May be called from any thread.
        """
        self._forget = True
        self.commander.forget(self._clock() if is_jump else None)

    def run(self, stop: threading.Event) -> None:
        """Run a tick in each period until `stop` is set."""
        self._stop = stop
        commander = self.commander
        first = self._clock()
        # A simulated clock may show an old time, or none yet. The schedule begins when it moves.
        while not self._is_steady and self._clock() == first:
            if stop.wait(CLOCK_LOOK):
                return
        self.has_begun = True
        commander.begin(self._clock())
        watchdog = threading.Thread(target=self._watch, name="planner_watchdog")
        watchdog.start()
        try:
            while not self._wait(commander.due):
                try:
                    self.tick(commander.due)
                except Exception as error:  # Whatever the error, the watchdog continues.
                    self.problem = f"a period failed: {describe(error)}"
                    stop.wait(commander.period)
        finally:
            stop.set()
            watchdog.join()

    def _watch(self) -> None:
        """
        Send what the ladder says if a command has not been sent near the end of its period.

        Also send the commands between those of two periods.
        """
        outrank(self._warn)
        commander = self.commander
        attempt = Attempt(OVER_BUDGET, "no plan in this period yet", is_failure=False)
        while True:
            due, between = commander.due, commander.next_between
            deadline = commander.deadline(due)
            if self._wait(min(deadline, between)):
                return
            now = self._clock()
            try:
                if now >= deadline:
                    commander.complete(due, attempt)
                if now >= between:
                    commander.between()
            except Exception as error:  # An error must not end the commands.
                self.problem = f"the watchdog failed: {describe(error)}"
                self._stop.wait(commander.period)
            # Otherwise the clock was set back, and a new schedule begins.
            if now < min(deadline, between) and self._stop.wait(CLOCK_LOOK):
                return

    def _wait(self, until: float) -> bool:
        """Wait for a time on the loop's clock; return whether the loop was stopped meanwhile."""
        if self._is_steady:
            return self._sleep(self._stop, max(0.0, until - self._clock()))
        # A simulated clock may run at any rate, stand still or be set back.
        while 0.0 < until - self._clock() <= 2.0 * self.commander.period:
            if self._stop.wait(CLOCK_LOOK):
                return True
        return self._stop.is_set()

    def tick(self, scheduled: float) -> Tick | None:
        """
        Plan for the period that began at `scheduled` and send its command; return what happened.

        The result is None if the watchdog sent the command.
        """
        # Read first: what was begun before a `forget` counts no more, also one that comes now.
        epoch = self.commander.epoch
        self._take_change()
        attempt, start = self._attempt(scheduled)
        attempt = attempt._replace(epoch=epoch)
        phase = self._phase(scheduled)
        if scheduled < phase and not self.commander.halted:
            self._wait(phase)
        tick = self.commander.complete(scheduled, attempt)
        if attempt.plan is not None and not self.commander.is_closed:
            try:
                self._report_plan(attempt.plan, *start)
            except Exception as error:
                self.problem = f"reporting the plan failed: {describe(error)}"
        return tick

    @property
    def _settings(self) -> ControlSettings:
        return self._changes.used.parameters.control_settings

    def _phase(self, scheduled: float) -> float:
        """Return the earliest time at which the command of a period may be sent, s."""
        return scheduled + self._settings.command_phase * self.commander.period

    def _attempt(self, scheduled: float) -> tuple[Attempt, tuple[np.ndarray, ...]]:
        """Try to plan; return the attempt, and state and applied action when the plan begins."""
        reason = ""
        try:
            sample = self._latest_state()
        except Exception as error:  # An error of the reader must not end control.
            sample, reason = None, f"reading failed: {describe(error)}"
        began = self._clock()  # The state may have come while it was read, and is not younger.
        if not self._is_steady:
            self._speed.look(began, self._steady())
        if sample is None:
            return Attempt(NO_STATE, reason, began=began), ()
        self.commander.take(sample)
        settings = self._settings
        age = settings.wrong_age(sample, began)
        if age is not None:
            if age < 0.0:  # That is no age to be told.
                reason = f"the state is {-age:.3f} s ahead of the clock, which was set back"
                return Attempt(STALE_STATE, reason, began=began), ()
            reason = f"the state is {age:.3f} s old"
            return Attempt(STALE_STATE, reason, began=began, state_time=sample.time), ()
        attempt = Attempt("", began=began, state_time=sample.time)
        cause, reason = self.commander.refusal(sample, began)
        if cause:
            return attempt._replace(cause=cause, reason=reason, is_over=True), ()
        plan_time = self._plan_time.value * self._speed.value
        sent = max(began + plan_time, self._phase(scheduled))
        delay = self.commander.publish_time + settings.actuation_delay
        # If this time went back, the warm start would be reset.
        effect = self._effect = max(sent + delay, self._effect)
        steady = self._steady()
        try:
            plan, state, applied = self._plan(sample, effect, scheduled)
        except BaseException as error:  # A plugin may raise anything; the robot must stop.
            cause = PLAN_FAILED
            if is_device_failure(error):
                cause, self._failed = DEVICE_FAILED, self.planner
                is_lost = not isinstance(error, torch.cuda.OutOfMemoryError)
                if is_lost and self.planner not in LOST_PLANNERS:
                    LOST_PLANNERS.append(self.planner)
            return attempt._replace(cause=cause, reason=describe(error)), ()
        if plan is None:
            self._reset()
            reason = "the predicted state is not finite"
            return attempt._replace(cause=NO_VALID_PLAN, reason=reason), ()
        if not (math.isfinite(plan.cost) and np.isfinite(plan.actions).all()):
            self._reset()
            reason = "every candidate has a NaN or infinite cost"
            return attempt._replace(cause=NO_VALID_PLAN, reason=reason), ()
        took = self._steady() - steady  # A simulated clock moves in steps.
        self._plan_time.add(took)
        return attempt._replace(is_failure=False, plan_time=took, plan=plan), (state, applied)

    def _plan(
        self, sample: StateSample, effect: float, scheduled: float
    ) -> tuple[Plan | None, np.ndarray, np.ndarray]:
        """
        Return the plan for the time `effect`, and the predicted state and applied action then.

        The plan is None if the predicted state is not finite.
        """
        commander, planner = self.commander, self.planner
        state, measured = self._at_one_time(sample)
        before, applied = commander.sent(measured, effect, planner.search.dt)
        state = planner.predict(before, state)[-1]
        if not np.isfinite(state).all():
            return None, state, applied
        share = self._settings.budget_fraction
        end = scheduled + share * commander.period - commander.publish_time
        began = self._steady()
        ahead = self._stamp_clock() - self._clock()
        left = (end - self._clock()) / self._speed.value
        margin = self._iteration_time if self._overrun is None else self._overrun
        until = began + left - margin.value
        plan = planner.plan(
            state,
            effect,
            commander.last_action,
            applied=applied,
            surroundings=replace(commander.surroundings, references=commander.references),
            stamp=effect + ahead,
            until=until,
        )
        ended = self._steady()
        if plan.simulated_share < 1.0:
            self._overrun = self._overrun or Quantile(HIGH)
            self._overrun.add(ended - max(until, began))
        self._iteration_time.add((ended - began) / plan.iterations)
        return plan, state, applied

    def _at_one_time(self, sample: StateSample) -> tuple[np.ndarray, float]:
        """
        Return the state (nx,) at the time of its newest part, and this time, s.

        The model predicts the state from the time of the oldest part on. Where a later part was
        measured, its measured values take the place of the predicted ones. The parts that came
        early therefore lose nothing, and the late ones are predicted with what is known of the
        others meanwhile.
        """
        if sample.times is None or sample.start is None:
            return sample.state, sample.time
        state, reached = sample.start.copy(), sample.time
        for moment in np.unique(sample.times):
            if moment > reached + AT_ONCE:
                before, _ = self.commander.sent(reached, moment, self.planner.search.dt)
                state, reached = self.planner.predict(before, state)[-1].copy(), float(moment)
            rows = sample.times == moment
            state[rows] = sample.state[rows]
        return state, reached

    def _take_change(self) -> None:
        if self._forget:
            self._forget = False
            self._reset()
            self._speed = Speed()
            self._effect = -math.inf
        problem = self._changes.take_over(self.commander.last_plan)
        if problem is not None:
            self.problem = problem
        used = self._changes.used
        if used.planner is not self.planner:
            self.planner = used.planner
            self._iteration_time = _iteration_times(used.iteration_time)
            self._overrun = None

    def _reset(self) -> None:
        try:
            self.planner.reset()
        except Exception as error:  # The device is lost; planning will report it too.
            self.problem = f"the planner cannot be reset: {describe(error)}"


def _iteration_times(first: float) -> Quantile:
    """Return a quantile that one slow iteration hardly changes, even at the start."""
    return Quantile(HIGH, [first] * 20 if first else ())


def is_device_failure(error: BaseException) -> bool:
    """Return whether a device ran out of memory or was lost, so that another one may help."""
    full = torch.cuda.OutOfMemoryError
    kinds = (full, getattr(torch, "AcceleratorError", full))
    return isinstance(error, kinds) or "CUDA error" in str(error)
