# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""A scenario of `demo`: its nodes, what is observed, and when it is a success."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from cem_planner_ros.configuration import Configuration
from cem_planner_ros.paths import share

Panel = tuple[str, list[float], list[float]]
"""(label, times in s, values): a curve of the picture."""


@dataclass
class DemoRecording:
    """
    The recorded topics; times in s since the first planned command.

    Attributes:
        began: when the first planned command came, s on the steady clock; NaN before.
        first: the last state before the first command of all, and this command; None before.
    """

    began: float = math.nan
    first: tuple[np.ndarray, np.ndarray] | None = None
    states: list[tuple[float, np.ndarray]] = field(default_factory=list)
    actions: list[tuple[float, np.ndarray]] = field(default_factory=list)
    statistics: list[tuple[float, dict[str, float]]] = field(default_factory=list)

    @property
    def now(self) -> float:
        """The time, s; NaN before the first planned command."""
        return time.monotonic() - self.began

    @property
    def time(self) -> float:
        """Of the last command."""
        return self.actions[-1][0] if self.actions else 0.0


class Scenario:
    """
    A scenario: a plant, its planner, and how to judge the run.

    Args:
        seed: seed of planner and plant.
    """

    files: ClassVar[Mapping[str, str]]
    """YAML file in the package's config of each node, in the order of their start."""
    duration: ClassVar[float]
    """Default duration, s."""
    min_duration: ClassVar[float] = 0.0
    """s"""
    max_late_share: ClassVar[float] = 1.0
    """Share of the commands that may be late or missing."""
    signals: tuple[tuple[str, Callable[[np.ndarray], float]], ...]
    """(label, function of the state (nx,)): what is shown while the demo runs, and its curves."""
    has_map: ClassVar[bool] = False

    def __init__(self, seed: int):
        self.seed = seed
        self.config = share("config")

    def parameters(self, node: str) -> dict[str, Any]:
        """Return what a node gets beside its file."""
        if node == "planner":
            return {"planner.seed": self.seed, "publish_statistics": "true"}
        return {"seed": self.seed} if node == "simulator" else {}

    def watch(self, node, configuration: Configuration, recording: DemoRecording) -> None:
        """Subscribe to and publish further topics with a node, while the recording grows."""

    def readings(self, recording: DemoRecording) -> list[tuple[str, str]]:
        """Return (label, number) of what is shown while the demo runs, once there is a state."""
        state = recording.states[-1][1]
        return [(label, f"{get(state):+.2f}") for label, get in self.signals]

    def is_over(self, recording: DemoRecording) -> bool:
        """Return whether the run can end."""
        return False

    def evaluate(
        self, recording: DemoRecording, duration: float
    ) -> tuple[dict[str, Any], list[str]]:
        """Return the results of this scenario for the summary, and the reasons of a failure."""
        raise NotImplementedError

    def panels(self, recording: DemoRecording) -> list[Panel]:
        """Return what the picture shows over time, besides commands and plan times."""
        times = [t for t, _ in recording.states]
        return [
            (label, times, [get(state) for _, state in recording.states])
            for label, get in self.signals
        ]

    def rows(self, summary: dict[str, Any]) -> dict[str, str]:
        """Return that in words."""
        raise NotImplementedError

    def draw(self, axis, recording: DemoRecording) -> None:
        """Draw a map; only called if `has_map`."""
        raise NotImplementedError
