# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""What a study may optimise, and how the episodes of a trial are put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np


class Objective(NamedTuple):
    """A measure of an episode: its meaning, its unit, and which direction is better."""

    text: str
    unit: str = ""
    is_maximised: bool = False


OBJECTIVES = {
    "cost": Objective("mean stage cost of an episode, with the costs of today's file"),
    "plan_cost": Objective(
        "mean cost of a plan of a recording, with the model and the costs of today's file"
    ),
    "time_to_goal": Objective(
        "time until the goal is reached for good; twice the duration if it is not", "s"
    ),
    "path_error": Objective("mean distance from the path", "m"),
    "command_change": Objective(
        "mean change of a command from one period to the next, as a share of its range"
    ),
    "touched": Objective("number of objects that the robot touched"),
    "clearance": Objective("least distance to objects that stand", "m", is_maximised=True),
    "plan_time": Objective("time of a plan, 95th percentile, on the machine of the worker", "ms"),
}


def mean(episodes: Sequence[Mapping[str, Any]], name: str) -> float:
    """Return the mean of an objective over the episodes that report it."""
    return float(np.mean([episode[name] for episode in episodes if name in episode]))


def excess(episodes: Sequence[Mapping[str, Any]], name: str, limit: float) -> float:
    """
    Return by how much the worst episode is beyond the limit of an objective; below 0 within.

    It is NaN if that of an episode is.
    """
    sign = -1.0 if OBJECTIVES[name].is_maximised else 1.0
    found = [sign * (episode[name] - limit) for episode in episodes if name in episode]
    return float(np.max(found)) if found else 0.0


def knee(values: np.ndarray) -> int:
    """
    Return the index of the knee of a Pareto front.

    It is the point that is nearest to the ideal one, after each objective was scaled to 0 to 1 over
    the front.

    Args:
        values: (n, m), all to be minimised.
    """
    low, high = values.min(0), values.max(0)
    scaled = (values - low) / np.where(high > low, high - low, 1.0)
    return int(np.linalg.norm(scaled, axis=1).argmin())
