# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""One command in each period, from the planner thread or from the watchdog."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping

import numpy as np

from cem_planner_ros.control.command_choice import Choice, CommandChoice
from cem_planner_ros.control.control_settings import ControlSettings
from cem_planner_ros.control.ladder import FALLBACK, STOPPED
from cem_planner_ros.control.latency import SentCommands
from cem_planner_ros.control.tick import (
    EMERGENCY_STOP,
    PAUSED,
    RESTING,
    Attempt,
    StateSample,
    Tick,
)
from cem_planner_ros.control.timing import HIGH, History, Quantile
from cem_planner_ros.errors import describe
from cem_planner_ros.navigation.goal_checker import GoalChecker
from cem_planner_ros.navigation.references import Reference
from cem_planner_ros.navigation.stop_guard import StopGuard
from cem_planner_ros.navigation.surroundings import NOTHING, Surroundings
from cem_planner_ros.planning.plan import Plan

HISTORY = 1000
"""Number of ticks and plans whose times are kept for diagnostics."""

MAX_GAP = 1.0
"""Largest step of a clock other than the steady one that is not a jump, s."""


class Commander:
    """
    Chooses, limits and sends the command of each period, exactly once, and those between periods.

    The thread that sends a command holds a lock while it sends and reports, never while it plans.
    No PyTorch is used, so the watchdog can send a command whatever the planner thread is doing.

    Args:
        settings: rates, limits and the safe action.
        send: publishes an action (nu,).
        report: called with each tick after its command was sent.
        clock: clock of the schedule and of the states, s.
        steady: clock for measuring computing times, s.
        goal_checker: says when a mobile robot should stand; None for other plants.
        stop_guard: checks commands of a mobile robot with a costmap; None for other plants.
    """

    def __init__(
        self,
        settings: ControlSettings,
        send: Callable[[np.ndarray], None],
        report: Callable[[Tick], None],
        clock: Callable[[], float],
        steady: Callable[[], float],
        goal_checker: GoalChecker | None = None,
        stop_guard: StopGuard | None = None,
    ):
        self._send = send
        self._report = report
        self._clock = clock
        self._steady = steady
        self._lock = threading.Lock()
        self.is_closed = False
        """Whether sending has ended."""
        self.epoch = 0
        """Number of calls of `forget`; a plan that was begun in an earlier epoch is not used."""
        self.halted = ""
        """PAUSED or EMERGENCY_STOP while only the safe action is sent; `halt` sets it."""
        self.failure = ""
        """Error of sending or reporting in the last period, for diagnostics."""
        self.state: StateSample | None = None
        """The newest state; see `take`."""
        self.due = 0.0
        """Start of the first period whose command has not been sent yet, s."""
        self._choice = CommandChoice(settings)
        self.ladder = self._choice.ladder
        self.followed: Plan | None = None
        """The plan that the command being sent follows unchanged; None if there is none."""
        self.last_plan: Plan | None = None
        """The last good plan, also while it may not be followed."""
        self.tick: Tick | None = None
        """The last tick."""
        self.history = History(("margin", "state_age", "latency", "interval", "late"), HISTORY)
        """Times of the last ticks, s; `margin` is from the command to the end of its period."""
        self.plan_times = History(("plan_time",), HISTORY)
        """Computing times of the last plans, s, including plans that came too late."""
        self.commands = 0
        self.late = 0
        self.missing = 0
        self.overdue = 0
        """Number of plans that came after the command of their period was sent."""
        self.period = settings.period
        self._publish_time = Quantile(HIGH)
        self._published = math.nan
        """When the last command was sent, s."""
        self._completed = math.nan
        """When that of the last period was, s."""
        self._looked = math.nan
        """When a command was last sent, or `between` sent none, s."""
        self._state_time = math.nan
        self.surroundings: Surroundings = NOTHING
        """The surroundings of a mobile robot. Any thread may replace them, always as a whole."""
        self.references: Mapping[str, Reference] = {}
        """The reference of each cost that follows one; replaced as a whole, as `surroundings`."""
        self.goal_checker = goal_checker
        self.stop_guard = stop_guard
        self._stop_action = self._choice.stop_action
        self.last_action = self._stop_action.first_action()
        self._sent = SentCommands(self.last_action, settings.lag)
        self._settings = settings

    def use(self, settings: ControlSettings) -> None:
        """Use other values from now on. Any thread may call it."""
        with self._lock:
            self._settings = settings
            self._choice.use(settings)
            self._sent.follow(settings.lag)
            if settings.drive is not None:
                for part in (self.goal_checker, self.stop_guard):
                    if part is not None:
                        part.settings = settings.drive

    def take(self, sample: StateSample) -> None:
        """Use a new state. Only the planner thread calls it."""
        self.state = sample
        if not self._stop_action.is_placed:
            with self._lock:
                self.last_action = self._stop_action.place(sample.state, self.last_action)
                self._sent = SentCommands(self.last_action, self._settings.lag)

    def stop_action(self) -> np.ndarray | None:
        """Return what `StopAction.now` does; None if nothing must be sent."""
        state = None if self.state is None else self.state.state
        return self._stop_action.now(state, self.last_action)

    def begin(self, time: float) -> None:
        """Begin a schedule of periods at `time`."""
        with self._lock:
            self.due = time

    def forget(self, begin: float | None = None) -> None:
        """Forget the plan and the sent commands; start a new schedule at `begin` if it is given."""
        with self._lock:
            self.epoch += 1
            self.ladder.stop()
            self.last_plan = None
            self._stop_action.forget()
            self._sent = SentCommands(self.last_action, self._settings.lag)
            if begin is not None:
                self._published = self._completed = self._looked = math.nan
                self.due = begin

    def halt(self, cause: str) -> None:
        """
        Send the safe action from now on; any thread may call it.

        When the method returns, the safe action has been sent, and no other command follows. Raises
        what sending raises; the safe action is then sent in the next period.

        Args:
            cause: PAUSED or EMERGENCY_STOP; "" to control again.
        """
        self.halted = cause
        if cause:
            self.stop()

    def stop(self) -> None:
        """
        Send the safe action now, and go to `stopped`; any thread may call it.

        Raises what sending raises; the safe action is then sent in the next period.
        """
        with self._lock:  # Waits for a command that is being sent now.
            self.ladder.stop()
            self.followed = None
            action = self.stop_action()
            if self.is_closed or action is None:
                return
            self._send(action)
            self.last_action = action
            self._published = self._looked = self._clock()
            self._sent.add(self._published + self._settings.actuation_delay, action)

    def close(self) -> None:
        """Send nothing more, from any thread."""
        with self._lock:
            self.is_closed = True

    @property
    def publish_time(self) -> float:
        """Time for sending a command, s."""
        return self._publish_time.value

    @property
    def is_goal_reached(self) -> bool:
        """Whether a mobile robot has reached its present goal."""
        checker = self.goal_checker
        return checker is not None and checker.is_reached(self.surroundings.goal)

    @property
    def is_collision_imminent(self) -> bool:
        """Whether the last command was refused because the robot could not have stopped."""
        return self.stop_guard is not None and self.stop_guard.is_imminent

    def refusal(self, sample: StateSample, now: float) -> tuple[str, str]:
        """Return a cause of CAUSES and a reason for which the robot must stand now (s), or ""."""
        cause = reason = ""
        if self.goal_checker is not None:
            cause, reason = self.goal_checker.check(
                self.surroundings, sample.state, self.last_action, now
            )
        if not cause and self.stop_guard is not None:
            known = self.surroundings
            cause, reason = self.stop_guard.check(
                known.costmap, sample.state, now, known.moving_obstacles
            )
        return cause, reason

    def deadline(self, scheduled: float) -> float:
        """Return the time (s) at which the command of a period is sent even without a new plan."""
        # Halfway between the end of the budget and the end of the period.
        share = 0.5 * (1.0 + self._settings.budget_fraction)
        return scheduled + share * self.period - self.publish_time

    def sent(self, begin: float, end: float, dt: float) -> tuple[Plan, np.ndarray]:
        """Return the plan of `SentCommands.between`, and what actuators apply at `end` (nu,)."""
        with self._lock:
            return self._sent.between(begin, end, dt), self._sent.applied(end)

    def complete(self, scheduled: float, attempt: Attempt) -> Tick | None:
        """
        Send the command of the period that began at `scheduled`; return what happened.

        If the command was sent already, the plan is kept for the next periods, and the result is
        None.
        """
        with self._lock:
            if self.is_closed or attempt.epoch not in (None, self.epoch):
                return None
            if attempt.plan is not None:
                # A plan that took half of its usable time cannot be followed for long.
                longest = max(0.5 * self._settings.max_plan_age, self.period)
                is_prompt = self._clock() - attempt.began <= longest
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
            except Exception as error:  # An error in a report must not prevent the next command.
                self.failure = f"reporting failed: {describe(error)}"
            return tick

    @property
    def next_between(self) -> float:
        """When the next command between those of two periods is due, s; infinite if none is."""
        settings = self._settings
        if not settings.is_read_between:
            return math.inf
        last = self._clock() if math.isnan(self._looked) else self._looked
        return last + 1.0 / settings.command_rate

    def between(self) -> None:
        """
        Send a command between those of two periods, if one is due.

        It is the action of the present status, such as the plan at this time, with all limits. If
        the status has to change, nothing is sent: that is for the command of the next period.
        """
        with self._lock:
            now = self._clock()
            if self.is_closed or now < self.next_between or math.isnan(self._looked):
                return
            self._looked = now
            status = STOPPED if self.halted else self.ladder.status
            if not self.halted and self._choice.is_over(now):
                return
            action = self._choice.action(status, now, self.effect(now), self.state)
            choice = Choice(status, self.halted, "", action)
            _, _, problem = self._dispatch(choice, now)
            self.failure = problem or self.failure
            self._published = self._looked = self._clock()

    def effect(self, now: float) -> float:
        """Return when a command that is sent now takes effect, s."""
        return now + self.publish_time + self._settings.actuation_delay

    def _dispatch(self, choice: Choice, now: float) -> tuple[Choice, np.ndarray, str]:
        """
        Limit an action, check it and send it.

        Returns what was sent in the end, the command (nu,), NaN if none was sent, and why it could
        not be sent.
        """
        # After a late command the rate limit does not allow a larger jump.
        elapsed = min(now - self._published, self.period)
        elapsed = self.period if math.isnan(elapsed) else max(elapsed, 0.0)
        choice = self._choice.limited(
            choice, elapsed, self.state, self.last_action, lambda wanted: self._bounded(wanted, now)
        )
        self.followed = choice.followed
        began = self._steady()
        problem = ""
        try:
            if choice.action is not None:
                self._send(choice.action)
            if self.halted and choice.status != STOPPED:  # Meanwhile: send the safe action last.
                safe = self._choice.safe_action(self.state)
                choice = Choice(self.ladder.stop(), self.halted, choice.reason, safe)
                self.followed = None
                if safe is not None:
                    self._send(safe)
        except Exception as error:  # The next period tries again.
            problem = f"sending failed: {describe(error)}"
        action = choice.action
        if action is None:
            action = np.full_like(self.last_action, math.nan)
        elif not problem:
            self.last_action = action
            self._sent.add(self._clock() + self._settings.actuation_delay, action)
        self._publish_time.add(self._steady() - began)
        return choice, action, problem

    def _complete(self, scheduled: float, attempt: Attempt) -> Tick:
        now = self._clock()
        choice = self._choice.choose(
            attempt, now, self.effect(now), self.state, self.last_action, self.halted
        )
        if self.stop_guard is not None and choice.cause in (*RESTING, PAUSED, EMERGENCY_STOP):
            self.stop_guard.is_imminent = False  # The guard is not asked while the robot stands.
        choice, action, problem = self._dispatch(choice, now)
        status, cause = choice.status, choice.cause
        published = self._clock()
        is_planned = status not in (FALLBACK, STOPPED)
        tick = Tick(
            status=status,
            cause=cause,
            reason="" if cause in (PAUSED, EMERGENCY_STOP) else choice.reason,
            scheduled=scheduled,
            published=published,
            interval=published - self._completed,
            state_age=attempt.began - attempt.state_time,
            latency=published - self._state_time if is_planned else math.nan,
            plan_time=attempt.plan_time,
            late=published > scheduled + self.period,
            action=action,
            plan=attempt.plan,
            problem=problem,
        )
        self._published = self._completed = self._looked = published
        self.commands += 1
        self.late += tick.late
        self.due = scheduled + self.period
        self.history.add(
            self.due - published, tick.state_age, tick.latency, tick.interval, tick.late
        )
        self.tick = tick
        behind = max(0, math.floor((published - self.due) / self.period))
        self.due += behind * self.period
        # If a simulated clock jumps forward, the skipped periods do not count as missing.
        if self._clock is self._steady or behind * self.period < MAX_GAP:
            self.missing += behind
        return tick

    def _bounded(self, action: np.ndarray, now: float) -> np.ndarray | None:
        """Return a command after which a mobile robot can still stop; None if there is none."""
        if self.stop_guard is None or self.state is None:
            return action
        state, time = self.state.state, self.state.time
        safe = self._settings.safe.at(state)
        if safe is None:
            return action
        known, age = self.surroundings, now - time
        before = self._sent.since(time - self.stop_guard.settings.reaction)
        self.stop_guard.use(known.footprint)
        moving = known.moving_obstacles
        if moving is not None:
            moving = moving.after(time - moving.time)
        return self.stop_guard.bounded(known.costmap, state, age, before, action, safe, moving)
