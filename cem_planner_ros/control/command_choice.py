# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The choice of a command: its status on the ladder, and the action of this status."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from cem_planner_ros.control.control_settings import ControlSettings
from cem_planner_ros.control.fallback import Fallback
from cem_planner_ros.control.ladder import FALLBACK, FRESH, STOPPED, Ladder
from cem_planner_ros.control.stop_action import StopAction
from cem_planner_ros.control.tick import (
    COLLISION_IMMINENT,
    RECOVERING,
    SLOWED,
    Attempt,
    StateSample,
)
from cem_planner_ros.errors import describe
from cem_planner_ros.planning.plan import Plan


class Choice(NamedTuple):
    """
    What to send.

    Attributes:
        status: one of `ladder.STATUSES`.
        cause: one of CAUSES; `reason` says more.
        action: (nu,); None sends nothing.
        followed: the plan that the action follows unchanged; None if there is none.
    """

    status: str
    cause: str
    reason: str
    action: np.ndarray | None
    followed: Plan | None = None


class CommandChoice:
    """
    Chooses what to send, and limits it. The commander calls it, one thread at a time.

    Args:
        settings: settings of the loop.
    """

    def __init__(self, settings: ControlSettings):
        self.ladder = Ladder()
        self.stop_action = StopAction(settings)
        self._fallback = Fallback(settings, self.stop_action.first_action())
        self._settings = settings

    def use(self, settings: ControlSettings) -> None:
        """Use other values from now on."""
        self._settings = self._fallback.settings = settings
        self.stop_action.use(settings)

    def safe_action(self, sample: StateSample | None) -> np.ndarray | None:
        """Return the safe action (nu,); None while it depends on a state and there is none."""
        return self.stop_action.action(None if sample is None else sample.state)

    def choose(
        self,
        attempt: Attempt,
        now: float,
        effect: float,
        sample: StateSample | None,
        last_action: np.ndarray,
        halted: str,
    ) -> Choice:
        """
        Return what to send in a period, without limits.

        Args:
            attempt: the result of planning in this period.
            now: s.
            effect: when a command that is sent now takes effect, s.
            sample: the newest state.
            last_action: (nu,), the last command.
            halted: why only the safe action may be sent; "" otherwise.
        """
        settings, ladder = self._settings, self.ladder
        if halted:
            ladder.stop()
            return Choice(
                STOPPED, halted, attempt.reason, self.action(STOPPED, now, effect, sample)
            )
        before = ladder.status
        # A process that was suspended in a period may continue much later.
        oldest = max(settings.max_plan_age, settings.period)
        status = ladder.step(
            now,
            attempt.plan is not None and now - attempt.began <= oldest,
            max_plan_age=settings.max_plan_age,
            hold_time=settings.hold_time,
            recover_periods=settings.recover_periods,
        )
        cause = attempt.cause
        if attempt.plan is not None and status != FRESH:
            cause = RECOVERING
        if status == FALLBACK and before != FALLBACK:
            self._fallback.begin(last_action)
        return Choice(status, cause, attempt.reason, self.action(status, now, effect, sample))

    def action(
        self, status: str, now: float, effect: float, sample: StateSample | None
    ) -> np.ndarray | None:
        """Return the action (nu,) of a status; None sends nothing. Arguments as in `choose`."""
        ladder = self.ladder
        if status == FALLBACK:
            elapsed = now - ladder.fallback_since
            return self._fallback.action(now, elapsed, sample, lambda: self.safe_action(sample))
        if status == STOPPED or ladder.plan is None:
            # Sent unchanged: limits for driving must not delay a stop.
            return self.safe_action(sample) if self.stop_action.is_placed else None
        if self._settings.is_read_between:
            return ladder.plan.between_at(effect)
        return ladder.plan.action_at(effect)

    def limited(
        self,
        choice: Choice,
        elapsed: float,
        sample: StateSample | None,
        last_action: np.ndarray,
        bounded: Callable[[np.ndarray], np.ndarray | None],
    ) -> Choice:
        """
        Return what to send, within all limits.

        Args:
            choice: what was chosen.
            elapsed: s since the last command was sent.
            sample: the newest state.
            last_action: (nu,), the last command.
            bounded: returns a command after which the robot can still stop; None if there is none.
        """
        status, _, _, action, _ = choice
        if action is None:
            return choice
        if status == STOPPED:
            return choice._replace(action=self.stop_action.paced(action, last_action, elapsed))
        if status != FALLBACK:
            self.stop_action.follow_plan()
        wanted: np.ndarray | None
        if np.isfinite(action).all():
            wanted = self._settings.limits.apply(action, last_action, elapsed)
        else:
            wanted = self.safe_action(sample)
        reason = choice.reason
        try:
            allowed = None if wanted is None else bounded(wanted)
        except Exception as error:  # Whatever the error, the robot must stop.
            allowed, reason = None, f"braking failed: {describe(error)}"
        if allowed is None:
            self.ladder.stop()
            return Choice(STOPPED, COLLISION_IMMINENT, reason, self.safe_action(sample))
        if (allowed != wanted).any():
            return choice._replace(cause=SLOWED, action=allowed)
        followed = None if status == FALLBACK else self.ladder.plan
        return choice._replace(action=allowed, followed=followed)

    def is_over(self, now: float) -> bool:
        """Return whether the status must change by the next command: its plan or time is over."""
        ladder, settings = self.ladder, self._settings
        if ladder.status == FALLBACK:
            return now - ladder.fallback_since >= settings.hold_time
        if ladder.status == STOPPED:
            return False
        return ladder.plan is None or now - ladder.planned > settings.max_plan_age
