"""Every period one command, on time: a fresh plan's first action or the safe action."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cem_planner_ros.configuration import Configuration
from cem_planner_ros.planning.plan import Plan
from cem_planner_ros.planning.planner import Planner

FRESH = "fresh"
NO_STATE = "no_state"
STALE_STATE = "stale_state"
NO_VALID_PLAN = "no_valid_plan"
PLAN_FAILED = "plan_failed"
STATUSES = (FRESH, NO_STATE, STALE_STATE, NO_VALID_PLAN, PLAN_FAILED)
"""What a command rests on. All but FRESH mean that the safe action went out."""

HISTORY = 1000
"""Ticks remembered for diagnostics."""


class StateSample(NamedTuple):
    """A state (nx,) and the time (s, on the loop's clock) at which it was true."""

    state: np.ndarray
    time: float


@dataclass(frozen=True)
class Tick:
    """
    What happened in one period; times in s on the loop's clock, NaN where there was none.

    `state_age` is that of the state when planning began, `interval` the time since the last
    publication, `late` whether the command went out after the end of its period.
    """

    status: str
    reason: str
    scheduled: float
    published: float
    interval: float
    state_age: float
    plan_time: float
    late: bool
    action: np.ndarray
    state: np.ndarray | None
    plan: Plan | None


class ControlLoop:
    """
    Reads the newest state, plans, sends, on an absolute schedule.

    A tick whose time has passed is dropped and counted in `missing`, never made up for. The
    measured time of an iteration decides whether one more fits into the budget.

    Args:
        planner: the planner; this loop alone uses it from now on.
        configuration: rates, limits and the safe action.
        latest_state: returns the newest state, or None before the first.
        send: publishes an action (nu,).
        report: called with each tick after its command is out.
        clock: steady time, s.
    """

    def __init__(
        self,
        planner: Planner,
        configuration: Configuration,
        latest_state: Callable[[], StateSample | None],
        send: Callable[[np.ndarray], None],
        report: Callable[[Tick], None] = lambda tick: None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._planner = planner
        self._latest_state = latest_state
        self._send = send
        self._report = report
        self._clock = clock
        self._change = configuration
        self.problem = ""
        """What went wrong beside planning and sending, last; for diagnostics."""
        self._period = 1.0 / configuration.values["control_rate"]
        self._iteration_time = 0.0
        self._published = math.nan
        self.ticks: deque[Tick] = deque(maxlen=HISTORY)
        self.commands = 0
        self.late = 0
        self.missing = 0
        self._use(configuration)
        self._last_action = self._safe

    def change(self, configuration: Configuration) -> None:
        """Use other live values from the next tick on. May be called from any thread."""
        self._change = configuration

    def run(self, stop: threading.Event) -> None:
        """Tick until `stop` is set."""
        scheduled = self._clock()
        while not stop.wait(max(0.0, scheduled - self._clock())):
            self.tick(scheduled)
            scheduled += self._period
            behind = max(0, math.floor((self._clock() - scheduled) / self._period))
            scheduled += behind * self._period
            self.missing += behind

    def tick(self, scheduled: float) -> Tick:
        """Send the command of the period that began at `scheduled` and return what happened."""
        self._take_change()
        started = self._clock()
        sample = self._latest_state()
        age = started - sample.time if sample else math.nan
        plan = None
        reason = ""
        if sample is None:
            status = NO_STATE
        elif age > self._max_state_age:
            status, reason = STALE_STATE, f"the state is {age:.3f} s old"
        else:
            status, reason, plan = self._plan(sample.state, scheduled)
        plan_time = self._clock() - started
        action = plan.action_at(scheduled) if plan else self._safe
        action = np.clip(action, self._low, self._high)
        self._send(action)
        published = self._clock()
        self._last_action = action
        tick = Tick(
            status=status,
            reason=reason,
            scheduled=scheduled,
            published=published,
            interval=published - self._published,
            state_age=age,
            plan_time=plan_time if plan else math.nan,
            late=published > scheduled + self._period,
            action=action,
            state=sample.state if sample else None,
            plan=plan,
        )
        self._published = published
        self.commands += 1
        self.late += tick.late
        self.ticks.append(tick)
        try:
            self._report(tick)
        except Exception as error:  # Telling about a command must not cost the next one.
            self.problem = f"reporting failed: {type(error).__name__}: {error}"
        return tick

    def _take_change(self) -> None:
        configuration = self._change
        if configuration is self._configuration:
            return
        try:
            configuration.tune(self._planner)
        except Exception as error:  # A plugin may refuse; the old values go on.
            self.problem = f"a change was not taken over: {type(error).__name__}: {error}"
            self._change = self._configuration
            return
        self._use(configuration)

    def _use(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._low = np.array(configuration.action("low"))
        self._high = np.array(configuration.action("high"))
        self._safe = np.array(configuration.action("safe"))
        self._max_state_age = configuration.values["max_state_age"]
        self._budget = configuration.values["budget_fraction"] * self._period

    def _plan(self, state: np.ndarray, scheduled: float) -> tuple[str, str, Plan | None]:
        """Return the status, a reason, and the plan if it may be used."""
        deadline = scheduled + self._budget
        began = self._clock()

        try:
            plan = self._planner.plan(
                state, scheduled, self._last_action, until=deadline - self._iteration_time
            )
        except Exception as error:  # A plugin may raise anything; the robot must not coast on.
            return PLAN_FAILED, f"{type(error).__name__}: {error}", None
        measured = (self._clock() - began) / plan.iterations
        # Up at once, down slowly: a slow iteration is likely followed by another.
        self._iteration_time = max(measured, 0.9 * self._iteration_time + 0.1 * measured)
        if not (math.isfinite(plan.cost) and np.isfinite(plan.actions).all()):
            self._planner.reset()
            return NO_VALID_PLAN, "every candidate has a NaN or infinite cost", None
        return FRESH, "", plan
