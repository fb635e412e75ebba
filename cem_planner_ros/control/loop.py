"""Every period one command, on time, and what it rests on."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from cem_planner_ros.configuration import Configuration
from cem_planner_ros.control.ladder import FRESH, HOLD, SHIFTED, STOPPED, Ladder
from cem_planner_ros.control.latency import SentCommands
from cem_planner_ros.control.limits import CommandLimits
from cem_planner_ros.control.tick import (
    DEVICE_FAILED,
    EMERGENCY_STOP,
    NO_STATE,
    NO_VALID_PLAN,
    OVER_BUDGET,
    PAUSED,
    PLAN_FAILED,
    RECOVERING,
    STALE_STATE,
    StateSample,
    Tick,
)
from cem_planner_ros.control.timing import Quantile
from cem_planner_ros.planning.plan import Plan
from cem_planner_ros.planning.planner import Planner

HISTORY = 1000
"""Ticks remembered for diagnostics."""

HIGH = 0.95
"""
Quantile of the measured times that must fit into what is left of a period.

One slow iteration in a hundred does not shorten the plans that follow, five do.
"""

RELAX = 0.8
"""
For each period in a row without time for one iteration, what it takes is thought so much less.

Otherwise nothing would be measured any more, and one slow phase would end planning for good.
"""

MAX_GAP = 1.0
"""s by which a clock that is not the steady one may move between two looks without a jump."""

CLOCK_LOOK = 0.002
"""s between two looks at a clock that is not the steady one."""


class _Attempt(NamedTuple):
    """What came of planning; `plan` is None if it may not be used."""

    cause: str
    reason: str = ""
    state: np.ndarray | None = None
    plan: Plan | None = None


class _Change(NamedTuple):
    """What the loop works with; replaced whole."""

    configuration: Configuration
    planner: Planner
    iteration_time: float


class ControlLoop:
    """
    Reads the newest state, predicts it, plans, sends, on an absolute schedule.

    A tick whose time has passed is dropped and counted in `missing`, never made up for. A high
    quantile of the measured time of an iteration decides whether one more fits into the budget.

    Args:
        planner: the planner; the loop's thread alone uses it from now on.
        configuration: rates, limits and the safe action.
        latest_state: returns the newest state, or None before the first.
        send: publishes an action (nu,).
        report: called with each tick after its command is out.
        clock: of the schedule and the states, s.
        steady: of costs and deadlines, s; that of the planner, `time.monotonic`.
        iteration_time: s, first guess of what an iteration takes.
    """

    def __init__(
        self,
        planner: Planner,
        configuration: Configuration,
        latest_state: Callable[[], StateSample | None],
        send: Callable[[np.ndarray], None],
        report: Callable[[Tick], None] = lambda tick: None,
        clock: Callable[[], float] = time.monotonic,
        steady: Callable[[], float] = time.monotonic,
        iteration_time: float = 0.0,
    ):
        self.planner = planner
        self._latest_state = latest_state
        self._send = send
        self._report = report
        self._clock = clock
        self._steady = steady
        self._is_steady = clock is steady
        self._change = _Change(configuration, planner, iteration_time)
        self._forget = False
        self.halted = ""
        """PAUSED or EMERGENCY_STOP while the safe action has to go out; any thread may set it."""
        self.problem = ""
        """Why the last change was not taken over, or the loop ended; for diagnostics."""
        self.failure = ""
        """What went wrong in sending or reporting in the last period; for diagnostics."""
        self.period = 1.0 / configuration.values["control_rate"]
        self._iteration_time = _iteration_times(iteration_time)
        self._publish_time = Quantile(HIGH)
        self._plan_time = Quantile(0.5)
        self._skipped = 0
        self._effect = -math.inf
        self._published = math.nan
        self.ladder = Ladder()
        self.ticks: deque[Tick] = deque(maxlen=HISTORY)
        self.commands = 0
        self.late = 0
        self.missing = 0
        self._use(self._change)
        self._last_action = self._held_action = self._safe
        self._sent = SentCommands(self._safe)

    def change(
        self,
        configuration: Configuration,
        planner: Planner | None = None,
        iteration_time: float = 0.0,
    ) -> None:
        """
        Use other values from the next tick on, and another planner, which goes on with the plan.

        May be called from any one thread.
        """
        if planner is None:
            _, planner, iteration_time = self._change
        self._change = _Change(configuration, planner, iteration_time)

    def forget(self) -> None:
        """Forget the warm start, the plan and what was sent. May be called from any thread."""
        self._forget = True

    def run(self, stop: threading.Event) -> None:
        """Tick until `stop` is set."""
        scheduled = self._clock()
        while not self._wait(scheduled, stop):
            now = self._clock()
            if now < scheduled:  # The clock was set back.
                scheduled = now
            self.tick(scheduled)
            scheduled += self.period
            behind = max(0, math.floor((self._clock() - scheduled) / self.period))
            scheduled += behind * self.period
            # A simulation's clock that was set forward skips periods that never were.
            if self._is_steady or behind * self.period < MAX_GAP:
                self.missing += behind

    def _wait(self, scheduled: float, stop: threading.Event) -> bool:
        """Wait for a time on the loop's clock; return whether `stop` was set meanwhile."""
        if self._is_steady:
            return stop.wait(max(0.0, scheduled - self._clock()))
        # A simulation's clock may run at any rate, stand still or be set back.
        while 0.0 < scheduled - self._clock() <= 2.0 * self.period:
            if stop.wait(CLOCK_LOOK):
                return True
        return stop.is_set()

    def tick(self, scheduled: float) -> Tick:
        """Send the command of the period that began at `scheduled` and return what happened."""
        self._take_change()
        started = self._clock()
        reason = ""
        try:
            sample = self._latest_state()
        except Exception as error:  # A reader that breaks must not end control.
            sample, reason = None, f"reading failed: {type(error).__name__}: {first_line(error)}"
        age = started - sample.time if sample else math.nan
        effect = started + self._publish_time.value + self._delay
        if sample is None:
            attempt = _Attempt(NO_STATE, reason)
        elif age > self._max_state_age:
            attempt = _Attempt(STALE_STATE, f"the state is {age:.3f} s old")
        else:
            # A time that goes back would reset the warm start.
            effect = self._effect = max(effect + self._plan_time.value, self._effect)
            attempt = self._plan(sample, effect, scheduled)
        planned = self._clock()
        if attempt.plan is not None and planned - started > max(self._max_plan_age, self.period):
            attempt = _Attempt(OVER_BUDGET, f"the plan took {planned - started:.3f} s")
        status, cause, action = self._choose(attempt, effect, planned)
        before = self._last_action
        if status != STOPPED:
            # A late command does not catch up with one jump.
            elapsed = min(planned - self._published, self.period)
            elapsed = self.period if math.isnan(elapsed) else max(elapsed, 0.0)
            action = self._limits.apply(action, before, elapsed)
        began = self._steady()
        problem = ""
        try:
            self._send(action)
            if self.halted and status != STOPPED:  # Halted meanwhile; the safe action comes last.
                status, cause, action = self.ladder.stop(), self.halted, self._safe
                self._send(action)
        except Exception as error:  # The next period tries again.
            problem = f"sending failed: {type(error).__name__}: {error}"
        else:
            self._last_action = action
            self._sent.add(self._clock() + self._delay, action)
        self._publish_time.add(self._steady() - began)
        published = self._clock()
        tick = Tick(
            status=status,
            cause=cause,
            reason="" if cause in (PAUSED, EMERGENCY_STOP) else attempt.reason,
            scheduled=scheduled,
            published=published,
            interval=published - self._published,
            state_age=age,
            latency=published - sample.time if sample else math.nan,
            plan_time=planned - started if attempt.plan else math.nan,
            late=published > scheduled + self.period,
            action=action,
            state=attempt.state,
            plan=attempt.plan,
        )
        self._published = published
        self.commands += 1
        self.late += tick.late
        self.ticks.append(tick)
        try:
            self._report(tick)
        except Exception as error:  # Telling about a command must not cost the next one.
            problem = f"reporting failed: {type(error).__name__}: {error}"
        self.failure = problem
        return tick

    def _choose(self, attempt: _Attempt, effect: float, now: float) -> tuple[str, str, np.ndarray]:
        """Return status, cause and action of the command that takes effect at `effect`."""
        halted = self.halted
        if halted:
            return self.ladder.stop(), halted, self._safe
        was = self.ladder.status
        values = self._current.configuration.values
        status = self.ladder.step(
            now,
            attempt.plan,
            tried=attempt.cause != OVER_BUDGET,
            max_plan_age=values["max_plan_age"],
            hold_time=values["hold_time"],
            recover_periods=values["recover_periods"],
        )
        cause = attempt.cause
        if attempt.plan is not None and status != FRESH:
            cause = RECOVERING
        if status == STOPPED:
            # As it is: what stops the plant must not be slowed by a limit meant for comfort.
            return status, cause, self._safe
        if status != HOLD:
            # A plan that took longer than expected is read at the present time too.
            return status, cause, self.ladder.plan.action_at(max(effect, now + self._delay))
        if was != HOLD:
            self._held_action = self._last_action
        if values["hold"] == "hold":
            return status, cause, self._held_action
        share = (now - self.ladder.held_since) / values["hold_time"] if values["hold_time"] else 1.0
        return status, cause, self._held_action + min(share, 1.0) * (self._safe - self._held_action)

    def _take_change(self) -> None:
        if self._forget:
            self._forget = False
            self._reset()
            self.ladder.stop()
            self._effect = -math.inf
            self._published = math.nan
            self._sent = SentCommands(self._last_action)
        change = self._change
        if change is self._current:
            return
        try:
            change.configuration.tune(change.planner)
            if change.planner is not self.planner and self.ladder.plan is not None:
                change.planner.adopt(self.ladder.plan)
        except Exception as error:  # A plugin may refuse; the old values go on.
            self.problem = f"a change was not taken over: {type(error).__name__}: {error}"
            if self._change is change:  # Not one that came meanwhile.
                self._change = self._current
            return
        self.problem = ""
        self._use(change)

    def _is_aging(self, now: float) -> bool:
        """Return whether the plan in use is so old that a late new one is better than none."""
        ladder = self.ladder
        age = now - ladder.planned
        return (
            ladder.status in (FRESH, SHIFTED)
            and age > 0.5 * self._current.configuration.values["max_plan_age"]
        )

    def _reset(self) -> None:
        try:
            self.planner.reset()
        except Exception as error:  # A lost device; planning will say so too.
            self.problem = f"the planner cannot be reset: {type(error).__name__}: {error}"

    def _use(self, change: _Change) -> None:
        configuration = change.configuration
        values = configuration.values
        if change.planner is not self.planner:
            self.planner = change.planner
            self._iteration_time = _iteration_times(change.iteration_time)
            self._skipped = 0
        self._current = change
        self._safe = np.array(configuration.action("safe"))
        self._limits = CommandLimits(
            low=np.array(configuration.action("low")),
            high=np.array(configuration.action("high")),
            rate=np.array([rate or math.inf for rate in configuration.action("rate")]),
            low_pass=np.array(configuration.action("low_pass")),
            safe=self._safe,
        )
        self._max_state_age = values["max_state_age"]
        self._max_plan_age = values["max_plan_age"]
        self._delay = values["actuation_delay"]
        self._budget = values["budget_fraction"] * self.period

    def _plan(self, sample: StateSample, effect: float, scheduled: float) -> _Attempt:
        """Plan for the time `effect`, if that fits into the period."""
        end = scheduled + self.period - self._publish_time.value
        started = self._steady()
        try:
            before = self._sent.between(sample.time, effect, self.planner.search.dt)
            state = self.planner.predict(before, sample.state)[-1]
            iteration_time = self._iteration_time.value * RELAX**self._skipped
            # The first iteration may use the whole period, what comes after it the budget.
            now = self._clock()
            left = end - now
            if left < iteration_time and not self._is_aging(now):
                self._skipped += 1
                return _Attempt(
                    OVER_BUDGET,
                    f"{1e3 * left:.1f} ms left, an iteration takes {1e3 * iteration_time:.1f} ms",
                )
            began = self._steady()
            until = began + left - (self.period - self._budget) - iteration_time
            plan = self.planner.plan(state, effect, self._last_action, until=until)
        except Exception as error:  # A plugin may raise anything; the robot must not coast on.
            cause = DEVICE_FAILED if _is_device_failure(error) else PLAN_FAILED
            return _Attempt(cause, f"{type(error).__name__}: {first_line(error)}")
        ended = self._steady()
        if self._skipped and ended - began <= left:
            self._iteration_time.clear()  # What made it slow is over.
        self._skipped = 0
        self._iteration_time.add((ended - began) / plan.iterations)
        self._plan_time.add(ended - started)
        if not (math.isfinite(plan.cost) and np.isfinite(plan.actions).all()):
            self._reset()
            if not np.isfinite(state).all():
                return _Attempt(NO_VALID_PLAN, "the predicted state is not finite")
            return _Attempt(NO_VALID_PLAN, "every candidate has a NaN or infinite cost")
        return _Attempt("", "", state, plan)


def _iteration_times(first: float) -> Quantile:
    """Return a quantile that one slow iteration does not move, from the first one on."""
    return Quantile(HIGH, [first] * 20 if first else ())


def first_line(error: Exception) -> str:
    """Return the first line of what an error says."""
    return (str(error).splitlines() or [""])[0]


def _is_device_failure(error: Exception) -> bool:
    """Return whether a device ran out of memory or was lost, which another device may mend."""
    kinds = (torch.OutOfMemoryError, getattr(torch, "AcceleratorError", torch.OutOfMemoryError))
    return isinstance(error, kinds) or "CUDA error" in str(error)
