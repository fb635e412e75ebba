# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""What disturbs a plant in an episode: late commands, noise, and pushes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np


class Push(NamedTuple):
    """
    An action that is added to those of the planner, beyond their bounds, for some time.

    Attributes:
        at: time of its begin, s.
        duration: s. The push lasts for all control periods of which it overlaps a part.
        action: (nu,).
    """

    at: float
    duration: float
    action: np.ndarray


class DisturbedPlant:
    """
    A plant whose commands come late and are disturbed, and whose state is measured with noise.

    Args:
        state: returns the true state (nx,).
        step: holds an action (nu,) for a duration, s.
        idle: (nu,), the action before the first command comes.
        random: where the noise is drawn from.
        delay: time from a command until the plant follows it, s.
        process_noise: (nu,), std of the noise on the actions, drawn anew for each period.
        state_noise: (nx,), std of the noise on the measured state.
        pushes: actions that are added.
    """

    def __init__(
        self,
        state: Callable[[], np.ndarray],
        step: Callable[[np.ndarray, float], None],
        idle: np.ndarray,
        random: np.random.Generator,
        delay: float,
        process_noise: np.ndarray,
        state_noise: np.ndarray,
        pushes: Sequence[Push] = (),
    ):
        self._state = state
        self._step = step
        self._random = random
        self._delay = delay
        self._process_noise = process_noise
        self._state_noise = state_noise
        self._pushes = pushes
        self._now = 0.0
        self._commands: list[tuple[float, np.ndarray]] = [(-math.inf, np.asarray(idle, float))]

    def measured(self) -> np.ndarray:
        """Return the state (nx,) with noise."""
        state = self._state()
        if not self._state_noise.any():
            return state
        return state + self._state_noise * self._random.standard_normal(len(state))

    def step(self, action: np.ndarray, duration: float) -> None:
        """Send an action (nu,), and simulate for `duration` s; the action acts after the delay."""
        self._commands.append((self._now + self._delay, np.array(action, float)))
        added = np.zeros(len(action))
        if self._process_noise.any():
            added += self._process_noise * self._random.standard_normal(len(action))
        for push in self._pushes:
            begins, ends = push.at, push.at + push.duration
            if begins < self._now + duration - 1e-9 and self._now < ends - 1e-9:
                added += push.action
        end = self._now + duration
        while end - self._now > 1e-9:
            while len(self._commands) > 1 and self._commands[1][0] <= self._now + 1e-9:
                del self._commands[0]
            changes = [at for at, _ in self._commands[1:]]
            until = min([end, *changes])
            self._step(self._commands[0][1] + added, until - self._now)
            self._now = until
        self._now = end
