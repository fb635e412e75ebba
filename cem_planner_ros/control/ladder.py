# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The ladder: the four sources of a command, from the best to the last resort."""

from __future__ import annotations

from collections import Counter

from cem_planner_ros.planning.plan import Plan

FRESH = "fresh"
PREVIOUS_PLAN = "previous_plan"
FALLBACK = "fallback"
STOPPED = "stopped"
STATUSES = (FRESH, PREVIOUS_PLAN, FALLBACK, STOPPED)
"""This period's plan; the previous plan, read at the present time; fallback; safe action."""


class Ladder:
    """
    Goes down one status at a time while there is no good plan, and up in one step.

    From `fallback` and `stopped` the way up needs several good plans in a row, so that one good
    plan among bad ones does not jerk the plant. From `previous_plan` to `fresh` no wait is needed,
    because both read the same plan. All times are s on one clock.
    """

    def __init__(self):
        self.status = STOPPED
        self.steps: Counter[str] = Counter()
        """How often each status was entered."""
        self.plan: Plan | None = None
        """The last good plan."""
        self.planned = 0.0
        """When its planning began, s."""
        self.fallback_since = 0.0
        """When `fallback` was entered, s."""
        self._good = 0

    def offer(self, plan: Plan, began: float, is_prompt: bool) -> None:
        """
        Add a good plan whose planning began at `began` (s).

        A plan that is not prompt is used while it is young. It does not count towards the plans
        that end `fallback` and `stopped`.
        """
        self.plan, self.planned = plan, began
        self._good = self._good + 1 if is_prompt else 0

    def fail(self) -> None:
        """Note that no good plan could be made."""
        self._good = 0

    def abandon(self) -> None:
        """Forget the plan; the next step leads to `fallback`."""
        self.plan = None
        self._good = 0

    def step(
        self,
        time: float,
        is_fresh: bool,
        *,
        max_plan_age: float,
        hold_time: float,
        recover_periods: int,
    ) -> str:
        """
        Return the status of the command that is sent at `time`.

        Args:
            time: s.
            is_fresh: whether the last good plan was made for this command.
            max_plan_age: s after the begin of its planning for which a plan may be used.
            hold_time: s in `fallback` before `stopped`.
            recover_periods: number of good plans in a row that end `fallback` and `stopped`.
        """
        planned = self.status in (FRESH, PREVIOUS_PLAN)
        may_move = planned or self._good >= recover_periods
        if is_fresh and may_move:
            status = FRESH
        elif self.plan is not None and may_move and time - self.planned <= max_plan_age:
            status = PREVIOUS_PLAN
        elif planned or (self.status == FALLBACK and time - self.fallback_since < hold_time):
            status = FALLBACK
        else:
            status = STOPPED
        if status in (FALLBACK, STOPPED) and planned:
            self._good = 0
        if status == FALLBACK and self.status != FALLBACK:
            self.fallback_since = time
        return self._go(status)

    def stop(self) -> str:
        """Go to `stopped` at once, and forget the plan."""
        self.abandon()
        return self._go(STOPPED)

    def _go(self, status: str) -> str:
        if status != self.status:
            self.steps[status] += 1
            self.status = status
        return status
