# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Set-points of positions from commanded speeds, for robots that take positions."""

from __future__ import annotations

import numpy as np


class Integration:
    """
    Integrates commanded speeds to the positions that are sent.

    The set-point is where the speed leads by the time of the next command. A robot that gets no
    further command therefore stops there. The integral begins at the measured position, when the
    robot begins to move: at the first command that is not the safe action, and again after each
    stop. During a stop it is kept, and does not follow a joint that sags.

    Args:
        rows: (nu), the index of the state at which the integral of each action begins; None for an
            action that is sent as it is.
        period: time from one command to the next, s.
    """

    def __init__(self, rows: tuple[int | None, ...], period: float):
        self._is_speed = np.array([row is not None for row in rows])
        self._rows = [row for row in rows if row is not None]
        self._period = period
        self.forget()

    def forget(self) -> None:
        """Begin at the measured position again: the node is activated, or the clock was set."""
        self._position: np.ndarray | None = None
        self._speed = np.zeros(len(self._rows))
        self._time = 0.0
        self._is_stopped = True

    def command(
        self, action: np.ndarray, time: float, state: np.ndarray | None, is_stopped: bool
    ) -> np.ndarray | None:
        """
        Return what to send (nu,) for an action; None if no position is known yet.

        Args:
            action: (nu,), within its limits.
            time: s; it may jump.
            state: (nx,), the newest one; None before the first.
            is_stopped: whether the action is the safe action of a stop.
        """
        begins = self._position is None or (self._is_stopped and not is_stopped)
        if begins and state is not None:
            self._position = state[self._rows]
        elif self._position is not None:
            # After a period without a command the robot has reached the last set-point.
            elapsed = min(max(time - self._time, 0.0), self._period)
            self._position = self._position + elapsed * self._speed
        if self._position is None:
            return None
        self._speed, self._time, self._is_stopped = action[self._is_speed], time, is_stopped
        sent = action.copy()
        sent[self._is_speed] = self._position + self._period * self._speed
        return sent
