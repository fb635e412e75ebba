# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""
The task of a quadrotor: to fly a figure of eight whose shape changes every second.

A run begins hovering at the keyframe of models/quadrotor.xml that `start` names. The figure begins
APPROACH s later, and errors count from SETTLE s after that on.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

LOW, HIGH = np.array([1.4, 0.6, 0.0, 1.2]), np.array([1.8, 0.9, 0.3, 1.6])
"""Bounds of a shape: half its length, half its width, half its rise, and its middle height, m."""

CHANGE = 1.0
"""Time from one shape to the next, s."""

AHEAD = 2.0
"""Length of a published trajectory, s."""

APPROACH, SETTLE = 2.0, 2.0
"""Time from the first trajectory to the beginning of the figure, and from there to the first error
that counts, s."""

MOST_ERROR = 0.05
"""Largest root mean square of the distance from the figure in a successful run, m."""

LOWEST = 0.1
"""Height below which a quadrotor has fallen, m."""

STARTS = ("start", "left", "high")
"""Keyframes at which runs begin, in turn."""

SAMPLE = 0.005
"""Time between two points that are computed, s."""

SPACING = 10
"""Number of them from one point of a message to the next."""


class FlightResult(NamedTuple):
    """
    How well a figure was flown.

    Attributes:
        error: root mean square of the distances that count, m; NaN if there are none.
        most: the largest one, m.
        problems: why the flight was no success; empty if it was.
    """

    error: float
    most: float
    problems: list[str]


class FigureOfEight:
    """
    A figure of eight that is flown at a constant speed, and whose shape changes every second.

    The curve is x = a sin p, y = b sin 2p, z = c + h sin p, with x to the front and the phase p.
    Within each second the shape (a, b, h, c) moves to another one, drawn from LOW to HIGH, as
    10 s^3 - 15 s^4 + 6 s^5, so that accelerations do not jump. The next shape is known only
    when its second begins: a trajectory that was published before ends with the present shape.

    Args:
        seed: of the shapes, and of the phase at which it begins.
        speed: m/s.
    """

    def __init__(self, seed: int, speed: float = 1.5):
        self.speed = speed
        self._random = np.random.default_rng(seed)
        first, second = self._shape(), self._shape()
        self._shapes = [first, second]
        self._phases = [float(self._random.uniform(0.0, 2.0 * np.pi))]
        self._flown: list[tuple[np.ndarray, np.ndarray]] = []  # Times and positions of each second.

    def _shape(self) -> np.ndarray:
        return self._random.uniform(LOW, HIGH)

    def trajectory(self, second: int, duration: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """
        Return what is known at the beginning of a second of the next `duration` s.

        The result has times (n,), s, since the figure began, positions (n, 3), m, and velocities
        (n, 3), m/s.
        """
        self._fly_until(second)
        times, positions, velocities, _ = self._fly(second, duration)
        return times[::SPACING], positions[::SPACING], velocities[::SPACING]

    def position(self, times: np.ndarray) -> np.ndarray:
        """Return where to be (n, 3), m, at times (n,), s, since the figure began; from 0 on."""
        last = int(np.max(times, initial=0.0) / CHANGE)
        self._fly_until(last + 1)
        # The last sample of a second is the first one of the next.
        before, end = self._flown[:last], self._flown[last]
        known = np.concatenate([*(each[0][:-1] for each in before), end[0]])
        points = np.concatenate([*(each[1][:-1] for each in before), end[1]])
        return np.stack([np.interp(times, known, axis) for axis in points.T], axis=1)

    def distances(self, times: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Return how far positions (n, 3), m, are from it at times (n,), s; NaN before it began."""
        wanted = self.position(np.maximum(times, 0.0))
        return np.where(times < 0.0, np.nan, np.linalg.norm(positions - wanted, axis=1))

    def _fly_until(self, second: int) -> None:
        """Fly all seconds before this one that were not flown yet."""
        while len(self._flown) < second:
            times, positions, _, phase = self._fly(len(self._flown), CHANGE)
            self._flown.append((times, positions))
            self._phases.append(phase)
            self._shapes.append(self._shape())

    def _fly(
        self, second: int, duration: float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
        """Return times, positions and velocities from a second on, and the phase at its end."""
        begin, end = self._shapes[second : second + 2]
        phase, rows = self._phases[second], []
        for index in range(round(duration / SAMPLE) + 1):
            share = min(index * SAMPLE / CHANGE, 1.0)
            blend = share**3 * (10.0 - 15.0 * share + 6.0 * share**2)
            change = 30.0 * share**2 * (1.0 - share) ** 2 / CHANGE
            shape, growth = begin + blend * (end - begin), change * (end - begin)
            ahead = _curve(shape, phase + 1e-4) - _curve(shape, phase - 1e-4)
            tangent, drift = ahead / 2e-4, _curve(growth, phase)
            # The speed |tangent rate + drift| is the wanted one.
            square, along = tangent @ tangent, tangent @ drift
            rest = drift @ drift - self.speed**2
            rate = (np.sqrt(along**2 - square * rest) - along) / square
            rows.append((_curve(shape, phase), tangent * rate + drift))
            if index < round(duration / SAMPLE):
                phase += rate * SAMPLE
        positions, velocities = (np.array(each) for each in zip(*rows, strict=True))
        return second * CHANGE + SAMPLE * np.arange(len(rows)), positions, velocities, phase


def start(seed: int) -> str:
    """Return the keyframe at which a run begins."""
    return STARTS[seed % len(STARTS)]


def result(times: np.ndarray, distances: np.ndarray, heights: np.ndarray) -> FlightResult:
    """Return how well it flew, from times since the figure began, distances and heights, (n,)."""
    counted = distances[times >= SETTLE]
    if not len(counted):
        return FlightResult(math.nan, math.nan, ["the figure of eight did not begin"])
    error, problems = float(np.sqrt(np.mean(counted**2))), []
    if not error < MOST_ERROR:
        problems.append(
            f"{error:.3f} m from the figure of eight (root mean square), allowed: less than "
            f"{MOST_ERROR:g} m"
        )
    if heights.min() < LOWEST:
        problems.append("it fell")
    return FlightResult(error, float(counted.max()), problems)


def _curve(shape: np.ndarray, phase: float) -> np.ndarray:
    """Return the point (3,), m, of a shape (4,) at a phase, rad."""
    length, width, rise, height = shape
    return np.array(
        (
            length * np.sin(phase),
            width * np.sin(2.0 * phase),
            height + rise * np.sin(phase),
        )
    )
