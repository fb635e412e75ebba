# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Limits of every command, and the safe action."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from cem_planner_ros.dynamics.action_parameters import MEASURED

TINY = 1e-9
"""Smallest time, s, so that quotients and products of 0 and inf are not NaN."""


@dataclass(frozen=True)
class TurningLimit:
    """
    The smallest turning radius of a car that is commanded by speed and yaw rate.

    Attributes:
        radius: m.
        forward, turning: indices of the two actions.
    """

    radius: float
    forward: int
    turning: int

    def apply(self, action: np.ndarray) -> np.ndarray:
        """Return an action (nu,) whose yaw rate is at most that of the smallest circle."""
        most = abs(action[self.forward]) / self.radius
        limited = action.copy()
        limited[self.turning] = np.clip(action[self.turning], -most, most)
        return limited


@dataclass(frozen=True)
class CommandLimits:
    """
    Bounds, rate and low-pass of the actions, all (nu,).

    Attributes:
        low, high: bounds.
        rate: how fast a command may change, per s; inf for no limit.
        low_pass: time constant of a first-order low-pass, s; 0 for none.
        turning: what keeps the smallest turning radius of a car, None for other plants.
        slowing: how fast a command beyond bounds that were moved comes back within them, per s; inf
            for at once.
    """

    low: np.ndarray
    high: np.ndarray
    rate: np.ndarray
    low_pass: np.ndarray
    turning: TurningLimit | None = None
    slowing: np.ndarray | float = math.inf

    def apply(self, action: np.ndarray, before: np.ndarray, elapsed: float) -> np.ndarray:
        """
        Return the command for an action, `elapsed` s after the command `before` was sent.

        The bounds and the turning radius are applied last, so they hold even if `before` violates
        them, or are approached by `slowing`.
        """
        elapsed = max(elapsed, TINY)
        # Exact for a constant action, for any length of the periods.
        share = -np.expm1(-elapsed / np.maximum(self.low_pass, TINY))
        filtered = np.where(self.low_pass > 0.0, before + share * (action - before), action)
        reach = self.rate * elapsed
        reached = np.clip(filtered, before - reach, before + reach)
        bounded = np.clip(reached, self.low, self.high)
        # What was planned within bounds that were moved would be a jump.
        back = self.slowing * elapsed
        bounded = np.where(before > self.high, np.maximum(bounded, before - back), bounded)
        bounded = np.where(before < self.low, np.minimum(bounded, before + back), bounded)
        return bounded if self.turning is None else self.turning.apply(bounded)


@dataclass(frozen=True)
class SafeAction:
    """
    The action that is sent while no plan may be used.

    Attributes:
        values: (nu), numbers, or MEASURED for the measured value.
        rows: (nu), the index of the state that measures each action; None if no state does.
        low, high: (nu), bounds of a measured action.
    """

    values: tuple[float | str, ...]
    rows: tuple[int | None, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]

    def at(self, state: np.ndarray | None) -> np.ndarray | None:
        """Return the action in a state (nx,); None if it needs a state and there is none."""
        numbers = np.array([np.nan if value == MEASURED else value for value in self.values])
        action = np.where(np.isnan(numbers), self.measured(state), numbers)
        return None if np.isnan(action).any() else action

    def measured(self, state: np.ndarray | None) -> np.ndarray:
        """Return the measured values of the actions (nu,) in a state (nx,); NaN if not measured."""
        values = [np.nan if state is None or row is None else state[row] for row in self.rows]
        return np.clip(values, self.low, self.high)
