# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Watches the arriving states: rate, age, frame and unit."""

from __future__ import annotations

import math
import statistics
from collections import Counter, deque
from collections.abc import Callable, Sequence

import numpy as np

from cem_planner_ros.control.tick import StateSample
from cem_planner_ros.ros.state_input import StateInput

REMEMBERED = 20
"""Number of arrivals from which the rate of states is computed."""

LARGE_ANGLE = 4.0 * math.pi
"""Size of an angle, rad, above which a jump by 360 means that the angle is in degrees."""

LATELY = 30.0
"""Time for which an angle that jumped is reported, s; it may wrap only rarely."""

TURN_IN_DEGREES = (330.0, 390.0)
"""Sizes of the jump of an angle in degrees, from one state to the next, when it wraps."""


class StateWatch:
    """
    Watches the states on their way to the control loop. Any thread may ask.

    Args:
        angles: {name: index in the state} of the angles, which should be in rad.
        clock: steady clock, s.
    """

    def __init__(self, angles: dict[str, int], clock: Callable[[], float]):
        self._angles = angles
        self._rows = np.array(list(angles.values()), int)
        self._clock = clock
        self._last: StateSample | None = None
        self._arrivals: deque[float] = deque(maxlen=REMEMBERED)
        self._awaited: deque[bool] = deque(maxlen=REMEMBERED)
        self._is_awaited = False
        self._heard = -math.inf
        self._dropped: Counter[str] = Counter()
        self.frame = ""
        """Frame of the last message with a header, without a leading slash."""
        self._degrees, self._jumped = "", -math.inf
        self.problem = ""
        """Why the messages since the last look gave no state; "" if they did."""

    def read(self, message) -> None:
        """Note the arrival and the frame of a message."""
        self._heard = self._clock()
        header = getattr(message, "header", None)
        if header is not None:
            self.frame = header.frame_id.lstrip("/")

    def see(self, sample: StateSample | None) -> None:
        """Note the newest state, once a period."""
        last = self._last
        if sample is None or (last is not None and sample.time == last.time):
            self._is_awaited = True
            return  # Parts of the state that came later do not make it newer.
        self._last = sample
        self._awaited.append(self._is_awaited)
        self._is_awaited = False
        self._arrivals.append(self._clock())
        if last is None or not self._rows.size:
            return
        before, now = last.state[self._rows], sample.state[self._rows]
        jumps = np.abs(now - before)
        is_turn = (jumps > TURN_IN_DEGREES[0]) & (jumps < TURN_IN_DEGREES[1])
        if is_turn.any():
            is_turn &= np.maximum(np.abs(now), np.abs(before)) > LARGE_ANGLE
            for index in np.flatnonzero(is_turn):
                name = list(self._angles)[index]
                self._jumped = self._clock()
                self._degrees = (
                    f"the state '{name}' looks like degrees: it went from {before[index]:.6g} to "
                    f"{now[index]:.6g} at once; angles are expected in rad"
                )

    def look(self, states: StateInput) -> None:
        """Note what was dropped since the last look."""
        dropped = Counter(states.dropped)
        causes = (dropped - self._dropped).most_common(1)
        self._dropped = dropped
        self.problem = causes[0][0] if causes else states.missing

    def forget(self) -> None:
        """Start again: the node is activated, or the clock was set."""
        self._last = None
        self._arrivals.clear()
        self._awaited.clear()
        self._heard = self._jumped = -math.inf

    @property
    def degrees(self) -> str:
        """Which angle seems to be in degrees, and why; "" if none does."""
        return self._degrees if self._clock() - self._jumped < LATELY else ""

    @property
    def rate(self) -> float:
        """Present rate of states, Hz; NaN if it is unknown, as with a new one in each period."""
        return rate_of([*self._arrivals], self._clock()) if any(self._awaited) else math.nan

    @property
    def silence(self) -> float:
        """Time since the last message, s; infinite if none came yet."""
        return self._clock() - self._heard


def rate_of(arrivals: Sequence[float], now: float) -> float:
    """Return the rate of arrivals (s), Hz; NaN if it is unknown."""
    if len(arrivals) < 3:
        return math.nan
    interval = statistics.median(np.diff(arrivals))
    if not interval > 0.0 or now - arrivals[-1] > 3.0 * interval:
        return math.nan
    return 1.0 / interval


def too_rare(rate: float, max_age: float, limit: str = "max_state_age") -> str:
    """Return a text if states come too rarely for a largest age, s; "" if they do not."""
    if not rate * max_age < 1.0:
        return ""
    return (
        f"states come at {rate:.2g} Hz, {limit} {max_age:g} s needs more than {1.0 / max_age:.3g}"
    )
