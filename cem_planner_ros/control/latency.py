# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The commands between the time of a state and the time at which the next command takes effect."""

from __future__ import annotations

import itertools
import math
from collections import deque

import numpy as np

from cem_planner_ros.planning.actuators import INSTANT
from cem_planner_ros.planning.plan import Plan

MAX_AHEAD = 0.005
"""How far a stamp may be in the future, s; the clocks of two machines are never equal."""

MAX_CLOCK_STEP = 0.1
"""
How far a stamp may be ahead of a simulation's clock, s.

A simulation stamps states with its own time, and publishes this time on `/clock` in steps.
"""

MAX_BEHIND = 60.0
"""Largest age of a stamp, s; an older stamp must be from another clock."""

MAX_STEPS = 20
"""Largest number of model steps of a prediction."""

REMEMBERED = 1000
"""Number of commands that are kept."""


def distrust(age: float, ahead: float = MAX_AHEAD) -> str:
    """Return why a stamp of this age (s), at most `ahead` s below 0, is no time; "" if it is."""
    if age < -ahead:
        return "stamp in the future"
    if age > MAX_BEHIND:
        return "stamp of another clock"
    return ""


class SentCommands:
    """
    The sent commands with their times, and what the actuators applied.

    Args:
        before: (nu,), the action in force before the first command.
        lag: (nu,), time constants with which actuators follow commands, s; 0 for no lag.
    """

    def __init__(self, before: np.ndarray, lag: np.ndarray):
        self.follow(lag)
        # Time, the command from then on, and what the actuators apply at that time.
        self._sent = deque([(-math.inf, before, before)], maxlen=REMEMBERED)

    def follow(self, lag: np.ndarray) -> None:
        """Use other time constants (nu,), s, of the actuators from now on."""
        self._lag = np.maximum(lag, INSTANT)
        self._is_instant = not np.any(lag)

    def add(self, time: float, action: np.ndarray) -> None:
        """Add a command `action` (nu,) that is in force from `time` (s) on."""
        self._sent.append((time, action, self.applied(time)))

    def applied(self, time: float) -> np.ndarray:
        """Return what the actuators apply (nu,) at `time`, s."""
        known = (sent for sent in reversed(self._sent) if sent[0] <= time)
        begin, action, applied = next(known, self._sent[0])
        if self._is_instant:
            return action
        return action + (applied - action) * np.exp((begin - time) / self._lag)

    def since(self, time: float) -> np.ndarray:
        """Return the commands (k, nu) in force at `time` (s) and after it, the newest last."""
        found = []
        for begin, action, _ in reversed(self._sent):
            found.append(action)
            if begin <= time:
                break
        return np.array(found[::-1])

    def between(self, begin: float, end: float, dt: float) -> Plan:
        """
        Return what was applied from `begin` to `end` (s), as a plan with equal steps.

        The steps last at most dt, unless MAX_STEPS of them are too few. Each step holds the mean of
        what was applied in it. The mean is as exact as the model, which also holds an action over a
        step, and a prediction of one or two steps is fast.
        """
        count = min(max(math.ceil((end - begin) / dt - 1e-6), 1), MAX_STEPS)
        edges = begin + (end - begin) / count * np.arange(count + 1)
        actions = [self._mean(*pair) for pair in itertools.pairwise(edges)]
        return Plan(edges, np.array(actions), cost=0.0, iterations=0, invalid_share=0.0)

    def _mean(self, begin: float, end: float) -> np.ndarray:
        if not end > begin:
            return self.applied(end)  # The command was in force for no time.
        total = 0.0
        until = end
        for time, action, applied in reversed(self._sent):
            if time >= until:
                continue
            start = max(time, begin)
            total = total + action * (until - start)
            if not self._is_instant:
                # The integral of the actuator's exponential approach to the command.
                ways = np.exp((time - start) / self._lag) - np.exp((time - until) / self._lag)
                total = total + (applied - action) * self._lag * ways
            until = start
            if until <= begin:
                break
        else:  # Earlier commands are forgotten; the oldest known one stands for them.
            total = total + applied * (until - begin)
        return total / (end - begin)
