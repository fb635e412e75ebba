"""The action for a short time after no usable plan is left."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cem_planner_ros.control.latency import MAX_AHEAD
from cem_planner_ros.control.settings import KEEP_LAST, POLICY, ControlSettings
from cem_planner_ros.control.tick import StateSample


class Fallback:
    """
    Returns the actions of the status `fallback`, by the parameter of that name.

    `ramp_to_safe` goes evenly from the last command to the safe one, `keep_last` repeats the last
    command, and `policy` follows a policy for as long as there is a young state, else it goes
    evenly from the last command to the safe one.

    Args:
        settings: those of the loop; replaced whole, by any thread.
        last_action: (nu,), the last command.
    """

    def __init__(self, settings: ControlSettings, last_action: np.ndarray):
        self.settings = settings
        self._last_action = last_action

    def begin(self, last_action: np.ndarray) -> None:
        """Begin at the last command (nu,)."""
        self._last_action = last_action

    def action(
        self,
        now: float,
        elapsed: float,
        sample: StateSample | None,
        safe_action: Callable[[], np.ndarray | None],
    ) -> np.ndarray:
        """
        Return the action (nu,) for a command that is sent now.

        Args:
            now: s.
            elapsed: s since the fallback began.
            sample: the newest state.
            safe_action: returns the safe action (nu,), None if it is not known; called only where
                it is needed.
        """
        settings = self.settings
        if settings.fallback == KEEP_LAST:
            return self._last_action
        policy = settings.policy if settings.fallback == POLICY else None
        if policy is not None and sample is not None:
            age = now - sample.time
            if -MAX_AHEAD <= age <= settings.max_state_age:
                self._last_action = policy(sample.state)
                return self._last_action
        safe = safe_action()
        if safe is None:
            return self._last_action
        share = elapsed / settings.hold_time if settings.hold_time else 1.0
        return self._last_action + min(share, 1.0) * (safe - self._last_action)
