"""One command a period, whoever comes first: the planner with its plan, or the watchdog."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable

import numpy as np

from cem_planner_ros.configuration import Configuration
from cem_planner_ros.control.ladder import FRESH, HOLD, STOPPED, Ladder
from cem_planner_ros.control.latency import SentCommands
from cem_planner_ros.control.limits import CommandLimits
from cem_planner_ros.control.tick import (
    COLLISION_IMMINENT,
    EMERGENCY_STOP,
    PAUSED,
    RECOVERING,
    RESTING,
    SLOWED,
    Attempt,
    StateSample,
    Tick,
)
from cem_planner_ros.control.timing import HIGH, History, Quantile
from cem_planner_ros.navigation.driving import Driving
from cem_planner_ros.planning.plan import Plan

HISTORY = 1000
"""Ticks, and plans, whose times are remembered for diagnostics."""

MAX_GAP = 1.0
"""s by which a clock that is not the steady one may move between two looks without a jump."""


class Commander:
    """
    Chooses, limits and sends the command of each period, once.

    What does so holds a lock for the time of sending and telling, never while there is planning. No
    PyTorch is used, so that a command can go out whatever the planner's thread is doing.

    Args:
        configuration: rates, limits and the safe action.
        send: publishes an action (nu,).
        report: called with each tick after its command is out.
        clock: of the schedule and the states, s.
        steady: of costs, s.
    """

    def __init__(
        self,
        configuration: Configuration,
        send: Callable[[np.ndarray], None],
        report: Callable[[Tick], None],
        clock: Callable[[], float],
        steady: Callable[[], float],
    ):
        self._send = send
        self._report = report
        self._clock = clock
        self._steady = steady
        self._lock = threading.Lock()
        self.is_closed = False
        """Whether nothing is sent any more."""
        self.epoch = 0
        """Counts how often all was forgotten; what was begun before counts no more."""
        self.halted = ""
        """PAUSED or EMERGENCY_STOP while only the safe action goes out; `halt` sets it."""
        self.failure = ""
        """What went wrong in sending or reporting in the last period; for diagnostics."""
        self.state: StateSample | None = None
        """The newest one, which the planner's thread sets."""
        self.due = 0.0
        """When the first period begins whose command is not out yet."""
        self.ladder = Ladder()
        self.last_plan: Plan | None = None
        """The last good one, also while it may not be followed."""
        self.tick: Tick | None = None
        """The last one."""
        self.history = History(("margin", "state_age", "latency", "interval", "late"), HISTORY)
        """Of all ticks, s; `margin` is from the command to the end of its period."""
        self.plan_times = History(("plan_time",), HISTORY)
        """Of all plans, also those that came too late for their period, s."""
        self.commands = 0
        self.late = 0
        self.missing = 0
        self.overdue = 0
        """Plans that came after the command of their period was out."""
        self.period = 1.0 / configuration.values["control_rate"]
        self._publish_time = Quantile(HIGH)
        self._published = math.nan
        self._state_time = math.nan
        self.driving = Driving(configuration) if configuration.inputs else None
        """What a robot that drives must not do; None for other plants."""
        safe = np.array(configuration.action("safe"))
        self.last_action = self._held_action = safe
        self._sent = SentCommands(safe, np.array(configuration.action("lag")))
        self.use(configuration)

    def use(self, configuration: Configuration) -> None:
        """Use other values from now on; called by any thread."""
        safe, lag = (np.array(configuration.action(group)) for group in ("safe", "lag"))
        fallback = configuration.driver()
        limits = CommandLimits(
            low=np.array(configuration.action("low")),
            high=np.array(configuration.action("high")),
            rate=np.array([rate or math.inf for rate in configuration.action("rate")]),
            low_pass=np.array(configuration.action("low_pass")),
            safe=safe,
        )
        with self._lock:
            self._values, self._safe, self._lag = configuration.values, safe, lag
            self._fallback, self._limits = fallback, limits
            self._sent.follow(lag)
            if self.driving is not None:
                self.driving.use(configuration)

    def begin(self, time: float) -> None:
        """Begin a schedule of periods at `time`."""
        with self._lock:
            self.due = time

    def forget(self, begin: float | None = None) -> None:
        """Forget the plan and what was sent; begin a schedule anew at `begin` if that is given."""
        with self._lock:
            self.epoch += 1
            self.ladder.stop()
            self.last_plan = None
            self._published = math.nan
            self._sent = SentCommands(self.last_action, self._lag)
            if begin is not None:
                self.due = begin

    def halt(self, cause: str) -> None:
        """
        Send the safe action from now on; any thread may call it.

        The first one is out when this returns, and no other command comes after it. Raises what
        sending raises; the safe action is then sent with the next period.

        Args:
            cause: PAUSED or EMERGENCY_STOP; "" to control again.
        """
        self.halted = cause
        if not cause:
            return
        with self._lock:  # After a command that is being sent now.
            if not self.is_closed:
                self._send(self._safe)
                self.last_action = self._safe
                self._sent.add(self._clock() + self._values["actuation_delay"], self._safe)

    def close(self) -> None:
        """Send nothing more, whoever asks for it."""
        with self._lock:
            self.is_closed = True

    @property
    def publish_time(self) -> float:
        """What sending a command takes, s."""
        return self._publish_time.value

    def deadline(self, scheduled: float) -> float:
        """Return when the command of a period goes out even without a plan made for it."""
        # Midway between the end of the budget and that of the period.
        share = 0.5 * (1.0 + self._values["budget_fraction"])
        return scheduled + share * self.period - self.publish_time

    def sent(self, begin: float, end: float, dt: float) -> tuple[Plan, np.ndarray]:
        """Return what `SentCommands.between` does, and what the actuators apply at `end` (nu,)."""
        with self._lock:
            return self._sent.between(begin, end, dt), self._sent.applied(end)

    def complete(self, scheduled: float, attempt: Attempt) -> Tick | None:
        """
        Send the command of the period that began at `scheduled`; return what happened.

        If it is out already, a plan is taken for the periods to come, and None returned.
        """
        with self._lock:
            if self.is_closed or attempt.epoch not in (None, self.epoch):
                return None
            if attempt.plan is not None:
                # What took half of the time that it may be read for cannot be followed for long.
                is_prompt = self._age(attempt) <= max(
                    0.5 * self._values["max_plan_age"], self.period
                )
                self.ladder.offer(attempt.plan, attempt.began, is_prompt)
                self.last_plan = attempt.plan
                self._state_time = attempt.state_time
                self.plan_times.add(attempt.plan_time)
            elif attempt.is_over:
                self.ladder.abandon()
            elif attempt.is_failure:
                self.ladder.fail()
            if scheduled < self.due:
                self.overdue += attempt.plan is not None
                return None
            tick = self._complete(scheduled, attempt)
            self.failure = tick.problem
            try:
                self._report(tick)
            except Exception as error:  # Telling about a command must not cost the next one.
                self.failure = f"reporting failed: {type(error).__name__}: {error}"
            return tick

    def _age(self, attempt: Attempt) -> float:
        """Return the time since work on a plan began, s."""
        return self._clock() - attempt.began

    def _complete(self, scheduled: float, attempt: Attempt) -> Tick:
        now = self._clock()
        status, cause, action = self._choose(attempt, now)
        reason = attempt.reason
        if self.driving is not None and cause in (*RESTING, PAUSED, EMERGENCY_STOP):
            self.driving.is_imminent = False  # It is not asked where nothing drives.
        if status != STOPPED:
            # A late command does not catch up with one jump.
            elapsed = min(now - self._published, self.period)
            elapsed = self.period if math.isnan(elapsed) else max(elapsed, 0.0)
            action = self._limits.apply(action, self.last_action, elapsed)
            wanted = action
            try:
                action = self._bounded(action, now)
            except Exception as error:  # Whatever it is, the robot must not drive on.
                action, reason = None, f"braking failed: {type(error).__name__}: {error}"
            if action is None:
                status, cause, action = self.ladder.stop(), COLLISION_IMMINENT, self._safe
            elif action is not wanted and (action != wanted).any():
                cause = SLOWED
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
            self.last_action = action
            self._sent.add(self._clock() + self._values["actuation_delay"], action)
        self._publish_time.add(self._steady() - began)
        published = self._clock()
        is_planned = status not in (HOLD, STOPPED)
        tick = Tick(
            status=status,
            cause=cause,
            reason="" if cause in (PAUSED, EMERGENCY_STOP) else reason,
            scheduled=scheduled,
            published=published,
            interval=published - self._published,
            state_age=attempt.began - attempt.state_time,
            latency=published - self._state_time if is_planned else math.nan,
            plan_time=attempt.plan_time,
            late=published > scheduled + self.period,
            action=action,
            plan=attempt.plan,
            problem=problem,
        )
        self._published = published
        self.commands += 1
        self.late += tick.late
        self.due = scheduled + self.period
        self.history.add(
            self.due - published, tick.state_age, tick.latency, tick.interval, tick.late
        )
        self.tick = tick
        behind = max(0, math.floor((published - self.due) / self.period))
        self.due += behind * self.period
        # A simulation's clock that was set forward skips periods that never were.
        if self._clock is self._steady or behind * self.period < MAX_GAP:
            self.missing += behind
        return tick

    def _bounded(self, action: np.ndarray, now: float) -> np.ndarray | None:
        """Return a command after which a robot that drives could still stop, None for no such."""
        if self.driving is None or self.state is None:
            return action
        return self.driving.bounded(self.state, self.last_action, action, self._safe, now)

    def _choose(self, attempt: Attempt, now: float) -> tuple[str, str, np.ndarray]:
        """Return status, cause and action of a command that is sent now."""
        halted = self.halted
        if halted:
            return self.ladder.stop(), halted, self._safe
        was, values = self.ladder.status, self._values
        # Stopped in the middle of a period, the process may wake up much later.
        oldest = max(values["max_plan_age"], self.period)
        status = self.ladder.step(
            now,
            attempt.plan is not None and now - attempt.began <= oldest,
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
            effect = now + self.publish_time + values["actuation_delay"]
            return status, cause, self.ladder.plan.action_at(effect)
        if was != HOLD:
            self._held_action = self.last_action
        if values["hold"] == "hold":
            return status, cause, self._held_action
        state = self.state if values["hold"] == "policy" else None
        if state is not None and now - state.time <= values["max_state_age"]:
            self._held_action = self._fallback(state.state)
            return status, cause, self._held_action
        share = (now - self.ladder.held_since) / values["hold_time"] if values["hold_time"] else 1.0
        return status, cause, self._held_action + min(share, 1.0) * (self._safe - self._held_action)
