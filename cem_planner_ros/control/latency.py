"""From the time at which a state was true to the time at which a command takes effect."""

from __future__ import annotations

import itertools
import math
from collections import deque

import numpy as np

from cem_planner_ros.planning.plan import Plan

MAX_AHEAD = 0.005
"""s that a stamp may lie in the future: clocks of two machines are never quite the same."""

MAX_BEHIND = 60.0
"""s; a stamp older than this is that of another clock: no state is a minute on its way."""

MAX_STEPS = 20
"""Model steps that a prediction may take."""

REMEMBERED = 1000
"""Commands."""


def distrust(age: float) -> str:
    """Return why a stamp of this age (s) cannot be used, "" if it can."""
    if age < -MAX_AHEAD:
        return "stamp in the future"
    if age > MAX_BEHIND:
        return "stamp of another clock"
    return ""


class SentCommands:
    """
    What was commanded when, as far as a prediction looks back.

    Args:
        before: action (nu,) in force before the first command.
    """

    def __init__(self, before: np.ndarray):
        self._sent = deque([(-math.inf, before)], maxlen=REMEMBERED)

    def add(self, time: float, action: np.ndarray) -> None:
        """Take note that `action` (nu,) is in force from `time` (s) on."""
        self._sent.append((time, action))

    def between(self, begin: float, end: float, dt: float) -> Plan:
        """
        Return what was in force from `begin` to `end` (s), as a plan of equal steps of at most dt.

        Each step holds the mean of its commands. In a step as short as the model's, that the action
        was not constant matters no more than it does for the model itself, and a prediction of one
        or two steps costs little.
        """
        count = min(max(math.ceil((end - begin) / dt - 1e-6), 1), MAX_STEPS)
        edges = np.linspace(begin, end, count + 1)
        actions = [self._mean(*pair) for pair in itertools.pairwise(edges)]
        return Plan(edges, np.array(actions), cost=0.0, iterations=0, invalid_share=0.0)

    def _mean(self, begin: float, end: float) -> np.ndarray:
        if not end > begin:
            return self._sent[-1][1]  # For no time at all.
        total = 0.0
        until = end
        for time, action in reversed(self._sent):
            if time < until:
                total = total + action * (until - max(time, begin))
                until = time
            if until <= begin:
                break
        else:  # What came before is forgotten: as the oldest that is known.
            total = total + action * (until - begin)
        return total / (end - begin)
