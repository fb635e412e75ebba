# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Set-points of positions from commanded speeds, for robots that take positions."""

from __future__ import annotations

import numpy as np

from cem_planner_ros.control.control_settings import ControlSettings


def most_leads(settings: ControlSettings, max_lead: float) -> np.ndarray:
    """
    Return how far each set-point (nu,) may be from what is measured, in its unit.

    It is the way at the faster bound of the action in the time by which a moving robot is known to
    be behind, and in `max_lead`, s, for what is not known of it.
    """
    limits, period = settings.limits, 1.0 / max(settings.control_rate, settings.command_rate)
    behind = period + settings.actuation_delay + settings.lag
    return (behind + max_lead) * np.maximum(np.abs(limits.low), np.abs(limits.high))


class Integration:
    """
    Integrates commanded speeds to the positions that are sent.

    The set-point is where the speed leads by the time of the next command. A robot that gets no
    further command therefore stops there. The integral begins at the measured position, when the
    robot begins to move: at the first command that is not the safe action, and again after each
    stop. During a stop it is kept, and does not follow a joint that sags.

    A set-point that is farther than `most_lead` from the measured position waits for it: it may
    come nearer, but goes no farther (conditional integration). It is not pulled back, because it
    would sink with a joint that hangs below it under a load.

    Args:
        rows: (nu), the index of the state at which the integral of each action begins; None for an
            action that is sent as it is.
        period: time from one command to the next, s.
        most_lead: (nu,), farthest from the measured position that a set-point goes, in the unit of
            the position. It may be replaced at any time.
    """

    def __init__(self, rows: tuple[int | None, ...], period: float, most_lead: np.ndarray):
        self._is_speed = np.array([row is not None for row in rows])
        self._rows = [row for row in rows if row is not None]
        self._period = period
        self.most_lead = most_lead
        self.waiting = np.zeros(len(rows), bool)
        """(nu,), whether the set-point of the last command waits for what is measured."""
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
        reached = wanted = self._position + self._period * action[self._is_speed]
        if state is not None and not is_stopped:
            measured, most = state[self._rows], self.most_lead[self._is_speed]
            low = np.minimum(self._position, measured - most)
            reached = wanted.clip(low, np.maximum(self._position, measured + most))
        self.waiting[self._is_speed] = reached != wanted
        self._speed = (reached - self._position) / self._period
        self._time, self._is_stopped = time, is_stopped
        sent = action.copy()
        sent[self._is_speed] = reached
        return sent
