# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Measured times in buffers of a fixed size."""

from __future__ import annotations

import bisect
import math
from collections import deque
from collections.abc import Iterable, Sequence

import numpy as np

HIGH = 0.95
"""
Quantile of the measured times that must fit into what is left of a period.

One slow iteration in a hundred does not shorten the plans that follow, five do.
"""

SPEED_INTERVAL = 0.5
"""Time on the steady clock over which the speed of a clock is measured, s."""

SLOWEST, FASTEST = 0.01, 100.0
"""Assumed limits of the speed of a simulated clock; it may also stand still."""


class Quantile:
    """
    A quantile of the last measurements.

    Args:
        share: share of the measurements that are at or below it, in [0, 1].
        first: first measurements.
        window: number of measurements that are kept.
    """

    def __init__(self, share: float, first: Iterable[float] = (), window: int = 100):
        self._share = share
        self._newest: deque[float] = deque(first)
        self._ordered = sorted(self._newest)
        self._window = window

    def add(self, value: float) -> None:
        """Add a measurement; the oldest one is dropped."""
        if len(self._newest) == self._window:
            del self._ordered[bisect.bisect_left(self._ordered, self._newest.popleft())]
        self._newest.append(value)
        bisect.insort(self._ordered, value)

    @property
    def value(self) -> float:
        """The quantile; 0 without measurements."""
        if not self._ordered:
            return 0.0
        return self._ordered[round(self._share * (len(self._ordered) - 1))]


class Speed:
    """The speed of a clock, in its seconds per steady second; 1 until it is measured."""

    def __init__(self):
        self.value = 1.0
        self._since: tuple[float, float] | None = None
        self._last = self._moved = -math.inf

    def look(self, time: float, steady: float) -> None:
        """Add readings of both clocks, s; a time in which the clock stands still is ignored."""
        if time == self._last:
            return
        stood = steady - self._moved > SPEED_INTERVAL
        self._last, self._moved = time, steady
        if self._since is None or stood:
            self._since = time, steady
        elapsed = steady - self._since[1]
        if elapsed >= SPEED_INTERVAL:
            speed = (time - self._since[0]) / elapsed
            self.value = min(max(speed, SLOWEST), FASTEST)
            self._since = time, steady


class History:
    """
    The last rows of numbers in a ring buffer, which allocates no memory while it runs.

    Args:
        columns: names of the columns.
        size: number of rows that are kept.
    """

    def __init__(self, columns: Sequence[str], size: int):
        self._columns = {name: index for index, name in enumerate(columns)}
        self._rows = np.full((size, len(columns)), np.nan)
        self._count = 0

    def add(self, *values: float) -> None:
        """Add a row, in the order of the columns; the oldest row is dropped."""
        self._rows[self._count % len(self._rows)] = values
        self._count += 1

    def column(self, name: str) -> np.ndarray:
        """Return the numbers of a column that are not NaN (n,), in no special order."""
        values = self._rows[:, self._columns[name]]
        return values[~np.isnan(values)]
