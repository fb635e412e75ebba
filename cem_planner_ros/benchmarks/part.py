# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The part of a suite that is measured, and how long the rest of it takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Part:
    """
    What of a suite is measured; None stands for all that the suite has.

    Attributes:
        quick: whether to measure less of everything.
        task: the only task.
        method: the only method.
        rollouts: the only number of rollouts in a control period.
        seeds: of the runs.
    """

    quick: bool = False
    task: str | None = None
    method: str | None = None
    rollouts: int | None = None
    seeds: Sequence[int] | None = None

    def tasks(self, names: Collection[str]) -> list[str]:
        """Return the tasks to measure of those that the suite has."""
        return [name for name in names if self.task in (None, name)]

    def includes(self, method: str, rollouts: int) -> bool:
        """Return whether a method is measured with a number of rollouts."""
        return self.method in (None, method) and self.rollouts in (None, rollouts)

    def seeds_or(self, usual: int) -> Sequence[int]:
        """Return the seeds: those that were chosen, or the first ones, two of them if quick."""
        return self.seeds if self.seeds else range(2 if self.quick else usual)


def costs(seeds: Sequence[int], found: Sequence[float]) -> dict[str, object]:
    """Return what the row of a method says of the costs of its runs, one for each seed."""
    return {
        "seeds": len(seeds),
        "cost": mean_and_std(found),
        "cost_of_seed": {
            str(seed): round(float(cost), 1) for seed, cost in zip(seeds, found, strict=True)
        },
    }


def mean_and_std(costs: Sequence[float]) -> dict[str, float]:
    """Return what a row says of the costs of several runs."""
    return {"mean": round(float(np.mean(costs)), 1), "std": round(float(np.std(costs)), 1)}


class Progress:
    """
    Says before each run how long this run and the rest take.

    Args:
        say: is told.
        total: work of all runs, in the unit of `run`.
    """

    def __init__(self, say: Callable[[str], None], total: float):
        self._say = say
        self._total, self._done = total, 0.0
        self._begin = time.monotonic()

    def run(self, label: str, work: float) -> None:
        """Say that a run begins, which is so much of the work."""
        left = ""
        if self._done:
            seconds = (time.monotonic() - self._begin) * (self._total / self._done - 1.0)
            left = f", {seconds / 60:.0f} min left" if seconds > 90 else f", {seconds:.0f} s left"
        self._say(f"{label}: {100 * self._done / self._total:.0f} % done{left}")
        self._done += work
