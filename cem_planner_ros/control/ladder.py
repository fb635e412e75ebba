"""What a command rests on, from the best to the last resort."""

from __future__ import annotations

from collections import Counter

from cem_planner_ros.planning.plan import Plan

FRESH = "fresh"
PREVIOUS_PLAN = "previous_plan"
FALLBACK = "fallback"
STOPPED = "stopped"
STATUSES = (FRESH, PREVIOUS_PLAN, FALLBACK, STOPPED)
"""This period's plan, the previous plan at the present time, the fallback, the safe action."""


class Ladder:
    """
    Steps down one rung at a time while there is no good plan, and up again in one step.

    The way up from `fallback` and `stopped` takes several good plans in a row, so that one good
    plan among bad ones does not jerk the plant. Between `fresh` and `previous_plan` nothing is
    gained by waiting: both read the same plan. Times are s on any one clock.
    """

    def __init__(self):
        self.status = STOPPED
        self.steps: Counter[str] = Counter()
        """How often each status was stepped to."""
        self.plan: Plan | None = None
        """The last good plan."""
        self.planned = 0.0
        """When planning it began."""
        self.fallback_since = 0.0
        """When `fallback` was stepped to."""
        self._good = 0

    def offer(self, plan: Plan, began: float, is_prompt: bool) -> None:
        """
        Take a good plan in, on which planning began at `began` (s).

        A plan that is not prompt is used while it is young, but does not help to end `fallback` or
        `stopped`.
        """
        self.plan, self.planned = plan, began
        self._good = self._good + 1 if is_prompt else 0

    def fail(self) -> None:
        """Take note that no good plan could be made."""
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
        Return the status of the command that goes out at `time`.

        Args:
            time: s.
            is_fresh: whether the last good plan was made for this command.
            max_plan_age: s for which an earlier plan may be used after planning it began.
            hold_time: s on `fallback` before `stopped`.
            recover_periods: good plans in a row that end `fallback` and `stopped`.
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
        """Step down to `stopped` at once, and forget the plan."""
        self.abandon()
        return self._go(STOPPED)

    def _go(self, status: str) -> str:
        if status != self.status:
            self.steps[status] += 1
            self.status = status
        return status
