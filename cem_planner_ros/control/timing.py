"""Measured times, kept bounded."""

from __future__ import annotations

import bisect
from collections import deque
from collections.abc import Iterable


class Quantile:
    """
    A quantile of the last measurements.

    Args:
        share: of the measurements that lie at or below it, in [0, 1].
        first: measurements to begin with.
        window: how many measurements count.
    """

    def __init__(self, share: float, first: Iterable[float] = (), window: int = 100):
        self._share = share
        self._newest: deque[float] = deque(first)
        self._ordered = sorted(self._newest)
        self._window = window

    def add(self, value: float) -> None:
        """Take in a measurement; the oldest one goes."""
        if len(self._newest) == self._window:
            del self._ordered[bisect.bisect_left(self._ordered, self._newest.popleft())]
        self._newest.append(value)
        bisect.insort(self._ordered, value)

    def clear(self) -> None:
        """Forget the measurements."""
        self._newest.clear()
        self._ordered.clear()

    @property
    def value(self) -> float:
        """The quantile; 0 without a measurement."""
        if not self._ordered:
            return 0.0
        return self._ordered[round(self._share * (len(self._ordered) - 1))]
