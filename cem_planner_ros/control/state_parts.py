# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The parts of a state that come in several messages, each with its own time."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

import numpy as np

from cem_planner_ros.control.latency import MAX_AHEAD
from cem_planner_ros.control.tick import StateSample

REMEMBERED = 500
"""Number of messages of each part that are kept, to know it as it was earlier."""

MOST_PARTS = 100
"""Number of sets of states that come together whose messages are kept."""

LARGEST_STEP = 1.0
"""Change of an angle (rad) or a quaternion between two messages that is not a turn but a jump."""


class StateParts:
    """
    The newest value of each state, with its time, and what the parts were shortly before.

    The parts have different times: joints come at once, the pose of a camera 0.1 s later. `newest`
    has the newest value of each state, the time of each, and the whole state at the time of the
    oldest one, in which the newer parts are as they were then. The control loop brings them to one
    time (`ControlLoop`).

    Args:
        clock: clock of the control loop, s.
        wraps: (nx,), which states are angles or parts of a quaternion: they may jump, by a turn or
            to the other sign.
    """

    def __init__(self, clock: Callable[[], float], wraps: np.ndarray):
        self._clock = clock
        self._wraps = wraps
        self.lock = threading.Lock()
        self.epoch = 0
        """Number of calls of `forget`; a message that was read before one is not used after it."""
        self._start()

    def _start(self) -> None:
        self.values, self.times, self._stamps = np.full((3, len(self._wraps)), np.nan)
        self._history: dict[bytes, deque[tuple[float, np.ndarray]]] = {}
        self._newest: StateSample | None = None
        self._is_known = True

    def forget(self) -> None:
        """Forget everything: the clock was set, or control starts. Any thread may call it."""
        with self.lock:
            self.epoch += 1
            self._start()

    def merge(self, rows: np.ndarray, part: np.ndarray, stamp: float | None, time: float) -> str:
        """
        Merge a message; return why nothing of it can be used. The caller holds `lock`.

        Args:
            rows: (k,), the indices of the states in the message.
            part: (k,), their values, NaN for those that this message lacks.
            stamp: stamp of the message, s; None if it has none.
            time: when they were measured, s on the loop's clock.
        """
        # A time later than now is from before the clock was set back.
        self.times[self.times > self._clock() + MAX_AHEAD] = np.nan
        self._is_known = False
        has = ~np.isnan(part)
        if not has.any():
            return ""
        if stamp is not None:
            # An estimator that hangs repeats its last state. After a minute its stamp would count
            # as implausible, and the state would get the time of its arrival.
            has &= self._stamps[rows] != stamp
            if not has.any():
                return "same stamp as the previous message"
        has &= ~(self.times[rows] > time)
        if not has.any():
            return "older than the previous message"
        rows = rows[has]
        self.values[rows], self.times[rows] = part[has], time
        self._stamps[rows] = np.nan if stamp is None else stamp
        if len(self._history) > MOST_PARTS:  # Of a publisher whose messages have ever other joints.
            self._history.clear()
        history = self._history.setdefault(rows.tobytes(), deque(maxlen=REMEMBERED))
        if history and history[-1][0] > time:  # The clock was set back.
            history.clear()
        history.append((time, part[has]))
        return ""

    @property
    def newest(self) -> StateSample | None:
        """The newest state; None while a part of it is missing."""
        if not self._is_known:
            with self.lock:
                self._newest = self._sample()
                self._is_known = True
        return self._newest

    def _sample(self) -> StateSample | None:
        if np.isnan(self.times).any():
            return None
        values, times, oldest = self.values.copy(), self.times.copy(), float(self.times.min())
        if oldest == times.max():
            return StateSample(values, oldest)
        start = values.copy()
        for key, history in self._history.items():
            rows = np.frombuffer(key, np.intp)
            # Of states that came in messages of several kinds, the newest message counts.
            current = times[rows] == history[-1][0]
            if current.any() and history[-1][0] > oldest:
                start[rows[current]] = self._at(history, rows, oldest)[current]
        return StateSample(values, oldest, times, start)

    def _at(
        self, history: deque[tuple[float, np.ndarray]], rows: np.ndarray, time: float
    ) -> np.ndarray:
        """Return a part (k,) as it was at a time, s, between two messages of its history."""
        after = history[-1]
        for before in reversed(history):
            if before[0] <= time:
                break
            after = before
        else:
            return after[1]  # The oldest message known of this part is later.
        share = (time - before[0]) / (after[0] - before[0])
        step = after[1] - before[1]
        has_jumped = self._wraps[rows] & (np.abs(step) > LARGEST_STEP)
        nearer = after[1] if share > 0.5 else before[1]
        return np.where(has_jumped, nearer, before[1] + share * step)
