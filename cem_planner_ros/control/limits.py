"""What every command keeps to, whatever was planned."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

TINY = 1e-9
"""s; keeps quotients and products of 0 and inf from being NaN."""


@dataclass(frozen=True)
class CommandLimits:
    """
    Bounds, rate and low-pass of the actions, all (nu,).

    Attributes:
        low, high: bounds.
        rate: how fast a command may change, per s; inf for no limit.
        low_pass: time constant of a first-order low-pass, s; 0 for none.
        safe: sent in place of what is not finite.
    """

    low: np.ndarray
    high: np.ndarray
    rate: np.ndarray
    low_pass: np.ndarray
    safe: np.ndarray

    def apply(self, action: np.ndarray, before: np.ndarray, elapsed: float) -> np.ndarray:
        """
        Return the command for an action, `elapsed` s after the command `before` was sent.

        The bounds come last: they hold also when they were moved past the command before.
        """
        if not np.isfinite(action).all():
            return self.safe
        elapsed = max(elapsed, TINY)
        # Exact for an action that is held, whatever the periods are.
        share = -np.expm1(-elapsed / np.maximum(self.low_pass, TINY))
        filtered = np.where(self.low_pass > 0.0, before + share * (action - before), action)
        reach = self.rate * elapsed
        reached = np.clip(filtered, before - reach, before + reach)
        return np.clip(reached, self.low, self.high)
