# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The action that stops the plant, and the first commands before there is a plan."""

from __future__ import annotations

import numpy as np

from cem_planner_ros.control.control_settings import ControlSettings
from cem_planner_ros.control.limits import CommandLimits, SafeAction
from cem_planner_ros.dynamics.action_parameters import MEASURED


class StopAction:
    """
    The safe action; it does not change during a stop.

    An action that a state measures starts at the measured value, because it must not jump to a
    number when the node is activated. It then keeps its rate limit until the first plan is
    followed.

    Args:
        settings: settings of the loop.
    """

    def __init__(self, settings: ControlSettings):
        self._safe: SafeAction = settings.safe
        self._limits: CommandLimits = settings.limits
        self._action: np.ndarray | None = None
        is_safe_there = np.array([value == MEASURED for value in self._safe.values])
        can_be = np.array([row is not None for row in self._safe.rows])
        self._begins_measured = can_be & (is_safe_there | np.isfinite(self._limits.rate))
        """Whether each action (nu,) starts at its measured value."""
        self.is_placed = not self._begins_measured.any()
        """Whether all starting values are known; nothing is sent before."""
        self.is_starting = not self.is_placed
        """Whether actions that start at their measured values have not followed a plan yet."""

    def use(self, settings: ControlSettings) -> None:
        """Use other values from now on."""
        if settings.safe != self._safe:
            self._action = None
        self._safe, self._limits = settings.safe, settings.limits

    def first_action(self) -> np.ndarray:
        """Return the assumed last command (nu,) before the first state."""
        numbers = [0.0 if value == MEASURED else value for value in self._safe.values]
        return np.clip(numbers, self._limits.low, self._limits.high)

    def place(self, state: np.ndarray, action: np.ndarray) -> np.ndarray:
        """Return the assumed last command (nu,) after the first state (nx,)."""
        self.is_placed = True
        return np.where(self._begins_measured, self._safe.measured(state), action)

    def action(self, state: np.ndarray | None) -> np.ndarray | None:
        """
        Return the safe action (nu,); None if it depends on a state and there is none.

        Args:
            state: (nx,), the newest one.
        """
        if self._action is None:
            self._action = self._safe.at(state)
        return self._action

    def now(self, state: np.ndarray | None, before: np.ndarray) -> np.ndarray | None:
        """
        Return the action (nu,) that stops the plant now, without a jump at the start.

        It is the safe action, or None if that depends on a state and no state has come yet.

        Args:
            state: (nx,), the newest one.
            before: (nu,), the last command.
        """
        if not self.is_placed:
            return None
        if self.is_starting:
            return np.clip(before, self._limits.low, self._limits.high)
        return self.action(state)

    def paced(self, action: np.ndarray, before: np.ndarray, elapsed: float) -> np.ndarray:
        """
        Return the safe action, rate-limited on the way from the starting value.

        Args:
            action: (nu,), the safe action.
            before: (nu,), the last command.
            elapsed: s since the last command was sent.
        """
        if not self.is_starting:
            return action
        reached = self._limits.apply(action, before, elapsed)
        return np.where(self._begins_measured, reached, action)

    def follow_plan(self) -> None:
        """Note that a plan is followed; the next stop gets a new safe action."""
        self.is_starting = False
        self.forget()

    def forget(self) -> None:
        """Let the next stop use the measured values at that time."""
        self._action = None
