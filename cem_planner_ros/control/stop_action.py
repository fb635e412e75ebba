"""The action that stops the plant, and where commands begin before the first plan."""

from __future__ import annotations

import numpy as np

from cem_planner_ros.control.limits import CommandLimits, SafeAction
from cem_planner_ros.control.settings import ControlSettings
from cem_planner_ros.dynamics.base import MEASURED


class StopAction:
    """
    The safe action, which stays where it is from when it is first asked for.

    An action that a state measures begins where the plant is: it must not jump to a number when the
    node is activated. It keeps its rate from there on, until the first plan is followed.

    Args:
        settings: those of the loop.
    """

    def __init__(self, settings: ControlSettings):
        self._safe: SafeAction = settings.safe
        self._limits: CommandLimits = settings.limits
        self._action: np.ndarray | None = None
        is_safe_there = np.array([value == MEASURED for value in self._safe.values])
        can_be = np.array([row is not None for row in self._safe.rows])
        self._begins_measured = can_be & (is_safe_there | np.isfinite(self._limits.rate))
        """Actions (nu,) that begin where the plant is."""
        self.is_placed = not self._begins_measured.any()
        """Whether it is known where all actions begin; nothing is sent before."""
        self.is_starting = not self.is_placed
        """Whether no plan was followed yet by actions that begin where the plant is."""

    def use(self, settings: ControlSettings) -> None:
        """Use other values from now on."""
        if settings.safe != self._safe:
            self._action = None
        self._safe, self._limits = settings.safe, settings.limits

    def first_action(self) -> np.ndarray:
        """Return what counts as the command before the first one (nu,), before it is placed."""
        numbers = [0.0 if value == MEASURED else value for value in self._safe.values]
        return np.clip(numbers, self._limits.low, self._limits.high)

    def place(self, state: np.ndarray, action: np.ndarray) -> np.ndarray:
        """Return the command before the first one (nu,), as the first state (nx,) measures it."""
        self.is_placed = True
        return np.where(self._begins_measured, self._safe.measured(state), action)

    def action(self, state: np.ndarray | None) -> np.ndarray | None:
        """
        Return the safe action (nu,); None if a state has to say what it is, and there was none.

        Args:
            state: (nx,), the newest one.
        """
        if self._action is None:
            self._action = self._safe.at(state)
        return self._action

    def paced(self, action: np.ndarray, before: np.ndarray, elapsed: float) -> np.ndarray:
        """
        Return the safe action on its way from where the plant was at the start.

        Args:
            action: (nu,), the safe action.
            before: (nu,), the command before.
            elapsed: s since that was sent.
        """
        if not self.is_starting:
            return action
        reached = self._limits.apply(action, before, elapsed)
        return np.where(self._begins_measured, reached, action)

    def follow_plan(self) -> None:
        """Take note that a plan is followed: the next stop begins anew."""
        self.is_starting = False
        self.forget()

    def forget(self) -> None:
        """Let the next one be where the plant is then."""
        self._action = None
