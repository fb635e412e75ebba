# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Pedestrians of a world: they walk to and fro across the path, and yield to nobody."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np

SPEEDS = (0.4, 1.2)
"""Smallest and largest speed, m/s."""

RADII = (0.2, 0.3)
"""Smallest and largest radius, m."""

HEIGHT = 1.7
"""m"""

HALF_WAY = 2.4
"""Distance from the path at which a pedestrian turns back, across the path, m."""

SLANT = 0.5
"""Largest angle between the way of a pedestrian and the direction across the path, rad."""

KEEP_AWAY = 1.2
"""Smallest distance of a crossing from start and goal, along the path, m."""


@dataclass(frozen=True, eq=False)
class Pedestrian:
    """
    A disc that walks to and fro between two points, with constant speed.

    Attributes:
        begin, end: (2,), m.
        speed: m/s.
        radius: m.
        walked: what it has walked at time 0, from `begin` on, m.
    """

    begin: np.ndarray
    end: np.ndarray
    speed: float
    radius: float
    walked: float

    def at(self, time: float) -> tuple[np.ndarray, np.ndarray]:
        """Return position (2,), m, and velocity (2,), m/s, at a time, s."""
        way = self.end - self.begin
        length = float(np.linalg.norm(way))
        unit = way / length
        place = math.fmod(self.walked + self.speed * time, 2.0 * length)
        if place < length:
            return self.begin + place * unit, self.speed * unit
        return self.end - (place - length) * unit, -self.speed * unit


def across(random: np.random.Generator, count: int, path: np.ndarray) -> tuple[Pedestrian, ...]:
    """Return pedestrians who cross a path (n, 2), m, at random places, each in its part of it."""
    steps = np.diff(path, axis=0)
    lengths = np.concatenate(([0.0], np.cumsum(np.linalg.norm(steps, axis=1))))
    edges = np.linspace(KEEP_AWAY, lengths[-1] - KEEP_AWAY, count + 1)
    pedestrians = []
    for low, high in itertools.pairwise(edges):
        place = random.uniform(low, high)
        segment = min(int(np.searchsorted(lengths, place, side="right")), len(steps)) - 1
        dx, dy = steps[segment]
        middle = path[segment] + (place - lengths[segment]) / math.hypot(dx, dy) * steps[segment]
        angle = math.atan2(dx, -dy) + random.uniform(-SLANT, SLANT)
        reach = HALF_WAY * np.array((math.cos(angle), math.sin(angle)))
        pedestrians.append(
            Pedestrian(
                begin=middle - reach,
                end=middle + reach,
                speed=random.uniform(*SPEEDS),
                radius=random.uniform(*RADII),
                walked=random.uniform(0.0, 4.0 * HALF_WAY),
            )
        )
    return tuple(pedestrians)


def observed(
    pedestrians: tuple[Pedestrian, ...], time: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return positions (n, 2), m, velocities (n, 2), m/s, and radii (n,), m, at a time, s."""
    found = [pedestrian.at(time) for pedestrian in pedestrians]
    positions, velocities = (np.array(each).reshape(-1, 2) for each in zip(*found, strict=True))
    return positions, velocities, np.array([pedestrian.radius for pedestrian in pedestrians])
