# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Recordings of a planner's run, which can be planned again and compared."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.navigation.costmap import Costmap
from cem_planner_ros.navigation.surroundings import NOTHING, Surroundings
from cem_planner_ros.planning.surroundings_columns import columns_of, surroundings_of

if TYPE_CHECKING:
    from cem_planner_ros.planning.planner import Planner


class Recording:
    """The inputs and outputs of a planner, plan by plan."""

    def __init__(self, description: Mapping[str, object]):
        self._description = json.dumps(description, sort_keys=True)
        self._plans: list[dict[str, np.ndarray]] = []
        self._surroundings: list[Surroundings] = []
        self._costmaps: tuple[Costmap | None, Costmap | None] = None, None

    def __len__(self) -> int:
        return len(self._plans)

    def add(self, surroundings: Surroundings, **plan: object) -> None:
        """Record one plan: the arguments of `Planner.plan`, and the actions of the plan."""
        self._plans.append({name: np.array(value) for name, value in plan.items()})
        costmap = surroundings.costmap
        if costmap is not None:  # A copy has no distance field, which would take much memory.
            if costmap is not self._costmaps[0]:
                self._costmaps = costmap, replace(costmap)
            surroundings = replace(surroundings, costmap=self._costmaps[1])
        self._surroundings.append(surroundings)

    def save(self, path: str | Path) -> None:
        """Write the run as one .npz file. Raises ValueError if nothing was planned."""
        if not self._plans:
            raise ValueError("no plan was recorded: call plan() before save()")
        columns = {name: np.stack([p[name] for p in self._plans]) for name in self._plans[0]}
        columns |= columns_of(self._surroundings)
        columns["planner"] = np.array(self._description)
        np.savez_compressed(path, allow_pickle=False, **columns)


def replay(planner: Planner, path: str | Path) -> np.ndarray:
    """
    Plan a recorded run again from its start, and return the difference of each plan (n,).

    The difference of a plan is the largest difference of an action, in its units. It is zero on the
    same device with the same model, costs and settings, unless a deadline ended an iteration before
    all of its candidates were simulated.

    Raises ConfigurationError if the planner of the recording had other settings.
    """
    with np.load(path) as run:
        recorded = json.loads(str(run["planner"]))
        present = json.loads(json.dumps(planner.describe()))
        for name, value in recorded.items():
            if value != present[name]:
                raise ConfigurationError(
                    f"{path} was recorded with {name} {value}, this planner has {present[name]}"
                )
        columns = {name: run[name] for name in run.files if name != "planner"}
    known = surroundings_of(columns) or [NOTHING] * len(columns["actions"])
    stamps = columns.get("stamp", columns["time"])
    planner.reset()
    differences = []
    for index, expected in enumerate(columns["actions"]):
        iterations = int(columns["iterations"][index])
        plan = planner.plan(
            columns["state"][index],
            float(columns["time"][index]),
            columns["previous_action"][index],
            applied=columns["applied"][index],
            surroundings=known[index],
            stamp=float(stamps[index]),
            iterations=iterations,
        )
        differences.append(np.abs(plan.actions - expected).max())
    return np.array(differences)
