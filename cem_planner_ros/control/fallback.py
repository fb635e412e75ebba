# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The fallback: the command for a short time when no usable plan is left."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cem_planner_ros.control.control_settings import KEEP_LAST, POLICY, ControlSettings
from cem_planner_ros.control.tick import StateSample


class Fallback:
    """
    Returns the actions of the status `fallback`; the parameter `fallback` chooses them.

    `ramp_to_safe` moves evenly from the last command to the safe action. `keep_last` repeats the
    last command. `policy` follows a policy while there is a recent state, and otherwise ramps to
    the safe action, from what the policy last said. Each ramp ends when the fallback does.

    Args:
        settings: settings of the loop; any thread may replace them as a whole.
        last_action: (nu,), the last command.
    """

    def __init__(self, settings: ControlSettings, last_action: np.ndarray):
        self.settings = settings
        self.begin(last_action)

    def begin(self, last_action: np.ndarray) -> None:
        """Start the fallback at the last command (nu,)."""
        self._last_action = last_action
        self._ramp_begins = 0.0  # s after the fallback began

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
            safe_action: returns the safe action (nu,), or None if it is not known; called only if
                it is needed.
        """
        settings = self.settings
        if settings.fallback == KEEP_LAST:
            return self._last_action
        policy = settings.policy if settings.fallback == POLICY else None
        if policy is not None and sample is not None and settings.is_recent(sample, now):
            self._last_action, self._ramp_begins = policy(sample.state), elapsed
            return self._last_action
        safe = safe_action()
        if safe is None:
            return self._last_action
        left = settings.hold_time - self._ramp_begins
        share = (elapsed - self._ramp_begins) / left if left > 0.0 else 1.0
        return self._last_action + min(share, 1.0) * (safe - self._last_action)
